//! Records of one length: what is read of single vectors, page by page.
//!
//! The **fine plane** has a record for every vector: the low nibbles of its codes, and what is lost even with them. It is
//! `dims / 8` groups of four bytes, then the residual as a [`u16`] on the leaf's scale. A group holds eight
//! dimensions: the low nibbles of its bytes are dimensions 0 to 3, the high ones 4 to 7, as in a coarse chunk.
//!
//! Where codes are those of [sketches](crate::Directory::sketch), they say nothing of single dimensions. Such segments have a **plane of
//! whole codes** beside: records of a byte a dimension, then the residual.
//!
//! Records never cross a page.

use super::{leaf::padded, PAYLOAD};

/// Where the records of a plane lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLayout {
    /// Bytes of a record.
    pub record: usize,
    /// Records in a page.
    pub per_page: usize,
}

impl RecordLayout {
    /// Low nibbles of so many dimensions (1 to [`crate::MAX_DIMS`]).
    pub fn fine(dims: usize) -> Self {
        Self::of(padded(dims) / 2 + 2)
    }

    /// Whole codes, of up to [`crate::sketch::MOST_DIMS`] dimensions.
    pub fn whole(dims: usize) -> Self {
        Self::of(padded(dims) + 2)
    }

    fn of(record: usize) -> Self {
        RecordLayout { record, per_page: PAYLOAD / record }
    }

    /// Page (within the plane) and byte offset of a vector's record.
    #[inline]
    pub fn position(&self, ordinal: u32) -> (u32, usize) {
        let per_page = self.per_page as u32;
        (ordinal / per_page, (ordinal % per_page) as usize * self.record)
    }

    /// Pages for so many vectors.
    pub fn pages(&self, vectors: usize) -> usize {
        vectors.div_ceil(self.per_page)
    }
}

const _: () = assert!(crate::MAX_DIMS / 2 + 2 <= PAYLOAD);
const _: () = assert!(crate::sketch::MOST_DIMS + 2 <= PAYLOAD);
