//! Counts of bits of a page of bit strings against a query.
//!
//! Written once, in whole words, and compiled for several instruction sets: with `vpopcntq` where AVX-512 has it, else by the scalar
//! instruction or tables of nibbles. Lengths that are common have loops of their own, of which the compiler knows the length.

/// What two bit strings have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// Bits that are set in both.
    pub both: u32,
    /// Bits that are set in either.
    pub either: u32,
}

/// The counts for one instruction set.
pub struct Bits {
    differing: unsafe fn(&[u8], &[u64], &mut [u32]),
    overlap: unsafe fn(&[u8], &[u64], &mut [Overlap]),
}

impl Bits {
    /// How many bits of each of the strings in `items` differ from the query's, whose length they have.
    #[inline]
    pub fn differing(&self, items: &[u8], query: &[u64], counts: &mut [u32]) {
        assert_eq!(items.len(), counts.len() * query.len() * 8);
        // SAFETY: the functions are safe but for the instructions that they use, and `super::available` only offers those that the machine has.
        unsafe { (self.differing)(items, query, counts) }
    }

    /// What each of the strings in `items` has in common with the query, whose length they have.
    #[inline]
    pub fn overlap(&self, items: &[u8], query: &[u64], counts: &mut [Overlap]) {
        assert_eq!(items.len(), counts.len() * query.len() * 8);
        // SAFETY: as above.
        unsafe { (self.overlap)(items, query, counts) }
    }
}

/// Compiles the loops under target features.
macro_rules! bits {
    ($name:ident $(, $features:literal)?) => {
        pub fn $name() -> Bits {
            $(#[target_feature(enable = $features)])?
            fn differing(items: &[u8], query: &[u64], counts: &mut [u32]) {
                count(items, query, counts, |count, item, query| *count += (item ^ query).count_ones());
            }

            $(#[target_feature(enable = $features)])?
            fn overlap(items: &[u8], query: &[u64], counts: &mut [Overlap]) {
                count(items, query, counts, |count, item, query| {
                    count.both += (item & query).count_ones();
                    count.either += (item | query).count_ones();
                });
            }

            Bits { differing, overlap }
        }
    };
}

bits!(portable);
#[cfg(target_arch = "x86_64")]
bits!(avx2, "avx2,popcnt");
#[cfg(target_arch = "x86_64")]
bits!(avx512, "avx512vpopcntdq,avx512vl,popcnt");

#[inline(always)]
fn count<C: Copy + Default>(
    items: &[u8],
    query: &[u64],
    counts: &mut [C],
    add: impl Fn(&mut C, u64, u64) + Copy,
) {
    match query.len() {
        1 => count_of::<1, C>(items, query, counts, add),
        2 => count_of::<2, C>(items, query, counts, add),
        4 => count_of::<4, C>(items, query, counts, add),
        8 => count_of::<8, C>(items, query, counts, add),
        16 => count_of::<16, C>(items, query, counts, add),
        words => {
            for (count, item) in counts.iter_mut().zip(items.chunks_exact(words * 8)) {
                *count = count_words(item, query, add);
            }
        }
    }
}

#[inline(always)]
fn count_of<const WORDS: usize, C: Copy + Default>(
    items: &[u8],
    query: &[u64],
    counts: &mut [C],
    add: impl Fn(&mut C, u64, u64) + Copy,
) {
    let query: &[u64; WORDS] = query.try_into().expect("of this length");
    for (count, item) in counts.iter_mut().zip(items.chunks_exact(WORDS * 8)) {
        *count = count_words(item, query, add);
    }
}

#[inline(always)]
fn count_words<C: Default>(item: &[u8], query: &[u64], add: impl Fn(&mut C, u64, u64)) -> C {
    let mut count = C::default();
    for (&word, &query) in item.as_chunks().0.iter().zip(query) {
        add(&mut count, u64::from_le_bytes(word), query);
    }
    count
}
