//! Cells: runs of neighbouring vectors within leaves, the unit of an approximate search.
//!
//! A leaf is large, because each costs time to look at; a cell is small, because the smaller the pieces, the fewer vectors have to be
//! looked at for the same recall. The cells of a leaf share its grid, so they cost nothing but a centre in the directory.

use rayon::prelude::*;

use super::boxes::{self, BoundingBox};
use super::calibrate::calibrate;
use super::regroup::{regroup, Shape};
use super::split::{split, CELL_SAMPLE};
use super::{ahead, slices, zeros, Coordinates, Input, Progress};
use crate::{Axes, Calibration, CellTable, Metric, Result};

/// Vectors of a cell, on average.
pub(crate) const CELL: usize = 128;
/// What counts of a cell's mean squared distance from its centre against it, and of its deviation along an axis for it where the largest
/// product counts. Measured: docs/design.md.
const DISTANCE_SPREAD: f32 = 0.5;
const PRODUCT_SPREAD: f32 = 4.0;
/// A segment of fewer vectors has no cells: to search all of it takes no longer than to choose.
pub(super) const FEWEST_VECTORS: usize = 64 * CELL;
/// Nor has one of so few dimensions: an exact search visits few leaves.
const FEW_DIMS: usize = 8;

/// Whether a segment of so many vectors has cells.
pub(super) fn worthwhile(dims: usize, vectors: usize) -> bool {
    dims > FEW_DIMS && vectors >= FEWEST_VECTORS
}

/// Memory that they take for each vector: centres and boxes, twice while they are put in order, and what is counted of them.
pub(super) fn memory(axes: usize) -> usize {
    ((6 * axes + 24) * size_of::<f32>()).div_ceil(CELL)
}

/// Leaves of a tree for which the axes are good enough for so many cells.
pub(super) fn as_leaves(vectors: usize) -> usize {
    vectors / CELL / 8
}

/// Orders the vectors of each leaf by cells, measures these and calibrates them. Returns how many vectors each leaf has then, too.
pub(super) fn make(
    input: &Input<'_>,
    axes: &Axes,
    sketch: Option<u32>,
    coordinates: &Coordinates<'_>,
    order: &mut [u32],
    leaf_size: usize,
    progress: &Progress,
) -> Result<(CellTable, Vec<u32>)> {
    order.par_chunks_mut(leaf_size).try_for_each(|leaf| {
        split(leaf, &coordinates.values, coordinates.axes, CELL, CELL_SAMPLE, progress)
    })?;
    let tree = Shape::of_tree(order.len(), leaf_size);
    let shape = match (axes, input.metric) {
        // On axes of their own, few leaves are visited, as long as their boxes are small. Where the product counts, not the distance, cells
        // that are near are not those that are wanted.
        (Axes::Own, _) | (_, Metric::InnerProduct) => tree,
        (Axes::Principal { .. }, _) => regroup(coordinates, order, tree, progress)?,
    };
    let sizes = shape.cells.concat();
    let cells: Vec<&[u32]> = slices(order, &sizes).collect();
    let measured: Vec<(Vec<f32>, f32)> = cells.par_iter().map(|cell| measure(cell, coordinates)).collect();
    let mut center: Vec<f32> = zeros(coordinates.axes * cells.len())?;
    let mut spread = Vec::with_capacity(cells.len());
    for (cell, (mean, variance)) in measured.into_iter().enumerate() {
        for (axis, x) in mean.into_iter().enumerate() {
            center[axis * cells.len() + cell] = x;
        }
        spread.push(match input.metric {
            Metric::L2 | Metric::Cosine | Metric::L1 => DISTANCE_SPREAD * variance,
            Metric::InnerProduct => PRODUCT_SPREAD * (variance / coordinates.axes.max(1) as f32).sqrt(),
        });
    }
    let boxes: Vec<BoundingBox> =
        cells.par_iter().map(|cell| BoundingBox::around(input, coordinates, cell)).collect();
    let mut of_leaves = &boxes[..];
    let mut next = |cells: &Vec<u32>| of_leaves.split_off(..cells.len()).expect("a box for each cell");
    let boxes = shape.cells.iter().map(|cells| boxes::table(next(cells), coordinates.axes)).collect();
    let mut table = CellTable { boxes, center, spread, calibration: Calibration::default() };
    table.calibration = calibrate(input, axes, sketch, coordinates, order, &table, progress)?;
    Ok((table, shape.leaves))
}

/// Mean of a cell on the axes, and mean squared distance from it.
fn measure(cell: &[u32], coordinates: &Coordinates<'_>) -> (Vec<f32>, f32) {
    let mean = mean(cell, coordinates);
    let distance = |&at: &u32| -> f64 {
        coordinates.of(at).iter().zip(&mean).map(|(&x, mean)| (f64::from(x) - mean).powi(2)).sum()
    };
    let variance = cell.iter().map(distance).sum::<f64>() / cell.len() as f64;
    (mean.into_iter().map(|x| x as f32).collect(), variance as f32)
}

/// Mean of a cell on the axes alone.
pub(super) fn center(cell: &[u32], coordinates: &Coordinates<'_>) -> Vec<f32> {
    mean(cell, coordinates).into_iter().map(|x| x as f32).collect()
}

fn mean(cell: &[u32], coordinates: &Coordinates<'_>) -> Vec<f64> {
    let mut mean = vec![0f64; coordinates.axes];
    for point in ahead::coordinates(coordinates, cell) {
        for (sum, &x) in mean.iter_mut().zip(point) {
            *sum += f64::from(x);
        }
    }
    mean.iter_mut().for_each(|sum| *sum /= cell.len() as f64);
    mean
}
