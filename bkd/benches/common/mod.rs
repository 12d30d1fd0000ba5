//! Data of the benchmarks.

use bkd::{build, BuildOptions, Extent, Input, MemStore, Metric, Progress, Segment, Tid};

/// Uniform numbers in [0, 1), the same in every run.
pub struct Random(pub u64);

impl Random {
    pub fn vector(&mut self, numbers: usize) -> Vec<f32> {
        let mut number = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 40) as f32 / (1 << 24) as f32
        };
        (0..numbers).map(|_| number()).collect()
    }
}

/// A segment of these vectors, in memory.
pub fn built(vectors: &[f32], dims: usize) -> (Segment, MemStore) {
    let tids: Vec<Tid> = (0..vectors.len() / dims).map(|at| Tid::new(at as u32, 1)).collect();
    let input = Input { metric: Metric::L2, dims, vectors, slack: None, tids: &tids, columns: 0, keys: &[] };
    let mut store = MemStore::new();
    let mut directory =
        build(&input, &BuildOptions::default(), &Progress::default(), &mut store).expect("a build");
    directory.extents = vec![Extent { start: 0, blocks: store.len() as u32 }];
    (Segment::open(1, directory).expect("a segment"), store)
}
