//! pgvector's index options: parsed, checked, kept in the catalog, and not looked at any more.

use std::ffi::CStr;
use std::mem::offset_of;
use std::sync::OnceLock;

use pgrx::prelude::*;
use pgrx::{pg_sys, PgSqlErrorCode};

use crate::am::options::{integer, parse};
use crate::pg::index::Index;
use crate::types::error::raise;

/// `hnsw`: `m`, `ef_construction`. `ivfflat`: `lists`.
const M: Range = Range { default: 16, min: 2, max: 100 };
const EF_CONSTRUCTION: Range = Range { default: 64, min: 4, max: 1000 };
const LISTS: Range = Range { default: 100, min: 1, max: 32_768 };

struct Range {
    default: i32,
    min: i32,
    max: i32,
}

static HNSW: OnceLock<pg_sys::relopt_kind::Type> = OnceLock::new();
static IVFFLAT: OnceLock<pg_sys::relopt_kind::Type> = OnceLock::new();

/// The options of an hnsw index as Postgres keeps them with the open relation.
#[repr(C)]
struct Hnsw {
    varlena_header: i32,
    m: i32,
    ef_construction: i32,
}

/// The same of an ivfflat index.
#[repr(C)]
struct Ivfflat {
    varlena_header: i32,
    lists: i32,
}

/// Registers both kinds of options. Called once, when the library is loaded.
pub fn register() {
    // SAFETY: plain registrations, at the time for which they are made.
    let (hnsw, ivfflat) = unsafe { (pg_sys::add_reloption_kind(), pg_sys::add_reloption_kind()) };
    add(hnsw, c"m", &M);
    add(hnsw, c"ef_construction", &EF_CONSTRUCTION);
    add(ivfflat, c"lists", &LISTS);
    HNSW.get_or_init(|| hnsw);
    IVFFLAT.get_or_init(|| ivfflat);
}

fn add(kind: pg_sys::relopt_kind::Type, name: &CStr, range: &Range) {
    // SAFETY: Postgres copies the strings.
    unsafe {
        pg_sys::add_int_reloption(
            kind,
            name.as_ptr(),
            c"Accepted for compatibility, without effect".as_ptr(),
            range.default,
            range.min,
            range.max,
            pg_sys::AccessExclusiveLock as i32,
        );
    }
}

/// `amoptions` of `hnsw`
///
/// # Safety
/// Called by Postgres with an array of options, or 0.
#[pg_guard]
pub unsafe extern "C-unwind" fn hnsw(reloptions: pg_sys::Datum, validate: bool) -> *mut pg_sys::bytea {
    let elements =
        [integer(c"m", offset_of!(Hnsw, m)), integer(c"ef_construction", offset_of!(Hnsw, ef_construction))];
    // SAFETY: as the caller promises; the elements are fields of the structure.
    unsafe { parse::<Hnsw>(reloptions, validate, registered(&HNSW), &elements).cast() }
}

/// `amoptions` of `ivfflat`
///
/// # Safety
/// Called by Postgres with an array of options, or 0.
#[pg_guard]
pub unsafe extern "C-unwind" fn ivfflat(reloptions: pg_sys::Datum, validate: bool) -> *mut pg_sys::bytea {
    let elements = [integer(c"lists", offset_of!(Ivfflat, lists))];
    // SAFETY: as the caller promises; the element is a field of the structure.
    unsafe { parse::<Ivfflat>(reloptions, validate, registered(&IVFFLAT), &elements).cast() }
}

fn registered(kind: &OnceLock<pg_sys::relopt_kind::Type>) -> pg_sys::relopt_kind::Type {
    *kind.get().expect("options are registered when the library is loaded")
}

/// Raises an error if the options of an hnsw index contradict each other. pgvector looks at that when it builds an index, not when options
/// are set.
pub fn check_hnsw(index: Index) {
    // SAFETY: null, or what `hnsw` returned; it lives with the open relation.
    if let Some(options) = unsafe { index.options().cast::<Hnsw>().as_ref() } {
        if options.ef_construction < 2 * options.m {
            raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "ef_construction must be greater than or equal to 2 * m",
            );
        }
    }
}
