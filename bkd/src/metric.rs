//! The distances that an index can order by.

use serde::{Deserialize, Serialize};

use crate::kernels::Kernels;

/// What an index orders by. The number is its code on disk and in the operator classes of the SQL script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Metric {
    /// Euclidean distance, `<->`.
    L2 = 1,
    /// Cosine distance, `<=>`: half the squared Euclidean distance of the normalised vectors.
    Cosine = 2,
    /// Negative inner product, `<#>`.
    InnerProduct = 3,
    /// Taxicab distance, `<+>`: the sum of the magnitudes of all differences.
    L1 = 4,
}

/// All of them.
#[cfg(test)]
pub(crate) const METRICS: [Metric; 4] = [Metric::L2, Metric::Cosine, Metric::InnerProduct, Metric::L1];

impl Metric {
    /// What a difference in one dimension adds to a sum that [`Metric::of_sum`] makes a length of.
    pub(crate) fn term(self, difference: f64) -> f64 {
        match self {
            Metric::L1 => difference.abs(),
            Metric::L2 | Metric::Cosine | Metric::InnerProduct => difference * difference,
        }
    }

    /// The length of a vector, given the sum over its dimensions. Residuals are such lengths: for L1 sums of magnitudes, for all others
    /// Euclidean.
    pub(crate) fn of_sum(self, sum: f64) -> f64 {
        match self {
            Metric::L1 => sum,
            Metric::L2 | Metric::Cosine | Metric::InnerProduct => sum.sqrt(),
        }
    }

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Metric::L2 => "l2",
            Metric::Cosine => "cosine",
            Metric::InnerProduct => "inner product",
            Metric::L1 => "l1",
        }
    }
}

/// Where a vector belongs in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In the trees: its distance to any ordinary query can be bounded.
    Ranked,
    /// In the list of rows that come first with no bound at all, because single precision overflows or underflows on them.
    Unbounded,
    /// In the list of rows that come after all others: the zero vector under cosine, whose distance is always NaN.
    Nan,
}

/// Vectors of norms outside of this range are not ranked: squares of their components (or of differences) may
/// overflow, and for cosine underflow, in single precision.
const NORM_MAX: f64 = 1e15;
const COSINE_NORM_MIN: f64 = 1e-14;

/// Says where a vector belongs and writes what the trees store of it: the vector itself, or under cosine its direction.
///
/// `prepared` is only written to for [`Placement::Ranked`].
pub fn prepare(metric: Metric, vector: &[f32], prepared: &mut Vec<f32>) -> Placement {
    let norm = norm(vector);
    if metric == Metric::Cosine && norm == 0.0 {
        return Placement::Nan;
    }
    if !is_ranked_norm(norm, metric == Metric::Cosine) {
        return Placement::Unbounded;
    }
    prepared.clear();
    match metric {
        Metric::Cosine => prepared.extend(vector.iter().map(|&x| (f64::from(x) / norm) as f32)),
        Metric::L2 | Metric::InnerProduct | Metric::L1 => prepared.extend_from_slice(vector),
    }
    Placement::Ranked
}

/// Whether distances of a vector of this norm, which is not zero under cosine, can be bounded.
pub(crate) fn is_ranked_norm(norm: f64, is_cosine: bool) -> bool {
    norm <= NORM_MAX && !(is_cosine && norm < COSINE_NORM_MIN)
}

/// Euclidean norm in double precision.
pub(crate) fn norm(vector: &[f32]) -> f64 {
    Kernels::get().floats().norm_squared(vector).sqrt()
}

/// Sum over pairs of numbers, in eight parts, so that no addition waits for the one before it.
#[inline(always)]
pub(crate) fn sum<A, B>(a: &[A], b: &[B], term: impl Fn(f64, f64) -> f64) -> f64
where
    A: Copy + Into<f64>,
    B: Copy + Into<f64>,
{
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for (sum, (&a, &b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += term(a.into(), b.into());
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(&a, &b)| term(a.into(), b.into()));
    sums.into_iter().chain(rest).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placements() {
        let mut prepared = Vec::new();
        for metric in METRICS {
            assert_eq!(prepare(metric, &[3.0, 4.0], &mut prepared), Placement::Ranked);
            assert_eq!(prepared, if metric == Metric::Cosine { [0.6, 0.8] } else { [3.0, 4.0] });
            assert_eq!(prepare(metric, &[3e38, 1.0], &mut prepared), Placement::Unbounded);
        }
        assert_eq!(prepare(Metric::Cosine, &[0.0, -0.0], &mut prepared), Placement::Nan);
        assert_eq!(prepare(Metric::Cosine, &[1e-30, 0.0], &mut prepared), Placement::Unbounded);
        assert_eq!(prepare(Metric::L2, &[0.0, 0.0], &mut prepared), Placement::Ranked);
    }
}
