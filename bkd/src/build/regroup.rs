//! Moving vectors to the cells whose centres are nearest.
//!
//! Halving at medians puts vectors that are near each other on two sides of a cut. One pass of Lloyd's algorithm (k-means) brings most of
//! them together again: an approximate search finds as many of the neighbours in half as many cells. The boxes of leaves
//! grow, those of cells shrink. Measured: docs/design.md.
//!
//! A vector is compared with the cells of the leaves around its own only, which are those that are nearest to it as a rule.

use rayon::prelude::*;

use super::cells::{center, CELL};
use super::{ahead, parts, slices, slices_mut, zeros, Coordinates, Progress};
use crate::kernels::{Kernels, PRODUCTS, TILE};
use crate::Result;

/// Cells that a vector is compared with, about.
const COMPARED: usize = 512;
/// Vectors that are compared at once, while a few cells stay in the first-level cache.
const AT_ONCE: usize = 64;
/// No vector is moved to a cell that has so many.
const MOST: u32 = 4 * CELL as u32;

/// How many vectors leaves have, and cells, in the order of storage.
pub(super) struct Shape {
    pub leaves: Vec<u32>,
    /// Leaf by leaf.
    pub cells: Vec<Vec<u32>>,
    /// Cells of a leaf; of the last one maybe fewer.
    cells_per_leaf: usize,
}

impl Shape {
    /// Of a tree that was halved at multiples of the sizes of its leaves and cells.
    pub(super) fn of_tree(vectors: usize, leaf_size: usize) -> Self {
        let leaves = parts(vectors, leaf_size);
        let cells = leaves.iter().map(|&leaf| parts(leaf as usize, CELL)).collect();
        Shape { leaves, cells, cells_per_leaf: leaf_size.div_ceil(CELL) }
    }

    /// Of the same cells with other vectors, without what is empty.
    fn with_cells(&self, sizes: &[u32]) -> Self {
        let full = |leaf: &[u32]| leaf.iter().copied().filter(|&size| size > 0).collect::<Vec<_>>();
        let mut cells: Vec<Vec<u32>> = sizes.chunks(self.cells_per_leaf).map(full).collect();
        cells.retain(|leaf| !leaf.is_empty());
        Shape { leaves: cells.iter().map(|leaf| leaf.iter().sum()).collect(), cells, ..*self }
    }
}

/// Orders vectors by the cells that they are nearest to. Returns how many are in each then.
pub(super) fn regroup(
    coordinates: &Coordinates<'_>,
    order: &mut [u32],
    shape: Shape,
    progress: &Progress,
) -> Result<Shape> {
    if coordinates.axes == 0 {
        return Ok(shape);
    }
    let mut targets = Tree::new(coordinates, order, &shape).nearest_cells(order, progress)?;
    let sizes = limit(&mut targets, &shape.cells.concat());
    let mut ends = 0;
    let mut next: Vec<usize> = sizes.iter().map(|&size| (ends, ends += size as usize).0).collect();
    let mut ordered: Vec<u32> = zeros(order.len())?;
    for (&vector, cell) in order.iter().zip(targets) {
        let next = &mut next[cell as usize];
        ordered[*next] = vector;
        *next += 1;
    }
    order.copy_from_slice(&ordered);
    Ok(shape.with_cells(&sizes))
}

/// Takes back what would make cells too large, the last first. Returns how many vectors each has.
fn limit(targets: &mut [u32], before: &[u32]) -> Vec<u32> {
    let own = || before.iter().zip(0..).flat_map(|(&size, cell)| std::iter::repeat_n(cell, size as usize));
    let mut sizes = vec![0; before.len()];
    for (&target, _) in targets.iter().zip(own()).filter(|(&target, own)| target == *own) {
        sizes[target as usize] += 1;
    }
    for (target, own) in targets.iter_mut().zip(own()).filter(|(target, own)| **target != *own) {
        if sizes[*target as usize] >= MOST {
            *target = own;
        }
        sizes[*target as usize] += 1;
    }
    sizes
}

/// The cells of a tree, and where they are.
struct Tree<'a> {
    coordinates: &'a Coordinates<'a>,
    shape: &'a Shape,
    /// Centres of the cells, one after the other, and of the leaves.
    cells: Vec<f32>,
    leaves: Vec<f32>,
}

impl<'a> Tree<'a> {
    fn new(coordinates: &'a Coordinates<'a>, order: &[u32], shape: &'a Shape) -> Self {
        let sizes = shape.cells.concat();
        let members: Vec<&[u32]> = slices(order, &sizes).collect();
        let cells: Vec<f32> = members.par_iter().flat_map(|cell| center(cell, coordinates)).collect();
        let leaves = cells.chunks(shape.cells_per_leaf * coordinates.axes);
        let leaves = leaves.flat_map(|centers| mean(centers, coordinates.axes)).collect();
        Tree { coordinates, shape, cells, leaves }
    }

    /// For each vector, in order, the cell that is nearest to it, or its own if none can be told to be.
    fn nearest_cells(&self, order: &[u32], progress: &Progress) -> Result<Vec<u32>> {
        let mut targets: Vec<u32> = zeros(order.len())?;
        let members = slices(order, &self.shape.leaves);
        let leaves: Vec<_> = members.zip(slices_mut(&mut targets, &self.shape.leaves, 1)).collect();
        leaves.into_par_iter().enumerate().try_for_each(|(leaf, (members, targets))| {
            progress.check()?;
            let candidates = self.candidates(leaf);
            let axes = self.coordinates.axes;
            // A last coordinate of 1 takes what is behind the centres' coordinates.
            let mut points = vec![1.0; AT_ONCE * (axes + 1)];
            let mut coordinates = ahead::coordinates(self.coordinates, members);
            let first = leaf * self.shape.cells_per_leaf;
            for (at, targets) in targets.chunks_mut(AT_ONCE).enumerate() {
                let into = points.chunks_exact_mut(axes + 1).take(targets.len());
                into.zip(&mut coordinates).for_each(|(into, point)| into[..axes].copy_from_slice(point));
                let nearest = candidates.nearest(&points, targets.len());
                for (lane, (target, nearest)) in targets.iter_mut().zip(nearest).enumerate() {
                    let own = first + (at * AT_ONCE + lane) / CELL;
                    *target = nearest.unwrap_or(own as u32);
                }
            }
            Ok(())
        })?;
        Ok(targets)
    }

    /// The cells of the leaves that are nearest to one, itself included.
    fn candidates(&self, leaf: usize) -> Candidates {
        let axes = self.coordinates.axes;
        let center_of = |leaf: usize| &self.leaves[leaf * axes..][..axes];
        let floats = Kernels::get().floats();
        let mut near: Vec<(f32, usize)> = (0..self.shape.leaves.len())
            .map(|other| (floats.l2(center_of(leaf), center_of(other)), other))
            .collect();
        let count = COMPARED.div_ceil(self.shape.cells_per_leaf).min(near.len());
        if count < near.len() {
            near.select_nth_unstable_by(count, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        }
        let cells = self.cells.len() / axes;
        let cells_of = |leaf: usize| {
            let first = leaf * self.shape.cells_per_leaf;
            first..(first + self.shape.cells_per_leaf).min(cells)
        };
        let mut chosen: Vec<usize> = near[..count].iter().flat_map(|&(_, leaf)| cells_of(leaf)).collect();
        chosen.sort_unstable();
        let groups = chosen.chunks(PRODUCTS).map(|cells| {
            let mut columns = vec![0.0; axes * PRODUCTS];
            // Where there is no cell, nothing is nearest.
            let mut offsets = [f32::NEG_INFINITY; PRODUCTS];
            for (lane, &cell) in cells.iter().enumerate() {
                let center = &self.cells[cell * axes..][..axes];
                for (axis, &x) in center.iter().enumerate() {
                    columns[axis * PRODUCTS + lane] = x;
                }
                offsets[lane] = -floats.ip(center, center) / 2.0;
            }
            columns.extend(offsets);
            columns
        });
        Candidates { groups: groups.collect(), cells: chosen.iter().map(|&cell| cell as u32).collect() }
    }
}

/// The mean of points that lie one after the other.
fn mean(points: &[f32], axes: usize) -> Vec<f32> {
    let count = (points.len() / axes) as f64;
    let sum = |axis: usize| points[axis..].iter().step_by(axes).map(|&x| f64::from(x)).sum::<f64>();
    (0..axes).map(|axis| (sum(axis) / count) as f32).collect()
}

/// Cells that vectors are compared with.
struct Candidates {
    /// Centres of [`PRODUCTS`] of them at a time, so many numbers an axis, and behind them half of their squared lengths, negative.
    groups: Vec<Vec<f32>>,
    cells: Vec<u32>,
}

impl Candidates {
    /// The cells whose centres are nearest to the first so many of [`AT_ONCE`] points, where any distance is a number.
    fn nearest(&self, points: &[f32], count: usize) -> impl Iterator<Item = Option<u32>> + '_ {
        let floats = Kernels::get().floats();
        let mut nearest = [(f32::NEG_INFINITY, None); AT_ONCE];
        let mut scores = [[0.0; PRODUCTS]; TILE];
        for (columns, first) in self.groups.iter().zip((0..).step_by(PRODUCTS)) {
            let tiles = points.chunks_exact(TILE * columns.len() / PRODUCTS);
            for (points, nearest) in tiles.zip(nearest.chunks_exact_mut(TILE)).take(count.div_ceil(TILE)) {
                // Half of what the squared distance is less than the vector's squared length.
                floats.products_of_several(points, columns, &mut scores);
                for (scores, nearest) in scores.iter().zip(nearest) {
                    let largest = floats.largest(scores);
                    if largest > nearest.0 {
                        let lane = scores.iter().position(|&score| score == largest);
                        *nearest = (largest, lane.map(|lane| first + lane));
                    }
                }
            }
        }
        let cell = |(_, at): (f32, Option<usize>)| at.and_then(|at| self.cells.get(at).copied());
        nearest.into_iter().take(count).map(cell)
    }
}
