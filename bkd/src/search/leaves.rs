//! The leaves of all segments, ranked as far as is needed.
//!
//! In few dimensions a large segment has thousands of leaves of which a search visits a handful, and to rank them all would be most of its
//! work. So there are boxes around [`GROUP`] neighbouring leaves each, which lie together in space as they do in storage, and leaves are ranked
//! when their group is within reach.

use std::ops::Range;
use std::sync::Arc;

use super::mask::may_match;
use super::rank::{RankedLeaf, Ranker};
use super::runs;
use crate::directory::BoxTable;
use crate::{Filter, Query, Segment};

/// Leaves of a group.
pub(crate) const GROUP: usize = 64;
/// Segments with no more leaves are not grouped.
const FEW_LEAVES: usize = 4 * GROUP;

/// Cells that are ranked in any case.
const CELLS_TRIED: usize = 512;
/// Others are while one in so many is out of reach. To leave one out saves several times what it takes to rank it, but breaks up the scan.
const WORTH: usize = 8;

/// A group of leaves of a segment that have not been ranked yet.
#[derive(Clone, Copy)]
struct RankedGroup {
    bound: f32,
    source: u32,
    group: u32,
}

/// Leaves by their bounds, and groups of further leaves.
#[derive(Default)]
pub(super) struct Leaves {
    rankers: Vec<Ranker>,
    groups: Vec<RankedGroup>,
    /// In the order of storage.
    ranked: Vec<RankedLeaf>,
    /// Cells that were ranked, and those of them that were out of reach.
    cells: usize,
    far_cells: usize,
}

impl Leaves {
    /// Ranks leaves of small segments, groups of the others.
    pub(super) fn grouped<S>(query: &Query, segments: &[(Arc<Segment>, S)]) -> Self {
        let mut leaves = Leaves::default();
        for (source, (segment, _)) in segments.iter().enumerate() {
            let ranker = Ranker::new(query, segment);
            if segment.leaves() > FEW_LEAVES {
                let bounds = ranker.bounds(segment, segment.groups(), 0..segment.groups().beyond.len());
                leaves.groups.extend(bounds.into_iter().zip(0..).map(|(bound, group)| RankedGroup {
                    bound,
                    source: source as u32,
                    group,
                }));
            } else {
                rank(&ranker, segment, source as u32, 0..segment.leaves(), &mut leaves.ranked);
            }
            leaves.rankers.push(ranker);
        }
        leaves
    }

    /// Ranks all leaves, and notes which of them may match a filter.
    pub(super) fn all<S>(query: &Query, filter: &Filter, segments: &[(Arc<Segment>, S)]) -> Self {
        let mut leaves = Leaves::default();
        for (source, (segment, _)) in segments.iter().enumerate() {
            let ranker = Ranker::new(query, segment);
            rank(&ranker, segment, source as u32, 0..segment.leaves(), &mut leaves.ranked);
            leaves.rankers.push(ranker);
        }
        if !filter.is_empty() {
            for leaf in &mut leaves.ranked {
                leaf.matches = may_match(filter, &segments[leaf.source as usize].0, leaf.leaf as usize);
            }
        }
        leaves
    }

    /// The vectors of a leaf that are in cells with bounds up to `reach`; all, if it has no cells, to rank them takes
    /// too long, or those of other leaves did not help.
    pub(super) fn push_near_cells(
        &mut self,
        segment: &Segment,
        leaf: &RankedLeaf,
        reach: f32,
        runs: &mut Vec<Range<u32>>,
    ) {
        let ranker = &self.rankers[leaf.source as usize];
        let pays = ranker.is_quick() && self.cells < CELLS_TRIED + WORTH * self.far_cells;
        let Some((boxes, first)) = segment.leaf_cells(leaf.leaf as usize).filter(|_| pays) else {
            return runs::push(runs, segment.leaf_vectors(leaf.leaf as usize));
        };
        let bounds = ranker.bounds(segment, boxes, 0..boxes.vectors.len());
        self.cells += bounds.len();
        for (bound, cell) in bounds.into_iter().zip(first..) {
            if bound > reach {
                self.far_cells += 1;
            } else {
                runs::push(runs, segment.cell(cell).1);
            }
        }
    }

    /// Those that have been ranked, in the order of storage.
    pub(super) fn ranked(&self) -> &[RankedLeaf] {
        &self.ranked
    }

    /// The leaf with the smallest bound of all that may match, but for these.
    pub(super) fn nearest<S>(
        &mut self,
        segments: &[(Arc<Segment>, S)],
        but: impl Fn(&RankedLeaf) -> bool,
    ) -> Option<RankedLeaf> {
        loop {
            let left = self.ranked.iter().filter(|leaf| leaf.matches && !but(leaf));
            let leaf = left.min_by(|a, b| a.by_bound(b)).copied();
            let group = (0..self.groups.len())
                .min_by(|&a, &b| self.groups[a].bound.total_cmp(&self.groups[b].bound))
                .filter(|&group| leaf.is_none_or(|leaf| self.groups[group].bound < leaf.bound));
            let Some(group) = group else { return leaf };
            let group = self.groups.swap_remove(group);
            self.rank_group(segments, group);
            self.sort();
        }
    }

    /// Ranks the leaves of all groups whose bound is no more than the reach in their segment.
    pub(super) fn rank_within<S>(&mut self, segments: &[(Arc<Segment>, S)], reach: &[f32]) {
        let mut near = Vec::new();
        self.groups.retain(|group| {
            let is_near = group.bound <= reach[group.source as usize];
            near.extend(is_near.then_some(*group));
            !is_near
        });
        if near.is_empty() {
            return;
        }
        for group in near {
            self.rank_group(segments, group);
        }
        self.sort();
    }

    fn rank_group<S>(&mut self, segments: &[(Arc<Segment>, S)], group: RankedGroup) {
        let segment = &segments[group.source as usize].0;
        let first = group.group as usize * GROUP;
        let leaves = first..(first + GROUP).min(segment.leaves());
        rank(&self.rankers[group.source as usize], segment, group.source, leaves, &mut self.ranked);
    }

    fn sort(&mut self) {
        self.ranked.sort_unstable_by_key(|leaf| (leaf.source, leaf.leaf));
    }
}

fn rank(ranker: &Ranker, segment: &Segment, source: u32, leaves: Range<usize>, into: &mut Vec<RankedLeaf>) {
    let bounds = ranker.bounds(segment, &segment.directory().leaves, leaves.clone()).into_iter();
    into.extend(bounds.zip(leaves).map(|(bound, leaf)| RankedLeaf {
        bound,
        source,
        leaf: leaf as u32,
        matches: true,
    }));
}

/// Boxes around [groups](GROUP) of leaves, which are taken for leaves themselves. None if there are few leaves.
pub(crate) fn group(leaves: &BoxTable) -> BoxTable {
    let count = leaves.vectors.len();
    if count <= FEW_LEAVES {
        return BoxTable::default();
    }
    let least = |group: &[f32]| extreme(group, |x, y| if x < y { x } else { y });
    let most = |group: &[f32]| extreme(group, |x, y| if x > y { x } else { y });
    fn fold(numbers: &[f32], count: usize, pick: impl Fn(&[f32]) -> f32) -> Vec<f32> {
        numbers.chunks_exact(count).flat_map(|axis| axis.chunks(GROUP)).map(pick).collect()
    }
    BoxTable {
        vectors: leaves
            .vectors
            .chunks(GROUP)
            .map(|group| group.iter().fold(0u32, |sum, &x| sum.saturating_add(x)))
            .collect(),
        low: fold(&leaves.low, count, least),
        high: fold(&leaves.high, count, most),
        beyond: fold(&leaves.beyond, count, most),
    }
}

/// The number of a group that is picked of any two. Eight at a time, which the compiler cannot do by itself, for it could be another zero.
#[inline]
fn extreme(group: &[f32], pick: impl Fn(f32, f32) -> f32 + Copy) -> f32 {
    let (lanes, rest) = group.as_chunks::<8>();
    let widest = lanes.iter().copied().reduce(|a, b| std::array::from_fn(|lane| pick(a[lane], b[lane])));
    let numbers = widest.iter().flatten().chain(rest).copied();
    numbers.reduce(pick).expect("a leaf")
}
