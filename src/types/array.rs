//! One-dimensional Postgres arrays without NULLs, read in place and built from slices.
//!
//! Casts turn arrays into vectors and back; the aggregates keep their state in one.

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;

use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::varlena::{set_varsize_4b, varsize_4b};
use pgrx::{impl_sql_translatable, pg_sys, FromDatum, PgSqlErrorCode};

use super::error::raise;

/// An element type whose values lie in arrays as they lie in Rust slices.
///
/// # Safety
/// `OID` names a fixed-length type with the size, alignment and bit patterns of `Self`.
pub unsafe trait Element: Copy {
    /// The SQL type.
    const OID: pg_sys::Oid;
}

// SAFETY: `integer` is a 32-bit integer.
unsafe impl Element for i32 {
    const OID: pg_sys::Oid = pg_sys::INT4OID;
}
// SAFETY: `real` is an IEEE single.
unsafe impl Element for f32 {
    const OID: pg_sys::Oid = pg_sys::FLOAT4OID;
}
// SAFETY: `double precision` is an IEEE double.
unsafe impl Element for f64 {
    const OID: pg_sys::Oid = pg_sys::FLOAT8OID;
}

/// An array argument: detoasted, of one dimension or empty, without NULLs.
///
/// What its header claims is compared with its size: arrays come from tables, which may be damaged.
pub struct ArrayRef<'a> {
    raw: NonNull<pg_sys::ArrayType>,
    len: usize,
    /// Where the elements begin and end.
    data: Range<usize>,
    lifetime: PhantomData<&'a pg_sys::ArrayType>,
}

impl<'a> ArrayRef<'a> {
    /// Reads an array datum. Raises an error if it has more than one dimension or holds NULLs, and `data_corrupted` if it
    /// contradicts itself.
    ///
    /// # Safety
    /// `datum` points to a readable varlena, which is neither changed nor freed during `'a`.
    unsafe fn from_datum(datum: pg_sys::Datum) -> ArrayRef<'a> {
        // SAFETY: `pg_detoast_datum` returns a plain varlena; nothing beyond its size is read.
        unsafe {
            let raw = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
            let size = varsize_4b(raw.cast());
            if size < size_of::<pg_sys::ArrayType>() {
                corrupted(size, 0);
            }
            let ndim = (*raw).ndim;
            if ndim > 1 {
                raise(PgSqlErrorCode::ERRCODE_DATA_EXCEPTION, "array must be 1-D");
            }
            let lengths = size_of::<pg_sys::ArrayType>() + 2 * size_of::<i32>();
            let claimed = match ndim {
                0 => 0,
                1 if size >= lengths => raw.add(1).cast::<i32>().read(),
                _ => corrupted(size, 0),
            };
            let Ok(len) = usize::try_from(claimed) else { corrupted(size, claimed) };
            let start = match (*raw).dataoffset {
                0 => data_offset(ndim as usize),
                // A bit for each element lies before them.
                offset if is_aligned(offset) && offset as usize >= lengths + len.div_ceil(8) => {
                    offset as usize
                }
                _ => corrupted(size, claimed),
            };
            if start > size && len > 0 {
                corrupted(size, claimed);
            }
            if (*raw).dataoffset != 0 && pg_sys::array_contains_nulls(raw) {
                raise(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, "array must not contain nulls");
            }
            ArrayRef {
                raw: NonNull::new_unchecked(raw),
                len,
                data: start..size.max(start),
                lifetime: PhantomData,
            }
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The type of the elements.
    pub fn element_type(&self) -> pg_sys::Oid {
        // SAFETY: `raw` is a valid array.
        unsafe { (*self.raw.as_ptr()).elemtype }
    }

    /// The elements, if they are of type `T`.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        // SAFETY: the array holds `len` elements of this type, without gaps as none is NULL.
        (self.element_type() == T::OID)
            .then(|| unsafe { std::slice::from_raw_parts(self.data(size_of::<T>()).cast::<T>(), self.len) })
    }

    /// The elements, to be changed in place, if they are of type `T`.
    ///
    /// # Safety
    /// Nobody else reads the array, as is the case for the state of a running aggregate.
    pub unsafe fn as_mut_slice<T: Element>(&mut self) -> Option<&mut [T]> {
        // SAFETY: as above, and the caller vouches for the exclusive access.
        (self.element_type() == T::OID).then(|| unsafe {
            std::slice::from_raw_parts_mut(self.data(size_of::<T>()).cast::<T>(), self.len)
        })
    }

    /// The elements of an array of `numeric`.
    pub fn numerics(&self) -> Option<impl Iterator<Item = pg_sys::Datum>> {
        (self.element_type() == pg_sys::NUMERICOID).then(|| {
            self.data(pg_sys::VARHDRSZ_SHORT + size_of::<u16>());
            self.datums()
        })
    }

    /// The elements, whatever their type.
    pub fn datums(&self) -> impl Iterator<Item = pg_sys::Datum> {
        let (mut length, mut by_value, mut alignment) = (0, false, 0);
        let (mut elements, mut count) = (std::ptr::null_mut(), 0);
        // SAFETY: the type's properties are those of the catalog; the result lives in the current memory context and has `count`
        // entries.
        unsafe {
            let element = self.element_type();
            pg_sys::get_typlenbyvalalign(element, &mut length, &mut by_value, &mut alignment);
            // Each takes a byte at least, which nobody else compares with the array's size.
            self.data(usize::try_from(length).unwrap_or(1));
            pg_sys::deconstruct_array(
                self.raw.as_ptr(),
                element,
                length.into(),
                by_value,
                alignment,
                &mut elements,
                std::ptr::null_mut(),
                &mut count,
            );
            (0..count as usize).map(move |i| *elements.add(i))
        }
    }

    /// This array as a return value.
    pub fn into_array(self) -> Array {
        Array(self.raw)
    }

    /// The elements, each of which takes so many bytes at least. Raises an error if the array is too small for them.
    fn data(&self, each: usize) -> *mut u8 {
        if self.len > self.data.len() / each {
            corrupted(self.data.end, self.len as i32);
        }
        // SAFETY: the elements lie within the array.
        unsafe { self.raw.as_ptr().cast::<u8>().add(self.data.start) }
    }
}

#[cold]
fn corrupted(size: usize, claimed: i32) -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
        format!("invalid array of {size} bytes that claims {claimed} elements"),
    )
}

/// Where the elements of an array with `ndim` dimensions and without NULL bitmap begin: lengths and lower bounds come first.
fn data_offset(ndim: usize) -> usize {
    (size_of::<pg_sys::ArrayType>() + 2 * ndim * size_of::<i32>())
        .next_multiple_of(pg_sys::MAXIMUM_ALIGNOF as usize)
}

/// Whether elements may begin at an offset: with a header that contradicts itself it may be negative, too.
fn is_aligned(offset: i32) -> bool {
    offset > 0 && offset.unsigned_abs().is_multiple_of(pg_sys::MAXIMUM_ALIGNOF)
}

/// An array to be returned.
pub struct Array(NonNull<pg_sys::ArrayType>);

impl Array {
    /// An array of one dimension that holds `elements`.
    pub fn from_slice<T: Element>(elements: &[T]) -> Array {
        let offset = data_offset(1);
        let size = offset + size_of_val(elements);
        // SAFETY: palloc0 returns `size` zeroed bytes, maximally aligned, and refuses what a varlena cannot hold.
        unsafe {
            let raw = pg_sys::palloc0(size).cast::<pg_sys::ArrayType>();
            set_varsize_4b(raw.cast(), size as i32);
            (*raw).ndim = 1;
            (*raw).elemtype = T::OID;
            let bounds = raw.add(1).cast::<i32>();
            bounds.write(elements.len() as i32);
            bounds.add(1).write(1);
            elements.as_ptr().copy_to_nonoverlapping(raw.cast::<u8>().add(offset).cast(), elements.len());
            Array(NonNull::new_unchecked(raw))
        }
    }
}

impl_sql_translatable!(ArrayRef<'_>, "anyarray");
impl_sql_translatable!(Array, "anyarray");

impl FromDatum for ArrayRef<'_> {
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        // SAFETY: the catalog says that the datum is an array.
        (!is_null).then(|| unsafe { ArrayRef::from_datum(datum) })
    }
}

// SAFETY: arguments declared as arrays hold arrays, which outlive the call.
unsafe impl<'fcx> ArgAbi<'fcx> for ArrayRef<'fcx> {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: as above.
        unsafe { arg.unbox_arg_using_from_datum() }.expect("the function is STRICT")
    }
}

// SAFETY: the datum is a complete array.
unsafe impl BoxRet for Array {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: as above.
        unsafe { fcinfo.return_raw_datum(self.0.as_ptr().into()) }
    }
}
