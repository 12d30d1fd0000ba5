//! kdvector: a `vector` type for PostgreSQL and an exact KD-tree index on it.
//!
//! One shared library serves two extensions: `vector` (see [`types`]) and `kdtree` (see [`am`]). What touches
//! Postgres' memory, buffers and locks lives in [`pg`]; the index itself is the crate `bkd`, which knows nothing of Postgres.

mod am;
mod instruction_set;
mod pg;
mod types;

use pgrx::prelude::*;

pgrx::pg_module_magic!();

/// Called by Postgres when it loads the library.
#[pg_guard]
extern "C-unwind" fn _PG_init() {
    // Before the prefix of its name is reserved.
    instruction_set::register();
    am::options::register();
    #[cfg(any(feature = "pg14", feature = "pg15", feature = "pg16"))]
    am::in_lists::register();
    am::pgvector::options::register();
    am::pgvector::settings::define_if_ours();
}
