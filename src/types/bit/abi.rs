//! How bit strings cross the border between Postgres' function calls and Rust.

use std::marker::PhantomData;

use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::{impl_sql_translatable, pg_sys, FromDatum};

use super::{BitString, BitsRef};

/// An argument of type `bit`, not read yet.
pub struct BitsArg<'a> {
    datum: pg_sys::Datum,
    lifetime: PhantomData<&'a [u8]>,
}

impl<'a> BitsArg<'a> {
    /// The value.
    #[inline(always)]
    pub fn get(self) -> BitsRef<'a> {
        // SAFETY: an argument declared as `bit` is one, and outlives the call.
        unsafe { BitsRef::from_datum(self.datum) }
    }
}

impl_sql_translatable!(BitsArg<'_>, "bit");
impl_sql_translatable!(BitString, "bit");

impl FromDatum for BitsArg<'_> {
    #[inline]
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        (!is_null).then_some(BitsArg { datum, lifetime: PhantomData })
    }
}

// SAFETY: arguments declared as `bit` hold bit strings, which outlive the call.
unsafe impl<'fcx> ArgAbi<'fcx> for BitsArg<'fcx> {
    #[inline]
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: as above.
        unsafe { arg.unbox_arg_using_from_datum() }.expect("the function is STRICT")
    }
}

// SAFETY: the datum is a complete bit string.
unsafe impl BoxRet for BitString {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: as above.
        unsafe { fcinfo.return_raw_datum(self.0.as_ptr().into()) }
    }
}
