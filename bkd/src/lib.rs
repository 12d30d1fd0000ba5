//! Exact nearest-neighbour search on a forest of immutable, quantised KD-trees.
//!
//! This is the engine of the `kdtree` index, without Postgres in it. A *segment* is a KD-tree over a set of vectors:
//! [`build()`] splits the vectors into leaves and writes them as pages to a [`PageSink`]; a [`Search`] reads pages
//! of any number of segments through [`PageRead`] and yields row addresses in ascending order of a lower bound of their
//! distance. The bound holds for every vector and includes every rounding error, so that whoever compares true
//! distances of the rows as they come gets the exact answer.
//!
//! - [`layout`]: every byte on disk
//! - [`Metric`], [`prepare`]: what is indexed of a vector, and where it goes
//! - [`build()`]: axes, splits, grids, planes
//! - [`Segment`], [`Query`], [`Search`], [`Within`], [`Everything`]: reading
//! - [`pack_bits`], [`pack_sparse`], [`PackedInput`], [`PackedQuery`], [`PackedSearch`]: the same for bit strings and sparse vectors, which are kept as they are
//! - [`Space`]: what an index is of
//! - [`Filter`]: conditions on the rows' attributes
//! - [`export()`]: a segment's vectors again, for merging
//! - [`check_segment`], [`RowCheck`]: whether a segment is sound

#![warn(missing_docs)]

mod attributes;
mod axes;
mod build;
mod calibration;
mod check;
mod decode;
mod directory;
mod error;
mod export;
mod filter;
mod huge;
mod kernels;
pub mod layout;
mod metric;
mod packed;
mod query;
mod search;
mod segment;
pub(crate) mod sketch;
mod sortable;
mod space;
mod store;
#[cfg(test)]
mod testing;
mod tid;

pub use build::{build, BuildMemory, BuildOptions, Input, Progress};
pub use calibration::Calibration;
pub use check::{check_segment, Finding, RowCheck};
pub use directory::{AttributeTable, Axes, BoxTable, CellTable, Directory, Extent};
pub use error::{Error, Result};
pub use export::{decode, export, EachVector};
pub use filter::{Filter, KeyRanges};
pub use huge::use_huge_pages;
pub use kernels::{instruction_sets, use_instruction_set};
pub use metric::{prepare, Metric, Placement};
pub use packed::{pack_bits, pack_sparse, PackedInput, PackedQuery, PackedSearch, PackedWithin};
pub use query::{ExactKeys, Query};
pub use search::{Everything, HelpingThreads, Hit, ScanStats, Search, Within};
pub use segment::Segment;
pub use space::{BitMetric, Body, Packing, Space};
pub use store::{MemStore, PageRead, PageSink};
pub use tid::Tid;

/// Most dimensions of a vector, as in pgvector.
pub const MAX_DIMS: usize = 16_000;
