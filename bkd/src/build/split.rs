//! Where to cut: at the median of the axis on which the vectors vary most.
//!
//! Cuts are by position, not by value, and at multiples of the leaf size. So every leaf but the last is full, and vectors
//! that share coordinates, or are all equal, are simply shared out.

use super::Progress;
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
    if ids.len() <= leaf_size || axes == 0 {
        return Ok(());
    }
    progress.check()?;
    let axis = widest_axis(ids, coordinates, axes, sample);
    let at = |id: u32| coordinates[id as usize * axes + axis];
    let leaves = ids.len().div_ceil(leaf_size);
    let middle = leaves / 2 * leaf_size;
    ids.select_nth_unstable_by(middle, |&a, &b| at(a).total_cmp(&at(b)).then(a.cmp(&b)));
    let (left, right) = ids.split_at_mut(middle);
    if left.len() > SEQUENTIAL {
        let (left, right) = rayon::join(
            || split(left, coordinates, axes, leaf_size, sample, progress),
            || split(right, coordinates, axes, leaf_size, sample, progress),
        );
        left.and(right)
    } else {
        split(left, coordinates, axes, leaf_size, sample, progress)?;
        split(right, coordinates, axes, leaf_size, sample, progress)
    }
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
