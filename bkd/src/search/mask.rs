//! Which vectors of a leaf meet a filter, by their codes alone and before anything else of the leaf is read.
//!
//! A condition is a few ranges of codes. Codes of one width lie in an array, so comparing them is a loop without branches that the
//! compiler turns into vector instructions: a byte for each vector, and in the end a bit.

use crate::attributes::for_each_run;
use crate::filter::{Filter, KeyRanges, Verdict};
use crate::kernels::Survivors;
use crate::layout::leaf::LANES;
use crate::{PageRead, Result, Segment};

/// From so many ranges on, each code is looked up among them.
const MANY_RANGES: usize = 16;

/// The vectors of a leaf that meet a filter.
#[derive(Default)]
pub(crate) struct Mask {
    /// A byte for each vector: 1 or 0.
    bytes: Vec<u8>,
    /// The same of one range of one condition.
    hits: Vec<u8>,
    /// A bit for each vector, by block.
    blocks: Vec<Survivors>,
}

/// How many vectors of a leaf meet a filter.
#[derive(Debug, PartialEq)]
pub(crate) enum Met<'a> {
    None,
    All,
    /// Those whose bits are set, by block.
    These(&'a [Survivors]),
}

/// Whether any vector of a leaf may meet a filter, going by what the directory says.
pub(crate) fn may_match(filter: &Filter, segment: &Segment, leaf: usize) -> bool {
    filter.conditions().all(|(column, ranges)| ranges.judge(&segment.span(leaf, column)) != Verdict::None)
}

impl Mask {
    /// Looks at the vectors of a leaf.
    pub(crate) fn find<S: PageRead>(
        &mut self,
        filter: &Filter,
        segment: &Segment,
        store: &S,
        leaf: usize,
    ) -> Result<Met<'_>> {
        // Grows with the pages that are read: a damaged directory may claim any number of vectors.
        self.bytes.clear();
        let mut is_first = true;
        for (column, ranges) in filter.conditions() {
            match ranges.judge(&segment.span(leaf, column)) {
                Verdict::None => return Ok(Met::None),
                Verdict::All => {}
                Verdict::Some => {
                    self.keep(ranges, segment, store, leaf, column, is_first)?;
                    is_first = false;
                }
            }
        }
        if is_first {
            return Ok(Met::All);
        }
        let any = self.pack();
        Ok(if any { Met::These(&self.blocks) } else { Met::None })
    }

    /// The share of the vectors of a leaf that meet a filter.
    pub(super) fn share<S: PageRead>(
        &mut self,
        filter: &Filter,
        segment: &Segment,
        store: &S,
        leaf: usize,
    ) -> Result<f64> {
        let vectors = segment.leaf_vectors(leaf).len() as f64;
        Ok(match self.find(filter, segment, store, leaf)? {
            Met::None => 0.0,
            Met::All => 1.0,
            Met::These(blocks) => {
                blocks.iter().map(|block| f64::from(block.count_ones())).sum::<f64>() / vectors
            }
        })
    }

    /// Keeps the vectors whose codes of a column are within the ranges.
    fn keep<S: PageRead>(
        &mut self,
        ranges: &KeyRanges,
        segment: &Segment,
        store: &S,
        leaf: usize,
        column: usize,
        is_first: bool,
    ) -> Result<()> {
        let span = segment.span(leaf, column);
        let ranges: Vec<(u64, u64)> = ranges
            .within(span.least, span.most)
            .map(|(from, to)| (from - span.least, to - span.least))
            .collect();
        if span.width() == 0 {
            // One code for all: `judge` has compared it.
            return Ok(());
        }
        let mut done = 0;
        for_each_run(segment, store, leaf, column, |run| {
            let count = run.len() / span.width();
            if is_first {
                self.bytes.resize(done + count, 1);
            }
            let kept = &mut self.bytes[done..done + count];
            self.hits.clear();
            self.hits.resize(count, 0);
            match span.width() {
                1 => compare(run, u8::from_le_bytes, &ranges, &mut self.hits),
                2 => compare(run, u16::from_le_bytes, &ranges, &mut self.hits),
                4 => compare(run, u32::from_le_bytes, &ranges, &mut self.hits),
                _ => compare(run, u64::from_le_bytes, &ranges, &mut self.hits),
            }
            kept.iter_mut().zip(&self.hits).for_each(|(kept, hit)| *kept &= hit);
            done += count;
        })
    }

    /// Bytes to bits. Returns whether there is any.
    fn pack(&mut self) -> bool {
        // Whole blocks only, so that all are alike.
        self.bytes.resize(self.bytes.len().next_multiple_of(LANES), 0);
        self.blocks.clear();
        self.blocks.extend(self.bytes.chunks_exact(LANES).map(|block| {
            let [low, high] = [0, 8].map(|at| {
                let word = u64::from_le_bytes(block[at..at + 8].try_into().expect("eight bytes"));
                // Each byte, which is 0 or 1, is moved to a bit of its own of the topmost byte.
                (word.wrapping_mul(0x0102_0408_1020_4080) >> 56) as Survivors
            });
            low | high << 8
        }));
        self.blocks.iter().fold(0, |any, block| any | block) != 0
    }
}

/// Codes of one width.
trait Code: Copy {
    fn from_u64(code: u64) -> Self;
    fn minus(self, other: Self) -> Self;
    fn is_at_most(self, other: Self) -> u8;
    fn into_u64(self) -> u64;
}

macro_rules! codes {
    ($($code:ty),*) => {
        $(impl Code for $code {
            #[inline(always)]
            fn from_u64(code: u64) -> Self {
                code as $code
            }

            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }

            #[inline(always)]
            fn is_at_most(self, other: Self) -> u8 {
                u8::from(self <= other)
            }

            #[inline(always)]
            fn into_u64(self) -> u64 {
                u64::from(self)
            }
        })*
    };
}

codes!(u8, u16, u32, u64);

/// Sets the bytes of the codes that are within one of the ranges, which are sorted and all of which the codes could be in.
#[inline(always)]
fn compare<T: Code, const WIDTH: usize>(
    run: &[u8],
    read: impl Fn([u8; WIDTH]) -> T,
    ranges: &[(u64, u64)],
    hits: &mut [u8],
) {
    let codes = || run.chunks_exact(WIDTH).map(|bytes| read(bytes.try_into().expect("a code")));
    if ranges.len() < MANY_RANGES {
        for &(from, to) in ranges {
            let (from, length) = (T::from_u64(from), T::from_u64(to - from));
            for (hit, code) in hits.iter_mut().zip(codes()) {
                *hit |= code.minus(from).is_at_most(length);
            }
        }
    } else {
        for (hit, code) in hits.iter_mut().zip(codes()) {
            let code = code.into_u64();
            let at = ranges.partition_point(|&(_, to)| to < code);
            *hit = u8::from(ranges.get(at).is_some_and(|&(from, _)| from <= code));
        }
    }
}
