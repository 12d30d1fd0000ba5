//! Functions of one vector.

use super::arithmetic::check_overflow;
use super::casts::to_numbers;
use super::{Dense, DenseArg, Element};
use crate::types::bit::BitString;

/// The Euclidean norm.
pub fn l2_norm<E: Element>(vector: DenseArg<E>) -> f64 {
    norm(vector.get().as_slice())
}

/// The vector of norm 1 in the same direction; a zero vector stays what it is.
pub fn l2_normalize<E: Element>(vector: DenseArg<E>) -> Dense<E> {
    let vector = vector.get();
    let norm = norm(vector.as_slice());
    let mut unit = Dense::zeroed(vector.dims());
    if norm > 0.0 {
        let mut numbers = to_numbers(vector.as_slice());
        numbers.iter_mut().for_each(|number| *number = (f64::from(*number) / norm) as f32);
        E::narrow(&numbers, unit.as_mut_slice());
        check_overflow(unit.as_mut_slice());
    }
    unit
}

/// A bit per dimension, set where the element is positive.
pub fn binary_quantize<E: Element>(vector: DenseArg<E>) -> BitString {
    BitString::from_bits(vector.get().as_slice().iter().map(|&element| element.single() > 0.0))
}

/// The `count` elements from position `start`, counted from 1, cut to those that exist as `substring` does.
pub fn subvector<E: Element>(vector: DenseArg<E>, start: i32, count: i32) -> Dense<E> {
    let vector = vector.get();
    let dims = vector.dims() as i64;
    let (start, count) = (i64::from(start), i64::from(count).max(0));
    let first = (start - 1).clamp(0, dims) as usize;
    let end = (start - 1 + count).clamp(0, dims) as usize;
    Dense::from_slice(&vector.as_slice()[first..end.max(first)])
}

/// The Euclidean norm, in double precision throughout. Several sums are kept, so that one addition need not wait for the
/// one before.
pub fn norm<E: Element>(elements: &[E]) -> f64 {
    let square = |element: E| f64::from(element.single()) * f64::from(element.single());
    let (blocks, rest) = elements.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for block in blocks {
        for (sum, &element) in sums.iter_mut().zip(block) {
            *sum += square(element);
        }
    }
    (sums.iter().sum::<f64>() + rest.iter().copied().map(square).sum::<f64>()).sqrt()
}
