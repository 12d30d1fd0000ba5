//! Random and hostile numbers for the unit tests. Everything follows from a seed, which proptest prints when a test fails.

use crate::layout::{tids, PageKind};
use crate::metric::norm;
use crate::query::round_up;
use crate::{
    build, prepare, BuildOptions, Extent, Input, MemStore, Metric, PageRead, Placement, Progress, Query,
    Segment, Tid,
};

pub(crate) use crate::metric::METRICS;

/// Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An integer below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// Uniform in -1 to 1.
    pub(crate) fn signed(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// A finite number of the kind that breaks arithmetic: equal to others, denormal, large, or of any size at all.
    pub(crate) fn hostile(&mut self) -> f32 {
        match self.below(8) {
            0..=2 => self.signed(),
            3 => [0.0, -0.0, 0.5, 1.0, -1.0, 255.0][self.below(6)],
            4 => f32::from_bits(self.below(0x80_0000) as u32),
            5 => self.signed() * 1e38,
            6 => self.signed() * 1e15,
            _ => self.signed() * 10f32.powi(self.below(76) as i32 - 38),
        }
    }

    pub(crate) fn many<T>(&mut self, count: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..count).map(|_| one(self)).collect()
    }
}

/// Vectors, queries, and what is known of them: a segment whose bounds can be checked against exact values.
pub(crate) struct Example {
    pub metric: Metric,
    pub dims: usize,
    /// The vectors that were indexed.
    pub exact: Vec<Vec<f32>>,
    pub segment: Segment,
    pub store: MemStore,
}

impl Example {
    /// Builds a segment. With `slack`, of vectors that lie so far from the exact ones, as a merge would.
    pub(crate) fn new(
        metric: Metric,
        exact: Vec<Vec<f32>>,
        slack: f32,
        options: &BuildOptions<'_>,
        random: &mut Random,
    ) -> Self {
        let dims = exact[0].len();
        let mut slacks = Vec::with_capacity(exact.len());
        let mut vectors = Vec::with_capacity(exact.len() * dims);
        for vector in &exact {
            let moved: Vec<f32> = vector.iter().map(|x| x + slack * random.signed()).collect();
            let sum: f64 = vector.iter().zip(&moved).map(|(&a, &b)| metric.term(difference(a, b))).sum();
            slacks.push(round_up(metric.of_sum(sum)));
            vectors.extend(moved);
        }
        let tids: Vec<Tid> = (0..exact.len()).map(|at| Tid::new(at as u32, 1)).collect();
        let slack = (slack > 0.0).then_some(&slacks[..]);
        let input = Input { metric, dims, vectors: &vectors, slack, tids: &tids, columns: 0, keys: &[] };
        let mut store = MemStore::new();
        let mut directory = build(&input, options, &Progress::default(), &mut store).unwrap();
        directory.extents = vec![Extent { start: 0, blocks: store.len() as u32 }];
        let segment = Segment::open(1, directory).unwrap();
        Example { metric, dims, exact, segment, store }
    }

    /// The vector at a position of the segment.
    pub(crate) fn at(&self, ordinal: u32) -> &[f32] {
        let (page, slot) = self.segment.tid_position(ordinal);
        let tid = tids::get(self.store.page(PageKind::Tids, page).unwrap(), slot);
        &self.exact[tid.block as usize]
    }

    /// The exact value that raw bounds of a vector are lower bounds of, as far as double precision can tell.
    pub(crate) fn value(&self, query: &Query, vector: &[f32]) -> f64 {
        let pairs = query.values().iter().zip(vector);
        match self.metric {
            Metric::L2 | Metric::Cosine | Metric::L1 => {
                self.metric.of_sum(pairs.map(|(&q, &x)| self.metric.term(difference(q, x))).sum())
            }
            Metric::InnerProduct => -pairs.map(|(&q, &x)| f64::from(q) * f64::from(x)).sum::<f64>(),
        }
    }

    /// What double precision may have lost in [`Example::value`].
    pub(crate) fn tolerance(&self, query: &Query, vector: &[f32]) -> f64 {
        let scale = match self.metric {
            Metric::L2 | Metric::Cosine | Metric::L1 => self.value(query, vector),
            Metric::InnerProduct => norm(query.values()) * norm(vector),
        };
        scale * self.dims as f64 * f64::EPSILON
    }
}

fn difference(a: f32, b: f32) -> f64 {
    f64::from(a) - f64::from(b)
}

/// Sets of vectors on which bounds are nearly met, so that whatever is left out of them shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Uniform,
    /// On the coarse decodings of their own grid: the coarse codes lose nothing.
    CoarseLattice,
    /// On the fine decodings.
    FineLattice,
    /// On a line or plane: boxes on two axes say everything.
    Flat,
    /// Equal vectors, but for a few components.
    Repeated,
    Hostile,
}

pub(crate) const SHAPES: [Shape; 6] =
    [Shape::Uniform, Shape::CoarseLattice, Shape::FineLattice, Shape::Flat, Shape::Repeated, Shape::Hostile];

impl Shape {
    /// So many vectors around some point, on some scale.
    pub(crate) fn vectors(self, dims: usize, count: usize, random: &mut Random) -> Vec<Vec<f32>> {
        let scale = 10f32.powi([0, 0, 3, -3, 12, -18, -25][random.below(7)]);
        let far = [0.0, 0.0, 1.0, 1000.0][random.below(4)];
        let origin: Vec<f32> = random.many(dims, |random| (random.signed() * far) * scale);
        let step: Vec<f32> = random.many(dims, |random| scale * (0.5 + random.signed() * 0.4) / 64.0);
        let plane = random.many(2, |random| random.many(dims, Random::signed));
        (0..count)
            .map(|at| match self {
                Shape::Uniform => origin.iter().map(|origin| origin + random.signed() * scale).collect(),
                Shape::CoarseLattice | Shape::FineLattice => {
                    let mut code = || match (at, self) {
                        (0, _) => 0.0,
                        (1, _) => 255.0,
                        (_, Shape::FineLattice) => random.below(256) as f32,
                        _ => random.below(16) as f32 * 16.0 + 7.5,
                    };
                    origin.iter().zip(&step).map(|(origin, step)| origin + step * code()).collect()
                }
                Shape::Flat => {
                    let (a, b) = (random.signed() * scale, random.signed() * scale * 0.1);
                    (0..dims).map(|dim| origin[dim] + a * plane[0][dim] + b * plane[1][dim]).collect()
                }
                Shape::Repeated => {
                    let mut vector = origin.clone();
                    if random.below(3) == 0 {
                        vector[random.below(dims)] += random.signed() * scale * 1e-3;
                    }
                    vector
                }
                Shape::Hostile => random.many(dims, |random| match random.hostile() {
                    large if large.abs() > 1e13 => 1e13,
                    other => other,
                }),
            })
            .collect()
    }

    /// A query for such vectors: one of them, near one, in between, far away, on another scale.
    pub(crate) fn query(self, vectors: &[Vec<f32>], random: &mut Random) -> Vec<f32> {
        let (a, b) = (&vectors[random.below(vectors.len())], &vectors[random.below(vectors.len())]);
        let by = match random.below(6) {
            0 => 0.0,
            1 => 1e-6,
            2 => 0.5,
            3 => 30.0,
            4 => 1e4,
            _ => random.signed(),
        };
        let noise = [0.0, 0.0, 1e-5, 0.1, 10.0][random.below(5)];
        let between = |(a, b): (&f32, &f32)| a + (b - a) * by + (b - a) * noise * random.signed();
        let query: Vec<f32> = a.iter().zip(b).map(between).collect();
        let largest = query.iter().fold(f32::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
        // At the end of what single precision can represent, whatever the vectors are.
        let denormal = 1e-41 / f64::from(largest);
        let scale = [1.0, 1.0, 1.0, 1e-20, 1e12, denormal][random.below(6)];
        query.into_iter().map(|x| (f64::from(x) * scale) as f32).collect()
    }
}

/// As [`crate::prepare`] stores them; what has no place in the trees is left out.
pub(crate) fn prepared(metric: Metric, mut vectors: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
    let mut one = Vec::new();
    vectors.retain_mut(|vector| {
        let ranked = prepare(metric, vector, &mut one) == Placement::Ranked;
        if ranked {
            vector.copy_from_slice(&one);
        }
        ranked
    });
    vectors
}
