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

/// Defines a SQL function of two vectors of equal dimensions that returns `double precision`, for `$distance` of their
/// elements. Its symbol is `$name` and `_wrapper`.
///
/// This is what `#[pg_extern]` would define, less its iterator over arguments and its switch of memory contexts. Distances
/// are computed for every row of a sequential scan; there those two took 13 of 49 ns a row of three dimensions.
macro_rules! distance_function {
    ($(#[$doc:meta])* $name:ident, $distance:expr) => {
        mod $name {
            use super::*;
            use crate::types::vector::{check_same_dims, VectorRef};
            use pgrx::{pg_guard, pg_sys};

            #[doc(hidden)]
            #[export_name = concat!("pg_finfo_", stringify!($name), "_wrapper")]
            pub extern "C" fn calling_convention() -> &'static pg_sys::Pg_finfo_record {
                const VERSION_1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
                &VERSION_1
            }

            $(#[$doc])*
            #[export_name = concat!(stringify!($name), "_wrapper")]
            #[pg_guard]
            pub unsafe extern "C-unwind" fn call(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
                // SAFETY: the SQL declaration says STRICT and two arguments of type `vector`; they outlive the call.
                let (a, b) = unsafe {
                    let arguments = (*fcinfo).args.as_slice(2);
                    (VectorRef::from_datum(arguments[0].value), VectorRef::from_datum(arguments[1].value))
                };
                check_same_dims(&a, &b);
                let distance: f64 = ($distance)(a.as_slice(), b.as_slice());
                distance.to_bits().into()
            }
        }
    };
}
pub(super) use distance_function;
