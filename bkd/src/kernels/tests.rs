//! Every instruction set returns what the portable kernels return, bit for bit, and those return what they should.

use proptest::prelude::*;

use super::*;
use crate::layout::leaf::GROUP;
use crate::layout::CHUNK;
use crate::testing::Random;
use crate::Metric;

/// The sets to be compared with the portable one.
fn others() -> (&'static Kernels, &'static [Kernels]) {
    let (portable, others) = all().split_first().expect("the portable kernels are always there");
    assert_eq!(portable.name, "portable");
    (portable, others)
}

/// Bits to be compared. What a NaN carries is not defined, so all of them count as one.
fn bits(values: impl IntoIterator<Item = f32>) -> Vec<u32> {
    values.into_iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
}

fn bits64(values: impl IntoIterator<Item = f64>) -> Vec<u64> {
    values.into_iter().map(|x| if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() }).collect()
}

/// Whole blocks: random headers and codes, at times all codes as large as they can be.
fn blocks(random: &mut Random, groups: usize, count: usize) -> Vec<u8> {
    let full = random.below(6) == 0;
    let mut blocks = random.many(count * (1 + groups) * CHUNK, |random| random.bits() as u8);
    for block in blocks.chunks_exact_mut((1 + groups) * CHUNK) {
        if full {
            block[CHUNK..].fill(0xff);
        }
    }
    blocks
}

fn weights(random: &mut Random, groups: usize) -> Vec<i8> {
    let kind = random.below(4);
    random
        .many(groups * GROUP, |random| match kind {
            0 => 127,
            1 => -127,
            2 => [127, -127][random.below(2)],
            _ => random.below(255) as i8,
        })
        .into_iter()
        .map(|weight: i8| weight.max(-127))
        .collect()
}

fn places(random: &mut Random, groups: usize) -> Vec<i8> {
    let kind = random.below(4);
    random.many(groups * GROUP, |random| match kind {
        0 => 120,
        1 => [0, 120][random.below(2)],
        _ => random.below(121) as i8,
    })
}

/// A query of either kind.
struct Query {
    weights: Vec<i8>,
    places: Option<Vec<i8>>,
}

impl Query {
    fn new(random: &mut Random, groups: usize) -> Self {
        let mut weights = weights(random, groups);
        let places = (random.below(2) == 0).then(|| places(random, groups));
        if places.is_some() {
            weights.iter_mut().for_each(|weight| *weight = weight.abs());
        }
        Query { weights, places }
    }

    fn coded(&self) -> CodedQuery<'_> {
        CodedQuery { weights: &self.weights, places: self.places.as_deref() }
    }
}

/// Scales as leaves have them, or any floats whatsoever.
fn threshold(random: &mut Random) -> Threshold {
    let wild = random.below(3) == 0;
    let mut number = |scale: f32| if wild { random.hostile() } else { random.signed().abs() * scale };
    let mut by = Threshold {
        constant: number(1e6),
        scale: number(1.0),
        norm_base: number(10.0),
        norm_step: number(0.1),
        residual_base: number(10.0),
        residual_step: number(0.01),
        squared: false,
        square: number(1.0).abs(),
        tau: number(2e3),
    };
    by.squared = random.below(2) == 0;
    if random.below(8) == 0 {
        by.tau = [f32::INFINITY, f32::NEG_INFINITY, 0.0][random.below(3)];
    }
    by
}

/// The value of a lane as [`Threshold`] defines it.
fn value(header: &[u8], sum: i32, lane: usize, by: &Threshold) -> f32 {
    let norm = u16::from_le_bytes([header[lane * 2], header[lane * 2 + 1]]);
    (by.constant + (by.norm_base + by.norm_step * f32::from(norm))) - by.scale * sum as f32
}

/// What the machine says that it has, asked another way than the kernels ask.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn all_that_the_machine_has() {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let flags = info.lines().find(|line| line.starts_with("flags")).unwrap();
    let has = |flag: &str| flags.split_whitespace().any(|word| word == flag);
    let mut expected = vec!["portable"];
    if has("avx2") {
        expected.push("avx2");
    }
    if ["avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"].into_iter().all(has) {
        expected.push("avx512vnni");
    }
    assert_eq!(instruction_sets(), expected);
}

#[cfg(target_arch = "aarch64")]
#[test]
fn all_that_the_machine_has() {
    assert_eq!(instruction_sets(), ["portable", "neon"]);
}

#[test]
fn unknown_sets_are_refused() {
    assert!(!use_instruction_set("quantum"));
    assert!(instruction_sets().contains(&Kernels::get().name));
}

/// A lane whose value is the limit passes, one whose value is just above it does not. All numbers are integers below 2^24,
/// so that single precision meets the limit exactly.
#[test]
fn limits_are_inclusive() {
    const ROOT: f32 = 500.0;
    let mut random = Random(1);
    for kernels in all() {
        let blocks = blocks(&mut random, 3, 1);
        let query = Query::new(&mut random, 3);
        let mut sums = [0; LANES];
        kernels.sums(&blocks[CHUNK..], query.coded(), &mut sums, Ahead::NONE);
        let scan = |by: &Threshold| {
            let mut survivors = [0];
            kernels.scan(&blocks, 3, query.coded(), by, &mut survivors, Ahead::NONE);
            assert_eq!(kernels.threshold(&blocks[..CHUNK], &sums, by), survivors[0]);
            survivors[0]
        };
        for (lane, &sum) in sums.iter().enumerate() {
            for squared in [false, true] {
                let by = Threshold {
                    constant: sum as f32 + ROOT * ROOT,
                    scale: 1.0,
                    norm_base: 0.0,
                    norm_step: 0.0,
                    residual_base: 0.0,
                    residual_step: 0.0,
                    squared,
                    square: 0.0,
                    tau: if squared { ROOT } else { ROOT * ROOT },
                };
                assert_eq!(scan(&by) >> lane & 1, 1, "{} lane {lane}", kernels.name);
                let below = Threshold { tau: by.tau.next_down(), ..by };
                assert_eq!(scan(&below) >> lane & 1, 0, "{} lane {lane}", kernels.name);
                assert_eq!(scan(&Threshold { tau: f32::INFINITY, ..by }), Survivors::MAX);
                let none = if squared { 0.0 } else { f32::NEG_INFINITY };
                assert_eq!(scan(&Threshold { tau: none, constant: 1e9, ..by }), 0);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Sums are those of their definition, dimension by dimension.
    #[test]
    fn sums_are_as_defined(groups in 1usize..=130, seed: u64) {
        let mut random = Random(seed);
        let codes: Vec<Vec<u8>> = random.many(LANES, |r| r.many(groups * GROUP, |r| r.below(16) as u8));
        let query = Query::new(&mut random, groups);
        let mut chunks = vec![0; groups * CHUNK];
        for (lane, codes) in codes.iter().enumerate() {
            for (dim, code) in codes.iter().enumerate() {
                let (group, within) = (dim / GROUP, dim % GROUP);
                chunks[group * CHUNK + lane * 4 + within % 4] |= code << if within < 4 { 0 } else { 4 };
            }
        }
        let term = |dim: usize, code: i32| match &query.places {
            None => code,
            Some(places) => (i32::from(places[dim]) - 8 * code).abs(),
        };
        let expected: Sums = std::array::from_fn(|lane| {
            let codes = codes[lane].iter().zip(&query.weights).enumerate();
            codes.map(|(dim, (&code, &weight))| term(dim, code.into()) * i32::from(weight)).sum()
        });
        for kernels in all() {
            // In two parts, as a block that lies on two pages.
            let cut = groups / 2;
            let mut sums = [0; LANES];
            kernels.sums(&chunks[..cut * CHUNK], query.coded().groups(0..cut), &mut sums, Ahead::NONE);
            kernels.sums(&chunks[cut * CHUNK..], query.coded().groups(cut..groups), &mut sums, Ahead::NONE);
            prop_assert_eq!(sums, expected, "{}", kernels.name);
        }
    }

    #[test]
    fn scans_agree(groups in 1usize..=130, count in 1usize..=14, seed: u64, tie: bool) {
        let mut random = Random(seed);
        let (portable, others) = others();
        let blocks = blocks(&mut random, groups, count);
        let query = Query::new(&mut random, groups);
        let mut by = threshold(&mut random);
        let mut sums = [0; LANES];
        portable.sums(&blocks[CHUNK..(1 + groups) * CHUNK], query.coded(), &mut sums, Ahead::NONE);
        if tie {
            // The limit of a lane of the first block is its value.
            let lane = random.below(LANES);
            by.squared = false;
            by.residual_base = 0.0;
            by.residual_step = 0.0;
            by.tau = value(&blocks, sums[lane], lane, &by);
            let survivors = portable.threshold(&blocks[..CHUNK], &sums, &by);
            prop_assert!(survivors >> lane & 1 == 1 || by.tau.is_nan());
        }
        let mut expected = vec![0; count];
        portable.scan(&blocks, groups, query.coded(), &by, &mut expected, Ahead::NONE);
        prop_assert_eq!(expected[0], portable.threshold(&blocks[..CHUNK], &sums, &by));
        for kernels in others {
            let mut survivors = vec![0xa5a5; count];
            kernels.scan(&blocks, groups, query.coded(), &by, &mut survivors, Ahead::NONE);
            prop_assert_eq!(&survivors, &expected, "{}", kernels.name);
            let mut sums: Sums = std::array::from_fn(|_| random.bits() as i32 >> 8);
            let mut expected = sums;
            portable.sums(&blocks[CHUNK..(1 + groups) * CHUNK], query.coded(), &mut expected, Ahead::NONE);
            kernels.sums(&blocks[CHUNK..(1 + groups) * CHUNK], query.coded(), &mut sums, Ahead::NONE);
            prop_assert_eq!(sums, expected, "{}", kernels.name);
        }
    }

    #[test]
    fn grids_agree(groups in 1usize..=130, first in 0usize..4, ordinary: bool, seed: u64) {
        let mut random = Random(seed);
        let number = |random: &mut Random| if ordinary { random.signed() } else { random.hostile() };
        let (portable, others) = others();
        let query = random.many((first + groups) * GROUP, number);
        let chunks: Vec<u8> =
            random.many(groups * CHUNK / 4, number).into_iter().flat_map(f32::to_le_bytes).collect();
        let run = |kernels: &Kernels, metric: Metric| {
            let space = || vec![0.25f32; query.len()];
            let mut grid = Grid { offset: space(), step: space(), weight: space() };
            let mut sums = GridSums::default();
            let floats = kernels.floats();
            match metric {
                Metric::InnerProduct => floats.grid_ip(&chunks, first, &query, &mut grid, &mut sums),
                Metric::L1 => floats.grid_l1(&chunks, first, &query, &mut grid, &mut sums),
                _ => floats.grid_l2(&chunks, first, &query, &mut grid, &mut sums),
            }
            let lanes = [sums.center, sums.low, sums.weight, sums.offsets, sums.steps];
            let totals = bits(sums.totals());
            // Weights as they come out here, rounded to bytes.
            let mut bytes = vec![0i8; grid.weight.len()];
            let scale = sums.totals()[4] / 127.0;
            let inverse = if scale > f32::MIN_POSITIVE { 1.0 / scale } else { 0.0 };
            let rest = floats.quantise(&grid.weight, inverse, scale, &mut bytes);
            let mut rest = vec![rest.rest, rest.sum, rest.magnitude];
            let (mut places, mut weights) = (bytes.clone(), bytes.clone());
            let placed = floats.place(&grid.offset, &grid.step, inverse, &mut places, &mut weights);
            rest.extend([placed.rest, placed.weights]);
            let rest = bits(rest);
            let bytes = [bytes, places, weights];
            let grid = [grid.offset, grid.step, grid.weight].map(bits);
            (grid, bits(lanes.into_iter().flatten()), totals, bytes, rest)
        };
        for metric in [Metric::L2, Metric::InnerProduct, Metric::L1] {
            let expected = run(portable, metric);
            let [bytes, places, weights] = &expected.3;
            prop_assert!(bytes.iter().all(|&byte| byte >= -127));
            prop_assert!(places.iter().all(|place| (0..=120).contains(place)));
            prop_assert!(weights.iter().all(|&weight| weight >= 0));
            for kernels in others {
                prop_assert_eq!(&run(kernels, metric), &expected, "{}", kernels.name);
            }
        }
    }

    #[test]
    fn fine_sums_agree(groups in 1usize..=130, ordinary: bool, seed: u64) {
        let mut random = Random(seed);
        let number = |random: &mut Random| if ordinary { random.signed() } else { random.hostile() };
        let (portable, others) = others();
        let offset = random.many(groups * GROUP, number);
        let step = random.many(groups * GROUP, number);
        let high = random.many(groups * 4, |random| random.bits() as u8);
        let low = random.many(groups * 4, |random| random.bits() as u8);
        // The definition: dimension j of a group is in byte j % 4, low nibble for the first four.
        let code = |dim: usize| {
            let (byte, shift) = (dim / GROUP * 4 + dim % 4, if dim % GROUP < 4 { 0 } else { 4 });
            (high[byte] >> shift & 15) << 4 | low[byte] >> shift & 15
        };
        let codes: Vec<u8> = (0..offset.len()).map(code).collect();
        let run = |kernels: &Kernels| {
            let floats = kernels.floats();
            let l1 = floats.fine_l1(&offset, &step, &high, &low);
            let whole = [floats.whole_l2(&offset, &step, &codes), floats.whole_ip(&step, &codes)];
            let fine = [floats.fine_l2(&offset, &step, &high, &low), floats.fine_ip(&step, &high, &low), l1];
            (bits(whole), bits(fine))
        };
        for kernels in others {
            prop_assert_eq!(run(kernels), run(portable), "{}", kernels.name);
        }
        if ordinary {
            let difference = |dim: usize| f64::from(offset[dim]) - f64::from(step[dim]) * f64::from(codes[dim]);
            let exact: f64 = (0..offset.len()).map(|dim| difference(dim).powi(2)).sum();
            let floats = portable.floats();
            for found in [floats.fine_l2(&offset, &step, &high, &low), floats.whole_l2(&offset, &step, &codes)] {
                let found = f64::from(found);
                prop_assert!((found - exact).abs() <= 1e-4 * exact, "{} instead of {}", found, exact);
            }
            let products = |dim: usize| f64::from(step[dim]) * f64::from(codes[dim]);
            let (exact, size): (f64, f64) =
                (0..offset.len()).map(products).fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
            for found in [floats.fine_ip(&step, &high, &low), floats.whole_ip(&step, &codes)] {
                let found = f64::from(found);
                prop_assert!((found - exact).abs() <= 1e-4 * size, "{} instead of {}", found, exact);
            }
            let exact: f64 = (0..offset.len()).map(|dim| difference(dim).abs()).sum();
            let found = f64::from(portable.floats().fine_l1(&offset, &step, &high, &low));
            prop_assert!((found - exact).abs() <= 1e-4 * exact, "{} instead of {}", found, exact);
        }
    }

    #[test]
    fn distances_and_boxes_agree(dims in 1usize..=1040, ordinary: bool, seed: u64) {
        let mut random = Random(seed);
        let number = |random: &mut Random| if ordinary { random.signed() } else { random.hostile() };
        let (portable, others) = others();
        let a = random.many(dims, number);
        let b = random.many(dims, number);
        let sums = random.many(dims, |random| random.signed().abs());
        let columns = random.many(dims * AXES, Random::signed);
        let side_by_side = random.many(dims * PRODUCTS, Random::signed);
        let weights = random.many(AXES, number);
        let query = number(&mut random);
        let run = |kernels: &Kernels| {
            let floats = kernels.floats();
            let (mut boxes_l2, mut boxes_ip, mut boxes_l1) = (sums.clone(), sums.clone(), sums.clone());
            floats.boxes_l2(&a, &b, query, &mut boxes_l2);
            floats.boxes_ip(&a, &b, query, &mut boxes_ip);
            floats.boxes_l1(&a, &b, query, &mut boxes_l1);
            let (mut low, mut high) = (a.clone(), a.clone());
            floats.widen(&b, &mut low, &mut high);
            let (mut moved, mut squared) = (sums.clone(), sums.clone());
            floats.moments(&b, &a, &mut moved, &mut squared);
            let mut projected = [0.0; AXES];
            floats.project(&a, &b, &columns, &mut projected);
            let mut combined = a.clone();
            let largest = floats.combine(&weights, &columns, &mut combined);
            let mut distances = [0.0; PRODUCTS];
            floats.distances_l1(&a, &side_by_side, &mut distances);
            let single = bits([floats.l2(&a, &b), floats.ip(&a, &b), floats.l1(&a, &b), largest]);
            let boxes = [boxes_l2, boxes_ip, boxes_l1, moved, squared].map(bits);
            (single, boxes, bits(low), bits(high), bits(projected), bits(combined), bits(distances))
        };
        for kernels in others {
            prop_assert_eq!(run(kernels), run(portable), "{}", kernels.name);
        }
        let (mut low, mut high) = (a.clone(), a.clone());
        portable.floats().widen(&b, &mut low, &mut high);
        for dim in 0..dims {
            prop_assert_eq!((low[dim], high[dim]), (a[dim].min(b[dim]), a[dim].max(b[dim])));
        }
        let (mut moved, mut squared) = (sums.clone(), sums.clone());
        portable.floats().moments(&b, &a, &mut moved, &mut squared);
        for dim in 0..dims {
            let difference = b[dim] - a[dim];
            let expected = [sums[dim] + difference, sums[dim] + difference * difference];
            prop_assert_eq!(bits([moved[dim], squared[dim]]), bits(expected));
        }
    }

    #[test]
    fn products_and_keys_agree(dims in 1usize..=400, ordinary: bool, seed: u64) {
        let mut random = Random(seed);
        let number = |random: &mut Random| if ordinary { random.signed() } else { random.hostile() };
        let (portable, others) = others();
        let vectors = random.many(TILE * dims, number);
        let columns = random.many(dims * PRODUCTS, Random::signed);
        let (factor, all) = (random.signed(), random.signed());
        let each: [f32; PRODUCTS] = std::array::from_fn(|_| random.signed());
        let limits: [f32; PRODUCTS] = std::array::from_fn(|_| random.signed() - 2.0);
        let run = |kernels: &Kernels| {
            let mut products = [[0.0; PRODUCTS]; TILE];
            kernels.floats().products_of_several(&vectors, &columns, &mut products);
            let mut keys = products;
            let below = keys.each_mut().map(|keys| kernels.floats().keys(keys, factor, all, &each, &limits));
            (products, keys, below)
        };
        let (products, keys, below) = run(portable);
        for (at, vector) in vectors.chunks_exact(dims).enumerate() {
            for lane in 0..PRODUCTS {
                let pairs = vector.iter().zip(columns[lane..].iter().step_by(PRODUCTS));
                let product = pairs.fold(0.0, |sum: f32, (x, column)| sum + x * column);
                prop_assert_eq!(product.to_bits(), products[at][lane].to_bits());
                prop_assert_eq!((all + each[lane] + factor * product).to_bits(), keys[at][lane].to_bits());
            }
            prop_assert_eq!(below[at], keys[at].iter().zip(&limits).any(|(key, limit)| key < limit));
        }
        for kernels in others {
            let other = run(kernels);
            prop_assert_eq!(bits(other.0.concat()), bits(products.concat()), "{}", kernels.name);
            prop_assert_eq!((bits(other.1.concat()), other.2), (bits(keys.concat()), below), "{}", kernels.name);
        }
    }

    #[test]
    fn largest_is_as_defined(seed: u64, invalid in 0..=PRODUCTS) {
        let mut random = Random(seed);
        let mut products: [f32; PRODUCTS] = std::array::from_fn(|_| random.hostile());
        (0..invalid).for_each(|_| products[random.below(PRODUCTS)] = f32::NAN);
        let numbers = products.into_iter().filter(|x| !x.is_nan());
        let largest = numbers.fold(f32::NEG_INFINITY, f32::max);
        for kernels in all() {
            prop_assert_eq!(kernels.floats().largest(&products), largest, "{}", kernels.name);
        }
    }

    #[test]
    fn double_sums_agree(dims in 1usize..=400, ordinary: bool, seed: u64) {
        let mut random = Random(seed);
        let number = |random: &mut Random| if ordinary { random.signed() } else { random.hostile() };
        let (portable, others) = others();
        let (a, b) = (random.many(dims, number), random.many(dims, number));
        let run = |kernels: &Kernels| [kernels.floats().norm_squared(&a), kernels.floats().l2_exact(&a, &b)];
        for kernels in others {
            prop_assert_eq!(bits64(run(kernels)), bits64(run(portable)), "{}", kernels.name);
        }
    }

    #[test]
    fn encodings_agree(groups in 1usize..=130, ordinary: bool, seed: u64) {
        let mut random = Random(seed);
        let number = |random: &mut Random| if ordinary { random.signed() } else { random.hostile() };
        let (portable, others) = others();
        let vector = random.many(groups * GROUP, number);
        let low = random.many(groups * GROUP, number);
        let step = random.many(groups * GROUP, |random| number(random).abs() / 255.0);
        let inverse: Vec<f32> = step.iter().map(|&step| if step > 1e-30 { 1.0 / step } else { 0.0 }).collect();
        let run = |kernels: &Kernels| {
            let mut codes = vec![0; vector.len()];
            let numbers = |Encoded { coarse, fine, norm, codes }| bits64([coarse, fine, norm, codes]);
            let l2 = numbers(kernels.floats().encode(&vector, &low, &step, &inverse, &mut codes));
            let mut codes_l1 = vec![0; vector.len()];
            let l1 = numbers(kernels.floats().encode_l1(&vector, &low, &step, &inverse, &mut codes_l1));
            assert_eq!(codes, codes_l1);
            (codes, l2, l1)
        };
        for kernels in others {
            prop_assert_eq!(run(kernels), run(portable), "{}", kernels.name);
        }
    }
}

#[test]
fn bits_are_counted_one_by_one() {
    let mut random = Random(11);
    for words in [1, 2, 3, 4, 7, 8, 16, 17, 1000] {
        let query: Vec<u64> = (0..words).map(|_| random.bits()).collect();
        for count in [0, 1, 5, 30] {
            let items: Vec<u64> = (0..count * words).map(|_| random.bits() & random.bits()).collect();
            let bytes: Vec<u8> = items.iter().flat_map(|word| word.to_le_bytes()).collect();
            let ones = |test: fn(u64, u64) -> u64, item: &[u64]| -> u32 {
                let bits = item.iter().zip(&query).map(|(&item, &query)| test(item, query));
                bits.flat_map(|word| (0..64).map(move |bit| (word >> bit & 1) as u32)).sum()
            };
            for kernels in all() {
                let mut differing = vec![9; count];
                kernels.bits().differing(&bytes, &query, &mut differing);
                let mut overlaps = vec![Overlap { both: 9, either: 9 }; count];
                kernels.bits().overlap(&bytes, &query, &mut overlaps);
                for (at, item) in items.chunks_exact(words).enumerate() {
                    assert_eq!(differing[at], ones(|a, b| a ^ b, item), "{}, {words} words", kernels.name);
                    let expected =
                        Overlap { both: ones(|a, b| a & b, item), either: ones(|a, b| a | b, item) };
                    assert_eq!(overlaps[at], expected, "{}, {words} words", kernels.name);
                }
            }
        }
    }
}
