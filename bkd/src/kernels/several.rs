//! Products of several vectors with many others at once: each number that is loaded is used several times, and sums stay in registers.

use super::float::PRODUCTS;

/// Vectors that are multiplied at once.
pub const TILE: usize = 4;
/// Sums of each of them that fit into sixteen registers of eight numbers; and into 32 of sixteen, where it takes more to have enough
/// additions that need not wait for each other.
pub const NARROW: usize = 16;
pub const WIDE: usize = 32;

#[inline(always)]
pub fn products<const WIDTH: usize>(vectors: &[f32], columns: &[f32], into: &mut [[f32; PRODUCTS]; TILE]) {
    let (columns, _) = columns.as_chunks::<PRODUCTS>();
    assert_eq!(vectors.len(), TILE * columns.len());
    let [a, b, c, d] = std::array::from_fn(|vector| &vectors[vector * columns.len()..][..columns.len()]);
    for start in (0..PRODUCTS).step_by(WIDTH) {
        // One by one: of loops over them, the compiler makes other vectors.
        let mut sums = ([0.0; WIDTH], [0.0; WIDTH], [0.0; WIDTH], [0.0; WIDTH]);
        for ((((column, &a), &b), &c), &d) in columns.iter().zip(a).zip(b).zip(c).zip(d) {
            let column: &[f32; WIDTH] = column[start..start + WIDTH].try_into().expect("so many");
            add(&mut sums.0, a, column);
            add(&mut sums.1, b, column);
            add(&mut sums.2, c, column);
            add(&mut sums.3, d, column);
        }
        into[0][start..start + WIDTH].copy_from_slice(&sums.0);
        into[1][start..start + WIDTH].copy_from_slice(&sums.1);
        into[2][start..start + WIDTH].copy_from_slice(&sums.2);
        into[3][start..start + WIDTH].copy_from_slice(&sums.3);
    }
}

#[inline(always)]
fn add<const WIDTH: usize>(sums: &mut [f32; WIDTH], x: f32, column: &[f32; WIDTH]) {
    for lane in 0..WIDTH {
        sums[lane] += x * column[lane];
    }
}
