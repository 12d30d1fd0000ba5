//! kdvector: a `vector` type for PostgreSQL and an exact KD-tree index on it.
//!
//! One shared library serves two extensions: `vector` (see [`types`]) and `kdtree` (see [`am`]). What touches
//! Postgres' memory, buffers and locks lives in [`pg`]; the index itself is the crate `bkd`, which knows nothing of Postgres.

mod types;

pgrx::pg_module_magic!();
