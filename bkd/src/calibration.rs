//! How many cells a search must visit to find a given share of the nearest neighbours.
//!
//! A segment's builder searches for some of its own vectors and notes, for a few numbers of neighbours and a few targets, which share
//! of the cells it took in the order in which a search visits them. A search interpolates: between numbers of
//! neighbours by their logarithms, between targets by the logarithm of what they leave out, since each further digit of
//! recall costs about as much as the one before.

use serde::{Deserialize, Serialize};

/// Numbers of neighbours for which shares are known: what the nearest one, three and six in a sixteenth of all vectors stand for.
/// They were chosen so that on real data the mean recall is what was asked for (docs/design.md, "Calibration").
pub(crate) const NEIGHBOURS: [usize; 3] = [22, 67, 134];
/// Targets for which shares are known. Below the first a search does what that takes; 1 takes all cells.
pub(crate) const TARGETS: [f64; 9] = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999];

/// Shares of a segment's cells, of which more than none are needed and all are enough.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// `shares[neighbours][target]`, ascending in both.
    pub(crate) shares: [[f32; TARGETS.len()]; NEIGHBOURS.len()],
    /// The share of a distance between neighbours that is very likely the most that their sketches see of it; 1 without sketches.
    pub(crate) seen: f32,
}

impl Calibration {
    /// Makes measured shares ascend.
    pub(crate) fn new(mut shares: [[f32; TARGETS.len()]; NEIGHBOURS.len()], seen: f32) -> Self {
        for neighbours in 0..NEIGHBOURS.len() {
            for target in 0..TARGETS.len() {
                let fewer = neighbours.checked_sub(1).map_or(0.0, |fewer| shares[fewer][target]);
                let lower = target.checked_sub(1).map_or(0.0, |lower| shares[neighbours][lower]);
                let share = &mut shares[neighbours][target];
                *share = share.max(fewer).max(lower);
            }
        }
        Calibration { shares, seen }
    }

    /// The share of cells within which the mean recall of so many neighbours is expected to be `recall`.
    pub fn share(&self, recall: f64, neighbours: usize) -> f64 {
        if recall >= 1.0 {
            return 1.0;
        }
        let known = NEIGHBOURS.map(|neighbours| (neighbours as f64).ln());
        let shares = self.shares.each_ref().map(|shares| at_target(shares, recall));
        // Beyond the last the line goes on: the more neighbours, the farther they are spread. And before the first, for as far as
        // it can be trusted.
        let few = NEIGHBOURS[0] / 2;
        line(&known, &shares, (neighbours.max(few) as f64).ln()).clamp(shares[0] / 2.0, 1.0)
    }

    /// Whether this can be a calibration: shares that ascend.
    pub(crate) fn is_valid(&self) -> bool {
        let Calibration { shares, seen } = self;
        *seen > 0.0
            && *seen <= 1.0
            && shares.iter().flatten().all(|share| *share > 0.0 && *share <= 1.0)
            && shares.iter().all(|shares| shares.is_sorted())
            && shares.windows(2).all(|pair| pair[0].iter().zip(&pair[1]).all(|(fewer, more)| fewer <= more))
    }
}

fn at_target(shares: &[f32; TARGETS.len()], recall: f64) -> f64 {
    let missing = |recall: f64| -(1.0 - recall).ln();
    let last = TARGETS.len() - 1;
    if recall >= TARGETS[last] {
        // From the last target to everything, evenly.
        let beyond = (recall - TARGETS[last]) / (1.0 - TARGETS[last]);
        let share = f64::from(shares[last]);
        return share + (1.0 - share) * beyond;
    }
    line(&TARGETS.map(missing), &shares.map(f64::from), missing(recall.max(TARGETS[0])))
}

/// The value at `x` of the line through points with ascending `xs`, which goes on straight behind the last.
fn line<const N: usize>(xs: &[f64; N], ys: &[f64; N], x: f64) -> f64 {
    let right = xs.partition_point(|&known| known < x).clamp(1, N - 1);
    let along = (x - xs[right - 1]) / (xs[right] - xs[right - 1]);
    ys[right - 1] + (ys[right] - ys[right - 1]) * along
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Calibration {
        let mut shares = [[0.0; TARGETS.len()]; NEIGHBOURS.len()];
        for (at, shares) in shares.iter_mut().enumerate() {
            for (target, share) in shares.iter_mut().enumerate() {
                *share = 0.01 * (at + 1) as f32 * (target + 1) as f32;
            }
        }
        Calibration::new(shares, 1.0)
    }

    #[test]
    fn known_points_come_out() {
        let example = example();
        assert!(example.is_valid());
        for (at, &neighbours) in NEIGHBOURS.iter().enumerate() {
            for (target, &recall) in TARGETS.iter().enumerate() {
                let share = f64::from(example.shares[at][target]);
                assert!((example.share(recall, neighbours) - share).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn shares_ascend_and_end_at_all() {
        let example = example();
        for neighbours in [0, 1, 2, 7, 10, 50, 100, 300, 10_000, usize::MAX] {
            let shares: Vec<f64> =
                (0..=1000).map(|at| example.share(0.3 + 0.7 * f64::from(at) / 1000.0, neighbours)).collect();
            assert!(shares.is_sorted(), "{neighbours}: {shares:?}");
            assert_eq!(shares[1000], 1.0);
            assert!(shares[0] > 0.0);
        }
        let of_ten: Vec<f64> = (1..500).map(|neighbours| example.share(0.9, neighbours)).collect();
        assert!(of_ten.is_sorted());
    }

    #[test]
    fn measured_shares_are_made_to_ascend() {
        let mut shares = [[0.5; TARGETS.len()]; NEIGHBOURS.len()];
        shares[0][3] = 0.7;
        shares[2][5] = 0.1;
        let calibration = Calibration::new(shares, 1.0);
        assert!(calibration.is_valid());
        assert_eq!(calibration.shares[2][3], 0.7);
        let broken = |change: fn(&mut Calibration)| {
            let mut calibration = example();
            change(&mut calibration);
            calibration.is_valid()
        };
        assert!(!broken(|of| of.shares[0][0] = 0.0));
        assert!(!broken(|of| of.shares[0][0] = f32::NAN));
        assert!(!broken(|of| of.shares[2][8] = 1.5));
        assert!(!broken(|of| of.shares[1][4] = 0.01));
        assert!(!broken(|of| of.shares[1] = [0.99; TARGETS.len()]));
        for seen in [0.0, 1.01, f32::NAN] {
            assert!(!Calibration { seen, ..example() }.is_valid());
        }
    }
}
