//! The type `vector`: its value in memory and on disk, and the limits that every function checks.
//!
//! A value is a varlena with pgvector's layout, so that a table written under either extension reads under the other:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | varlena header |
//! | 2 | number of dimensions, 1 to [`MAX_DIMS`] |
//! | 2 | unused, zero |
//! | 4 each | elements, `f32` in the machine's byte order, never NaN or infinite |
//!
//! [`VectorRef`] reads a datum, [`Vector`] builds one. The index access method uses both beside the SQL functions in the
//! modules below.

mod abi;
mod aggregates;
mod arithmetic;
mod binary;
mod casts;
mod compare;
pub mod distance;
mod functions;
pub mod kernels;
mod text;
mod typmod;

use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::varlena::{set_varsize_4b, varatt_is_1b, varatt_is_1b_e, varatt_is_4b_u, varsize_1b, varsize_4b};
use pgrx::{pg_sys, PgSqlErrorCode};

pub use abi::VectorArg;

pub use vector_format::MAX_DIMS;

use super::error::{raise, raise_with_detail};

/// Bytes before the elements: varlena header, dimensions, unused.
const HEADER: usize = 8;

/// Bytes before the elements without the varlena header.
const PREFIX: usize = HEADER - pg_sys::VARHDRSZ;

/// Most dimensions that fit a varlena with a one-byte header (127 bytes in all).
const SHORT_DIMS: usize = (0x7f - pg_sys::VARHDRSZ_SHORT - PREFIX) / size_of::<f32>();

/// The bytes of a vector in memory: header and elements.
#[repr(C)]
struct RawVector {
    varlena_header: [u8; 4],
    dims: i16,
    unused: i16,
    elements: [f32; 0],
}

const _: () = assert!(size_of::<RawVector>() == HEADER && align_of::<RawVector>() == 4);

/// A `vector` datum, detoasted and checked.
///
/// Elements are read in place where they lie plain and aligned. Short values, which Postgres packs behind a one-byte
/// header, are copied into this struct; only a value fetched from TOAST costs an allocation. That one lives in the memory
/// context that was current, until the context is reset or [`release`](VectorRef::release) frees it.
pub struct VectorRef<'a> {
    dims: usize,
    storage: Storage<'a>,
}

enum Storage<'a> {
    InPlace(NonNull<f32>, PhantomData<&'a [f32]>),
    Unpacked([f32; SHORT_DIMS]),
    Detoasted(NonNull<RawVector>),
}

impl<'a> VectorRef<'a> {
    /// Reads a datum of type `vector`, ours or pgvector's.
    ///
    /// Raises `data_corrupted` if the bytes are not those of a vector.
    ///
    /// # Safety
    /// `datum` points to a readable varlena, which is neither changed nor freed during `'a`.
    #[inline]
    pub unsafe fn from_datum(datum: pg_sys::Datum) -> VectorRef<'a> {
        let varlena = datum.cast_mut_ptr::<pg_sys::varlena>();
        // SAFETY: the caller vouches for the varlena; each reader is chosen by the header.
        unsafe {
            if varatt_is_4b_u(varlena) {
                let raw = NonNull::new_unchecked(varlena.cast::<RawVector>());
                VectorRef { dims: checked_dims(raw), storage: Storage::InPlace(elements(raw), PhantomData) }
            } else if varatt_is_1b(varlena) && !varatt_is_1b_e(varlena) {
                Self::unpack(varlena)
            } else {
                let raw = NonNull::new_unchecked(pg_sys::pg_detoast_datum(varlena).cast::<RawVector>());
                VectorRef { dims: checked_dims(raw), storage: Storage::Detoasted(raw) }
            }
        }
    }

    /// Copies the elements out of a varlena with a one-byte header, in which they are not aligned.
    ///
    /// # Safety
    /// `varlena` points to such a varlena.
    #[inline]
    unsafe fn unpack(varlena: *const pg_sys::varlena) -> VectorRef<'a> {
        let mut unpacked = [0f32; SHORT_DIMS];
        // SAFETY: `varsize_1b` bytes are readable, header included; the length is checked before anything else is read.
        unsafe {
            let body = varlena.cast::<u8>().add(pg_sys::VARHDRSZ_SHORT);
            let length = varsize_1b(varlena) - pg_sys::VARHDRSZ_SHORT;
            if length < PREFIX {
                corrupted(length, 0);
            }
            let dims = body.cast::<i16>().read_unaligned();
            if dims < 1 || length != PREFIX + dims as usize * size_of::<f32>() {
                corrupted(length, dims);
            }
            let dims = dims as usize;
            // `dims` is at most SHORT_DIMS, because `length` fits a one-byte header.
            body.add(PREFIX).copy_to_nonoverlapping(unpacked.as_mut_ptr().cast(), dims * size_of::<f32>());
            VectorRef { dims, storage: Storage::Unpacked(unpacked) }
        }
    }

    /// The number of dimensions, 1 to [`MAX_DIMS`].
    #[inline]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// The elements.
    #[inline]
    pub fn as_slice(&self) -> &[f32] {
        match &self.storage {
            // SAFETY: `from_datum` checked that the varlena holds `dims` elements; they stay readable during 'a.
            Storage::InPlace(first, _) => unsafe { std::slice::from_raw_parts(first.as_ptr(), self.dims) },
            Storage::Unpacked(elements) => &elements[..self.dims],
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
            Storage::Unpacked(elements) => Vector::from_slice(&elements[..self.dims]).into_datum(),
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
unsafe fn checked_dims(raw: NonNull<RawVector>) -> usize {
    // SAFETY: the length is checked before the dimensions are read.
    unsafe {
        let length = varsize_4b(raw.as_ptr().cast()) - pg_sys::VARHDRSZ;
        if length < PREFIX {
            corrupted(length, 0);
        }
        let dims = (*raw.as_ptr()).dims;
        if dims < 1 || dims as usize > MAX_DIMS || length != PREFIX + dims as usize * size_of::<f32>() {
            corrupted(length, dims);
        }
        dims as usize
    }
}

/// The first element of `raw`.
///
/// # Safety
/// `raw` points to a whole vector.
#[inline]
unsafe fn elements(raw: NonNull<RawVector>) -> NonNull<f32> {
    // SAFETY: the elements follow the header within the same allocation.
    unsafe { NonNull::new_unchecked((&raw mut (*raw.as_ptr()).elements).cast()) }
}

#[cold]
fn corrupted(length: usize, dims: i16) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
        format!("invalid vector of {length} bytes that claims {dims} dimensions"),
    )
}

/// A vector being built, in the current memory context.
pub struct Vector {
    raw: NonNull<RawVector>,
    dims: usize,
}

impl Vector {
    /// A vector of `dims` zeros. Raises an error unless `dims` is between 1 and [`MAX_DIMS`].
    pub fn zeroed(dims: usize) -> Vector {
        check_dims(dims);
        let size = HEADER + dims * size_of::<f32>();
        // SAFETY: palloc0 returns `size` zeroed bytes, maximally aligned; `size` and `dims` fit after `check_dims`.
        unsafe {
            let raw = NonNull::new_unchecked(pg_sys::palloc0(size).cast::<RawVector>());
            set_varsize_4b(raw.as_ptr().cast(), size as i32);
            (*raw.as_ptr()).dims = dims as i16;
            Vector { raw, dims }
        }
    }

    /// A vector of `elements`, which the caller knows to be finite. Raises an error if there are none or too many.
    pub fn from_slice(elements: &[f32]) -> Vector {
        let mut vector = Vector::zeroed(elements.len());
        vector.as_mut_slice().copy_from_slice(elements);
        vector
    }

    /// The elements, to be filled in.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
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
pub fn check_dims(dims: usize) {
    vector_format::check_dims(dims).or_raise();
}

/// Raises an error if a type modifier asks for other dimensions than `dims`.
#[inline]
pub fn check_expected_dims(typmod: i32, dims: usize) {
    vector_format::check_expected_dims(expected_dims(typmod), dims).or_raise();
}

/// The dimensions that a type modifier asks for, if it does.
#[inline]
fn expected_dims(typmod: i32) -> Option<usize> {
    usize::try_from(typmod).ok()
}

/// Raises an error if `a` and `b` differ in their dimensions.
#[inline]
pub fn check_same_dims(a: &VectorRef, b: &VectorRef) {
    if a.dims != b.dims {
        raise(
            PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            format!("different vector dimensions {} and {}", a.dims, b.dims),
        );
    }
}

/// Raises an error if `value` may not be an element.
#[inline]
pub fn check_element(value: f32) {
    vector_format::check_element(value).or_raise();
}

/// Errors of the forms of a vector become SQL errors.
trait OrRaise {
    type Value;

    fn or_raise(self) -> Self::Value;
}

impl<T> OrRaise for Result<T, vector_format::Error> {
    type Value = T;

    #[inline]
    #[track_caller]
    fn or_raise(self) -> T {
        match self {
            Ok(value) => value,
            Err(error) => report(error),
        }
    }
}

#[cold]
#[track_caller]
fn report(error: vector_format::Error) -> ! {
    use vector_format::Error;
    use PgSqlErrorCode::*;
    let code = match error {
        Error::NoDimensions | Error::OtherDimensions { .. } => ERRCODE_DATA_EXCEPTION,
        Error::Nan | Error::Infinite | Error::Unused(_) => ERRCODE_DATA_EXCEPTION,
        Error::TooManyDimensions => ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        Error::OutOfRange(_) => ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
        Error::Syntax { .. } => ERRCODE_INVALID_TEXT_REPRESENTATION,
        Error::Truncated => ERRCODE_PROTOCOL_VIOLATION,
    };
    match error.detail() {
        Some(detail) => raise_with_detail(code, error.to_string(), detail),
        None => raise(code, error.to_string()),
    }
}
