//! Casts: to the dimensions of a column, from arrays, from and to `vector` and `halfvec`.

use pgrx::{pg_extern, PgSqlErrorCode};
use vector_format::sparse;

use super::{check_expected_dims, Sparse, SparseArg, SparseBuilder, SparseRef, TYPE_NAME};
use crate::types::array::ArrayRef;
use crate::types::dense::casts::{numbers_of_array, to_numbers};
use crate::types::dense::{self, round_to_element, Dense, DenseArg, Element};
use crate::types::error::raise;
use crate::types::halfvec::{Halfvec, HalfvecArg};
use crate::types::message::OrRaise;
use crate::types::vector::{Vector, VectorArg};

/// `sparsevec(sparsevec, integer, boolean)`
#[pg_extern(sql = false)]
fn sparsevec_to_sparsevec<'a>(vector: SparseArg<'a>, typmod: i32, _explicit: bool) -> SparseRef<'a> {
    let vector = vector.get();
    check_expected_dims(typmod, vector.dims());
    vector
}

/// `array_to_sparsevec(integer[] | real[] | double precision[] | numeric[], integer, boolean)`
#[pg_extern(sql = false)]
fn array_to_sparsevec(array: ArrayRef<'_>, typmod: i32, _explicit: bool) -> Sparse {
    sparse::check_dims(array.len()).or_raise(TYPE_NAME);
    check_expected_dims(typmod, array.len());
    from_numbers(&numbers_of_array(&array))
}

/// `vector_to_sparsevec(vector, integer, boolean)`
#[pg_extern(sql = false)]
fn vector_to_sparsevec(vector: VectorArg<'_>, typmod: i32, _explicit: bool) -> Sparse {
    from_dense(vector, typmod)
}

/// `halfvec_to_sparsevec(halfvec, integer, boolean)`
#[pg_extern(sql = false)]
fn halfvec_to_sparsevec(vector: HalfvecArg<'_>, typmod: i32, _explicit: bool) -> Sparse {
    from_dense(vector, typmod)
}

/// `sparsevec_to_vector(sparsevec, integer, boolean)`
#[pg_extern(sql = false)]
fn sparsevec_to_vector(vector: SparseArg<'_>, typmod: i32, _explicit: bool) -> Vector {
    to_dense(vector, typmod)
}

/// `sparsevec_to_halfvec(sparsevec, integer, boolean)`
#[pg_extern(sql = false)]
fn sparsevec_to_halfvec(vector: SparseArg<'_>, typmod: i32, _explicit: bool) -> Halfvec {
    to_dense(vector, typmod)
}

fn from_dense<E: Element>(vector: DenseArg<E>, typmod: i32) -> Sparse {
    let vector = vector.get();
    check_expected_dims(typmod, vector.dims());
    from_numbers(&to_numbers(vector.as_slice()))
}

fn from_numbers(numbers: &[f32]) -> Sparse {
    let mut stored = SparseBuilder::new(numbers.len(), numbers.len());
    for (index, &number) in (0..).zip(numbers) {
        stored.push(index, number);
    }
    stored.finish()
}

fn to_dense<E: Element>(vector: SparseArg, typmod: i32) -> Dense<E> {
    let vector = vector.get();
    dense::check_dims::<E>(vector.dims());
    dense::check_expected_dims::<E>(typmod, vector.dims());
    let mut all = Dense::zeroed(vector.dims());
    let elements = all.as_mut_slice();
    for (index, value) in vector.elements() {
        match usize::try_from(index).ok().and_then(|index| elements.get_mut(index)) {
            Some(element) => *element = round_to_element(value),
            None => raise(
                PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
                format!("invalid sparsevec of {} dimensions that has index {index}", vector.dims()),
            ),
        }
    }
    all
}
