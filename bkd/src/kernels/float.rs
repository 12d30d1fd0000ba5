//! Loops over floating-point numbers, written once and compiled for several instruction sets.
//!
//! Sums run in eight lanes (32 for projections) that are added up in a fixed order at the end, and nothing is fused, so
//! every compilation returns the same bits. Those of magnitudes, for L1, are in [`magnitudes`](super::magnitudes).

use super::magnitudes;
use super::several::{self, TILE};
use crate::layout::leaf::GROUP;
use crate::layout::CHUNK;

/// Directions that a vector is projected on at once, and at most.
pub const AXES: usize = 32;

/// Vectors that a vector is multiplied with at once.
pub const PRODUCTS: usize = 64;

/// A leaf's grid against a query, dimension by dimension (padded to whole groups).
#[derive(Default)]
pub struct Grid {
    /// Query minus the grid's lower end.
    pub offset: Vec<f32>,
    /// The grid's step; for inner products, the query times the step.
    pub step: Vec<f32>,
    /// What a unit of a coarse code weighs in the dot product with the query. Not for L1.
    pub weight: Vec<f32>,
}

/// Sums over a leaf's grid, in lanes.
#[derive(Clone, Copy, Default)]
pub struct GridSums {
    /// Squared distance of the query from the grid's centre; for inner products, their product; for L1, the distance of the query from
    /// what the coarse codes can decode to.
    pub center: [f32; GROUP],
    /// For inner products, that of the query and the grid's lower end.
    pub low: [f32; GROUP],
    /// Largest magnitude of a weight; for L1, of two steps.
    pub weight: [f32; GROUP],
    /// Squares (for L1, magnitudes) of what rounding errors are proportional to: offsets (for inner products, lower ends) and steps.
    pub offsets: [f32; GROUP],
    pub steps: [f32; GROUP],
}

/// What the codes of a vector lose, and the squared norms of the codes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Encoded {
    /// Squared distance (for L1, the distance) between the vector and its coarse decoding, and its fine one.
    pub coarse: f64,
    pub fine: f64,
    /// Squared norm of the coarse decoding, taken from the grid's centre.
    pub norm: f64,
    /// Squared norm of the centred coarse codes themselves.
    pub codes: f64,
}

/// What is left of weights after rounding, and sums of the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quantised {
    /// Squared norm of `weights - scale * bytes`.
    pub rest: f32,
    /// Sum of the bytes, and of their magnitudes.
    pub sum: f32,
    pub magnitude: f32,
}

/// What is left of a query's places on a grid after rounding, and the sum of the bytes that are the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Placed {
    /// Sum of the distances between places before and after.
    pub rest: f32,
    pub weights: f32,
}

/// Defines [`Floats`] and compiles each function of [`body`] for every instruction set.
macro_rules! floats {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        /// The loops of this module for one instruction set.
        pub struct Floats {
            $($name: unsafe fn($($type),*) $(-> $result)?,)*
        }

        impl Floats {
            $(
                $(#[$doc])*
                #[inline]
                pub fn $name(&self, $($argument: $type),*) $(-> $result)? {
                    // SAFETY: the functions are safe but for the instructions that they use, and
                    // `super::available` only offers those that the machine has.
                    unsafe { (self.$name)($($argument),*) }
                }
            )*
        }

        pub fn portable() -> Floats {
            Floats { $($name: body::$name,)* }
        }

        #[cfg(target_arch = "x86_64")]
        pub fn avx2() -> Floats {
            $(
                #[target_feature(enable = "avx2")]
                fn $name($($argument: $type),*) $(-> $result)? {
                    body::$name($($argument),*)
                }
            )*
            Floats { $($name,)* }
        }

        #[cfg(target_arch = "x86_64")]
        pub fn avx512() -> Floats {
            $(
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
                fn $name($($argument: $type),*) $(-> $result)? {
                    body::$name($($argument),*)
                }
            )*
            Floats { $($name,)* }
        }
    };
}

floats! {
    /// Grid chunks against the query, for squared distances. `at` is the first of their groups; `query` and the slices of
    /// `grid` are padded to whole groups.
    fn grid_l2(chunks: &[u8], at: usize, query: &[f32], grid: &mut Grid, sums: &mut GridSums);
    /// The same for inner products.
    fn grid_ip(chunks: &[u8], at: usize, query: &[f32], grid: &mut Grid, sums: &mut GridSums);
    /// The same for L1.
    fn grid_l1(chunks: &[u8], at: usize, query: &[f32], grid: &mut Grid, sums: &mut GridSums);
    /// Rounds `weights * inverse` to bytes.
    fn quantise(weights: &[f32], inverse: f32, scale: f32, bytes: &mut [i8]) -> Quantised;
    /// Where a query is on a grid, in units of two steps from what coarse code 0 decodes to, and what a unit weighs: two steps times
    /// `inverse`, rounded down.
    fn place(offset: &[f32], step: &[f32], inverse: f32, places: &mut [i8], weights: &mut [i8]) -> Placed;
    /// Squared distance of a query from a fine decoding: offsets and steps of the leaf, nibbles of the vector.
    fn fine_l2(offset: &[f32], step: &[f32], high: &[u8], low: &[u8]) -> f32;
    /// The same, given whole codes, a byte a dimension.
    fn whole_l2(offset: &[f32], step: &[f32], codes: &[u8]) -> f32;
    /// Sum of step times code: the part of an inner product that depends on the vector.
    fn fine_ip(step: &[f32], high: &[u8], low: &[u8]) -> f32;
    /// The same, given whole codes.
    fn whole_ip(step: &[f32], codes: &[u8]) -> f32;
    /// L1 distance of a query from a fine decoding.
    fn fine_l1(offset: &[f32], step: &[f32], high: &[u8], low: &[u8]) -> f32;
    /// Adds to `sums` the squared distances of `query` from the intervals.
    fn boxes_l2(low: &[f32], high: &[f32], query: f32, sums: &mut [f32]);
    /// Adds to `sums` the largest products of `query` with the intervals.
    fn boxes_ip(low: &[f32], high: &[f32], query: f32, sums: &mut [f32]);
    /// Adds to `sums` the distances of `query` from the intervals.
    fn boxes_l1(low: &[f32], high: &[f32], query: f32, sums: &mut [f32]);
    /// Projects `vector - center` on the directions in `columns`, which holds [`AXES`] numbers a dimension.
    fn project(vector: &[f32], center: &[f32], columns: &[f32], into: &mut [f32; AXES]);
    /// Products of [`TILE`] vectors, which follow one another, with those in `columns`, which holds [`PRODUCTS`] numbers a dimension.
    fn products_of_several(vectors: &[f32], columns: &[f32], into: &mut [[f32; PRODUCTS]; TILE]);
    /// The largest product, but for what is not a number.
    fn largest(products: &[f32; PRODUCTS]) -> f32;
    /// L1 distances of `vector` from the vectors in `columns`, which holds [`PRODUCTS`] numbers a dimension.
    fn distances_l1(vector: &[f32], columns: &[f32], into: &mut [f32; PRODUCTS]);
    /// Turns products into keys: each times `factor`, and more by `all` and by what belongs to it in `each`. Whether any is below its limit.
    fn keys(
        products: &mut [f32; PRODUCTS],
        factor: f32,
        all: f32,
        each: &[f32; PRODUCTS],
        limits: &[f32; PRODUCTS]
    ) -> bool;
    /// The sum of vectors, each times its weight, one after the other in `rows`; returns its largest magnitude.
    fn combine(weights: &[f32], rows: &[f32], into: &mut [f32]) -> f32;
    /// Squared distance.
    fn l2(a: &[f32], b: &[f32]) -> f32;
    /// L1 distance.
    fn l1(a: &[f32], b: &[f32]) -> f32;
    /// Inner product.
    fn ip(a: &[f32], b: &[f32]) -> f32;
    /// Squared norm in double precision.
    fn norm_squared(a: &[f32]) -> f64;
    /// Squared distance in double precision.
    fn l2_exact(a: &[f32], b: &[f32]) -> f64;
    /// Widens the intervals to hold the vector.
    fn widen(vector: &[f32], low: &mut [f32], high: &mut [f32]);
    /// Adds differences from an origin to sums, and their squares.
    fn moments(vector: &[f32], origin: &[f32], sums: &mut [f32], squares: &mut [f32]);
    /// Codes of a vector on a grid; `inverse` is one over the step, or zero.
    fn encode(vector: &[f32], low: &[f32], step: &[f32], inverse: &[f32], codes: &mut [u8]) -> Encoded;
    /// The same for L1.
    fn encode_l1(vector: &[f32], low: &[f32], step: &[f32], inverse: &[f32], codes: &mut [u8]) -> Encoded;
}

pub(super) mod body {
    use super::*;
    use crate::metric::sum;
    pub use magnitudes::*;

    /// Not inlined: if the compiler sees the order of these additions, it works backwards from it and adds up the lanes of the loop
    /// before it in pairs, a quarter of a register at a time.
    #[inline(never)]
    pub fn total(lanes: [f32; GROUP]) -> f32 {
        ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
    }

    #[inline(always)]
    fn total64(lanes: [f64; GROUP]) -> f64 {
        ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
    }

    /// The larger of two numbers, as one instruction ([`f32::max`] minds NaN).
    #[inline(always)]
    pub fn larger(a: f32, b: f32) -> f32 {
        if a > b {
            a
        } else {
            b
        }
    }

    #[inline(always)]
    pub fn lanes(values: &[f32]) -> &[f32; GROUP] {
        values.try_into().expect("a group")
    }

    #[inline(always)]
    pub fn floats(bytes: &[u8]) -> [f32; GROUP] {
        let mut floats = [0.0; GROUP];
        for (float, bytes) in floats.iter_mut().zip(bytes.chunks_exact(4)) {
            *float = f32::from_le_bytes(bytes.try_into().expect("four bytes"));
        }
        floats
    }

    #[inline(always)]
    pub fn grid_l2(chunks: &[u8], at: usize, query: &[f32], grid: &mut Grid, sums: &mut GridSums) {
        let groups = at * GROUP..at * GROUP + chunks.len() / CHUNK * GROUP;
        let chunks = chunks.chunks_exact(CHUNK).zip(query[groups.clone()].chunks_exact(GROUP));
        let outputs = grid.offset[groups.clone()]
            .chunks_exact_mut(GROUP)
            .zip(grid.step[groups.clone()].chunks_exact_mut(GROUP))
            .zip(grid.weight[groups].chunks_exact_mut(GROUP));
        for ((chunk, query), ((offsets, steps), weights)) in chunks.zip(outputs) {
            let (low, step, query) = (floats(&chunk[..32]), floats(&chunk[32..]), lanes(query));
            for lane in 0..GROUP {
                let offset = query[lane] - low[lane];
                let from_center = offset - 127.5 * step[lane];
                let weight = 16.0 * step[lane] * from_center;
                offsets[lane] = offset;
                steps[lane] = step[lane];
                weights[lane] = weight;
                sums.center[lane] += from_center * from_center;
                sums.weight[lane] = larger(sums.weight[lane], weight.abs());
                sums.offsets[lane] += offset * offset;
                sums.steps[lane] += step[lane] * step[lane];
            }
        }
    }

    #[inline(always)]
    pub fn grid_ip(chunks: &[u8], at: usize, query: &[f32], grid: &mut Grid, sums: &mut GridSums) {
        let groups = at * GROUP..at * GROUP + chunks.len() / CHUNK * GROUP;
        let chunks = chunks.chunks_exact(CHUNK).zip(query[groups.clone()].chunks_exact(GROUP));
        let outputs = grid.step[groups.clone()]
            .chunks_exact_mut(GROUP)
            .zip(grid.weight[groups].chunks_exact_mut(GROUP));
        for ((chunk, query), (steps, weights)) in chunks.zip(outputs) {
            let (low, step, query) = (floats(&chunk[..32]), floats(&chunk[32..]), lanes(query));
            for lane in 0..GROUP {
                let query_step = query[lane] * step[lane];
                let weight = 16.0 * query_step;
                steps[lane] = query_step;
                weights[lane] = weight;
                sums.low[lane] += query[lane] * low[lane];
                sums.center[lane] += query[lane] * (low[lane] + 127.5 * step[lane]);
                sums.weight[lane] = larger(sums.weight[lane], weight.abs());
                sums.offsets[lane] += low[lane] * low[lane];
                sums.steps[lane] += step[lane] * step[lane];
            }
        }
    }

    #[inline(always)]
    pub fn quantise(weights: &[f32], inverse: f32, scale: f32, bytes: &mut [i8]) -> Quantised {
        let (mut rest, mut sum, mut magnitude) = ([0.0; GROUP], [0.0; GROUP], [0.0; GROUP]);
        for (weights, bytes) in weights.chunks_exact(GROUP).zip(bytes.chunks_exact_mut(GROUP)) {
            for lane in 0..GROUP {
                // Adding 1.5 * 2^23 rounds to the nearest integer, which is then in the lowest bits.
                let shifted = larger(-larger(-weights[lane] * inverse, -127.0), -127.0) + 12_582_912.0;
                bytes[lane] = shifted.to_bits() as i8;
                let rounded = shifted - 12_582_912.0;
                let error = weights[lane] - scale * rounded;
                rest[lane] += error * error;
                sum[lane] += rounded;
                magnitude[lane] += rounded.abs();
            }
        }
        Quantised { rest: total(rest), sum: total(sum), magnitude: total(magnitude) }
    }

    /// The eight codes of a group.
    #[inline(always)]
    pub fn codes(high: &[u8], low: &[u8]) -> [f32; GROUP] {
        let mut codes = [0.0; GROUP];
        for at in 0..4 {
            codes[at] = f32::from((high[at] << 4) | (low[at] & 15));
            codes[4 + at] = f32::from((high[at] & 0xf0) | (low[at] >> 4));
        }
        codes
    }

    #[inline(always)]
    pub fn fine_l2(offset: &[f32], step: &[f32], high: &[u8], low: &[u8]) -> f32 {
        let mut sums = [0.0; GROUP];
        let groups = offset.chunks_exact(GROUP).zip(step.chunks_exact(GROUP));
        for ((offset, step), (high, low)) in groups.zip(high.chunks_exact(4).zip(low.chunks_exact(4))) {
            let codes = codes(high, low);
            for lane in 0..GROUP {
                let difference = offset[lane] - step[lane] * codes[lane];
                sums[lane] += difference * difference;
            }
        }
        total(sums)
    }

    #[inline(always)]
    pub fn whole_l2(offset: &[f32], step: &[f32], codes: &[u8]) -> f32 {
        // Four sums in each lane, or each addition would wait for the one before it.
        let mut sums = [0.0; 4 * GROUP];
        let (offsets, offset) = offset.as_chunks::<{ 4 * GROUP }>();
        let (steps, step) = step.as_chunks::<{ 4 * GROUP }>();
        let (many, codes) = codes.as_chunks::<{ 4 * GROUP }>();
        for ((offset, step), codes) in offsets.iter().zip(steps).zip(many) {
            for lane in 0..4 * GROUP {
                let difference = offset[lane] - step[lane] * f32::from(codes[lane]);
                sums[lane] += difference * difference;
            }
        }
        let rest = offset.as_chunks::<GROUP>().0.iter().zip(step.as_chunks::<GROUP>().0);
        for ((offset, step), codes) in rest.zip(codes.as_chunks::<GROUP>().0) {
            for lane in 0..GROUP {
                let difference = offset[lane] - step[lane] * f32::from(codes[lane]);
                sums[lane] += difference * difference;
            }
        }
        total_of_four(sums)
    }

    #[inline(always)]
    pub fn fine_ip(step: &[f32], high: &[u8], low: &[u8]) -> f32 {
        let mut sums = [0.0; GROUP];
        for (step, (high, low)) in step.chunks_exact(GROUP).zip(high.chunks_exact(4).zip(low.chunks_exact(4)))
        {
            let codes = codes(high, low);
            for lane in 0..GROUP {
                sums[lane] += step[lane] * codes[lane];
            }
        }
        total(sums)
    }

    #[inline(always)]
    pub fn whole_ip(step: &[f32], codes: &[u8]) -> f32 {
        let mut sums = [0.0; 4 * GROUP];
        let (steps, step) = step.as_chunks::<{ 4 * GROUP }>();
        let (many, codes) = codes.as_chunks::<{ 4 * GROUP }>();
        for (step, codes) in steps.iter().zip(many) {
            for lane in 0..4 * GROUP {
                sums[lane] += step[lane] * f32::from(codes[lane]);
            }
        }
        for (step, codes) in step.as_chunks::<GROUP>().0.iter().zip(codes.as_chunks::<GROUP>().0) {
            for lane in 0..GROUP {
                sums[lane] += step[lane] * f32::from(codes[lane]);
            }
        }
        total_of_four(sums)
    }

    /// Sums of four groups.
    #[inline(always)]
    fn total_of_four(sums: [f32; 4 * GROUP]) -> f32 {
        let mut lanes = [0.0; GROUP];
        for lane in 0..GROUP {
            lanes[lane] =
                (sums[lane] + sums[lane + GROUP]) + (sums[lane + 2 * GROUP] + sums[lane + 3 * GROUP]);
        }
        total(lanes)
    }

    #[inline(always)]
    pub fn boxes_l2(low: &[f32], high: &[f32], query: f32, sums: &mut [f32]) {
        for ((sum, low), high) in sums.iter_mut().zip(low).zip(high) {
            let outside = larger(larger(low - query, query - high), 0.0);
            *sum += outside * outside;
        }
    }

    #[inline(always)]
    pub fn boxes_ip(low: &[f32], high: &[f32], query: f32, sums: &mut [f32]) {
        for ((sum, low), high) in sums.iter_mut().zip(low).zip(high) {
            *sum += larger(query * low, query * high);
        }
    }

    #[inline(always)]
    pub fn project(vector: &[f32], center: &[f32], columns: &[f32], into: &mut [f32; AXES]) {
        let mut sums = [0.0f32; AXES];
        for ((x, center), column) in vector.iter().zip(center).zip(columns.chunks_exact(AXES)) {
            let centered = x - center;
            for axis in 0..AXES {
                sums[axis] += centered * column[axis];
            }
        }
        *into = sums;
    }

    #[inline(always)]
    pub fn products_of_several(vectors: &[f32], columns: &[f32], into: &mut [[f32; PRODUCTS]; TILE]) {
        several::products::<{ several::NARROW }>(vectors, columns, into);
    }

    #[inline(always)]
    pub fn largest(products: &[f32; PRODUCTS]) -> f32 {
        let mut lanes = [f32::NEG_INFINITY; 16];
        for products in products.as_chunks::<16>().0 {
            for lane in 0..16 {
                lanes[lane] = larger(products[lane], lanes[lane]);
            }
        }
        for half in [8, 4, 2, 1] {
            for lane in 0..half {
                lanes[lane] = larger(lanes[lane], lanes[lane + half]);
            }
        }
        lanes[0]
    }

    #[inline(always)]
    pub fn keys(
        products: &mut [f32; PRODUCTS],
        factor: f32,
        all: f32,
        each: &[f32; PRODUCTS],
        limits: &[f32; PRODUCTS],
    ) -> bool {
        let mut below = 0;
        for lane in 0..PRODUCTS {
            let key = all + each[lane] + factor * products[lane];
            products[lane] = key;
            below += u32::from(key < limits[lane]);
        }
        below > 0
    }

    #[inline(always)]
    pub fn l2(a: &[f32], b: &[f32]) -> f32 {
        let mut sums = [0.0; GROUP];
        let (a, b) = (a.chunks_exact(GROUP), b.chunks_exact(GROUP));
        for (lane, (a, b)) in a.remainder().iter().zip(b.remainder()).enumerate() {
            sums[lane] = (a - b) * (a - b);
        }
        for (a, b) in a.zip(b) {
            for lane in 0..GROUP {
                sums[lane] += (a[lane] - b[lane]) * (a[lane] - b[lane]);
            }
        }
        total(sums)
    }

    #[inline(always)]
    pub fn ip(a: &[f32], b: &[f32]) -> f32 {
        let mut sums = [0.0; GROUP];
        let (a, b) = (a.chunks_exact(GROUP), b.chunks_exact(GROUP));
        for (lane, (a, b)) in a.remainder().iter().zip(b.remainder()).enumerate() {
            sums[lane] = a * b;
        }
        for (a, b) in a.zip(b) {
            for lane in 0..GROUP {
                sums[lane] += a[lane] * b[lane];
            }
        }
        total(sums)
    }

    #[inline(always)]
    pub fn norm_squared(a: &[f32]) -> f64 {
        sum(a, a, |x, _| x * x)
    }

    #[inline(always)]
    pub fn l2_exact(a: &[f32], b: &[f32]) -> f64 {
        sum(a, b, |x, y| (x - y) * (x - y))
    }

    #[inline(always)]
    pub fn widen(vector: &[f32], low: &mut [f32], high: &mut [f32]) {
        for ((x, low), high) in vector.iter().zip(low).zip(high) {
            *low = -larger(-*low, -*x);
            *high = larger(*high, *x);
        }
    }

    #[inline(always)]
    pub fn moments(vector: &[f32], origin: &[f32], sums: &mut [f32], squares: &mut [f32]) {
        for (((x, origin), sum), square) in vector.iter().zip(origin).zip(sums).zip(squares) {
            let from_origin = x - origin;
            *sum += from_origin;
            *square += from_origin * from_origin;
        }
    }

    #[inline(always)]
    pub fn encode(vector: &[f32], low: &[f32], step: &[f32], inverse: &[f32], codes: &mut [u8]) -> Encoded {
        encode_with(vector, low, step, inverse, codes, |error| error * error)
    }

    /// Codes, and sums of what is lost for an error in one dimension.
    #[inline(always)]
    pub fn encode_with(
        vector: &[f32],
        low: &[f32],
        step: &[f32],
        inverse: &[f32],
        codes: &mut [u8],
        lost: impl Fn(f64) -> f64,
    ) -> Encoded {
        let mut lanes = [[0.0f64; GROUP]; 4];
        let inputs = vector.chunks_exact(GROUP).zip(low.chunks_exact(GROUP));
        let scales = step.chunks_exact(GROUP).zip(inverse.chunks_exact(GROUP));
        for (((x, low), (step, inverse)), codes) in inputs.zip(scales).zip(codes.chunks_exact_mut(GROUP)) {
            for lane in 0..GROUP {
                // Adding 2^23 rounds to the nearest integer, which is then in the lowest bits.
                let code = ((x[lane] - low[lane]) * inverse[lane]).clamp(0.0, 255.0) + 8_388_608.0;
                codes[lane] = code.to_bits() as u8;
                let integer = i32::from(codes[lane]);
                let coarse = f64::from(integer >> 4);
                let (x, low, step) = (f64::from(x[lane]), f64::from(low[lane]), f64::from(step[lane]));
                let from_low = x - low;
                let coarse_error = from_low - step * (16.0 * coarse + 7.5);
                let fine_error = from_low - step * f64::from(integer);
                let centered = coarse - 7.5;
                let decoded = 16.0 * step * centered;
                lanes[0][lane] += lost(coarse_error);
                lanes[1][lane] += lost(fine_error);
                lanes[2][lane] += decoded * decoded;
                lanes[3][lane] += centered * centered;
            }
        }
        let [coarse, fine, norm, codes] = lanes.map(total64);
        Encoded { coarse, fine, norm, codes }
    }
}

#[cfg(target_arch = "x86_64")]
impl Floats {
    /// For processors with AVX-512, which [`super::available`] knows this to be one of.
    pub fn with_wide_registers(self) -> Self {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
        fn products_of_several(vectors: &[f32], columns: &[f32], into: &mut [[f32; PRODUCTS]; TILE]) {
            several::products::<{ several::WIDE }>(vectors, columns, into);
        }
        Floats { products_of_several, ..self }
    }
}

impl GridSums {
    /// The totals of `center`, `low`, `offsets` and `steps`, and the largest weight.
    pub fn totals(&self) -> [f32; 5] {
        let total = |lanes: [f32; GROUP]| lanes.iter().sum::<f32>();
        let weight = self.weight.iter().fold(0.0f32, |a, &b| a.max(b));
        [total(self.center), total(self.low), total(self.offsets), total(self.steps), weight]
    }
}
