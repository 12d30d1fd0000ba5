//! Which cells an approximate search visits: those whose centres are nearest to the query, as many as the segment's
//! calibration says.

use std::sync::Arc;

use super::rank::sums;
use crate::kernels::{Kernels, AXES};
use crate::sortable::{from_sortable, sortable};
use crate::{Axes, CellTable, Metric, Query, Segment};

/// Beyond this share of the cells it is faster to visit all, as they lie.
const MOST: f64 = 0.6;

/// A cell, and how early it is visited.
#[derive(Clone, Copy, Debug)]
pub(super) struct RankedCell {
    pub score: f32,
    /// Segment, by position in the search.
    pub source: u32,
    pub cell: u32,
}

/// The cells of the segments, by how early they are visited.
pub(super) struct Cells {
    /// Of each segment, as numbers that ascend with the score: its bits, and the cell below them. To select among plain numbers takes a
    /// third of the time. None if a segment is to be searched whole.
    ranked: Vec<Vec<u64>>,
    /// The share of each that was visited by the pass before.
    shares: Vec<f64>,
}

/// What a pass visits.
pub(super) struct Budget {
    /// In the order of storage.
    pub cells: Vec<RankedCell>,
    /// Whether there are others.
    pub leaves_out: bool,
}

impl Cells {
    /// Ranks cells by no more than so many axes, of which the first tell most.
    pub(super) fn rank<S>(query: &Query, segments: &[(Arc<Segment>, S)], axes: usize) -> Self {
        let ranked = segments.iter().map(|(segment, _)| {
            let Some(table) = &segment.directory().cells else { return Vec::new() };
            let vector = &query.values()[..segment.dims()];
            let place = place(query.metric(), &segment.directory().axes, segment.directions(), vector);
            let place = &place[..place.len().min(axes)];
            let scores = cell_scores(query.metric(), table, place).into_iter();
            scores.zip(0..).map(|(score, cell)| rank_of(score, cell)).collect()
        });
        Cells { ranked: ranked.collect(), shares: vec![0.0; segments.len()] }
    }

    /// The first of all, in the order of their scores.
    pub(super) fn nearest(self, count: usize) -> Vec<RankedCell> {
        let mut nearest: Vec<RankedCell> = Vec::new();
        for (mut ranked, source) in self.ranked.into_iter().zip(0..) {
            if count < ranked.len() {
                ranked.select_nth_unstable(count);
            }
            nearest.extend(ranked.into_iter().take(count).map(|rank| ranked_cell(rank, source)));
        }
        nearest.sort_unstable_by(RankedCell::by_score);
        nearest.truncate(count);
        nearest
    }

    /// Chooses what to visit for a share of the nearest neighbours: at least twice as much as before, and at least so many vectors.
    pub(super) fn choose<S>(
        &mut self,
        segments: &[(Arc<Segment>, S)],
        recall: f64,
        neighbours: usize,
        at_least: usize,
    ) -> Budget {
        let mut budget = Budget { cells: Vec::new(), leaves_out: false };
        let vectors: f64 = segments.iter().map(|(segment, _)| f64::from(segment.vectors())).sum();
        for (source, (segment, _)) in segments.iter().enumerate() {
            let (ranked, share) = (&mut self.ranked[source], &mut self.shares[source]);
            if !segment.has_cells() {
                continue;
            }
            // Of the neighbours, as many may be in this segment as its size says, or all. In between is what tells least lies about
            // either.
            let part = (f64::from(segment.vectors()) / vectors).sqrt();
            let neighbours = (neighbours as f64 * part).ceil() as usize;
            let least = at_least as f64 / vectors;
            *share = segment.share(recall, neighbours).max(2.0 * *share).max(least).min(1.0);
            if *share > MOST {
                *share = 1.0;
            }
            let count = (*share * ranked.len() as f64).ceil() as usize;
            if count < ranked.len() {
                ranked.select_nth_unstable(count);
                budget.leaves_out = true;
            }
            let from = budget.cells.len();
            let chosen = ranked[..count.min(ranked.len())].iter();
            budget.cells.extend(chosen.map(|&rank| ranked_cell(rank, source as u32)));
            budget.cells[from..].sort_unstable_by_key(|cell| cell.cell);
        }
        budget
    }
}

/// A number that ascends with the score (as `total_cmp` has it), then with the cell.
fn rank_of(score: f32, cell: u32) -> u64 {
    u64::from(sortable(score)) << 32 | u64::from(cell)
}

/// The cell of a [rank](rank_of).
fn ranked_cell(rank: u64, source: u32) -> RankedCell {
    RankedCell { score: from_sortable((rank >> 32) as u32), source, cell: rank as u32 }
}

impl RankedCell {
    pub(super) fn by_score(a: &Self, b: &Self) -> std::cmp::Ordering {
        a.score.total_cmp(&b.score).then((a.source, a.cell).cmp(&(b.source, b.cell)))
    }
}

/// Where a vector is on a segment's axes, for comparison with the centres of cells. `columns` is empty for the vectors' own axes.
pub(crate) fn place(metric: Metric, axes: &Axes, columns: &[f32], vector: &[f32]) -> Vec<f32> {
    let Axes::Principal { center, .. } = axes else { return vector.to_vec() };
    let mut coordinates = [0.0; AXES];
    let zero;
    // A product with what lies around the center is the same for all cells but for that with the center.
    let center = match metric {
        Metric::L2 | Metric::Cosine | Metric::L1 => center,
        Metric::InnerProduct => {
            zero = vec![0.0; vector.len()];
            &zero
        }
    };
    Kernels::get().floats().project(vector, center, columns, &mut coordinates);
    coordinates[..axes.count(vector.len())].to_vec()
}

/// How early cells are visited, for a query at this place: in ascending order.
pub(crate) fn cell_scores(metric: Metric, cells: &CellTable, place: &[f32]) -> Vec<f32> {
    // L1 ranks by Euclidean distances, too: on axes other than the vectors' own a sum of magnitudes means nothing.
    let metric = if metric == Metric::L1 { Metric::L2 } else { metric };
    let count = cells.spread.len();
    let mut scores = sums(&cells.center, &cells.center, count, 0..count, place, metric);
    let length = place.iter().map(|x| x * x).sum::<f32>().sqrt();
    for (score, spread) in scores.iter_mut().zip(&cells.spread) {
        match metric {
            Metric::L2 | Metric::Cosine | Metric::L1 => *score += spread,
            Metric::InnerProduct => *score = -*score - length * spread,
        }
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_ascend_with_scores() {
        let scores =
            [f32::NEG_INFINITY, -2.5, -f32::MIN_POSITIVE, -0.0, 0.0, 1e-40, 1.0, f32::MAX, f32::INFINITY];
        let ranks: Vec<u64> =
            scores.iter().flat_map(|&score| [rank_of(score, 3), rank_of(score, 4)]).collect();
        assert!(ranks.is_sorted_by(|a, b| a < b));
        for (at, &rank) in ranks.iter().enumerate() {
            let RankedCell { score, source, cell } = ranked_cell(rank, 7);
            assert_eq!((score.to_bits(), source, cell), (scores[at / 2].to_bits(), 7, 3 + at as u32 % 2));
        }
    }
}
