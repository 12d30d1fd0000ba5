//! How dense vectors cross the border between Postgres' function calls and Rust.

use std::marker::PhantomData;

use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::{pg_sys, FromDatum};

use super::{Dense, DenseRef, Element};

/// An argument, not read yet.
///
/// Arguments are handed through several frames before the function proper runs. This is one word where [`DenseRef`], which
/// may hold a copy of the elements, is many.
pub struct DenseArg<'a, E> {
    datum: pg_sys::Datum,
    lifetime: PhantomData<&'a [E]>,
}

impl<'a, E: Element> DenseArg<'a, E> {
    /// The value.
    #[inline(always)]
    pub fn get(self) -> DenseRef<'a, E> {
        // SAFETY: an argument declared as the type is one, and outlives the call.
        unsafe { DenseRef::from_datum(self.datum) }
    }
}

impl<E: Element> FromDatum for DenseArg<'_, E> {
    #[inline]
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        (!is_null).then_some(DenseArg { datum, lifetime: PhantomData })
    }
}

// SAFETY: arguments declared as the type hold its values, which outlive the call.
unsafe impl<'fcx, E: Element> ArgAbi<'fcx> for DenseArg<'fcx, E> {
    #[inline]
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: as above.
        unsafe { arg.unbox_arg_using_from_datum() }.expect("the function is STRICT")
    }
}

// SAFETY: the datum is a value that outlives the call, as an argument does.
unsafe impl<E: Element> BoxRet for DenseRef<'_, E> {
    #[inline]
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: as above.
        unsafe { fcinfo.return_raw_datum(self.into_datum()) }
    }
}

// SAFETY: the datum is a complete value, palloc'ed in the caller's memory context.
unsafe impl<E: Element> BoxRet for Dense<E> {
    #[inline]
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: as above.
        unsafe { fcinfo.return_raw_datum(self.into_datum()) }
    }
}
