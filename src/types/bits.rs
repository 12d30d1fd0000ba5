//! Values of Postgres' own type `bit`.

use std::ptr::NonNull;

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::varlena::set_varsize_4b;
use pgrx::{impl_sql_translatable, pg_sys};

/// The bytes of a `bit` in memory: header and bits.
#[repr(C)]
struct RawBits {
    varlena_header: [u8; 4],
    bit_count: i32,
    bits: [u8; 0],
}

/// A bit string to be returned.
pub struct BitString(NonNull<RawBits>);

impl BitString {
    /// A bit string of `bits`, the first one leftmost.
    pub fn from_bits(bits: impl ExactSizeIterator<Item = bool>) -> BitString {
        let count = bits.len();
        let size = size_of::<RawBits>() + count.div_ceil(8);
        // SAFETY: palloc0 returns `size` zeroed bytes: the header and as many bytes as the bits need, the rest of the
        // last byte zero, as `bit` wants it.
        unsafe {
            let raw = pg_sys::palloc0(size).cast::<RawBits>();
            set_varsize_4b(raw.cast(), size as i32);
            (*raw).bit_count = count as i32;
            let bytes = std::slice::from_raw_parts_mut(raw.add(1).cast::<u8>(), count.div_ceil(8));
            for (i, _) in bits.enumerate().filter(|&(_, bit)| bit) {
                bytes[i / 8] |= 0x80 >> (i % 8);
            }
            BitString(NonNull::new_unchecked(raw))
        }
    }
}

impl_sql_translatable!(BitString, "bit");

// SAFETY: the datum is a complete bit string.
unsafe impl BoxRet for BitString {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: as above.
        unsafe { fcinfo.return_raw_datum(self.0.as_ptr().into()) }
    }
}
