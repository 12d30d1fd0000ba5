//! Index options (`WITH (...)`) and settings (`kdtree.*`).

use std::ffi::CStr;
use std::sync::OnceLock;

use pgrx::prelude::*;
use pgrx::{pg_sys, GucContext, GucFlags, GucRegistry, GucSetting, PgSqlErrorCode};

use super::is_named_kdtree;
use crate::pg::index::Index;
use crate::pg::versions;
use crate::types::error::{raise, raise_with_detail};

/// `leaf_size`: the engine chooses.
const LEAF_SIZE_AUTO: i32 = 0;
const LEAF_SIZE_MIN: i32 = 16;
const LEAF_SIZE_MAX: i32 = 65_536;

/// `delta_size`, in kilobytes.
const DELTA_SIZE_DEFAULT: i32 = 4096;
const DELTA_SIZE_MIN: i32 = 64;
const DELTA_SIZE_MAX: i32 = i32::MAX;
/// Index option not given: the setting decides.
const DELTA_SIZE_UNSET: i32 = -1;

/// `recall`: exact, and the least that can be asked for.
const EXACT: f64 = 1.0;
const RECALL_MIN: f64 = 0.5;
/// The setting as long as nobody sets it: it shows as 1, and yet can be told from a 1 that somebody did set, which is to make scans exact
/// of indexes whose option says otherwise.
const RECALL_UNSET: f64 = EXACT + f64::EPSILON;

static RECALL: GucSetting<f64> = GucSetting::<f64>::new(RECALL_UNSET);
static DELTA_SIZE: GucSetting<i32> = GucSetting::<i32>::new(DELTA_SIZE_DEFAULT);

static KIND: OnceLock<pg_sys::relopt_kind::Type> = OnceLock::new();

/// The options as Postgres keeps them with the open relation.
#[repr(C)]
struct Options {
    varlena_header: i32,
    leaf_size: i32,
    delta_size: i32,
    recall: f64,
}

/// Registers settings and index options. Called once, when the library is loaded.
pub fn register() {
    GucRegistry::define_int_guc(
        c"kdtree.delta_size",
        c"Size up to which a kdtree index keeps new rows outside of its trees.",
        c"Rows beyond it are sealed into a tree by the INSERT that exceeds it. The index option delta_size has precedence.",
        &DELTA_SIZE,
        DELTA_SIZE_MIN,
        DELTA_SIZE_MAX,
        GucContext::Userset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_float_guc(
        c"kdtree.recall",
        c"Share of the nearest neighbours that scans of kdtree indexes are to find.",
        c"1 is exact. Set, it has precedence over the index option recall.",
        &RECALL,
        RECALL_MIN,
        RECALL_UNSET,
        GucContext::Userset,
        GucFlags::default(),
    );
    versions::reserve_settings(c"kdtree");
    // SAFETY: plain registrations, at the time for which they are made.
    unsafe {
        let kind = pg_sys::add_reloption_kind();
        let lock = pg_sys::AccessExclusiveLock as i32;
        pg_sys::add_int_reloption(
            kind,
            c"leaf_size".as_ptr(),
            c"Vectors of a leaf, 0 for what suits the dimensions".as_ptr(),
            LEAF_SIZE_AUTO,
            LEAF_SIZE_AUTO,
            LEAF_SIZE_MAX,
            lock,
        );
        pg_sys::add_int_reloption(
            kind,
            c"delta_size".as_ptr(),
            c"Size in kilobytes up to which new rows are kept outside of the trees".as_ptr(),
            DELTA_SIZE_UNSET,
            DELTA_SIZE_MIN,
            DELTA_SIZE_MAX,
            lock,
        );
        pg_sys::add_real_reloption(
            kind,
            c"recall".as_ptr(),
            c"Share of the nearest neighbours that scans are to find".as_ptr(),
            EXACT,
            RECALL_MIN,
            EXACT,
            lock,
        );
        KIND.get_or_init(|| kind);
    }
}

/// `amoptions`
///
/// # Safety
/// Called by Postgres with an array of options, or 0.
#[pg_guard]
pub unsafe extern "C-unwind" fn options(reloptions: pg_sys::Datum, validate: bool) -> *mut pg_sys::bytea {
    let elements = [
        integer(c"leaf_size", std::mem::offset_of!(Options, leaf_size)),
        integer(c"delta_size", std::mem::offset_of!(Options, delta_size)),
        versions::option_field(
            c"recall",
            pg_sys::relopt_type::RELOPT_TYPE_REAL,
            std::mem::offset_of!(Options, recall),
        ),
    ];
    let kind = *KIND.get().expect("options are registered when the library is loaded");
    // SAFETY: as the caller promises; the elements describe `Options`.
    let parsed = unsafe { parse::<Options>(reloptions, validate, kind, &elements) };
    if validate {
        // SAFETY: either null or just allocated.
        if let Some(options) = unsafe { parsed.as_ref() } {
            check_leaf_size(options.leaf_size);
        }
    }
    parsed.cast()
}

/// A field of a structure of options.
pub fn integer(name: &'static CStr, offset: usize) -> pg_sys::relopt_parse_elt {
    versions::option_field(name, pg_sys::relopt_type::RELOPT_TYPE_INT, offset)
}

/// Parses options into a structure that begins with a varlena header; null if there are none.
///
/// # Safety
/// `reloptions` is an array of options, or 0; the elements are fields of `T`.
pub unsafe fn parse<T>(
    reloptions: pg_sys::Datum,
    validate: bool,
    kind: pg_sys::relopt_kind::Type,
    elements: &[pg_sys::relopt_parse_elt],
) -> *mut T {
    // SAFETY: as the caller promises; the result is as large as a `T`.
    unsafe {
        pg_sys::build_reloptions(
            reloptions,
            validate,
            kind,
            size_of::<T>(),
            elements.as_ptr(),
            elements.len() as i32,
        )
        .cast()
    }
}

/// The range has a hole, which Postgres' own check cannot express.
fn check_leaf_size(leaf_size: i32) {
    if leaf_size != LEAF_SIZE_AUTO && leaf_size < LEAF_SIZE_MIN {
        raise_with_detail(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("value {leaf_size} out of bounds for option \"leaf_size\""),
            format!("Valid values are {LEAF_SIZE_AUTO} (automatic) and from \"{LEAF_SIZE_MIN}\" to \"{LEAF_SIZE_MAX}\"."),
        );
    }
}

/// The options of an index, if it has any of ours.
fn of(index: &Index) -> Option<&Options> {
    if !is_named_kdtree(*index) {
        return None;
    }
    // SAFETY: null, or what `options` returned; it lives with the open relation.
    unsafe { index.options().cast::<Options>().as_ref() }
}

/// Vectors of a leaf, if the index says so.
pub fn leaf_size(index: Index) -> Option<usize> {
    let size = of(&index)?.leaf_size;
    (size != LEAF_SIZE_AUTO).then_some(size as usize)
}

/// Bytes of the delta chain beyond which it is sealed.
pub fn delta_bytes(index: Index) -> u64 {
    let kilobytes = match of(&index) {
        Some(options) if options.delta_size != DELTA_SIZE_UNSET => options.delta_size,
        _ => DELTA_SIZE.get(),
    };
    kilobytes as u64 * 1024
}

/// The share of the nearest neighbours that a scan is to find: the setting if there is one, else the index's option; 1 for all.
pub fn recall(index: Index) -> f64 {
    match RECALL.get() {
        RECALL_UNSET => of(&index).map_or(EXACT, |options| options.recall),
        set => set,
    }
}

/// The same for a function that is told: raises an error if it is told nonsense.
pub fn recall_or(index: Index, told: Option<f64>) -> f64 {
    match told {
        None => recall(index),
        Some(recall) if (RECALL_MIN..=EXACT).contains(&recall) => recall,
        Some(recall) => raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("recall must be between {RECALL_MIN} and {EXACT}, not {recall}"),
        ),
    }
}

/// Bytes that a maintenance command may use (`maintenance_work_mem`).
pub fn maintenance_bytes() -> usize {
    // SAFETY: a setting of this backend, read on its main thread.
    unsafe { pg_sys::maintenance_work_mem as usize * 1024 }
}
