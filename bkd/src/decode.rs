//! Vectors from their codes: for those who want them back ([`crate::export()`]) or look after them ([`crate::check_segment`]).
//! A search compares codes without decoding them.

use crate::layout::leaf::{padded, LeafHeader, GROUP, LANES};
use crate::layout::CHUNK;
use crate::search::{read_header, Coarse, Planes};
use crate::{PageRead, Result, Segment};

/// A leaf that was opened, and a vector of it.
pub(crate) struct LeafReader {
    /// The leaf's scales.
    pub header: LeafHeader,
    /// Codes of the vector that was read last.
    pub vector: Codes,
    /// Those of its sketch, if there are sketches.
    pub sketch: Option<Codes>,
    leaf: usize,
    /// The block that was read last, and which one of the leaf it is. Its vectors are mostly read one after the other.
    block: Vec<u8>,
    block_at: Option<usize>,
}

/// A grid of a leaf, and codes on it, of whole groups.
pub(crate) struct Codes {
    /// Lower ends.
    pub low: Vec<f32>,
    /// A 255th of the range each.
    pub step: Vec<f32>,
    /// Of a byte each: coarse codes in the high nibbles, fine ones in the low; zeros if there are none.
    pub codes: Vec<u8>,
}

/// What is stored of a vector beside its codes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claims {
    /// Squared norm of the coarse decoding from the grid's centre, at least.
    pub norm: f32,
    /// Distance (for L1, L1 distance) between the vector, or its sketch, and its coarse decoding, at most.
    pub coarse: f32,
    /// Distance between the vector, or its sketch, and its fine decoding, at most; if there are fine codes.
    pub fine: Option<f32>,
    /// Distance between the vector and what its own codes decode to, at most: that of the fine decoding, if there are no sketches.
    pub whole: f32,
}

impl LeafReader {
    /// A reader for the leaves of a segment.
    pub(crate) fn new(segment: &Segment) -> Self {
        let layout = segment.layout();
        LeafReader {
            header: LeafHeader::default(),
            vector: Codes::new(padded(segment.dims())),
            sketch: segment.directory().sketch.map(|_| Codes::new(layout.groups * GROUP)),
            leaf: 0,
            block: vec![0; layout.block_chunks() * CHUNK],
            block_at: None,
        }
    }

    /// Reads header and grids of a leaf.
    pub(crate) fn open<S: PageRead>(
        &mut self,
        segment: &Segment,
        coarse: &mut Coarse<'_, '_, S>,
        leaf: usize,
    ) -> Result<()> {
        let at = segment.leaf_chunk(leaf);
        self.header = read_header(coarse, at, segment.leaf_vectors(leaf).len())?;
        let mut next = at + 1;
        if let Some(sketch) = &mut self.sketch {
            next = sketch.read_grid(coarse, next)?;
        }
        self.vector.read_grid(coarse, next)?;
        self.leaf = leaf;
        self.block_at = None;
        Ok(())
    }

    /// Reads the codes of a vector of the open leaf.
    pub(crate) fn read<S: PageRead>(
        &mut self,
        segment: &Segment,
        planes: &mut Planes<'_, '_, S>,
        ordinal: u32,
    ) -> Result<Claims> {
        let within = (ordinal - segment.leaf_vectors(self.leaf).start) as usize;
        let (block, lane) = (within / LANES, within % LANES);
        if self.block_at != Some(block) {
            self.block_at = None;
            let (at, chunks) = (self.block_chunk(segment, block), segment.layout().block_chunks());
            planes.coarse.runs(at, chunks, |chunk, run| {
                self.block[chunk * CHUNK..][..run.len()].copy_from_slice(run);
            })?;
            self.block_at = Some(block);
        }
        let (head, chunks) = self.block.split_at(CHUNK);
        let high = chunks.chunks_exact(CHUNK).map(|chunk| &chunk[lane * 4..][..4]);
        let coded = self.sketch.as_mut().unwrap_or(&mut self.vector);
        let fine = match &mut planes.fine {
            None => {
                coded.unpack(high.zip(std::iter::repeat(&[0; 4][..])));
                None
            }
            Some(records) => {
                let (low, residual) = records.record(ordinal)?;
                coded.unpack(high.zip(low.chunks_exact(4)));
                Some(residual)
            }
        };
        let code = |at: usize| f32::from(u16::from_le_bytes([head[at], head[at + 1]]));
        let header = &self.header;
        let fine = fine.map(|code| header.fine_base + header.fine_step * f32::from(code));
        let whole = match &mut planes.whole {
            None => fine.expect("a plane of records"),
            Some(records) => {
                let (codes, residual) = records.record(ordinal)?;
                self.vector.codes.copy_from_slice(codes);
                header.whole_base + header.whole_step * f32::from(residual)
            }
        };
        Ok(Claims {
            norm: header.norm_base + header.norm_step * code(lane * 2),
            coarse: header.coarse_base + header.coarse_step * code((LANES + lane) * 2),
            fine,
            whole,
        })
    }

    /// The codes of the vector that was read last of which the coarse ones are a part.
    pub(crate) fn coarse(&self) -> &Codes {
        self.sketch.as_ref().unwrap_or(&self.vector)
    }

    /// The first chunk of a block of the open leaf.
    pub(crate) fn block_chunk(&self, segment: &Segment, block: usize) -> u64 {
        segment.block_chunk(self.leaf, block)
    }

    /// The chunks of the block that was read last.
    pub(crate) fn block(&self) -> &[u8] {
        &self.block
    }
}

impl Codes {
    fn new(padded: usize) -> Self {
        Codes { low: vec![0.0; padded], step: vec![0.0; padded], codes: vec![0; padded] }
    }

    /// Where the codes put the vector, or the sketch.
    pub(crate) fn decoded(&self) -> impl Iterator<Item = f64> + '_ {
        let grid = self.low.iter().zip(&self.step);
        grid.zip(&self.codes).map(|((&low, &step), &code)| f64::from(low) + f64::from(step) * f64::from(code))
    }

    /// What the codes lose of a vector or sketch, dimension by dimension.
    pub(crate) fn lost<'c>(&'c self, numbers: &'c [f64]) -> impl Iterator<Item = f64> + 'c {
        self.each_lost(numbers, f64::from)
    }

    /// What the coarse codes alone lose of it.
    pub(crate) fn coarse_lost<'c>(&'c self, numbers: &'c [f64]) -> impl Iterator<Item = f64> + 'c {
        self.each_lost(numbers, |code| f64::from(code & 0xf0) + 7.5)
    }

    fn each_lost<'c>(&'c self, numbers: &'c [f64], place: fn(u8) -> f64) -> impl Iterator<Item = f64> + 'c {
        let codes = self.low.iter().zip(&self.step).zip(&self.codes);
        // Not by what is decoded: that is rounded where the grid lies far from zero.
        let lost = move |(x, ((&low, &step), &code)): (&f64, ((&f32, &f32), &u8))| {
            x - f64::from(low) - f64::from(step) * place(code)
        };
        numbers.iter().zip(codes).map(lost)
    }

    /// Whether there are codes in a dimension without a range.
    pub(crate) fn are_off_grid(&self) -> bool {
        self.codes.iter().zip(&self.step).any(|(&code, &step)| code > 0 && step == 0.0)
    }

    /// Puts nibbles together, four bytes of high ones and four of low ones a group.
    fn unpack<'n>(&mut self, nibbles: impl Iterator<Item = (&'n [u8], &'n [u8])>) {
        for (codes, (high, low)) in self.codes.chunks_exact_mut(GROUP).zip(nibbles) {
            for at in 0..4 {
                codes[at] = high[at] << 4 | low[at] & 15;
                codes[at + 4] = high[at] & 0xf0 | low[at] >> 4;
            }
        }
    }

    /// Reads the grid that begins at a chunk. Returns the chunk behind it.
    fn read_grid<S: PageRead>(&mut self, coarse: &mut Coarse<'_, '_, S>, at: u64) -> Result<u64> {
        let groups = self.low.len() / GROUP;
        coarse.runs(at, groups, |group, run| {
            let low = self.low[group * GROUP..].chunks_exact_mut(GROUP);
            let step = self.step[group * GROUP..].chunks_exact_mut(GROUP);
            for (chunk, (low, step)) in run.chunks_exact(CHUNK).zip(low.zip(step)) {
                for (value, bytes) in low.iter_mut().chain(step).zip(chunk.chunks_exact(4)) {
                    *value = f32::from_le_bytes(bytes.try_into().expect("four bytes"));
                }
            }
        })?;
        Ok(at + groups as u64)
    }
}
