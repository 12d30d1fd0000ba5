//! Random and hostile numbers for the unit tests. Everything follows from a seed, which proptest prints when a test fails.

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
