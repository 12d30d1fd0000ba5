//! Packed values: bit strings and sparse vectors, which are kept as they are ([`layout::packed`](crate::layout::packed)) and compared with a
//! query one by one, a page of them a leaf.
//!
//! A segment has them in the order of their *size*: bits that are set, sum of squares or of magnitudes. It is their only axis: what two
//! values differ in size is a lower bound of their distance, so a search goes outwards from the query's size and ends where
//! all others are certain to be farther away.
//!
//! - [`prepare`]: values in the form that is stored
//! - [`query`]: keys and bounds, by [`sparse`] and the kernels for bits
//! - [`build`], [`search`], [`within`], [`export`], [`check`]: as for trees

pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod export;
mod prepare;
mod query;
mod search;
mod sparse;
mod within;

pub use build::PackedInput;
pub use prepare::{pack_bits, pack_sparse};
pub use query::PackedQuery;
pub use search::PackedSearch;
pub use within::PackedWithin;
