//! Making sketches of all vectors of a segment ([`crate::sketch`]).

use super::{ahead, zeros, Input};
use crate::kernels::{columns, Floats, Kernels, PRODUCTS, TILE};
use crate::layout::leaf::padded;
use crate::sketch::{self, hidden};
use crate::{Axes, Result};

/// Makes sketches of many vectors.
pub(super) struct Sketches<'a> {
    floats: &'static Floats,
    center: &'a [f32],
    directions: usize,
    /// [`PRODUCTS`] of them at a time.
    columns: Vec<Vec<f32>>,
}

impl<'a> Sketches<'a> {
    pub(super) fn new(axes: &'a Axes, directions: Option<u32>, dims: usize) -> Option<Self> {
        let (Axes::Principal { center, rows }, Some(directions)) = (axes, directions) else { return None };
        let directions = directions as usize;
        let columns = rows[..directions * dims]
            .chunks(PRODUCTS * dims)
            .map(|some| columns::<PRODUCTS>(some, dims))
            .collect();
        Some(Sketches { floats: Kernels::get().floats(), center, directions, columns })
    }

    /// Numbers of a sketch.
    pub(super) fn dims(&self) -> usize {
        sketch::dims(self.directions)
    }

    /// Sketches of some vectors, padded to whole groups, and how far each may be off.
    pub(super) fn of(&self, input: &Input<'_>, ids: &[u32]) -> Result<(Vec<f32>, Vec<f64>)> {
        let dims = input.dims;
        let each = padded(self.dims());
        let mut sketches: Vec<f32> = zeros(ids.len() * each)?;
        let mut errors = Vec::with_capacity(ids.len());
        let mut centered = vec![0.0; TILE * dims];
        let mut products = [[0.0; PRODUCTS]; TILE];
        let mut squares = [0.0; TILE];
        let mut vectors = ahead::vectors(input, ids);
        for sketches in sketches.chunks_mut(TILE * each) {
            let tile = sketches.len() / each;
            for (at, vector) in vectors.by_ref().take(tile).enumerate() {
                let pairs = vector.iter().zip(self.center);
                let into = &mut centered[at * dims..][..dims];
                into.iter_mut().zip(pairs).for_each(|(into, (x, center))| *into = x - center);
                squares[at] = self.floats.l2_exact(vector, self.center);
            }
            for (block, columns) in self.columns.iter().enumerate() {
                self.floats.products_of_several(&centered, columns, &mut products);
                let first = block * PRODUCTS;
                let count = PRODUCTS.min(self.directions - first);
                for (sketch, products) in sketches.chunks_exact_mut(each).zip(&products) {
                    sketch[first..][..count].copy_from_slice(&products[..count]);
                }
            }
            for (sketch, square) in sketches.chunks_exact_mut(each).zip(squares) {
                let (hidden, error) = hidden(&sketch[..self.directions], dims, square);
                sketch[self.directions] = hidden;
                errors.push(error);
            }
        }
        Ok((sketches, errors))
    }
}
