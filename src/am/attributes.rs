//! Attributes: the columns of an index behind the vector, by which a scan can filter rows before it reads them.
//!
//! What the index has of a value is its *key* of 64 bits ([`bkd::layout::attributes`]). Each type has a *kind* of keys:
//!
//! | kind | types | keys |
//! |---|---|---|
//! | integer | `int2`, `int4`, `int8`, `oid`, `"char"`, `date`, `time`, `timestamp`, `timestamptz` | the value, in order |
//! | float | `float4`, `float8` | the value, in order |
//! | uuid | `uuid` | its first half, in order |
//! | text | `text` | a hash: tells what is different from what may be equal |
//!
//! Keys ascend with values, but the largest integer has the key of the one before, since one key is NULL's. [`super::filter`] knows which
//! conditions keys cannot decide.
//!
//! Types of one operator family have keys in common: that is what lets `int8` be compared with `int4`.

use bkd::layout::attributes::{LAST_KEY, NULL_KEY};
use pgrx::{pg_sys, PgSqlErrorCode};

use crate::pg::index::Index;
use crate::types::error::raise_with_hint;

/// How values become keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Integer,
    Float,
    Uuid,
    Text,
}

/// The kind of a type's keys, if a column of that type can be an attribute.
pub fn kind_of(type_oid: pg_sys::Oid) -> Option<Kind> {
    Some(match type_oid {
        pg_sys::INT2OID
        | pg_sys::INT4OID
        | pg_sys::INT8OID
        | pg_sys::OIDOID
        | pg_sys::CHAROID
        | pg_sys::DATEOID
        | pg_sys::TIMEOID
        | pg_sys::TIMESTAMPOID
        | pg_sys::TIMESTAMPTZOID => Kind::Integer,
        pg_sys::FLOAT4OID | pg_sys::FLOAT8OID => Kind::Float,
        pg_sys::UUIDOID => Kind::Uuid,
        pg_sys::TEXTOID => Kind::Text,
        _ => return None,
    })
}

/// The key of a value. `collation` is that of the column.
///
/// # Safety
/// The datum is of that type, and not NULL.
pub unsafe fn key_of(type_oid: pg_sys::Oid, collation: pg_sys::Oid, datum: pg_sys::Datum) -> u64 {
    let value = datum.value();
    match type_oid {
        pg_sys::INT2OID => integer(i64::from(value as i16)),
        pg_sys::INT4OID | pg_sys::DATEOID => integer(i64::from(value as i32)),
        pg_sys::INT8OID | pg_sys::TIMEOID | pg_sys::TIMESTAMPOID | pg_sys::TIMESTAMPTZOID => {
            integer(value as i64)
        }
        pg_sys::OIDOID => integer(i64::from(value as u32)),
        // Compared as an unsigned number.
        pg_sys::CHAROID => integer(i64::from(value as u8)),
        pg_sys::FLOAT4OID => float(f64::from(f32::from_bits(value as u32))),
        pg_sys::FLOAT8OID => float(f64::from_bits(value as u64)),
        pg_sys::UUIDOID => {
            // SAFETY: a uuid is 16 bytes, the most significant first.
            let first = unsafe { *datum.cast_mut_ptr::<[u8; 8]>() };
            u64::from_be_bytes(first).min(LAST_KEY)
        }
        // SAFETY: as the caller promises.
        pg_sys::TEXTOID => unsafe { text(collation, datum) },
        _ => raise_unknown(type_oid),
    }
}

fn raise_unknown(type_oid: pg_sys::Oid) -> ! {
    // SAFETY: returns a string in the current memory context.
    let name = unsafe { std::ffi::CStr::from_ptr(pg_sys::format_type_be(type_oid)) }.to_string_lossy();
    raise_with_hint(
        PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        format!("a kdtree index cannot filter by values of type {name}"),
        "Behind the vector there can be integers, floating-point numbers, dates and times, oid, uuid and text.",
    )
}

fn integer(value: i64) -> u64 {
    ((value as u64) ^ (1 << 63)).min(LAST_KEY)
}

/// As SQL orders them: both zeros are one, NaN is the largest.
fn float(value: f64) -> u64 {
    if value.is_nan() {
        return LAST_KEY;
    }
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    }
}

/// A hash of the bytes, or the same for all where different bytes may be equal.
///
/// # Safety
/// The datum is a `text`, and not NULL.
unsafe fn text(collation: pg_sys::Oid, datum: pg_sys::Datum) -> u64 {
    // SAFETY: as the caller promises; the copy, if one was made, is ours.
    unsafe {
        if !pg_sys::get_collation_isdeterministic(collation) {
            return 0;
        }
        let original = datum.cast_mut_ptr::<pg_sys::varlena>();
        let varlena = pg_sys::pg_detoast_datum_packed(original);
        let length = pgrx::varsize_any_exhdr(varlena);
        let bytes = std::slice::from_raw_parts(pgrx::vardata_any(varlena).cast::<u8>(), length);
        let key = hash(bytes).min(LAST_KEY);
        if varlena != original {
            pg_sys::pfree(varlena.cast());
        }
        key
    }
}

/// Fowler, Noll, Vo (FNV-1a, 64 bits). Part of the format on disk.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The number of attribute columns of an index.
pub fn columns(index: Index) -> usize {
    index.columns().saturating_sub(1)
}

/// Raises an error if the columns of a new index cannot be what they would have to be.
pub fn check_columns(index: Index) {
    for column in 1..=columns(index) {
        let type_oid = index.column_type(column);
        if kind_of(type_oid).is_none() {
            raise_unknown(type_oid);
        }
    }
}

/// Computes the keys of a row from its values, of which the first is the vector.
///
/// # Safety
/// The values are those of a row of the index.
pub unsafe fn keys_of_row(
    index: Index,
    values: *const pg_sys::Datum,
    isnull: *const bool,
    keys: &mut Vec<u64>,
) {
    keys.clear();
    for column in 1..=columns(index) {
        // SAFETY: as the caller promises.
        keys.push(unsafe {
            if *isnull.add(column) {
                NULL_KEY
            } else {
                key_of(index.column_type(column), index.column_collation(column), *values.add(column))
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ascend_with_values() {
        let integers = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1];
        assert!(integers.windows(2).all(|pair| integer(pair[0]) < integer(pair[1])));
        assert_eq!(integer(i64::MAX), LAST_KEY);
        let floats =
            [f64::NEG_INFINITY, f64::MIN, -1.0, -5e-324, 0.0, 5e-324, 1.0, f64::MAX, f64::INFINITY, f64::NAN];
        assert!(floats.windows(2).all(|pair| float(pair[0]) < float(pair[1])));
        assert_eq!(float(-0.0), float(0.0));
        assert_eq!(float(-f64::NAN), LAST_KEY);
    }

    #[test]
    fn the_hash_stays_what_it_is() {
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
