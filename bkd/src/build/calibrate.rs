//! Searching a new segment for some of its own vectors, to learn how many cells a search must visit.
//!
//! Neighbours are found by comparing many queries at once with one in [`EVERY`] of the vectors: the first few of these are spread like
//! the first [`NEIGHBOURS`] of all. More queries teach more than more neighbours of each, and the time is limited to a fraction of the
//! build's.
//!
//! Then it is known in which cells the neighbours are, and which places these have in the order in which a search visits cells. A
//! vector is no neighbour of itself: a user's query is rarely a row of the table.

use rayon::prelude::*;

use super::{ahead, zeros, Coordinates, Input, Progress};
use crate::calibration::{Calibration, NEIGHBOURS, TARGETS};
use crate::kernels::{Kernels, PRODUCTS, TILE};
use crate::search::{cell_scores, place, Candidate, Candidates};
use crate::sketch::Sketcher;
use crate::{Axes, CellTable, Metric, Result};

/// Queries. Their mean recall is about 0.006 from that of all: some are much harder than others.
const QUERIES: usize = GROUPS * PRODUCTS;
const GROUPS: usize = 24;
/// One in so many vectors is looked at.
const EVERY: usize = 16;
/// So many of the nearest of these stand for [`NEIGHBOURS`].
const SAMPLED: [usize; NEIGHBOURS.len()] = [1, 3, 6];
/// The most neighbours that are looked for.
const MOST: usize = SAMPLED[SAMPLED.len() - 1];
/// One in so many queries tells what sketches see: to sketch them and their neighbours takes longer than to find these.
const OF_SKETCHES: usize = 3;
/// Pairs of neighbours of whose distance sketches may see more than what they very likely see at the most.
const RARE: f64 = 0.001;
/// Vectors of which some are compared with all groups of queries before the next are read from memory.
const BLOCK: usize = 64 * EVERY;

/// Measures how many cells it takes. `order` has the vectors by cells.
pub(super) fn calibrate(
    input: &Input<'_>,
    axes: &Axes,
    sketch: Option<u32>,
    coordinates: &Coordinates<'_>,
    order: &[u32],
    cells: &CellTable,
    progress: &Progress,
) -> Result<Calibration> {
    let sample = Sample::new(input, axes, order)?;
    let slab = order.len().div_ceil(rayon::current_num_threads()).next_multiple_of(BLOCK);
    let nearest = order
        .par_chunks(slab)
        .enumerate()
        .map(|(at, slab_order)| sample.nearest(input, slab_order, at * slab, progress))
        .try_reduce_with(|left, right| Ok(left.into_iter().zip(right).map(|(a, b)| a.and(b)).collect()))
        .expect("a segment is not empty")?;

    let columns = axes.columns(input.dims);
    let mut end = 0;
    let ends: Vec<u32> = cells.vectors().map(|vectors| (end += vectors, end).1).collect();
    let nearest: Vec<Vec<Candidate>> = nearest.into_iter().map(Candidates::into_descending).collect();
    let found: Vec<Vec<f32>> = sample
        .positions
        .par_iter()
        .zip(&nearest)
        .map(|(&position, nearest)| {
            let query = input.vector(order[position as usize]);
            let place = place(input.metric, axes, &columns, query);
            let cell_of = |position: u32| ends.partition_point(|&end| end <= position);
            let own = cell_of(position);
            let mut scores = cell_scores(input.metric, cells, &place);
            scores[own] = cell_scores(
                input.metric,
                &without(cells, own, coordinates.of(order[position as usize])),
                &place,
            )[0];
            nearest.iter().rev().map(|of| share_within(&scores, cell_of(of.ordinal))).collect()
        })
        .collect();
    // Of products, sketches may see anything.
    let sketch = sketch.filter(|_| input.metric != Metric::InnerProduct);
    let seen: f32 = sketch.map_or(1.0, |directions| sample.seen(input, axes, directions, order, &nearest));
    Ok(Calibration::new(SAMPLED.map(|neighbours| quantiles(&found, neighbours)), seen))
}

/// Memory that it takes: queries side by side, what each thread has found for them, and vectors that it looks at.
pub(super) fn memory(dims: usize, threads: usize) -> usize {
    let found = MOST * size_of::<Candidate>() + size_of::<Candidates>() + size_of::<f32>();
    let looked_at = BLOCK / EVERY * (dims + 2) * size_of::<f32>();
    QUERIES * (dims * size_of::<f32>() + (threads + 1) * found) + threads * looked_at
}

/// A cell without one of its vectors, as the only one of a table: a query does not attract the centre of any cell.
fn without(cells: &CellTable, cell: usize, vector: &[f32]) -> CellTable {
    let count = cells.spread.len();
    let vectors = cells.vectors().nth(cell).expect("a cell");
    let others = |(axis, &x): (usize, &f32)| {
        let center = cells.center[axis * count + cell];
        center + (center - x) / (vectors - 1).max(1) as f32
    };
    CellTable {
        center: vector.iter().enumerate().map(others).collect(),
        spread: vec![cells.spread[cell]],
        ..CellTable::default()
    }
}

/// The share of cells that have been visited once this one has been.
fn share_within(scores: &[f32], cell: usize) -> f32 {
    let (before, behind) = scores.split_at(cell);
    let score = scores[cell];
    let earlier = before.iter().filter(|&&other| other <= score).count()
        + behind.iter().filter(|&&other| other < score).count();
    (earlier + 1) as f32 / scores.len() as f32
}

/// The shares of cells in which the target shares of so many neighbours are.
fn quantiles(found: &[Vec<f32>], neighbours: usize) -> [f32; TARGETS.len()] {
    let mut shares: Vec<f32> =
        found.iter().flat_map(|found| found.iter().take(neighbours)).copied().collect();
    shares.sort_unstable_by(f32::total_cmp);
    TARGETS.map(|target| shares[((target * shares.len() as f64).ceil() as usize - 1).min(shares.len() - 1)])
}

/// Queries, side by side.
struct Sample {
    metric: Metric,
    /// Where in the order they are.
    positions: Vec<u32>,
    /// What is taken from all vectors first, so that squares do not drown in the distance from the origin.
    center: Vec<f32>,
    groups: Vec<Group>,
}

/// As many queries as a vector is compared with at once.
struct Group {
    /// [`PRODUCTS`] numbers a dimension.
    columns: Vec<f32>,
    /// What the queries themselves add to keys.
    squares: [f32; PRODUCTS],
}

impl Sample {
    /// Takes queries from everywhere in the tree.
    fn new(input: &Input<'_>, axes: &Axes, order: &[u32]) -> Result<Self> {
        // A place of its own in each stride, so that the sample does not keep step with the cells.
        let stride = order.len() / QUERIES;
        let positions = (0..QUERIES).map(|at| (at * stride + at * 0x9e37 % stride) as u32).collect();
        let center = match (input.metric, axes) {
            (Metric::InnerProduct | Metric::L1, _) => vec![0.0; input.dims],
            (_, Axes::Own) => input.vector(0).to_vec(),
            (_, Axes::Principal { center, .. }) => center.clone(),
        };
        let mut sample = Sample { metric: input.metric, positions, center, groups: Vec::new() };
        for positions in sample.positions.chunks_exact(PRODUCTS) {
            let mut group = Group { columns: zeros(input.dims * PRODUCTS)?, squares: [0.0; PRODUCTS] };
            for (lane, &position) in positions.iter().enumerate() {
                let query = input.vector(order[position as usize]);
                group.squares[lane] = sample.square(query);
                for (dim, (x, center)) in query.iter().zip(&sample.center).enumerate() {
                    group.columns[dim * PRODUCTS + lane] = x - center;
                }
            }
            sample.groups.push(group);
        }
        Ok(sample)
    }

    /// The share of the distance between a query and a neighbour that their sketches see, but for the few pairs of which they see most.
    fn seen(
        &self,
        input: &Input<'_>,
        axes: &Axes,
        directions: u32,
        order: &[u32],
        nearest: &[Vec<Candidate>],
    ) -> f32 {
        let floats = Kernels::get().floats();
        let sketcher = || Sketcher::of(axes, directions, input.dims).expect("so many directions");
        let of_query =
            |sketcher: &mut Sketcher<'_>, (&position, nearest): (&u32, &Vec<Candidate>)| -> Vec<f32> {
                let query = input.vector(order[position as usize]);
                let (sketch, _) = sketcher.sketch(query);
                let seen = |candidate: &Candidate| {
                    let vector = input.vector(order[candidate.ordinal as usize]);
                    (floats.l2(&sketch, &sketcher.sketch(vector).0) / floats.l2(query, vector)).sqrt()
                };
                nearest.iter().map(seen).collect()
            };
        let pairs = self.positions.par_iter().zip(nearest).step_by(OF_SKETCHES);
        let mut seen: Vec<f32> =
            pairs.map_init(sketcher, of_query).flatten_iter().filter(|x| *x > 0.0).collect();
        seen.sort_unstable_by(f32::total_cmp);
        let unseen = (seen.len() as f64 * RARE) as usize;
        seen.iter().rev().nth(unseen).map_or(1.0, |seen| seen.min(1.0))
    }

    /// What a vector or a query itself adds to keys: its squared distance from the center, if keys are squared distances.
    fn square(&self, vector: &[f32]) -> f32 {
        match self.metric {
            Metric::L2 | Metric::Cosine => Kernels::get().floats().l2(vector, &self.center),
            Metric::InnerProduct | Metric::L1 => 0.0,
        }
    }

    /// What a product (for L1, a distance) counts for in a key.
    fn factor(&self) -> f32 {
        match self.metric {
            Metric::L2 | Metric::Cosine => -2.0,
            Metric::InnerProduct => -1.0,
            Metric::L1 => 1.0,
        }
    }

    /// The nearest neighbours of each query among the vectors of a part of the order that begins at `start`.
    fn nearest(
        &self,
        input: &Input<'_>,
        order: &[u32],
        start: usize,
        progress: &Progress,
    ) -> Result<Vec<Candidates>> {
        let floats = Kernels::get().floats();
        let mut nearest: Vec<Candidates> =
            self.positions.iter().map(|_| Candidates::new(MOST, f32::INFINITY)).collect();
        let mut taus = [[f32::INFINITY; PRODUCTS]; GROUPS];
        let mut keys = [[0.0; PRODUCTS]; TILE];
        let mut vectors = vec![0.0; BLOCK / EVERY * input.dims];
        for (at, block) in order.chunks(BLOCK).enumerate() {
            progress.check()?;
            let ids: Vec<u32> = block.iter().copied().step_by(EVERY).collect();
            let squares: Vec<f32> = ahead::vectors(input, &ids).map(|vector| self.square(vector)).collect();
            for (&id, into) in ids.iter().zip(vectors.chunks_exact_mut(input.dims)) {
                let pairs = input.vector(id).iter().zip(&self.center);
                into.iter_mut().zip(pairs).for_each(|(into, (x, center))| *into = x - center);
            }
            let groups = self.groups.iter().zip(&mut taus);
            let of_groups = self.positions.chunks_exact(PRODUCTS).zip(nearest.chunks_exact_mut(PRODUCTS));
            for ((group, taus), (positions, nearest)) in groups.zip(of_groups) {
                for (first, (ids, vectors)) in
                    ids.chunks(TILE).zip(vectors.chunks_exact(TILE * input.dims)).enumerate()
                {
                    match self.metric {
                        Metric::L1 => ids.iter().zip(&mut keys).for_each(|(&id, keys)| {
                            floats.distances_l1(input.vector(id), &group.columns, keys);
                        }),
                        _ => floats.products_of_several(vectors, &group.columns, &mut keys),
                    }
                    for (lane, keys) in (0..ids.len()).zip(&mut keys) {
                        let lane = first * TILE + lane;
                        if !floats.keys(keys, self.factor(), squares[lane], &group.squares, taus) {
                            continue;
                        }
                        let position = (start + at * BLOCK + lane * EVERY) as u32;
                        for (query, (&key, tau)) in keys.iter().zip(&mut *taus).enumerate() {
                            if key < *tau && positions[query] != position {
                                nearest[query].push(Candidate::new(key, 0, position));
                                *tau = nearest[query].tau();
                            }
                        }
                    }
                }
            }
        }
        Ok(nearest)
    }
}
