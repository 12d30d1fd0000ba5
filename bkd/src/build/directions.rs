//! On which directions to sketch vectors ([`crate::sketch`]), if they are worth it: the leading principal components, as many as say most of
//! what there is to say. The first of them, on which the tree splits, are there already ([`crate::axes`]).

use rayon::prelude::*;

use super::{zeros, Input, Progress};
use crate::axes::{orthonormalise, rounded};
use crate::kernels::{columns, Floats, Kernels, PRODUCTS, TILE};
use crate::layout::leaf::{padded, LeafLayout, GROUP};
use crate::layout::CHUNKS_PER_PAGE;
use crate::sketch::{self, MOST};
use crate::{Axes, Metric, Result};

/// Fewer dimensions are not sketched.
const FEWEST_DIMS: usize = 64;
/// The share of the variance that directions must carry for a sketch to be worth it, and that which is enough: measured, docs/design.md.
const LEAST_SHARE: f64 = 0.85;
const ENOUGH: f64 = 0.93;
/// One in so many vectors is in the sample by which directions are chosen, if that is not too many numbers, or vectors.
const EVERY: usize = 8;
const SAMPLE_NUMBERS: usize = 1 << 22;
const MOST_ROWS: usize = 8_192;
const ITERATIONS: usize = 4;

/// Whether vectors of so many dimensions may be sketched.
pub(super) fn may_suit(dims: usize) -> bool {
    (FEWEST_DIMS..=sketch::MOST_DIMS).contains(&dims)
}

/// Numbers of the largest sketch that is worth it.
pub(super) fn most_dims(dims: usize) -> usize {
    sketch::dims(most(dims))
}

/// The most directions that are worth it: with more of them, half of the codes would be read or more.
pub(super) fn most(dims: usize) -> usize {
    (dims / 2 / GROUP * GROUP).saturating_sub(1).min(MOST)
}

/// Memory that directions take, twice: as axes, and as what makes sketches wants them.
pub(super) fn kept(dims: usize) -> usize {
    match may_suit(dims) {
        true => most(dims).next_multiple_of(PRODUCTS) * dims * 2 * size_of::<f32>(),
        false => 0,
    }
}

/// Memory that it takes to choose them: in any case, for each vector of the segment, and the most that this can be.
pub(super) fn memory(dims: usize) -> (usize, usize, usize) {
    if !may_suit(dims) {
        return (0, 0, 0);
    }
    let found = kept(dims);
    let more = PRODUCTS * dims * (2 * size_of::<f64>() + 3 * size_of::<f32>());
    let row = (2 * padded(dims) + PRODUCTS) * size_of::<f32>();
    (found + more, row.div_ceil(EVERY), MOST_ROWS.min(SAMPLE_NUMBERS / dims) * row)
}

/// On how many of the axes to sketch the vectors, if these are as many directions as are asked for.
pub(super) fn within(input: &Input<'_>, axes: &Axes, directions: u32) -> Option<u32> {
    let Axes::Principal { rows, .. } = axes else { return None };
    let most = (rows.len() / input.dims).min(MOST) as u32;
    let may_be = sketch::suits(input.metric) && input.dims <= sketch::MOST_DIMS;
    (may_be && most > 0 && directions > 0).then(|| directions.min(most))
}

/// On how many of the directions to sketch the vectors, if that is worth it. Adds directions to the axes, if these are not enough.
pub(super) fn choose(input: &Input<'_>, axes: &mut Axes, progress: &Progress) -> Result<Option<u32>> {
    let Axes::Principal { center, rows } = axes else { return Ok(None) };
    let (dims, most) = (input.dims, most(input.dims));
    if rows.is_empty() || !sketch::suits(input.metric) || !may_suit(dims) {
        return Ok(None);
    }
    let mut sample = Sample::new(input, center)?;
    let worthwhile = LEAST_SHARE * sample.variance;
    let wanted = ENOUGH * sample.variance;
    let mut all = rows.clone();
    if input.metric == Metric::InnerProduct {
        // The query's sketch is not taken from the center. What it has in the center's direction must not be hidden.
        let mut direction: Vec<f64> = center.iter().map(|&x| f64::from(x)).collect();
        orthonormalise(&mut direction, dims, rows);
        all.extend(rounded(&direction));
    }
    let least = if all.len() > rows.len() { all.len() / dims } else { 0 };
    let mut found = sample.variances(&all);
    let enough = loop {
        progress.check()?;
        match enough(&found, wanted, least).map(|enough| filling(enough, most)) {
            Some(enough) if enough <= found.len() => break enough,
            _ if found.len() >= most => break most,
            _ => {}
        }
        // They nearly descend, so none of the others carries more than the last of these.
        let last = found.iter().rev().take(GROUP).fold(0.0, |last: f64, &x| last.max(x));
        let left = most - found.len();
        if found.iter().sum::<f64>() + left as f64 * last < worthwhile {
            return Ok(None);
        }
        let more = sample.more_directions(&all, left.min(PRODUCTS))?;
        if more.is_empty() {
            return Ok(None);
        }
        found.extend(sample.variances(&more));
        all.extend(more);
    };
    if enough < least || found[..enough].iter().sum::<f64>() < worthwhile {
        return Ok(None);
    }
    all.truncate(enough * dims);
    if all.len() > rows.len() {
        *rows = all;
    }
    Ok(Some(enough as u32))
}

/// The smallest number of directions, one less than whole groups, that carry so much, but no fewer than some.
fn enough(variances: &[f64], wanted: f64, least: usize) -> Option<usize> {
    let mut sum = 0.0;
    let count = variances.iter().position(|variance| (sum += variance, sum >= wanted).1)? + 1;
    let enough = sketch::dims(count.max(least)).next_multiple_of(GROUP) - 1;
    (enough <= variances.len()).then_some(enough)
}

/// So many directions, or as many more, but no more than `most`, as blocks of their codes have room for on a page: these cost hardly anything.
fn filling(directions: usize, most: usize) -> usize {
    let blocks = CHUNKS_PER_PAGE / LeafLayout::new(sketch::dims(directions)).block_chunks();
    let filling = (CHUNKS_PER_PAGE / blocks - 1) * GROUP - 1;
    if filling <= most {
        filling
    } else {
        directions.min(most)
    }
}

/// Evenly spaced vectors, from the center.
struct Sample {
    floats: &'static Floats,
    dims: usize,
    rows: usize,
    vectors: Vec<f32>,
    /// The same by dimension, padded to whole groups, if it was needed.
    across: Vec<f32>,
    /// Sum of their squares.
    variance: f64,
}

impl Sample {
    fn new(input: &Input<'_>, center: &[f32]) -> Result<Self> {
        let (dims, available) = (input.dims, input.tids.len());
        let rows = (available / EVERY).min(SAMPLE_NUMBERS / dims).min(MOST_ROWS) / TILE * TILE;
        let mut vectors = zeros(rows * dims)?;
        for (row, into) in vectors.chunks_exact_mut(dims).enumerate() {
            let vector = input.vector((row * available / rows) as u32);
            into.iter_mut().zip(vector.iter().zip(center)).for_each(|(into, (x, center))| *into = x - center);
        }
        let floats = Kernels::get().floats();
        let variance =
            vectors.par_chunks_exact(dims).map(|vector| floats.norm_squared(vector)).collect::<Vec<_>>();
        Ok(Sample { floats, dims, rows, vectors, across: Vec::new(), variance: variance.into_iter().sum() })
    }

    /// Coordinates of the vectors on [`PRODUCTS`] directions at the most, as many numbers a vector.
    fn coordinates(&self, directions: &[f32]) -> Vec<[f32; PRODUCTS]> {
        let columns = columns::<PRODUCTS>(directions, self.dims);
        let mut coordinates = vec![[0.0; PRODUCTS]; self.rows];
        let tiles = self.vectors.par_chunks_exact(TILE * self.dims);
        coordinates.as_chunks_mut::<TILE>().0.par_iter_mut().zip(tiles).for_each(|(into, vectors)| {
            self.floats.products_of_several(vectors, &columns, into);
        });
        coordinates
    }

    /// What each of the directions carries.
    fn variances(&self, directions: &[f32]) -> Vec<f64> {
        let of_some = |some: &[f32]| {
            let mut sums = vec![0.0; some.len() / self.dims];
            for row in self.coordinates(some) {
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(x) * f64::from(x));
            }
            sums
        };
        directions.chunks(PRODUCTS * self.dims).flat_map(of_some).collect()
    }

    /// Up to [`PRODUCTS`] directions more, those that carry most of what these do not see, nearly in order: by orthogonal iteration (Golub and
    /// Van Loan, "Matrix Computations", 8.2.4).
    fn more_directions(&mut self, before: &[f32], count: usize) -> Result<Vec<f32>> {
        let dims = self.dims;
        if self.across.is_empty() {
            self.across = zeros(padded(dims) * self.rows)?;
            self.across.par_chunks_exact_mut(self.rows).zip(0..dims).for_each(|(into, dim)| {
                into.iter_mut().zip(self.vectors.chunks_exact(dims)).for_each(|(into, row)| *into = row[dim]);
            });
        }
        // What some vectors are beyond the directions that are known is as good a start as any.
        let start = |at: usize| &self.vectors[at * self.rows / count * dims..][..dims];
        let mut more: Vec<f32> = (0..count).flat_map(start).copied().collect();
        for iteration in 0..=ITERATIONS {
            let mut precise: Vec<f64> = more.iter().map(|&x| f64::from(x)).collect();
            orthonormalise(&mut precise, dims, before);
            more = rounded(&precise);
            if iteration < ITERATIONS {
                more = self.times_covariance(&more);
            }
        }
        Ok(more)
    }

    /// The products of up to [`PRODUCTS`] directions with the covariance.
    fn times_covariance(&self, directions: &[f32]) -> Vec<f32> {
        let dims = self.dims;
        let coordinates = self.coordinates(directions);
        let weights = coordinates.as_flattened();
        let mut products = vec![[0.0; PRODUCTS]; padded(dims)];
        let tiles = self.across.par_chunks_exact(TILE * self.rows);
        products.as_chunks_mut::<TILE>().0.par_iter_mut().zip(tiles).for_each(|(into, across)| {
            self.floats.products_of_several(across, weights, into);
        });
        // Squares of the data's scale would accumulate.
        let scale = (1.0 / self.variance) as f32;
        let direction = |at: usize| products[..dims].iter().map(move |products| products[at] * scale);
        (0..directions.len() / dims).flat_map(direction).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_fill_pages_as_far_as_they_may() {
        for (dims, asked, filled) in [
            (128, 47, 47),
            (128, 63, 63),
            (384, 175, 191),
            (384, 191, 191),
            (1536, 295, 327),
            (1536, 335, 335),
        ] {
            let most = most(dims);
            assert_eq!(filling(asked, most), filled, "{asked} directions of {dims} dimensions");
            let blocks = |directions| {
                CHUNKS_PER_PAGE / LeafLayout::of_sketches(sketch::dims(directions), dims).block_chunks()
            };
            assert_eq!(blocks(asked), blocks(filled));
        }
    }
}
