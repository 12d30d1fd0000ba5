//! Functions of one vector.

use pgrx::pg_extern;

use super::arithmetic::check_overflow;
use super::{Vector, VectorRef};
use crate::types::bits::BitString;

/// `vector_dims(vector)`
#[pg_extern(sql = false)]
fn vector_dims(vector: VectorRef<'_>) -> i32 {
    vector.dims() as i32
}

/// `vector_norm(vector)`: the Euclidean norm.
#[pg_extern(sql = false)]
fn vector_norm(vector: VectorRef<'_>) -> f64 {
    norm(vector.as_slice())
}

/// `l2_normalize(vector)`: the vector of norm 1 in the same direction; a zero vector stays what it is.
#[pg_extern(sql = false)]
fn l2_normalize(vector: VectorRef<'_>) -> Vector {
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
fn binary_quantize(vector: VectorRef<'_>) -> BitString {
    BitString::from_bits(vector.as_slice().iter().map(|&element| element > 0.0))
}

/// `subvector(vector, integer, integer)`: the `count` elements from position `start`, counted from 1, cut to those that
/// exist as `substring` does.
#[pg_extern(sql = false)]
fn subvector(vector: VectorRef<'_>, start: i32, count: i32) -> Vector {
    let dims = vector.dims() as i64;
    let (start, count) = (i64::from(start), i64::from(count).max(0));
    let first = (start - 1).clamp(0, dims) as usize;
    let end = (start - 1 + count).clamp(0, dims) as usize;
    Vector::from_slice(&vector.as_slice()[first..end.max(first)])
}

fn norm(elements: &[f32]) -> f64 {
    elements.iter().map(|&element| f64::from(element) * f64::from(element)).sum::<f64>().sqrt()
}
