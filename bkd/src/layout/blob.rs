//! Directory pages: a byte string cut into pages that are linked by `next`.

use super::PAYLOAD;

/// Pages that a blob of this many bytes takes.
pub fn pages(bytes: usize) -> usize {
    bytes.div_ceil(PAYLOAD)
}

/// The parts of a blob, a page each.
pub fn parts(blob: &[u8]) -> impl ExactSizeIterator<Item = &[u8]> {
    blob.chunks(PAYLOAD)
}
