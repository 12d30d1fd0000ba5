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
    /// The same of its sketch, if the coarse codes are those of sketches.
    pub sketch: Option<SketchCodes>,
    leaf: usize,
    /// The block that was read last, and which one of the leaf it is. Its vectors are mostly read one after the other.
    block: Vec<u8>,
    block_at: Option<usize>,
}

/// The grid of the sketches of a leaf, of whole groups, and a sketch on it.
pub(crate) struct SketchCodes {
    pub low: Vec<f32>,
    pub step: Vec<f32>,
    /// Coarse codes, 0 to 15.
    pub codes: Vec<u8>,
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
            sketch: segment.directory().sketch.map(|_| SketchCodes::new(segment.layout().groups * GROUP)),
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
        let mut next = at + 1;
        if let Some(SketchCodes { low, step, .. }) = &mut self.sketch {
            next = read_grid(coarse, next, low, step)?;
        }
        read_grid(coarse, next, &mut self.low, &mut self.step)?;
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
        let (record, fine_code) = fine.record(ordinal)?;
        let high = chunks.chunks_exact(CHUNK).map(|chunk| &chunk[lane * 4..][..4]);
        if let Some(SketchCodes { codes, .. }) = &mut self.sketch {
            self.codes.copy_from_slice(record);
            for (codes, high) in codes.chunks_exact_mut(GROUP).zip(high) {
                for at in 0..4 {
                    codes[at] = high[at] & 15;
                    codes[at + 4] = high[at] >> 4;
                }
            }
        } else {
            for (codes, (high, low)) in
                self.codes.chunks_exact_mut(GROUP).zip(high.zip(record.chunks_exact(4)))
            {
                for at in 0..4 {
                    codes[at] = high[at] << 4 | low[at] & 15;
                    codes[at + 4] = high[at] & 0xf0 | low[at] >> 4;
                }
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

impl SketchCodes {
    fn new(padded: usize) -> Self {
        SketchCodes { low: vec![0.0; padded], step: vec![0.0; padded], codes: vec![0; padded] }
    }

    /// What the codes that were read last decode to.
    pub(crate) fn decoded(&self) -> impl Iterator<Item = f64> + '_ {
        let grid = self.low.iter().zip(&self.step);
        grid.zip(&self.codes)
            .map(|((&low, &step), &code)| f64::from(low) + f64::from(step) * (16.0 * f64::from(code) + 7.5))
    }
}

/// Reads a grid that begins at a chunk. Returns the chunk behind it.
fn read_grid<S: PageRead>(
    coarse: &mut Coarse<'_, '_, S>,
    at: u64,
    low: &mut [f32],
    step: &mut [f32],
) -> Result<u64> {
    let groups = low.len() / GROUP;
    coarse.runs(at, groups, |group, run| {
        let low = low[group * GROUP..].chunks_exact_mut(GROUP);
        let step = step[group * GROUP..].chunks_exact_mut(GROUP);
        for (chunk, (low, step)) in run.chunks_exact(CHUNK).zip(low.zip(step)) {
            for (value, bytes) in low.iter_mut().chain(step).zip(chunk.chunks_exact(4)) {
                *value = f32::from_le_bytes(bytes.try_into().expect("four bytes"));
            }
        }
    })?;
    Ok(at + groups as u64)
}
