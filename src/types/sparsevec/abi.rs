//! How `sparsevec` values cross the border between Postgres' function calls and Rust.

use std::marker::PhantomData;

use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::{impl_sql_translatable, pg_sys, FromDatum};

use super::{Sparse, SparseRef};

/// An argument of type `sparsevec`, not read yet.
pub struct SparseArg<'a> {
    datum: pg_sys::Datum,
    lifetime: PhantomData<&'a [f32]>,
}

impl<'a> SparseArg<'a> {
    /// The value.
    #[inline(always)]
    pub fn get(self) -> SparseRef<'a> {
        // SAFETY: an argument declared as `sparsevec` is one, and outlives the call.
        unsafe { SparseRef::from_datum(self.datum) }
    }
}

impl_sql_translatable!(SparseArg<'_>, "sparsevec");
impl_sql_translatable!(SparseRef<'_>, "sparsevec");
impl_sql_translatable!(Sparse, "sparsevec");

impl FromDatum for SparseArg<'_> {
    #[inline]
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        (!is_null).then_some(SparseArg { datum, lifetime: PhantomData })
    }
}

// SAFETY: arguments declared as `sparsevec` hold sparse vectors, which outlive the call.
unsafe impl<'fcx> ArgAbi<'fcx> for SparseArg<'fcx> {
    #[inline]
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: as above.
        unsafe { arg.unbox_arg_using_from_datum() }.expect("the function is STRICT")
    }
}

// SAFETY: the datum is a sparse vector that outlives the call, as an argument does.
unsafe impl BoxRet for SparseRef<'_> {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: as above.
        unsafe { fcinfo.return_raw_datum(self.into_datum()) }
    }
}

// SAFETY: the datum is a complete sparse vector, palloc'ed in the caller's memory context.
unsafe impl BoxRet for Sparse {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: as above.
        unsafe { fcinfo.return_raw_datum(self.into_datum()) }
    }
}
