//! Dense vectors: a number for every dimension.
//!
//! `vector` holds numbers of single precision, `halfvec` of half precision; beside that [`Element`] they are the same, and
//! everything here serves both. A value is a varlena with pgvector's layout, so that a table written under either extension
//! reads under the other:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | varlena header |
//! | 2 | number of dimensions, 1 to [`MAX_DIMS`] |
//! | 2 | unused, zero |
//! | 4 or 2 each | elements, `f32` or `f16` in the machine's byte order, never NaN or infinite |
//!
//! [`DenseRef`] reads a datum, [`Dense`] builds one. The modules below hold what the SQL functions of both types do; the
//! functions themselves are in [`vector`](super::vector) and [`halfvec`](super::halfvec).

mod abi;
pub mod aggregates;
pub mod arithmetic;
pub mod binary;
pub mod casts;
pub mod compare;
pub mod distance;
pub mod functions;
pub mod text;

use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::varlena::{set_varsize_4b, varatt_is_1b, varatt_is_1b_e, varatt_is_4b_u, varsize_1b, varsize_4b};
use pgrx::{pg_sys, PgSqlErrorCode};
use vector_format::f16;

pub use abi::DenseArg;
pub use vector_format::MAX_DIMS;

use super::error::raise;
use super::kernels::Summed;
use super::message::OrRaise;
use super::typmod::expected_dims;

/// The elements of a type of dense vectors.
///
/// # Safety
/// Every bit pattern is a value, zero bits are zero, and the alignment is that of a varlena at most.
pub unsafe trait Element: vector_format::Element + Summed {
    /// The SQL type of vectors of these.
    const TYPE_NAME: &'static str;
}

// SAFETY: IEEE single precision.
unsafe impl Element for f32 {
    const TYPE_NAME: &'static str = "vector";
}

// SAFETY: IEEE half precision, in a `u16`.
unsafe impl Element for f16 {
    const TYPE_NAME: &'static str = "halfvec";
}

/// Bytes before the elements: varlena header, dimensions, unused.
const HEADER: usize = 8;

/// Bytes before the elements without the varlena header.
const PREFIX: usize = HEADER - pg_sys::VARHDRSZ;

/// Most bytes of elements behind a varlena header of one byte (127 bytes in all), in words.
const SHORT_WORDS: usize = (0x7f - pg_sys::VARHDRSZ_SHORT - PREFIX).div_ceil(size_of::<u32>());

/// The bytes of a vector in memory: header and elements.
#[repr(C)]
struct RawDense {
    varlena_header: [u8; 4],
    dims: i16,
    unused: i16,
    elements: [u32; 0],
}

const _: () = assert!(size_of::<RawDense>() == HEADER && align_of::<RawDense>() == 4);

/// A datum, detoasted and checked.
///
/// Elements are read in place where they lie plain and aligned. Short values, which Postgres packs behind a one-byte
/// header, are copied into this struct; only a value fetched from TOAST costs an allocation. That one lives in the memory
/// context that was current, until the context is reset or [`release`](DenseRef::release) frees it.
pub struct DenseRef<'a, E> {
    dims: usize,
    storage: Storage<'a, E>,
}

enum Storage<'a, E> {
    InPlace(NonNull<E>, PhantomData<&'a [E]>),
    Unpacked([u32; SHORT_WORDS]),
    Detoasted(NonNull<RawDense>),
}

impl<'a, E: Element> DenseRef<'a, E> {
    /// Reads a datum of the type, ours or pgvector's.
    ///
    /// Raises `data_corrupted` if the bytes are not those of a vector.
    ///
    /// # Safety
    /// `datum` points to a readable varlena, which is neither changed nor freed during `'a`.
    #[inline]
    pub unsafe fn from_datum(datum: pg_sys::Datum) -> DenseRef<'a, E> {
        let varlena = datum.cast_mut_ptr::<pg_sys::varlena>();
        // SAFETY: the caller vouches for the varlena; each reader is chosen by the header.
        unsafe {
            if varatt_is_4b_u(varlena) {
                let raw = NonNull::new_unchecked(varlena.cast::<RawDense>());
                DenseRef {
                    dims: checked_dims::<E>(raw),
                    storage: Storage::InPlace(elements(raw), PhantomData),
                }
            } else if varatt_is_1b(varlena) && !varatt_is_1b_e(varlena) {
                Self::unpack(varlena)
            } else {
                let raw = NonNull::new_unchecked(pg_sys::pg_detoast_datum(varlena).cast::<RawDense>());
                DenseRef { dims: checked_dims::<E>(raw), storage: Storage::Detoasted(raw) }
            }
        }
    }

    /// Copies the elements out of a varlena with a one-byte header, in which they are not aligned.
    ///
    /// # Safety
    /// `varlena` points to such a varlena.
    #[inline]
    unsafe fn unpack(varlena: *const pg_sys::varlena) -> DenseRef<'a, E> {
        let mut unpacked = [0u32; SHORT_WORDS];
        // SAFETY: `varsize_1b` bytes are readable, header included; the length is checked before anything else is read.
        unsafe {
            let body = varlena.cast::<u8>().add(pg_sys::VARHDRSZ_SHORT);
            let length = varsize_1b(varlena) - pg_sys::VARHDRSZ_SHORT;
            if length < PREFIX {
                corrupted::<E>(length, 0);
            }
            let dims = body.cast::<i16>().read_unaligned();
            if dims < 1 || length != PREFIX + dims as usize * size_of::<E>() {
                corrupted::<E>(length, dims);
            }
            let dims = dims as usize;
            // There is room for them, because `length` fits a one-byte header.
            body.add(PREFIX).copy_to_nonoverlapping(unpacked.as_mut_ptr().cast(), dims * size_of::<E>());
            DenseRef { dims, storage: Storage::Unpacked(unpacked) }
        }
    }

    /// The number of dimensions, 1 to [`MAX_DIMS`].
    #[inline]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// The elements.
    #[inline]
    pub fn as_slice(&self) -> &[E] {
        match &self.storage {
            // SAFETY: `from_datum` checked that the varlena holds `dims` elements; they stay readable during 'a.
            Storage::InPlace(first, _) => unsafe { std::slice::from_raw_parts(first.as_ptr(), self.dims) },
            // SAFETY: `unpack` copied `dims` elements; the words are aligned for them.
            Storage::Unpacked(words) => unsafe {
                std::slice::from_raw_parts(words.as_ptr().cast(), self.dims)
            },
            // SAFETY: as above; the copy is ours until `release`.
            Storage::Detoasted(raw) => unsafe {
                std::slice::from_raw_parts(elements(*raw).as_ptr(), self.dims)
            },
        }
    }

    /// This value as a datum, copied only if it was unpacked.
    pub fn into_datum(self) -> pg_sys::Datum {
        match self.storage {
            // SAFETY: the elements lie behind their header.
            Storage::InPlace(first, _) => unsafe { first.as_ptr().byte_sub(HEADER) }.into(),
            Storage::Unpacked(_) => Dense::from_slice(self.as_slice()).into_datum(),
            Storage::Detoasted(raw) => raw.as_ptr().into(),
        }
    }

    /// Frees the detoasted copy, if one was made. For loops over many rows in one memory context.
    pub fn release(self) {
        if let Storage::Detoasted(raw) = self.storage {
            // SAFETY: `pg_detoast_datum` returns a fresh palloc'ed copy of whatever is compressed or external.
            unsafe { pg_sys::pfree(raw.as_ptr().cast()) }
        }
    }
}

/// Checks the header of a plain varlena against its length and returns the dimensions.
///
/// # Safety
/// `raw` points to a varlena with a four-byte header.
#[inline]
unsafe fn checked_dims<E: Element>(raw: NonNull<RawDense>) -> usize {
    // SAFETY: the length is checked before the dimensions are read.
    unsafe {
        let length = varsize_4b(raw.as_ptr().cast()) - pg_sys::VARHDRSZ;
        if length < PREFIX {
            corrupted::<E>(length, 0);
        }
        let dims = (*raw.as_ptr()).dims;
        if dims < 1 || dims as usize > MAX_DIMS || length != PREFIX + dims as usize * size_of::<E>() {
            corrupted::<E>(length, dims);
        }
        dims as usize
    }
}

/// The first element of `raw`.
///
/// # Safety
/// `raw` points to a whole vector.
#[inline]
unsafe fn elements<E>(raw: NonNull<RawDense>) -> NonNull<E> {
    // SAFETY: the elements follow the header within the same allocation.
    unsafe { NonNull::new_unchecked((&raw mut (*raw.as_ptr()).elements).cast()) }
}

#[cold]
fn corrupted<E: Element>(length: usize, dims: i16) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
        format!("invalid {} of {length} bytes that claims {dims} dimensions", E::TYPE_NAME),
    )
}

/// A vector being built, in the current memory context.
pub struct Dense<E> {
    raw: NonNull<RawDense>,
    dims: usize,
    elements: PhantomData<E>,
}

impl<E: Element> Dense<E> {
    /// A vector of `dims` zeros. Raises an error unless `dims` is between 1 and [`MAX_DIMS`].
    pub fn zeroed(dims: usize) -> Dense<E> {
        check_dims::<E>(dims);
        let size = HEADER + dims * size_of::<E>();
        // SAFETY: palloc0 returns `size` zeroed bytes, maximally aligned; `size` and `dims` fit after `check_dims`.
        unsafe {
            let raw = NonNull::new_unchecked(pg_sys::palloc0(size).cast::<RawDense>());
            set_varsize_4b(raw.as_ptr().cast(), size as i32);
            (*raw.as_ptr()).dims = dims as i16;
            Dense { raw, dims, elements: PhantomData }
        }
    }

    /// A vector of `elements`, which the caller knows to be finite. Raises an error if there are none or too many.
    pub fn from_slice(elements: &[E]) -> Dense<E> {
        let mut vector = Dense::zeroed(elements.len());
        vector.as_mut_slice().copy_from_slice(elements);
        vector
    }

    /// The elements, to be filled in.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [E] {
        // SAFETY: `zeroed` allocated `dims` initialised elements, owned by `self`.
        unsafe { std::slice::from_raw_parts_mut(elements(self.raw).as_ptr(), self.dims) }
    }

    /// The finished value.
    #[inline]
    pub fn into_datum(self) -> pg_sys::Datum {
        self.raw.as_ptr().into()
    }
}

/// Raises an error unless a vector may have `dims` dimensions.
#[inline]
pub fn check_dims<E: Element>(dims: usize) {
    vector_format::check_dims(dims).or_raise(E::TYPE_NAME);
}

/// Raises an error if a type modifier asks for other dimensions than `dims`.
#[inline]
pub fn check_expected_dims<E: Element>(typmod: i32, dims: usize) {
    vector_format::check_expected_dims(expected_dims(typmod), dims).or_raise(E::TYPE_NAME);
}

/// Raises an error if `a` and `b` differ in their dimensions.
#[inline]
pub fn check_same_dims<E: Element>(a: &DenseRef<E>, b: &DenseRef<E>) {
    if a.dims != b.dims {
        raise(
            PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            format!("different {} dimensions {} and {}", E::TYPE_NAME, a.dims, b.dims),
        );
    }
}

/// Makes the elements those nearest to as many numbers. Raises an error if there is none for one of them: for NaN, infinity,
/// and what is beyond the largest.
pub fn round_to_elements<E: Element>(numbers: &[f32], elements: &mut [E]) {
    E::narrow(numbers, elements);
    if let Some(at) = elements.iter().position(|element| !element.is_finite()) {
        out_of_range::<E>(numbers[at]);
    }
}

/// The element nearest to a number. Raises an error if there is none.
pub fn round_to_element<E: Element>(number: f32) -> E {
    let mut element = [E::from_f32(0.0)];
    round_to_elements(&[number], &mut element);
    element[0]
}

/// Raises the error for a number that no element is near to.
#[cold]
fn out_of_range<E: Element>(number: f32) -> ! {
    vector_format::check_element(number).or_raise(E::TYPE_NAME);
    Err(vector_format::Error::OutOfRange(text::shortest(number))).or_raise(E::TYPE_NAME)
}
