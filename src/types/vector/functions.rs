//! Functions of one vector.

use pgrx::pg_extern;

use super::arithmetic::check_overflow;
use super::{Vector, VectorArg};
use crate::types::bits::BitString;

/// `vector_dims(vector)`
#[pg_extern(sql = false)]
fn vector_dims(vector: VectorArg<'_>) -> i32 {
    vector.get().dims() as i32
}

/// `vector_norm(vector)`: the Euclidean norm.
#[pg_extern(sql = false)]
fn vector_norm(vector: VectorArg<'_>) -> f64 {
    norm(vector.get().as_slice())
}

/// `l2_normalize(vector)`: the vector of norm 1 in the same direction; a zero vector stays what it is.
#[pg_extern(sql = false)]
fn l2_normalize(vector: VectorArg<'_>) -> Vector {
    let vector = vector.get();
    let norm = norm(vector.as_slice());
    let mut unit = Vector::zeroed(vector.dims());
    if norm > 0.0 {
        let elements = unit.as_mut_slice();
        for (to, &from) in elements.iter_mut().zip(vector.as_slice()) {
            *to = (f64::from(from) / norm) as f32;
        }
        check_overflow(elements);
    }
    unit
}

/// `binary_quantize(vector)`: a bit per dimension, set where the element is positive.
#[pg_extern(sql = false)]
fn binary_quantize(vector: VectorArg<'_>) -> BitString {
    BitString::from_bits(vector.get().as_slice().iter().map(|&element| element > 0.0))
}

/// `subvector(vector, integer, integer)`: the `count` elements from position `start`, counted from 1, cut to those that
/// exist as `substring` does.
#[pg_extern(sql = false)]
fn subvector(vector: VectorArg<'_>, start: i32, count: i32) -> Vector {
    let vector = vector.get();
    let dims = vector.dims() as i64;
    let (start, count) = (i64::from(start), i64::from(count).max(0));
    let first = (start - 1).clamp(0, dims) as usize;
    let end = (start - 1 + count).clamp(0, dims) as usize;
    Vector::from_slice(&vector.as_slice()[first..end.max(first)])
}

/// The Euclidean norm, in double precision throughout. Several sums are kept, so that one addition need not wait for the
/// one before.
fn norm(elements: &[f32]) -> f64 {
    let square = |element: f32| f64::from(element) * f64::from(element);
    let (blocks, rest) = elements.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for block in blocks {
        for (sum, &element) in sums.iter_mut().zip(block) {
            *sum += square(element);
        }
    }
    (sums.iter().sum::<f64>() + rest.iter().copied().map(square).sum::<f64>()).sqrt()
}
