//! How `vector` values cross the border between Postgres' function calls and Rust.

use std::marker::PhantomData;

use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::{impl_sql_translatable, pg_sys, FromDatum};

use super::{Vector, VectorRef};

/// An argument of type `vector`, not read yet.
///
/// Arguments are handed through several frames before the function proper runs. This is one word where [`VectorRef`], which
/// may hold a copy of the elements, is many.
pub struct VectorArg<'a> {
    datum: pg_sys::Datum,
    lifetime: PhantomData<&'a [f32]>,
}

impl<'a> VectorArg<'a> {
    /// The value.
    #[inline(always)]
    pub fn get(self) -> VectorRef<'a> {
        // SAFETY: an argument declared as `vector` is one, and outlives the call.
        unsafe { VectorRef::from_datum(self.datum) }
    }
}

impl_sql_translatable!(VectorArg<'_>, "vector");
impl_sql_translatable!(VectorRef<'_>, "vector");
impl_sql_translatable!(Vector, "vector");

impl FromDatum for VectorArg<'_> {
    #[inline]
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        (!is_null).then_some(VectorArg { datum, lifetime: PhantomData })
    }
}

// SAFETY: arguments declared as `vector` hold vectors, which outlive the call.
unsafe impl<'fcx> ArgAbi<'fcx> for VectorArg<'fcx> {
    #[inline]
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: as above.
        unsafe { arg.unbox_arg_using_from_datum() }.expect("the function is STRICT")
    }
}

// SAFETY: the datum is a vector that outlives the call, as an argument does.
unsafe impl BoxRet for VectorRef<'_> {
    #[inline]
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: as above.
        unsafe { fcinfo.return_raw_datum(self.into_datum()) }
    }
}

// SAFETY: the datum is a complete vector, palloc'ed in the caller's memory context.
unsafe impl BoxRet for Vector {
    #[inline]
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: as above.
        unsafe { fcinfo.return_raw_datum(self.into_datum()) }
    }
}
