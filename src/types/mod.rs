//! The SQL types and everything that is defined on them.
//!
//! The SQL side of every function here is written by hand, in `sql/vector.sql`; the symbol behind a Rust function `f`
//! is `f_wrapper`.

mod array;
mod bits;
pub mod error;
pub mod vector;
