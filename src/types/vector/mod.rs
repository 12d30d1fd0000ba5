//! The type `vector`: [`dense`](super::dense) vectors of single precision.
//!
//! The modules below hold its SQL functions.

mod aggregates;
mod arithmetic;
mod casts;
mod compare;
pub mod distances;
mod functions;
mod io;

use pgrx::impl_sql_translatable;

use super::dense::{Dense, DenseArg, DenseRef};

/// A `vector` being built.
pub type Vector = Dense<f32>;

/// A `vector` datum.
pub type VectorRef<'a> = DenseRef<'a, f32>;

/// An argument of type `vector`.
pub type VectorArg<'a> = DenseArg<'a, f32>;

impl_sql_translatable!(Vector, "vector");
impl_sql_translatable!(VectorRef<'_>, "vector");
impl_sql_translatable!(VectorArg<'_>, "vector");
