//! Values on their way into a segment, in memory: as many as `maintenance_work_mem` allows, what is more goes into another
//! segment.
//!
//! A table that fills the memory many times becomes many segments, of which there is a largest number. So after the first
//! [`SEGMENTS_WITHIN_LIMIT`] segments of an index, the memory is allowed to double with every [`SEGMENTS_PER_DOUBLING`].

use std::collections::TryReserveError;

use bkd::layout::meta::{Meta, SegmentEntry};
use bkd::layout::packed::PackedLayout;
use bkd::layout::PAYLOAD;
use bkd::{
    build, use_huge_pages, Body, BuildMemory, BuildOptions, Directory, Input, Metric, PackedInput, Packing,
    PageSink, Progress, Space, Tid,
};
use pgrx::PgSqlErrorCode;

use super::options;
use crate::pg::threads;
use crate::types::error::raise_with_detail;

/// Segments for each of which a build keeps to its memory.
const SEGMENTS_WITHIN_LIMIT: usize = 64;
/// Further segments after which it may use twice as much.
const SEGMENTS_PER_DOUBLING: usize = 16;
/// A segment of fewer vectors is not worth having, however little memory there is.
const MIN_VECTORS: usize = 500;
/// Numbers from which on a segment of vectors is worth threads. Fewer take some twenty milliseconds; the delta of an index that has the
/// default size has a million. Packed values are only sorted.
const NUMBERS_WORTH_THREADS: usize = 4 << 20;
/// Bytes that a sparse vector is taken to have in an index without any.
const SPARSE_BYTES: usize = 512;
/// What a packed value takes beside its bytes, while a segment is built of it, but for its attributes.
const BESIDE_BODY: usize = size_of::<usize>() + size_of::<Tid>() + PackedInput::BESIDE_INPUT;

/// Bytes that the batch and the build of a new segment may take, for an index that has so many segments.
fn memory(segments: usize) -> usize {
    let doublings = segments.saturating_sub(SEGMENTS_WITHIN_LIMIT) / SEGMENTS_PER_DOUBLING;
    options::maintenance_bytes().saturating_mul(1 << doublings)
}

/// The most vectors that a segment is built of at once within so many bytes.
fn most_vectors(dims: usize, columns: usize, bytes: usize) -> usize {
    let memory = BuildMemory::new(dims, columns, threads::most_maintenance_threads());
    memory.vectors_within(bytes).clamp(MIN_VECTORS, u32::MAX as usize)
}

/// The most values that a new segment of an index is built of at once; for sparse vectors, if they are as long as those in its segments.
pub fn batch_limit(meta: &Meta) -> u64 {
    let (dims, columns, bytes) = (meta.dims as usize, meta.columns as usize, memory(meta.segments.len()));
    let most = match meta.space {
        Space::Dense(_) => most_vectors(dims, columns, bytes),
        Space::Packed(_) => bytes / packed_bytes(value_bytes(meta), columns),
    };
    most.clamp(MIN_VECTORS, u32::MAX as usize) as u64
}

/// Bytes of a value of an index; for sparse vectors, the mean of those in its segments.
pub fn value_bytes(meta: &Meta) -> usize {
    let dims = meta.dims.max(1) as usize;
    match meta.space {
        Space::Dense(_) => dims * size_of::<f32>(),
        Space::Packed(packing @ Packing::Bits(_)) => PackedLayout::new(packing, dims).width(),
        Space::Packed(Packing::Sparse(_)) => {
            let sum =
                |of: fn(&SegmentEntry) -> u32| meta.segments.iter().map(|entry| of(entry) as usize).sum();
            let (pages, values): (usize, usize) = (sum(|entry| entry.pages), sum(|entry| entry.vectors));
            (pages * PAYLOAD).checked_div(values).unwrap_or(SPARSE_BYTES).max(1)
        }
    }
}

fn packed_bytes(body: usize, columns: usize) -> usize {
    body + columns * size_of::<u64>() + BESIDE_BODY
}

/// A set of prepared values with their row addresses and attributes.
pub struct Batch {
    dims: usize,
    columns: usize,
    values: Values,
    keys: Vec<u64>,
    tids: Vec<Tid>,
}

enum Values {
    Dense { metric: Metric, vectors: Vec<f32>, slack: Vec<f32> },
    Packed { packing: Packing, bodies: Vec<u8>, ends: Vec<usize> },
}

impl Batch {
    pub fn new(space: Space, dims: usize, columns: usize) -> Self {
        let values = match space {
            Space::Dense(metric) => Values::Dense { metric, vectors: Vec::new(), slack: Vec::new() },
            Space::Packed(packing) => Values::Packed { packing, bodies: Vec::new(), ends: Vec::new() },
        };
        Batch { dims, columns, values, keys: Vec::new(), tids: Vec::new() }
    }

    /// Makes room for so many vectors at once. Packed values have no length that could be known before.
    pub fn expect(&mut self, count: usize) {
        if let Values::Dense { vectors, slack, .. } = &mut self.values {
            let room = vectors.try_reserve_exact(count.saturating_mul(self.dims));
            let room = room.and(slack.try_reserve_exact(count)).and(self.tids.try_reserve_exact(count));
            let room = room.and(self.keys.try_reserve_exact(count.saturating_mul(self.columns)));
            use_huge_pages(vectors);
            self.check(room);
        }
    }

    /// Makes room for so many vectors, but not for more than an index without segments makes one of, if there is that much memory. Room
    /// that is not used takes none.
    pub fn expect_about(&mut self, count: usize) {
        let count = count.min(most_vectors(self.dims, self.columns, memory(0)));
        if let Values::Dense { vectors, slack, .. } = &mut self.values {
            // Who adds them asks again.
            let _ = vectors.try_reserve_exact(count.saturating_mul(self.dims));
            let _ = slack.try_reserve_exact(count).and(self.tids.try_reserve_exact(count));
            use_huge_pages(vectors);
        }
    }

    /// Adds a value that may be up to `slack` away from the row's.
    pub fn push(&mut self, tid: Tid, keys: &[u64], body: Body<'_>, off: f32) {
        assert_eq!(keys.len(), self.columns);
        let room = grow(&mut self.tids, 1).and(grow(&mut self.keys, self.columns));
        let room = room.and(match (&mut self.values, body) {
            (Values::Dense { vectors, slack, .. }, Body::Dense(prepared)) => {
                assert_eq!(prepared.len(), self.dims);
                grow(vectors, self.dims).and(grow(slack, 1)).map(|()| {
                    vectors.extend_from_slice(prepared);
                    slack.push(off);
                })
            }
            (Values::Packed { bodies, ends, .. }, Body::Packed(body)) => {
                grow(bodies, body.len()).and(grow(ends, 1)).map(|()| {
                    bodies.extend_from_slice(body);
                    ends.push(bodies.len());
                })
            }
            _ => unreachable!("all values of an index have one form"),
        });
        self.check(room);
        self.keys.extend_from_slice(keys);
        self.tids.push(tid);
    }

    /// Rust would abort, and Postgres with it, where this raises an error.
    fn check(&self, room: Result<(), TryReserveError>) {
        if room.is_err() {
            raise_with_detail(
                PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
                "out of memory",
                format!("There is no room for {} vectors of {} dimensions.", self.len() + 1, self.dims),
            )
        }
    }

    pub fn len(&self) -> usize {
        self.tids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tids.is_empty()
    }

    /// Whether there is as much as an index that has so many segments makes another one of.
    pub fn is_full(&self, segments: usize) -> bool {
        let memory = memory(segments);
        match &self.values {
            Values::Dense { .. } => self.len() >= most_vectors(self.dims, self.columns, memory),
            Values::Packed { bodies, .. } => {
                let taken = bodies.len() + self.len() * packed_bytes(0, self.columns);
                self.len() >= MIN_VECTORS && (taken >= memory || self.len() >= u32::MAX as usize)
            }
        }
    }

    /// Whether a segment of this takes so long that it should be built on threads.
    pub fn is_worth_threads(&self) -> bool {
        match &self.values {
            Values::Dense { vectors, .. } => vectors.len() >= NUMBERS_WORTH_THREADS,
            Values::Packed { .. } => false,
        }
    }

    /// Forgets the values, of which a segment was built, and keeps their memory.
    pub fn clear(&mut self) {
        match &mut self.values {
            Values::Dense { vectors, slack, .. } => {
                vectors.clear();
                slack.clear();
            }
            Values::Packed { bodies, ends, .. } => {
                bodies.clear();
                ends.clear();
            }
        }
        self.keys.clear();
        self.tids.clear();
    }

    /// Builds a segment, in the current rayon pool.
    ///
    /// # Errors
    /// Those of the engine's builds.
    pub fn build(
        &self,
        options: &BuildOptions<'_>,
        progress: &Progress,
        sink: &mut (dyn PageSink + Send),
    ) -> bkd::Result<Directory> {
        let (dims, columns, keys, tids) = (self.dims, self.columns, &self.keys[..], &self.tids[..]);
        match &self.values {
            Values::Dense { metric, vectors, slack } => {
                let exact = slack.iter().all(|&slack| slack == 0.0);
                let slack = (!exact).then_some(&slack[..]);
                let input = Input { metric: *metric, dims, vectors, slack, tids, columns, keys };
                build(&input, options, progress, sink)
            }
            Values::Packed { packing, bodies, ends } => {
                PackedInput { packing: *packing, dims, bodies, ends, tids, columns, keys }
                    .build(progress, sink)
            }
        }
    }
}

/// Makes room for more. A vector would double, to much more than the limit that its length keeps to; growing by an eighth is
/// still linear in all.
fn grow<T>(vec: &mut Vec<T>, more: usize) -> Result<(), TryReserveError> {
    if vec.capacity() - vec.len() >= more {
        return Ok(());
    }
    vec.try_reserve_exact(more.max(vec.len() / 8))?;
    use_huge_pages(vec);
    Ok(())
}
