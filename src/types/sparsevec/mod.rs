//! The type `sparsevec`: vectors of many dimensions, of which only the elements that are not zero are stored.
//!
//! A value is a varlena with pgvector's layout, so that a table written under either extension reads under the other:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | varlena header |
//! | 4 | number of dimensions, 1 to [`MAX_DIMS`] |
//! | 4 | number of elements, 0 to [`MAX_ELEMENTS`] |
//! | 4 | unused, zero |
//! | 4 each | indices, ascending from 0 |
//! | 4 each | elements, `f32` in the machine's byte order, never NaN, infinite or zero |
//!
//! [`SparseRef`] reads a datum, [`SparseBuilder`] makes one. Readers check what keeps them within the varlena; that indices
//! ascend and are smaller than the number of dimensions is for those to check who rely on it.

mod abi;
mod casts;
mod compare;
pub mod distance;
mod functions;
mod io;
mod merge;

use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::varlena::{set_varsize_4b, varatt_is_4b_u, varsize_4b};
use pgrx::{pg_sys, PgSqlErrorCode};
use vector_format::sparse;
pub use vector_format::sparse::{MAX_DIMS, MAX_ELEMENTS};

use super::error::raise;
use super::message::OrRaise;
use super::typmod::expected_dims;
pub use abi::SparseArg;

const TYPE_NAME: &str = "sparsevec";

/// The bytes of a sparse vector in memory: header, indices, elements.
#[repr(C)]
struct RawSparse {
    varlena_header: [u8; 4],
    dims: i32,
    count: i32,
    unused: i32,
    indices: [i32; 0],
}

/// Bytes before the indices.
const HEADER: usize = size_of::<RawSparse>();

const _: () = assert!(HEADER == 16 && align_of::<RawSparse>() == 4);

/// A `sparsevec` datum, detoasted and checked.
pub struct SparseRef<'a> {
    raw: NonNull<RawSparse>,
    dims: usize,
    count: usize,
    /// Whether `raw` is a copy that detoasting made.
    copied: bool,
    lifetime: PhantomData<&'a RawSparse>,
}

impl<'a> SparseRef<'a> {
    /// Reads a datum. Raises `data_corrupted` if the bytes are not those of a sparse vector.
    ///
    /// A value that is compressed, out of line or behind a short header is copied into the current memory context, until
    /// that is reset or [`release`](SparseRef::release) frees the copy.
    ///
    /// # Safety
    /// `datum` points to a readable varlena, which is neither changed nor freed during `'a`.
    #[inline]
    pub unsafe fn from_datum(datum: pg_sys::Datum) -> SparseRef<'a> {
        // SAFETY: the caller vouches for the varlena; its length is checked before what it holds is read.
        unsafe {
            let given = datum.cast_mut_ptr::<pg_sys::varlena>();
            let varlena = if varatt_is_4b_u(given) { given } else { pg_sys::pg_detoast_datum(given) };
            let raw = varlena.cast::<RawSparse>();
            let size = varsize_4b(varlena);
            if size < HEADER {
                corrupted(size - pg_sys::VARHDRSZ, 0, 0);
            }
            let (dims, count) = ((*raw).dims, (*raw).count);
            let sound = (1..=MAX_DIMS as i32).contains(&dims)
                && (0..=MAX_ELEMENTS as i32).contains(&count)
                && size == size_of_elements(count as usize);
            if !sound {
                corrupted(size - pg_sys::VARHDRSZ, dims, count);
            }
            SparseRef {
                raw: NonNull::new_unchecked(raw),
                dims: dims as usize,
                count: count as usize,
                copied: varlena != given,
                lifetime: PhantomData,
            }
        }
    }

    /// The number of dimensions, 1 to [`MAX_DIMS`].
    #[inline]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Which elements are stored: ascending, from 0.
    #[inline]
    pub fn indices(&self) -> &[i32] {
        // SAFETY: `from_datum` checked that the varlena holds so many.
        unsafe { std::slice::from_raw_parts(self.raw.add(1).cast().as_ptr(), self.count) }
    }

    /// The stored elements.
    #[inline]
    pub fn values(&self) -> &[f32] {
        // SAFETY: as above; they follow the indices.
        unsafe {
            std::slice::from_raw_parts(self.raw.add(1).cast::<f32>().add(self.count).as_ptr(), self.count)
        }
    }

    /// The stored elements with their indices.
    #[inline]
    pub fn elements(&self) -> impl Iterator<Item = (i32, f32)> + '_ {
        self.indices().iter().copied().zip(self.values().iter().copied())
    }

    /// This value as a datum.
    pub fn into_datum(self) -> pg_sys::Datum {
        self.raw.as_ptr().into()
    }

    /// Frees the copy, if one was made. For loops over many rows in one memory context.
    pub fn release(self) {
        if self.copied {
            // SAFETY: detoasting returned a fresh palloc'ed copy.
            unsafe { pg_sys::pfree(self.raw.as_ptr().cast()) }
        }
    }
}

/// Bytes of a value with so many elements.
const fn size_of_elements(count: usize) -> usize {
    HEADER + count * (size_of::<i32>() + size_of::<f32>())
}

#[cold]
fn corrupted(length: usize, dims: i32, count: i32) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
        format!("invalid sparsevec of {length} bytes that claims {count} elements and {dims} dimensions"),
    )
}

/// The elements of a sparse vector being built, which are added in ascending order of their indices.
pub struct SparseBuilder {
    dims: usize,
    indices: Vec<i32>,
    values: Vec<f32>,
}

impl SparseBuilder {
    /// A zero vector with room for so many elements. Raises an error unless `dims` is between 1 and [`MAX_DIMS`].
    pub fn new(dims: usize, room: usize) -> SparseBuilder {
        sparse::check_dims(dims).or_raise(TYPE_NAME);
        let room = room.min(MAX_ELEMENTS);
        SparseBuilder { dims, indices: Vec::with_capacity(room), values: Vec::with_capacity(room) }
    }

    /// Adds an element unless it is zero. Raises an error if it is not finite, or one too many.
    #[inline]
    pub fn push(&mut self, index: i32, value: f32) {
        if value != 0.0 {
            vector_format::check_element(value).or_raise(TYPE_NAME);
            sparse::check_elements(self.indices.len() + 1).or_raise(TYPE_NAME);
            self.indices.push(index);
            self.values.push(value);
        }
    }

    /// The finished value.
    pub fn finish(self) -> Sparse {
        Sparse::new(self.dims, &self.indices, &self.values)
    }
}

/// A sparse vector to be returned.
pub struct Sparse(NonNull<RawSparse>);

impl Sparse {
    /// The value with these elements, which the caller has checked.
    fn new(dims: usize, indices: &[i32], values: &[f32]) -> Sparse {
        let count = indices.len();
        assert_eq!(count, values.len(), "every index has its element");
        let size = size_of_elements(count);
        // SAFETY: palloc0 returns `size` zeroed bytes, maximally aligned: the header, `count` indices, `count` elements.
        unsafe {
            let raw = NonNull::new_unchecked(pg_sys::palloc0(size).cast::<RawSparse>());
            set_varsize_4b(raw.as_ptr().cast(), size as i32);
            (*raw.as_ptr()).dims = dims as i32;
            (*raw.as_ptr()).count = count as i32;
            let first = raw.add(1).cast::<i32>().as_ptr();
            first.copy_from_nonoverlapping(indices.as_ptr(), count);
            first.add(count).cast::<f32>().copy_from_nonoverlapping(values.as_ptr(), count);
            Sparse(raw)
        }
    }

    fn into_datum(self) -> pg_sys::Datum {
        self.0.as_ptr().into()
    }
}

impl From<sparse::Sparse> for Sparse {
    fn from(vector: sparse::Sparse) -> Sparse {
        Sparse::new(vector.dims, &vector.indices, &vector.values)
    }
}

/// Raises an error if a type modifier asks for other dimensions than `dims`.
fn check_expected_dims(typmod: i32, dims: usize) {
    vector_format::check_expected_dims(expected_dims(typmod), dims).or_raise(TYPE_NAME);
}

/// Raises an error if `a` and `b` differ in their dimensions.
#[inline]
fn check_same_dims(a: &SparseRef, b: &SparseRef) {
    if a.dims != b.dims {
        raise(
            PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            format!("different sparsevec dimensions {} and {}", a.dims, b.dims),
        );
    }
}
