//! How `vector` values cross the border between Postgres' function calls and Rust.

use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::{impl_sql_translatable, pg_sys, FromDatum};

use super::{Vector, VectorRef};

impl_sql_translatable!(VectorRef<'_>, "vector");
impl_sql_translatable!(Vector, "vector");

impl FromDatum for VectorRef<'_> {
    #[inline]
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        // SAFETY: a datum that is not NULL and that the catalog says is a vector points to a varlena.
        (!is_null).then(|| unsafe { VectorRef::from_datum(datum) })
    }
}

// SAFETY: arguments declared as `vector` hold vectors, which outlive the call.
unsafe impl<'fcx> ArgAbi<'fcx> for VectorRef<'fcx> {
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
