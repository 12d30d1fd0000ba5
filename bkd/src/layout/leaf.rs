//! The coarse stream: leaf after leaf, in chunks of 64 bytes that are packed densely into pages.
//!
//! A leaf is
//! - one chunk of header ([`LeafHeader`]);
//! - its grid: a chunk for every eight dimensions, eight lower ends and eight steps ([`f32`]); if the codes are those of sketches, the
//!   grid of the sketches and then that of the vectors;
//! - its blocks of sixteen vectors. A block is one chunk with sixteen coarse norms and sixteen coarse residuals ([`u16`],
//!   on the leaf's scales) and one chunk of codes for every eight dimensions: four bytes a vector, whose low nibbles are
//!   dimensions 0 to 3 and whose high nibbles dimensions 4 to 7.
//!
//! So a scan reads one uninterrupted stream, and sixteen vectors advance together without a horizontal sum. Blocks do not cross pages if that
//! leaves only a little of them empty: then the scan need not put any together.

use super::{CHUNK, CHUNKS_PER_PAGE};
use crate::{Error, Result};

/// Vectors in a block.
pub const LANES: usize = 16;
/// Dimensions in a chunk of codes or of grid.
pub const GROUP: usize = 8;

/// Dimensions after padding to whole groups.
#[inline]
pub const fn padded(dims: usize) -> usize {
    dims.next_multiple_of(GROUP)
}

/// Sizes of a leaf's parts, in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafLayout {
    /// Chunks of codes in a block, and of their grid.
    pub groups: usize,
    /// Chunks of the grid of the vectors, if the codes in blocks are those of sketches.
    pub beside: usize,
}

impl LeafLayout {
    /// The layout for vectors of so many dimensions (1 to [`crate::MAX_DIMS`]).
    pub fn new(dims: usize) -> Self {
        LeafLayout { groups: padded(dims) / GROUP, beside: 0 }
    }

    /// The layout for such vectors whose coarse codes are those of sketches of so many dimensions.
    pub fn of_sketches(sketch: usize, dims: usize) -> Self {
        LeafLayout { groups: padded(sketch) / GROUP, beside: padded(dims) / GROUP }
    }

    /// Chunks of a block.
    pub fn block_chunks(&self) -> usize {
        1 + self.groups
    }

    /// Chunks before the first block: header and grids.
    pub fn prefix_chunks(&self) -> usize {
        1 + self.groups + self.beside
    }

    /// Blocks on a page, if none is to cross pages.
    #[inline]
    pub fn unbroken(&self) -> Option<usize> {
        let blocks = CHUNKS_PER_PAGE / self.block_chunks();
        (CHUNKS_PER_PAGE - blocks * self.block_chunks() <= MOST_EMPTY).then_some(blocks)
    }

    /// The first chunk of a block of a leaf that begins at a chunk of the stream.
    #[inline]
    pub fn block_chunk(&self, leaf: u64, block: usize) -> u64 {
        let (first, chunks) = (leaf + self.prefix_chunks() as u64, self.block_chunks());
        let Some(on_page) = self.unbroken() else { return first + (block * chunks) as u64 };
        let page = CHUNKS_PER_PAGE as u64;
        let on_first = (page - first % page) as usize / chunks;
        match block.checked_sub(on_first) {
            None => first + (block * chunks) as u64,
            Some(others) => {
                (first / page + 1 + (others / on_page) as u64) * page + (others % on_page * chunks) as u64
            }
        }
    }

    /// The chunk behind a leaf of so many vectors.
    pub fn leaf_end(&self, leaf: u64, vectors: usize) -> u64 {
        match vectors.div_ceil(LANES).checked_sub(1) {
            None => leaf + self.prefix_chunks() as u64,
            Some(last) => self.block_chunk(leaf, last) + self.block_chunks() as u64,
        }
    }

    /// Chunks of a leaf of so many vectors, but for those that are left empty.
    pub fn leaf_chunks(&self, vectors: usize) -> usize {
        self.prefix_chunks() + vectors.div_ceil(LANES) * self.block_chunks()
    }
}

/// The most chunks of a page that are left empty.
const MOST_EMPTY: usize = 3;

/// The scales of a leaf's norms and residuals.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct LeafHeader {
    /// Vectors of the leaf.
    pub vectors: u32,
    /// Coarse norm of code 0. Decoded norms are never above the true ones.
    pub norm_base: f32,
    /// What a step of the code adds to it.
    pub norm_step: f32,
    /// Coarse residual of code 0. Decoded residuals are never below the true ones.
    pub coarse_base: f32,
    /// What a step of the code adds to it.
    pub coarse_step: f32,
    /// The same for fine residuals.
    pub fine_base: f32,
    /// What a step of the code adds to it.
    pub fine_step: f32,
    /// The same for residuals of whole codes; zero if there are none.
    pub whole_base: f32,
    /// What a step of the code adds to it.
    pub whole_step: f32,
    /// Largest norm of a vector of centred coarse codes (each from -7.5 to 7.5).
    pub code_norm: f32,
    /// Largest true coarse norm.
    pub norm_max: f32,
}

impl LeafHeader {
    /// Bytes of the chunk that are in use. The others are zero.
    pub const BYTES: usize = 44;

    /// Writes the header into its chunk.
    pub fn write(&self, chunk: &mut [u8]) {
        chunk[..CHUNK].fill(0);
        chunk[..4].copy_from_slice(&self.vectors.to_le_bytes());
        for (slot, value) in self.scales().into_iter().enumerate() {
            chunk[4 + slot * 4..8 + slot * 4].copy_from_slice(&value.to_le_bytes());
        }
    }

    /// Reads the header from its chunk.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a scale is negative or not finite.
    pub fn read(chunk: &[u8]) -> Result<Self> {
        let word = |slot: usize| -> [u8; 4] { chunk[slot * 4..slot * 4 + 4].try_into().expect("four bytes") };
        let scale = |slot: usize| f32::from_le_bytes(word(slot + 1));
        let header = LeafHeader {
            vectors: u32::from_le_bytes(word(0)),
            norm_base: scale(0),
            norm_step: scale(1),
            coarse_base: scale(2),
            coarse_step: scale(3),
            fine_base: scale(4),
            fine_step: scale(5),
            whole_base: scale(6),
            whole_step: scale(7),
            code_norm: scale(8),
            norm_max: scale(9),
        };
        if header.scales().into_iter().all(|scale| scale.is_finite() && scale >= 0.0) {
            Ok(header)
        } else {
            Err(Error::corrupt("a leaf's scales are not finite"))
        }
    }

    fn scales(&self) -> [f32; 10] {
        [
            self.norm_base,
            self.norm_step,
            self.coarse_base,
            self.coarse_step,
            self.fine_base,
            self.fine_step,
            self.whole_base,
            self.whole_step,
            self.code_norm,
            self.norm_max,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_one_another_and_cross_pages_only_where_that_saves_much() {
        let page = CHUNKS_PER_PAGE as u64;
        for (dims, is_unbroken) in
            [(5, true), (50, false), (64, true), (100, true), (128, false), (2000, false)]
        {
            let layout = LeafLayout::new(dims);
            assert_eq!(layout.unbroken().is_some(), is_unbroken, "{dims} dimensions");
            let chunks = layout.block_chunks() as u64;
            for leaf in 0..2 * page {
                let mut end = leaf + layout.prefix_chunks() as u64;
                for block in 0..40 {
                    let at = layout.block_chunk(leaf, block);
                    assert!(at == end || is_unbroken && at == end.next_multiple_of(page));
                    assert!(at < end + chunks);
                    assert!(!is_unbroken || at / page == (at + chunks - 1) / page);
                    end = at + chunks;
                    assert_eq!(layout.leaf_end(leaf, (block + 1) * LANES), end);
                    assert_eq!(layout.leaf_end(leaf, block * LANES + 1), end);
                }
            }
        }
    }

    #[test]
    fn header_round_trips_and_refuses_nonsense() {
        let header =
            LeafHeader { vectors: 3, norm_base: 1.0, fine_step: 0.5, norm_max: 9.0, ..Default::default() };
        let mut chunk = [0xffu8; CHUNK];
        header.write(&mut chunk);
        assert_eq!(LeafHeader::read(&chunk), Ok(header));
        for bad in [f32::NAN, f32::INFINITY, -1.0] {
            LeafHeader { coarse_step: bad, ..header }.write(&mut chunk);
            assert!(LeafHeader::read(&chunk).is_err());
        }
    }
}
