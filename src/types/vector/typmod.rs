//! The type modifier: `vector(64)` holds vectors of 64 dimensions.

use std::slice;

use pgrx::{pg_extern, pg_sys, AnyArray, PgSqlErrorCode};

use super::MAX_DIMS;
use crate::types::error::raise;

/// `vector_typmod_in(cstring[])`
#[pg_extern(sql = false)]
fn vector_typmod_in(modifiers: AnyArray) -> i32 {
    let mut count = 0;
    // SAFETY: the argument is an array; `ArrayGetIntegerTypmods` checks its type and returns `count` numbers.
    let modifiers = unsafe {
        let array = pg_sys::pg_detoast_datum(modifiers.datum().cast_mut_ptr());
        let numbers = pg_sys::ArrayGetIntegerTypmods(array.cast(), &mut count);
        slice::from_raw_parts(numbers, count as usize)
    };
    let invalid = PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE;
    match *modifiers {
        [dims] if dims < 1 => raise(invalid, "dimensions for type vector must be at least 1"),
        [dims] if dims as usize > MAX_DIMS => {
            raise(invalid, format!("dimensions for type vector cannot exceed {MAX_DIMS}"))
        }
        [dims] => dims,
        _ => raise(invalid, "invalid type modifier"),
    }
}
