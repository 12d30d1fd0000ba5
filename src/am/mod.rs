//! The index access method `kdtree`: what Postgres calls, a file for each stage of an index's life.
//!
//! - [`handler`]: the callbacks; [`opclass`], [`validate`]: operator classes, and [`vector_type`]: what they are on; [`options`]: index options and settings
//! - [`value`]: what is indexed of a row
//! - [`build`](mod@build): CREATE INDEX; [`batch`], [`write`]: values on their way into a segment; [`progress`]
//! - [`insert`]: one row; [`chain`]: where it goes; [`seal`]: how that becomes a segment
//! - [`merge`](mod@merge): few segments out of many; [`rebuild`]: writing segments while the index is in use
//! - [`scan`]: ORDER BY and [`within`] a distance; [`attributes`], [`filter`], [`in_lists`]: rows that meet conditions; [`segments`]: reading what was built, [`helpers`]: with other threads' help; [`history`], [`open_scans`]: what scans did and which there are
//! - [`vacuum`], [`lists`], [`space`]: removing rows, rewriting lists, pages for new contents
//! - [`meta`]: the metapage, and why all this can go on at once
//! - [`pgvector`]: the same access method under the names `hnsw` and `ivfflat`
//! - [`cost`]: for the planner; [`inspect`], [`check`](mod@check): for people; [`access`]: opening an index for a function
//!
//! Everything that is not about Postgres is in the crate `bkd`.

mod access;
mod attributes;
mod batch;
mod build;
mod chain;
mod check;
mod cost;
mod filter;
mod handler;
mod helpers;
mod history;
#[cfg(any(feature = "pg14", feature = "pg15", feature = "pg16"))]
pub mod in_lists;
mod insert;
mod inspect;
mod lists;
mod lookahead;
mod merge;
mod meta;
mod opclass;
mod open_scans;
pub mod options;
pub mod pgvector;
mod progress;
mod rebuild;
mod recall;
mod scan;
mod seal;
mod segments;
mod space;
mod vacuum;
mod validate;
mod value;
mod vector_type;
mod within;
mod write;

use pgrx::pg_sys;

use crate::pg::index::Index;

/// Whether an index in the planner's eyes is one of ours, whatever the name of its access method.
fn is_kdtree(index: &pg_sys::IndexOptInfo) -> bool {
    index.amcostestimate.is_some_and(|function| is_ours(function as *const ()))
}

/// The same of what an open index has of its access method.
fn is_kdtree_routine(routine: &pg_sys::IndexAmRoutine) -> bool {
    routine.amcostestimate.is_some_and(|function| is_ours(function as *const ()))
}

fn is_ours(estimate: *const ()) -> bool {
    std::ptr::eq(estimate, cost::estimate as *const ())
}

/// Whether an index was made `USING kdtree`, so that it has our own options and operator classes, and not those of [`pgvector`].
fn is_named_kdtree(index: Index) -> bool {
    let ours = options::options as *const ();
    index
        .routine()
        .and_then(|routine| routine.amoptions)
        .is_some_and(|function| std::ptr::eq(function as *const (), ours))
}
