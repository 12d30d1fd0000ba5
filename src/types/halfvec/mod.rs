//! The type `halfvec`: [`dense`](super::dense) vectors of half precision.
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
use vector_format::f16;

use super::dense::{Dense, DenseArg, DenseRef};

/// A `halfvec` being built.
pub type Halfvec = Dense<f16>;

/// A `halfvec` datum.
pub type HalfvecRef<'a> = DenseRef<'a, f16>;

/// An argument of type `halfvec`.
pub type HalfvecArg<'a> = DenseArg<'a, f16>;

impl_sql_translatable!(Halfvec, "halfvec");
impl_sql_translatable!(HalfvecRef<'_>, "halfvec");
impl_sql_translatable!(HalfvecArg<'_>, "halfvec");
