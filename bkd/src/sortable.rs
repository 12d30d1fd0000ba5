//! Single-precision numbers as unsigned ones that ascend with them, as `total_cmp` orders them.

/// A number's bits, made to sort.
#[inline]
pub(crate) fn sortable(number: f32) -> u32 {
    let bits = number.to_bits();
    let sign = (bits as i32 >> 31) as u32;
    bits ^ (sign | 1 << 31)
}

/// The number of such bits.
#[inline]
pub(crate) fn from_sortable(sortable: u32) -> f32 {
    let sign = !(sortable as i32 >> 31) as u32;
    f32::from_bits(sortable ^ (sign | 1 << 31))
}
