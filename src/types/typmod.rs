//! The type modifier: `vector(64)` holds vectors of 64 dimensions.

use std::slice;

use pgrx::{pg_sys, AnyArray, PgSqlErrorCode};

use super::error::raise;

/// The dimensions that type modifiers in a column definition ask for: one number, 1 to `most`.
pub fn parse(modifiers: AnyArray, type_name: &str, most: usize) -> i32 {
    let mut count = 0;
    // SAFETY: the argument is an array; `ArrayGetIntegerTypmods` checks its type and returns `count` numbers.
    let modifiers = unsafe {
        let array = pg_sys::pg_detoast_datum(modifiers.datum().cast_mut_ptr());
        let numbers = pg_sys::ArrayGetIntegerTypmods(array.cast(), &mut count);
        slice::from_raw_parts(numbers, count as usize)
    };
    let invalid = PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE;
    match *modifiers {
        [dims] if dims < 1 => raise(invalid, format!("dimensions for type {type_name} must be at least 1")),
        [dims] if dims as usize > most => {
            raise(invalid, format!("dimensions for type {type_name} cannot exceed {most}"))
        }
        [dims] => dims,
        _ => raise(invalid, "invalid type modifier"),
    }
}

/// The dimensions that a value must have, if a type modifier (which is -1 for none) says so.
#[inline]
pub fn expected_dims(typmod: i32) -> Option<usize> {
    usize::try_from(typmod).ok()
}
