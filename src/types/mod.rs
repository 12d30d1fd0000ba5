//! The SQL types and everything that is defined on them.
//!
//! `vector` and `halfvec` are [`dense`], and share all code but their SQL functions; `sparsevec` is a type of its own; of
//! Postgres' type `bit` there are distances. The SQL side of every function here is written by hand, in
//! `sql/vector--0.8.6.sql`; the symbol behind a Rust function `f` is `f_wrapper`.

pub mod array;
pub mod bit;
mod compare;
pub mod dense;
pub mod error;
mod function;
pub mod halfvec;
pub mod kernels;
mod message;
pub mod sparsevec;
mod typmod;
pub mod vector;
