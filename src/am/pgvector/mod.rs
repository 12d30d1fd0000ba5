//! pgvector's access methods by name: `USING hnsw` and `USING ivfflat` build what `USING kdtree` builds.
//!
//! Migrations and models that were written for pgvector name its access methods, their operator classes, options and settings. All
//! of these are accepted and validated as pgvector does. None has an effect, as there is no recall to pay for: answers are exact.
//!
//! - here: the handlers. Postgres does not tell a callback for which access method it is called, so what differs (options, what a
//!   build says) has a callback for each
//! - [`options`]: `WITH (m, ef_construction)`, `WITH (lists)`; [`settings`]: `hnsw.*`, `ivfflat.*`
//! - [`opclass`]: what pgvector's operator classes order by
//! - [`build`](mod@build): checks before a build, and the NOTICE that says what is built
//!
//! Everything else is the access method's, and looks at names only by [`is_named_kdtree`](super::is_named_kdtree).

mod build;
mod opclass;
pub mod options;
pub mod settings;

use pgrx::prelude::*;
use pgrx::{pg_sys, Internal};

use super::handler::{finish, routine, Routine};
pub use opclass::distance;

/// How many support functions pgvector's operator classes may name.
const HNSW_PROCEDURES: u16 = 3;
const IVFFLAT_PROCEDURES: u16 = 5;

#[pg_extern(sql = false)]
fn hnswhandler(_fcinfo: pg_sys::FunctionCallInfo) -> Internal {
    let mut am = common();
    am.amsupport = HNSW_PROCEDURES;
    am.amoptions = Some(options::hnsw);
    am.ambuild = Some(build::build_hnsw);
    finish(am)
}

#[pg_extern(sql = false)]
fn ivfflathandler(_fcinfo: pg_sys::FunctionCallInfo) -> Internal {
    let mut am = common();
    am.amsupport = IVFFLAT_PROCEDURES;
    am.amoptions = Some(options::ivfflat);
    am.ambuild = Some(build::build_ivfflat);
    finish(am)
}

/// What both have in common: one column, which is not filtered by, and pgvector's settings.
fn common() -> Routine {
    settings::define();
    let mut am = routine();
    am.amcanmulticol = false;
    am.amsearcharray = false;
    am.amvalidate = Some(opclass::validate);
    am
}
