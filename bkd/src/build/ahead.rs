//! Vectors that are read in the order of the tree are all over the memory. While one is worked on, those that come next are fetched.

use super::{Coordinates, Input};
use crate::kernels::Ahead;

/// Vectors between the one that is fetched and the one that is worked on.
const DISTANCE: usize = 8;
/// So many bytes of each: the processor finds the rest of a long one by itself.
const MOST_BYTES: usize = 1024;

/// These ids, one after the other, while vectors are fetched.
pub(super) fn vectors<'a>(input: &'a Input<'_>, ids: &'a [u32]) -> impl Iterator<Item = &'a [f32]> {
    fetching(ids, |at| input.vector(at))
}

/// The same of their coordinates.
pub(super) fn coordinates<'a>(
    coordinates: &'a Coordinates<'_>,
    ids: &'a [u32],
) -> impl Iterator<Item = &'a [f32]> {
    fetching(ids, |at| coordinates.of(at))
}

fn fetching<'a>(ids: &'a [u32], of: impl Fn(u32) -> &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
    ids.iter().enumerate().map(move |(at, &id)| {
        if let Some(&next) = ids.get(at + DISTANCE) {
            let next = of(next);
            Ahead::of(next.as_ptr().cast(), size_of_val(next).min(MOST_BYTES)).fetch_all();
        }
        of(id)
    })
}
