//! Values of Postgres' own type `bit`, and distances between them.

mod abi;
pub mod distance;

use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::varlena::{
    set_varsize_4b, varatt_is_1b, varatt_is_1b_e, varatt_is_4b_u, vardata_any, varsize_any_exhdr,
};
use pgrx::{pg_sys, PgSqlErrorCode};

use super::error::raise;
pub use abi::BitsArg;

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

/// A bit string argument: decompressed, its length checked. It is read in place, behind a header of one or four bytes.
pub struct BitsRef<'a> {
    count: usize,
    bytes: NonNull<u8>,
    /// What detoasting returned, if that was a copy.
    copy: Option<NonNull<pg_sys::varlena>>,
    lifetime: PhantomData<&'a [u8]>,
}

impl<'a> BitsRef<'a> {
    /// Reads a datum of type `bit`. Raises `data_corrupted` if the bytes are not those of a bit string.
    ///
    /// A value that is compressed or out of line is copied into the current memory context, until that is reset or
    /// [`release`](BitsRef::release) frees the copy.
    ///
    /// # Safety
    /// `datum` points to a readable varlena, which is neither changed nor freed during `'a`.
    #[inline]
    pub unsafe fn from_datum(datum: pg_sys::Datum) -> BitsRef<'a> {
        // SAFETY: the caller vouches for the varlena; its length is checked before what it holds is read.
        unsafe {
            let given = datum.cast_mut_ptr::<pg_sys::varlena>();
            let is_plain = varatt_is_4b_u(given) || varatt_is_1b(given) && !varatt_is_1b_e(given);
            let varlena = if is_plain { given } else { pg_sys::pg_detoast_datum_packed(given) };
            let (body, length) = (vardata_any(varlena).cast::<u8>(), varsize_any_exhdr(varlena));
            let Some(bytes) = length.checked_sub(size_of::<i32>()) else { corrupted(length, 0) };
            let claimed = body.cast::<i32>().read_unaligned();
            match usize::try_from(claimed) {
                Ok(count) if count.div_ceil(8) == bytes => BitsRef {
                    count,
                    bytes: NonNull::new_unchecked(body.add(size_of::<i32>()).cast_mut()),
                    copy: NonNull::new(varlena).filter(|_| varlena != given),
                    lifetime: PhantomData,
                },
                _ => corrupted(length, claimed),
            }
        }
    }

    /// The number of bits.
    #[inline]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Frees the copy, if one was made. For loops over many rows in one memory context.
    pub fn release(self) {
        if let Some(copy) = self.copy {
            // SAFETY: detoasting returned a fresh palloc'ed copy.
            unsafe { pg_sys::pfree(copy.as_ptr().cast()) }
        }
    }

    /// The bits, eight to a byte; those after the last one are zero.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: `from_datum` checked that there are so many.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr(), self.count.div_ceil(8)) }
    }
}

#[cold]
fn corrupted(length: usize, claimed: i32) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
        format!("invalid bit string of {length} bytes that claims {claimed} bits"),
    )
}
