//! The index access method `kdtree`: what Postgres calls, a file for each stage of an index's life.
//!
//! - [`handler`]: the callbacks; [`opclass`], [`validate`]: operator classes; [`options`]: index options and settings
//! - [`build`](mod@build): CREATE INDEX; [`batch`], [`write`]: vectors on their way into a segment; [`progress`]
//! - [`insert`]: one row; [`chain`]: where it goes; [`seal`]: how that becomes a segment
//! - [`scan`]: ORDER BY; [`segments`]: reading what was built; [`history`]: what scans did
//! - [`vacuum`], [`lists`], [`space`]: removing rows, rewriting lists, freeing pages
//! - [`meta`]: the metapage, and why all this can go on at once
//! - [`cost`]: for the planner; [`inspect`]: for people
//!
//! Everything that is not about Postgres is in the crate `bkd`.

mod batch;
mod build;
mod chain;
mod cost;
mod handler;
mod history;
mod insert;
mod inspect;
mod lists;
mod meta;
mod opclass;
pub mod options;
mod progress;
mod scan;
mod seal;
mod segments;
mod space;
mod vacuum;
mod validate;
mod write;
