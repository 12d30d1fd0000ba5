//! Directions for the tree: the vectors' own dimensions if they are few, else the leading principal components.
//!
//! The components come from subspace iteration on a sample (Halko, Martinsson, Tropp, "Finding structure with
//! randomness", 2011, algorithm 4.4) and a final rotation. Nothing depends on their being accurate: any orthonormal
//! directions give valid boxes, better ones give smaller boxes.

use rayon::prelude::*;

use crate::build::zeros;
use crate::kernels::{columns, Kernels, AXES};
use crate::metric::sum;
use crate::{Axes, Result};

/// Up to so many dimensions the tree splits on the dimensions themselves.
const OWN_AXES: usize = 20;
/// Numbers in the sample: enough to tell the leading directions, few enough to take a small part of the build.
const SAMPLE_NUMBERS: usize = 1 << 21;
const SAMPLE_ROWS: std::ops::RangeInclusive<usize> = 512..=16_384;
/// A small tree has few axes, for which fewer rows will do; it would take longer to find them than to build the rest.
const SAMPLE_ROWS_PER_LEAF: usize = 128;
const ITERATIONS: usize = 5;
/// The sample is summed in so many parts, independent of the number of threads: the result is always the same.
const PARTS: usize = 16;
/// Directions that carry less of the variance than this, relative to the first, are left out.
const NEGLIGIBLE: f64 = 1e-10;

/// Chooses the axes for a tree of so many leaves.
pub(crate) fn choose(vectors: &[f32], dims: usize, leaves: usize) -> Result<Axes> {
    if are_own(dims) {
        return Ok(Axes::Own);
    }
    // A small tree cannot use many axes, and they take room in the directory.
    let depth = leaves.next_power_of_two().trailing_zeros() as usize;
    let count = (4 * depth).min(AXES);
    let mut sample = Sample::new(vectors, dims, leaves)?;
    let center = std::mem::take(&mut sample.center);
    let rows = if count == 0 { Vec::new() } else { principal_components(sample, count)? };
    Ok(Axes::Principal { center, rows })
}

/// Whether vectors of so many dimensions have boxes on their own axes.
pub(crate) fn are_own(dims: usize) -> bool {
    dims <= OWN_AXES
}

/// The most axes that a tree can have.
pub(crate) fn most(dims: usize) -> usize {
    dims.min(AXES)
}

/// Memory for choosing axes: the most that it can be, and what it takes for each vector of the sample beside the vector.
pub(crate) fn sample_bytes(dims: usize) -> (usize, usize) {
    if are_own(dims) {
        return (0, 0);
    }
    let rows = (SAMPLE_NUMBERS / dims).clamp(*SAMPLE_ROWS.start(), *SAMPLE_ROWS.end());
    let coordinates = AXES * size_of::<f32>();
    // Sums of parts in single precision; their total, directions and rotated directions in double.
    let sums = AXES * dims * (PARTS * size_of::<f32>() + 3 * size_of::<f64>());
    (rows * (dims * size_of::<f32>() + 2 * coordinates) + sums, 2 * coordinates)
}

/// Evenly spaced vectors, centred.
struct Sample {
    dims: usize,
    center: Vec<f32>,
    rows: Vec<f32>,
}

impl Sample {
    fn new(vectors: &[f32], dims: usize, leaves: usize) -> Result<Self> {
        let available = vectors.len() / dims;
        let wanted = (SAMPLE_NUMBERS / dims)
            .min(leaves.saturating_mul(SAMPLE_ROWS_PER_LEAF))
            .clamp(*SAMPLE_ROWS.start(), *SAMPLE_ROWS.end())
            .min(available);
        let mut rows = zeros(wanted * dims)?;
        for (row, into) in rows.chunks_exact_mut(dims).enumerate() {
            let at = row * available / wanted;
            into.copy_from_slice(&vectors[at * dims..][..dims]);
        }
        let mut mean = vec![0f64; dims];
        for row in rows.chunks_exact(dims) {
            for (sum, &x) in mean.iter_mut().zip(row) {
                *sum += f64::from(x);
            }
        }
        let center: Vec<f32> = mean.iter().map(|sum| (sum / wanted as f64) as f32).collect();
        for row in rows.chunks_exact_mut(dims) {
            for (x, center) in row.iter_mut().zip(&center) {
                *x -= center;
            }
        }
        Ok(Sample { dims, center, rows })
    }

    /// Coordinates of all rows on the directions, [`AXES`] a row.
    fn project(&self, directions: &[f32]) -> Result<Vec<[f32; AXES]>> {
        let floats = Kernels::get().floats();
        let columns = columns::<AXES>(directions, self.dims);
        let zero = vec![0.0; self.dims];
        let project = |row: &[f32]| {
            let mut coordinates = [0.0; AXES];
            floats.project(row, &zero, &columns, &mut coordinates);
            coordinates
        };
        Ok(self.rows.par_chunks_exact(self.dims).map(project).collect())
    }

    /// Sums of rows times their coordinates: one row of `dims` numbers a direction.
    fn weighted_sums(&self, coordinates: &[[f32; AXES]], count: usize) -> Vec<f64> {
        let part = coordinates.len().div_ceil(PARTS);
        let parts: Vec<Vec<f32>> = coordinates
            .par_chunks(part)
            .zip(self.rows.par_chunks(part * self.dims))
            .map(|(coordinates, rows)| {
                let mut sums = vec![0f32; count * self.dims];
                for (coordinates, row) in coordinates.iter().zip(rows.chunks_exact(self.dims)) {
                    for (sums, &weight) in sums.chunks_exact_mut(self.dims).zip(coordinates) {
                        for (sum, x) in sums.iter_mut().zip(row) {
                            *sum += weight * x;
                        }
                    }
                }
                sums
            })
            .collect();
        let mut total = vec![0f64; count * self.dims];
        for part in parts {
            for (sum, x) in total.iter_mut().zip(part) {
                *sum += f64::from(x);
            }
        }
        total
    }
}

fn principal_components(mut sample: Sample, count: usize) -> Result<Vec<f32>> {
    let dims = sample.dims;
    // Scaled, so that squares of large or small data neither overflow nor vanish.
    let largest = sample.rows.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    if largest < 1e-30 {
        return Ok(Vec::new());
    }
    sample.rows.iter_mut().for_each(|x| *x /= largest);
    let mut random = SplitMix(0x6b64_7472_6565);
    let mut directions: Vec<f64> = (0..count * dims).map(|_| random.next()).collect();
    orthonormalise(&mut directions, dims, &[]);
    let mut coordinates = Vec::new();
    for iteration in 0..=ITERATIONS {
        let single: Vec<f32> = directions.iter().map(|&x| x as f32).collect();
        coordinates = sample.project(&single)?;
        if iteration < ITERATIONS {
            directions = sample.weighted_sums(&coordinates, directions.len() / dims);
            orthonormalise(&mut directions, dims, &[]);
            if directions.is_empty() {
                return Ok(Vec::new());
            }
        }
    }
    // Rotate within the subspace, so that single directions are the components.
    let found = directions.len() / dims;
    let mut covariance = vec![0f64; found * found];
    for row in &coordinates {
        for i in 0..found {
            for j in 0..found {
                covariance[i * found + j] += f64::from(row[i]) * f64::from(row[j]);
            }
        }
    }
    let (values, rotation) = symmetric_eigen(covariance, found);
    let mut order: Vec<usize> = (0..found).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order.retain(|&at| values[at] > NEGLIGIBLE * values[order_max(&values)]);
    let mut rotated = vec![0f64; order.len() * dims];
    for (row, &at) in rotated.chunks_exact_mut(dims).zip(&order) {
        for (from, direction) in directions.chunks_exact(dims).enumerate() {
            let weight = rotation[from * found + at];
            for (x, y) in row.iter_mut().zip(direction) {
                *x += weight * y;
            }
        }
    }
    orthonormalise(&mut rotated, dims, &[]);
    Ok(rounded(&rotated))
}

fn order_max(values: &[f64]) -> usize {
    (0..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}

/// Gram-Schmidt, twice, of rows beside others, which are orthonormal; rows that vanish are removed.
pub(crate) fn orthonormalise(rows: &mut Vec<f64>, dims: usize, others: &[f32]) {
    let count = rows.len() / dims;
    let mut kept = 0;
    for row in 0..count {
        rows.copy_within(row * dims..(row + 1) * dims, kept * dims);
        let (before, rest) = rows.split_at_mut(kept * dims);
        let row = &mut rest[..dims];
        let length = dot(row, row).sqrt();
        for _ in 0..2 {
            others.chunks_exact(dims).for_each(|other| remove(row, other));
            before.chunks_exact(dims).for_each(|other| remove(row, other));
        }
        let left = dot(row, row).sqrt();
        if left > 1e-7 * length && left > 0.0 {
            row.iter_mut().for_each(|x| *x /= left);
            kept += 1;
        }
    }
    rows.truncate(kept * dims);
}

/// Takes from a row what it has of another, which is of length one.
fn remove<B: Copy + Into<f64>>(row: &mut [f64], other: &[B]) {
    let along = dot(row, other);
    for (x, &y) in row.iter_mut().zip(other) {
        *x -= along * y.into();
    }
}

fn dot<A: Copy + Into<f64>, B: Copy + Into<f64>>(a: &[A], b: &[B]) -> f64 {
    sum(a, b, |a, b| a * b)
}

/// Directions in single precision, to which rounding must not make them longer than one.
pub(crate) fn rounded(directions: &[f64]) -> Vec<f32> {
    directions.iter().map(|&x| (x * (1.0 - 1e-6)) as f32).collect()
}

/// Eigenvalues and eigenvectors (in columns) of a symmetric matrix by cyclic Jacobi rotations (Golub and Van Loan,
/// "Matrix Computations", 8.5).
fn symmetric_eigen(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors = vec![0f64; n * n];
    for i in 0..n {
        vectors[i * n + i] = 1.0;
    }
    for _sweep in 0..30 {
        let mut off = 0.0;
        for p in 0..n {
            for q in p + 1..n {
                let apq = a[p * n + q];
                off += apq * apq;
                if apq == 0.0 {
                    continue;
                }
                let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for k in 0..n {
                    let (kp, kq) = (a[k * n + p], a[k * n + q]);
                    a[k * n + p] = c * kp - s * kq;
                    a[k * n + q] = s * kp + c * kq;
                }
                for k in 0..n {
                    let (pk, qk) = (a[p * n + k], a[q * n + k]);
                    a[p * n + k] = c * pk - s * qk;
                    a[q * n + k] = s * pk + c * qk;
                }
                for k in 0..n {
                    let (kp, kq) = (vectors[k * n + p], vectors[k * n + q]);
                    vectors[k * n + p] = c * kp - s * kq;
                    vectors[k * n + q] = s * kp + c * kq;
                }
            }
        }
        let scale: f64 = (0..n).map(|i| a[i * n + i] * a[i * n + i]).sum();
        if off <= 1e-22 * scale {
            break;
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), vectors)
}

/// Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014): for starting directions only.
struct SplitMix(u64);

impl SplitMix {
    /// Uniform in -0.5 to 0.5.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    }
}
