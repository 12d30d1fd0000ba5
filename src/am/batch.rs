//! Vectors on their way into a segment, in memory: as many as `maintenance_work_mem` allows, what is more goes into another
//! segment.
//!
//! A table that fills the memory many times becomes many segments, of which there is a largest number. So after the first
//! [`SEGMENTS_WITHIN_LIMIT`] segments of an index, the memory is allowed to double with every [`SEGMENTS_PER_DOUBLING`].

use std::collections::TryReserveError;

use bkd::{BuildMemory, Input, Metric, Tid};
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

/// The most vectors that a new segment is built of at once, for an index that has so many segments.
pub fn batch_limit(dims: usize, columns: usize, segments: usize) -> usize {
    let memory = BuildMemory::new(dims, columns, threads::most_maintenance_threads());
    let doublings = segments.saturating_sub(SEGMENTS_WITHIN_LIMIT) / SEGMENTS_PER_DOUBLING;
    let bytes = options::maintenance_bytes().saturating_mul(1 << doublings);
    memory.vectors_within(bytes).clamp(MIN_VECTORS, u32::MAX as usize)
}

/// A set of prepared vectors with their row addresses and attributes.
pub struct Batch {
    dims: usize,
    columns: usize,
    vectors: Vec<f32>,
    slack: Vec<f32>,
    keys: Vec<u64>,
    tids: Vec<Tid>,
}

impl Batch {
    pub fn new(dims: usize, columns: usize) -> Self {
        Batch { dims, columns, vectors: Vec::new(), slack: Vec::new(), keys: Vec::new(), tids: Vec::new() }
    }

    /// Makes room for so many vectors at once.
    pub fn expect(&mut self, vectors: usize) {
        let room = self.vectors.try_reserve_exact(vectors.saturating_mul(self.dims));
        let room = room.and(self.slack.try_reserve_exact(vectors)).and(self.tids.try_reserve_exact(vectors));
        let room = room.and(self.keys.try_reserve_exact(vectors.saturating_mul(self.columns)));
        self.check(room);
    }

    /// Adds a vector that may be up to `slack` away from the row's.
    pub fn push(&mut self, tid: Tid, keys: &[u64], prepared: &[f32], slack: f32) {
        assert_eq!((prepared.len(), keys.len()), (self.dims, self.columns));
        let room = grow(&mut self.vectors, self.dims);
        let room = room.and(grow(&mut self.slack, 1)).and(grow(&mut self.tids, 1));
        let room = room.and(grow(&mut self.keys, self.columns));
        self.check(room);
        self.vectors.extend_from_slice(prepared);
        self.slack.push(slack);
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

    /// Forgets the vectors, of which a segment was built, and keeps their memory.
    pub fn clear(&mut self) {
        self.vectors.clear();
        self.slack.clear();
        self.keys.clear();
        self.tids.clear();
    }

    pub fn input(&self, metric: Metric) -> Input<'_> {
        let exact = self.slack.iter().all(|&slack| slack == 0.0);
        Input {
            metric,
            dims: self.dims,
            vectors: &self.vectors,
            slack: (!exact).then_some(&self.slack),
            tids: &self.tids,
            columns: self.columns,
            keys: &self.keys,
        }
    }
}

/// Makes room for more. A vector would double, to much more than the limit that its length keeps to; growing by an eighth is
/// still linear in all.
fn grow<T>(vec: &mut Vec<T>, more: usize) -> Result<(), TryReserveError> {
    if vec.capacity() - vec.len() >= more {
        return Ok(());
    }
    vec.try_reserve_exact(more.max(vec.len() / 8))
}
