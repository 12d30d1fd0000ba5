//! Vectors from their codes: for those who want them back ([`crate::export()`]) or look after them ([`crate::check_segment`]).
//! A search compares codes without decoding them.

use crate::layout::leaf::{padded, LeafHeader, GROUP, LANES};
use crate::layout::CHUNK;
use crate::search::{read_header, Coarse, Fine};
use crate::{PageRead, Result, Segment};

/// A leaf that was opened, and a vector of it.
pub(crate) struct LeafReader {
    /// The leaf's scales.
    pub header: LeafHeader,
    /// Lower ends of the leaf's grid, of whole groups.
    pub low: Vec<f32>,
    /// Steps of the leaf's grid, of whole groups.
    pub step: Vec<f32>,
    /// Codes of the vector that was read last, of whole groups.
    pub codes: Vec<u8>,
    leaf: usize,
    /// The block that was read last, and which one of the leaf it is. Its vectors are mostly read one after the other.
    block: Vec<u8>,
    block_at: Option<usize>,
}

/// What is stored of a vector beside its codes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claims {
    /// Squared norm of the coarse decoding from the grid's centre, at least.
    pub norm: f32,
    /// Distance (for L1, L1 distance) between the vector and its coarse decoding, at most.
    pub coarse: f32,
    /// Distance between the vector and its fine decoding, at most.
    pub fine: f32,
}

impl LeafReader {
    /// A reader for the leaves of a segment.
    pub(crate) fn new(segment: &Segment) -> Self {
        let padded = padded(segment.dims());
        LeafReader {
            header: LeafHeader::default(),
            low: vec![0.0; padded],
            step: vec![0.0; padded],
            codes: vec![0; padded],
            leaf: 0,
            block: vec![0; segment.layout().block_chunks() * CHUNK],
            block_at: None,
        }
    }

    /// Reads header and grid of a leaf.
    pub(crate) fn open<S: PageRead>(
        &mut self,
        segment: &Segment,
        coarse: &mut Coarse<'_, '_, S>,
        leaf: usize,
    ) -> Result<()> {
        let at = segment.leaf_chunk(leaf);
        self.header = read_header(coarse, at, segment.leaf_vectors(leaf).len())?;
        coarse.runs(at + 1, segment.layout().groups, |group, run| {
            let low = self.low[group * GROUP..].chunks_exact_mut(GROUP);
            let step = self.step[group * GROUP..].chunks_exact_mut(GROUP);
            for (chunk, (low, step)) in run.chunks_exact(CHUNK).zip(low.zip(step)) {
                for (value, bytes) in low.iter_mut().chain(step).zip(chunk.chunks_exact(4)) {
                    *value = f32::from_le_bytes(bytes.try_into().expect("four bytes"));
                }
            }
        })?;
        self.leaf = leaf;
        self.block_at = None;
        Ok(())
    }

    /// Reads the codes of a vector of the open leaf.
    pub(crate) fn read<S: PageRead>(
        &mut self,
        segment: &Segment,
        coarse: &mut Coarse<'_, '_, S>,
        fine: &mut Fine<'_, '_, S>,
        ordinal: u32,
    ) -> Result<Claims> {
        let within = (ordinal - segment.leaf_vectors(self.leaf).start) as usize;
        let (block, lane) = (within / LANES, within % LANES);
        if self.block_at != Some(block) {
            self.block_at = None;
            coarse.runs(
                self.block_chunk(segment, block),
                segment.layout().block_chunks(),
                |chunk, run| {
                    self.block[chunk * CHUNK..][..run.len()].copy_from_slice(run);
                },
            )?;
            self.block_at = Some(block);
        }
        let (head, chunks) = self.block.split_at(CHUNK);
        let (low_nibbles, fine_code) = fine.record(ordinal)?;
        let groups = chunks.chunks_exact(CHUNK).zip(low_nibbles.chunks_exact(4));
        for (codes, (chunk, low)) in self.codes.chunks_exact_mut(GROUP).zip(groups) {
            let high = &chunk[lane * 4..][..4];
            for at in 0..4 {
                codes[at] = high[at] << 4 | low[at] & 15;
                codes[at + 4] = high[at] & 0xf0 | low[at] >> 4;
            }
        }
        let code = |at: usize| f32::from(u16::from_le_bytes([head[at], head[at + 1]]));
        let header = &self.header;
        Ok(Claims {
            norm: header.norm_base + header.norm_step * code(lane * 2),
            coarse: header.coarse_base + header.coarse_step * code((LANES + lane) * 2),
            fine: header.fine_base + header.fine_step * f32::from(fine_code),
        })
    }

    /// The first chunk of a block of the open leaf.
    pub(crate) fn block_chunk(&self, segment: &Segment, block: usize) -> u64 {
        segment.block_chunk(self.leaf, block)
    }

    /// The chunks of the block that was read last.
    pub(crate) fn block(&self) -> &[u8] {
        &self.block
    }

    /// Where the codes that were read last put the vector.
    pub(crate) fn decoded(&self) -> impl Iterator<Item = f64> + '_ {
        let grid = self.low.iter().zip(&self.step);
        grid.zip(&self.codes).map(|((&low, &step), &code)| f64::from(low) + f64::from(step) * f64::from(code))
    }
}
