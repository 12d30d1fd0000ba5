//! Where to cut: at the median of the axis on which the vectors vary most.
//!
//! Cuts are by position, not by value, and at multiples of the leaf size. So every leaf but the last is full, and vectors
//! that share coordinates, or are all equal, are simply shared out.

use rayon::prelude::*;

use super::{zeros, Progress};
use crate::sortable::sortable;
use crate::Result;

/// Vectors looked at to find the axis on which to cut leaves, and cells within leaves.
pub(super) const LEAF_SAMPLE: usize = 1024;
pub(super) const CELL_SAMPLE: usize = 128;
/// Below this many vectors a subtree is not worth another task.
const SEQUENTIAL: usize = 20_000;

/// Orders `ids` so that each run of `leaf_size` is a leaf. `coordinates` has `axes` numbers a vector; the axis of a cut is chosen
/// by `sample` vectors.
pub(super) fn split(
    ids: &mut [u32],
    coordinates: &[f32],
    axes: usize,
    leaf_size: usize,
    sample: usize,
    progress: &Progress,
) -> Result<()> {
    let mut keys = zeros(if ids.len() <= leaf_size { 0 } else { ids.len() })?;
    Splitter { coordinates, axes, leaf_size, sample, progress }.split(ids, &mut keys)
}

struct Splitter<'a> {
    coordinates: &'a [f32],
    axes: usize,
    leaf_size: usize,
    sample: usize,
    progress: &'a Progress,
}

impl Splitter<'_> {
    /// Uses `keys`, as many as there are ids, as scratch space.
    fn split(&self, ids: &mut [u32], keys: &mut [u64]) -> Result<()> {
        if ids.len() <= self.leaf_size || self.axes == 0 {
            return Ok(());
        }
        self.progress.check()?;
        let axis = widest_axis(ids, self.coordinates, self.axes, self.sample);
        // Coordinates are all over the memory. Each is fetched once, not whenever it is compared.
        let key = |id: u32| key(self.coordinates[id as usize * self.axes + axis], id);
        let is_large = ids.len() > 2 * SEQUENTIAL;
        if is_large {
            let pairs = keys.par_chunks_mut(SEQUENTIAL).zip(ids.par_chunks(SEQUENTIAL));
            pairs.for_each(|(keys, ids)| keys.iter_mut().zip(ids).for_each(|(into, &id)| *into = key(id)));
        } else {
            keys.iter_mut().zip(&*ids).for_each(|(into, &id)| *into = key(id));
        }
        let leaves = ids.len().div_ceil(self.leaf_size);
        let middle = leaves / 2 * self.leaf_size;
        keys.select_nth_unstable(middle);
        // What is left of a key without its upper half is the id.
        ids.iter_mut().zip(&*keys).for_each(|(id, &key)| *id = key as u32);
        let ((left, right), keys) = (ids.split_at_mut(middle), keys.split_at_mut(middle));
        if left.len() > SEQUENTIAL {
            let (left, right) = rayon::join(|| self.split(left, keys.0), || self.split(right, keys.1));
            left.and(right)
        } else {
            self.split(left, keys.0)?;
            self.split(right, keys.1)
        }
    }
}

/// A number whose order is that of coordinates ([`f32::total_cmp`]), and among equal ones that of ids.
fn key(coordinate: f32, id: u32) -> u64 {
    u64::from(sortable(coordinate)) << 32 | u64::from(id)
}

/// The axis of largest variance, judged by evenly spaced vectors.
fn widest_axis(ids: &[u32], coordinates: &[f32], axes: usize, sample: usize) -> usize {
    let (mut sums, mut squares) = (vec![0f64; axes], vec![0f64; axes]);
    let sample = ids.iter().step_by(ids.len().div_ceil(sample));
    let count = sample.len() as f64;
    // Differences from one of the vectors keep the squares accurate far from the origin.
    let origin = &coordinates[ids[0] as usize * axes..][..axes];
    for &id in sample {
        let vector = &coordinates[id as usize * axes..][..axes];
        for axis in 0..axes {
            let x = f64::from(vector[axis]) - f64::from(origin[axis]);
            sums[axis] += x;
            squares[axis] += x * x;
        }
    }
    let variance = |axis: usize| squares[axis] / count - (sums[axis] / count).powi(2);
    (1..axes).fold(0, |best, axis| if variance(axis) > variance(best) { axis } else { best })
}
