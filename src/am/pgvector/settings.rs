//! pgvector's settings, `hnsw.*` and `ivfflat.*`: known, validated, without effect.
//!
//! A session may have both libraries: where pgvector is installed, its `vector` serves the types and this library serves `kdtree`. A setting
//! cannot be defined twice, and pgvector defines its own when it is loaded, so ours must not be in its way. They are defined only
//! where `hnsw` and `ivfflat` are ours: when the library is loaded in a database where that is so, or when one of the
//! access methods is used. A `SET` before that is kept by Postgres until then, as it is before pgvector is loaded.

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};

use pgrx::guc::{GucEnum, PostgresGucEnum};
use pgrx::{pg_sys, GucContext, GucFlags, GucRegistry, GucSetting};

use crate::pg::versions::reserve_settings;

#[derive(Clone, Copy, PostgresGucEnum)]
enum HnswIterativeScan {
    #[name = c"off"]
    Off,
    #[name = c"relaxed_order"]
    RelaxedOrder,
    #[name = c"strict_order"]
    StrictOrder,
}

#[derive(Clone, Copy, PostgresGucEnum)]
enum IvfflatIterativeScan {
    #[name = c"off"]
    Off,
    #[name = c"relaxed_order"]
    RelaxedOrder,
}

static EF_SEARCH: GucSetting<i32> = GucSetting::<i32>::new(40);
static HNSW_ITERATIVE_SCAN: GucSetting<HnswIterativeScan> =
    GucSetting::<HnswIterativeScan>::new(HnswIterativeScan::Off);
static MAX_SCAN_TUPLES: GucSetting<i32> = GucSetting::<i32>::new(20_000);
static SCAN_MEM_MULTIPLIER: GucSetting<f64> = GucSetting::<f64>::new(1.0);
static PROBES: GucSetting<i32> = GucSetting::<i32>::new(1);
static IVFFLAT_ITERATIVE_SCAN: GucSetting<IvfflatIterativeScan> =
    GucSetting::<IvfflatIterativeScan>::new(IvfflatIterativeScan::Off);
static MAX_PROBES: GucSetting<i32> = GucSetting::<i32>::new(32_768);

/// Said of each by `pg_settings`.
const NO_EFFECT: &CStr = c"Accepted for compatibility with pgvector; without effect, as scans are exact.";

const GOES_ON: &CStr = c"Whether a scan goes on if conditions leave too few rows.";

/// The symbol of our handler of `hnsw`; pgvector's has another.
const HANDLER: &CStr = c"hnswhandler_wrapper";

static DEFINED: AtomicBool = AtomicBool::new(false);

/// Defines the settings, if in this database `hnsw` is ours. Called once, when the library is loaded.
pub fn define_if_ours() {
    // SAFETY: variables of this backend.
    let has_catalog = unsafe { pg_sys::IsTransactionState() && pg_sys::MyDatabaseId != pg_sys::InvalidOid };
    if has_catalog && is_ours() {
        define();
    }
}

/// Whether the handler of `hnsw` is ours. It must not be called to find out: the library is only being loaded.
fn is_ours() -> bool {
    // SAFETY: rows of pg_am and pg_proc, released when what is wanted of them was copied.
    unsafe {
        let Some(method) = search(pg_sys::SysCacheIdentifier::AMNAME, c"hnsw".as_ptr().into()) else {
            return false;
        };
        let handler = (*pg_sys::GETSTRUCT(method).cast::<pg_sys::FormData_pg_am>()).amhandler;
        pg_sys::ReleaseSysCache(method);
        let cache = pg_sys::SysCacheIdentifier::PROCOID;
        let Some(procedure) = search(cache, handler.into()) else { return false };
        let mut is_null = false;
        let symbol = pg_sys::SysCacheGetAttr(
            cache as i32,
            procedure,
            pg_sys::Anum_pg_proc_prosrc as pg_sys::AttrNumber,
            &mut is_null,
        );
        let found = !is_null && {
            let text = pg_sys::text_to_cstring(symbol.cast_mut_ptr());
            let found = CStr::from_ptr(text) == HANDLER;
            pg_sys::pfree(text.cast());
            found
        };
        pg_sys::ReleaseSysCache(procedure);
        found
    }
}

/// # Safety
/// The key is of the cache's type. The row is to be released.
unsafe fn search(cache: pg_sys::SysCacheIdentifier::Type, key: pg_sys::Datum) -> Option<pg_sys::HeapTuple> {
    // SAFETY: as the caller promises.
    let row = unsafe { pg_sys::SearchSysCache1(cache as i32, key) };
    (!row.is_null()).then_some(row)
}

/// Defines the settings, but for those that pgvector's library has defined in this backend.
pub fn define() {
    if DEFINED.swap(true, Ordering::Relaxed) {
        return;
    }
    integer(c"hnsw.ef_search", c"Candidates that a search of a graph keeps.", &EF_SEARCH, 1, 1000);
    enumeration(c"hnsw.iterative_scan", GOES_ON, &HNSW_ITERATIVE_SCAN);
    integer(
        c"hnsw.max_scan_tuples",
        c"Rows after which a scan that goes on ends.",
        &MAX_SCAN_TUPLES,
        1,
        i32::MAX,
    );
    if !is_defined(c"hnsw.scan_mem_multiplier") {
        GucRegistry::define_float_guc(
            c"hnsw.scan_mem_multiplier",
            c"Memory of a scan that goes on, in relation to work_mem.",
            NO_EFFECT,
            &SCAN_MEM_MULTIPLIER,
            1.0,
            1000.0,
            GucContext::Userset,
            GucFlags::default(),
        );
    }
    integer(c"ivfflat.probes", c"Lists that a search looks at.", &PROBES, 1, 32_768);
    enumeration(c"ivfflat.iterative_scan", GOES_ON, &IVFFLAT_ITERATIVE_SCAN);
    integer(c"ivfflat.max_probes", c"Lists after which a scan that goes on ends.", &MAX_PROBES, 1, 32_768);
    reserve_settings(c"hnsw");
    reserve_settings(c"ivfflat");
}

fn integer(name: &'static CStr, what: &'static CStr, setting: &'static GucSetting<i32>, min: i32, max: i32) {
    if !is_defined(name) {
        let flags = GucFlags::default();
        GucRegistry::define_int_guc(name, what, NO_EFFECT, setting, min, max, GucContext::Userset, flags);
    }
}

fn enumeration<T: GucEnum>(name: &'static CStr, what: &'static CStr, setting: &'static GucSetting<T>) {
    if !is_defined(name) {
        let flags = GucFlags::default();
        GucRegistry::define_enum_guc(name, what, NO_EFFECT, setting, GucContext::Userset, flags);
    }
}

/// Whether a setting is more than what a `SET` before the definition leaves behind.
fn is_defined(name: &CStr) -> bool {
    // SAFETY: looks at settings of this backend; the name is a constant.
    unsafe {
        let is_known = !pg_sys::GetConfigOption(name.as_ptr(), true, false).is_null();
        let flags = pg_sys::GetConfigOptionFlags(name.as_ptr(), true) as u32;
        is_known && flags & pg_sys::GUC_CUSTOM_PLACEHOLDER == 0
    }
}
