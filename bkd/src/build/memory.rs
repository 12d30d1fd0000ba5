//! How much memory a build takes, so that callers can keep to a limit.

use super::{calibrate, cells, default_leaf_size, directions};
use crate::kernels::Encoded;
use crate::layout::leaf::{padded, LeafLayout};
use crate::layout::CHUNK;
use crate::sketch::Layouts;
use crate::{axes, use_huge_pages, Error, Result, Tid};

/// Bytes of encoded leaves that are made before they are written, unless that is too few leaves for all threads.
const BATCH_BYTES: usize = 4 << 20;
/// Leaves of a batch for every thread, so that none waits long for another.
const LEAVES_PER_THREAD: usize = 2;
/// What encoding a leaf notes of each of its vectors: losses, residuals and codes.
const SCRATCH: usize = 80;
/// What is small, or not ours: stacks, pages on their way to the sink, what the allocator keeps.
const OTHER: usize = 1 << 20;

/// Leaves that are encoded between two writes.
pub(super) fn batch_leaves(dims: usize, leaf_size: usize, threads: usize) -> usize {
    (BATCH_BYTES / stream_bytes(dims, leaf_size).max(1)).max(LEAVES_PER_THREAD * threads)
}

/// Bytes of a leaf in the coarse stream, at the most: with sketches it is less, for those have half as many codes.
fn stream_bytes(dims: usize, vectors: usize) -> usize {
    let layout = LeafLayout::new(dims);
    let beside = if directions::may_suit(dims) { layout.groups } else { 0 };
    (layout.leaf_chunks(vectors) + beside) * CHUNK
}

/// Bytes of a vector's records, at the most: with sketches they are more.
fn record_bytes(dims: usize) -> usize {
    let directions = directions::may_suit(dims).then(|| directions::most(dims) as u32);
    let layouts = Layouts::new(dims, directions);
    [layouts.fine, layouts.whole].into_iter().flatten().map(|layout| layout.record).sum()
}

/// Bytes of the sketches of a leaf while it is encoded.
fn sketch_bytes(dims: usize, leaf_size: usize) -> usize {
    if !directions::may_suit(dims) {
        return 0;
    }
    leaf_size
        * (padded(directions::most_dims(dims)) * size_of::<f32>() + size_of::<f64>() + size_of::<Encoded>())
}

/// The memory that [`crate::build()`] takes at its peak, its input included, with leaves of the default size.
///
/// Some of it grows with every vector, some only up to a point. There are four peaks: choosing axes, for which a sample of the
/// vectors is copied, and directions of sketches, for which another is, calibrating, for which the queries are, and encoding.
#[derive(Clone, Copy, Debug)]
pub struct BuildMemory {
    /// Of the input, for each vector.
    input: usize,
    choosing: Phase,
    directing: Phase,
    calibrating: Phase,
    encoding: Phase,
}

/// Memory beside the input.
#[derive(Clone, Copy, Debug)]
struct Phase {
    fixed: usize,
    per_vector: usize,
    /// What comes on top for each vector, and the most that this can be.
    more: usize,
    most: usize,
}

impl BuildMemory {
    /// For vectors of so many dimensions, with so many attributes, built on so many threads.
    pub fn new(dims: usize, columns: usize, threads: usize) -> Self {
        let vector = dims * size_of::<f32>();
        let leaf_size = default_leaf_size(dims);
        // What a block, a grid and a directory entry come to for each vector of a full leaf; what encoding notes of it.
        let stream = stream_bytes(dims, leaf_size).div_ceil(leaf_size);
        let boxes = axes::most(dims) * 4 * size_of::<f32>() / leaf_size;
        // Projections, and for inner products what they leave out.
        let coordinates = if axes::are_own(dims) { 0 } else { (axes::most(dims) + 1) * size_of::<f32>() };
        let batches = 2 * batch_leaves(dims, leaf_size, threads) * stream_bytes(dims, leaf_size);
        let (sample, working) = axes::sample_bytes(dims);
        let (directions, directing, most_directing) = directions::memory(dims);
        let queries = calibrate::memory(dims, threads);
        let cells = cells::memory(axes::most(dims));
        BuildMemory {
            input: vector + size_of::<f32>() + size_of::<Tid>() + columns * size_of::<u64>(),
            choosing: Phase { fixed: 0, per_vector: 0, more: vector + working, most: sample },
            directing: Phase { fixed: directions, per_vector: 0, more: directing, most: most_directing },
            calibrating: Phase {
                fixed: directions::kept(dims),
                // Where each vector is, and its cell, before and after it moved there; as much while the tree is split.
                per_vector: coordinates + 3 * size_of::<u32>() + cells,
                more: queries.div_ceil(cells::FEWEST_VECTORS),
                most: queries,
            },
            encoding: Phase {
                fixed: directions::kept(dims),
                per_vector: coordinates + size_of::<u32>() + record_bytes(dims) + boxes + cells,
                more: stream,
                most: batches + threads * (leaf_size * SCRATCH + sketch_bytes(dims, leaf_size)),
            },
        }
    }

    /// Bytes for so many vectors.
    pub fn of(&self, vectors: usize) -> usize {
        let input = self.input.saturating_mul(vectors);
        input.saturating_add(self.beside_input(vectors))
    }

    /// The part of [`BuildMemory::of`] that is not the input.
    pub fn beside_input(&self, vectors: usize) -> usize {
        self.phases().map(|phase| phase.of(vectors)).into_iter().fold(0, usize::max).saturating_add(OTHER)
    }

    /// The most vectors for which so many bytes are enough.
    pub fn vectors_within(&self, bytes: usize) -> usize {
        let within = |phase: Phase| {
            let bytes = bytes.saturating_sub(OTHER + phase.fixed);
            let each = self.input + phase.per_vector;
            (bytes / (each + phase.more)).max(bytes.saturating_sub(phase.most) / each)
        };
        self.phases().map(within).into_iter().fold(usize::MAX, usize::min)
    }

    fn phases(&self) -> [Phase; 4] {
        [self.choosing, self.directing, self.calibrating, self.encoding]
    }
}

impl Phase {
    fn of(&self, vectors: usize) -> usize {
        self.per_vector
            .saturating_mul(vectors)
            .saturating_add(self.fixed)
            .saturating_add(self.more.saturating_mul(vectors).min(self.most))
    }
}

/// Zeros, or an error where Rust would end the process.
pub(crate) fn zeros<T: Clone + Default>(count: usize) -> Result<Vec<T>> {
    // Asked for and given back. Zeroed memory comes from the system untouched, but not with an error.
    let asked = Vec::<T>::new().try_reserve_exact(count);
    asked.map_err(|_| Error::OutOfMemory(count.saturating_mul(size_of::<T>())))?;
    let mut zeros = vec![T::default(); count];
    use_huge_pages(&mut zeros);
    Ok(zeros)
}
