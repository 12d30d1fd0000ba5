//! The setting `kdtree.instruction_set`: which instructions the inner loops of the type and of the index may use.
//!
//! Results do not depend on it, by design of the loops. It is there to test exactly that through SQL, and to compare
//! speed. The choice holds for the backend. Only superusers may change it, as anybody else could only make things slow.

use std::ffi::{c_int, c_void};

use pgrx::guc::{GucEnum, PostgresGucEnum};
use pgrx::{pg_guard, pg_sys, GucContext, GucFlags, GucRegistry, GucSetting};

use crate::types::kernels;

/// An upper limit to the instructions used, in ascending order; the default is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, PostgresGucEnum)]
enum InstructionSet {
    #[name = c"portable"]
    Portable,
    #[name = c"sse2"]
    Sse2,
    #[name = c"neon"]
    Neon,
    #[name = c"avx2"]
    Avx2,
    #[name = c"avx512"]
    Avx512,
    #[name = c"auto"]
    Auto,
}

static SETTING: GucSetting<InstructionSet> = GucSetting::<InstructionSet>::new(InstructionSet::Auto);

/// Registers the setting. Called once, when the library is loaded.
pub fn register() {
    // SAFETY: the hooks have the signatures that Postgres wants and raise no error.
    unsafe {
        GucRegistry::define_enum_guc_with_hooks(
            c"kdtree.instruction_set",
            c"Most advanced instruction set that vector functions and kdtree indexes use.",
            c"Results do not depend on it. This is meant for tests.",
            &SETTING,
            GucContext::Suset,
            GucFlags::NO_SHOW_ALL,
            Some(check),
            Some(assign),
            None,
        );
    }
}

/// Refuses what this machine cannot run, so that a test knows what it has tested.
#[pg_guard]
unsafe extern "C-unwind" fn check(
    value: *mut c_int,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: a check hook is called with the value to be checked.
    let wanted = InstructionSet::from_ordinal(unsafe { *value });
    wanted == InstructionSet::Auto
        || [bkd::instruction_sets(), kernels::instruction_sets(), kernels::bits::instruction_sets()]
            .iter()
            .flatten()
            .any(|name| of(name) == wanted)
}

#[pg_guard]
unsafe extern "C-unwind" fn assign(value: c_int, _extra: *mut c_void) {
    let limit = InstructionSet::from_ordinal(value);
    let best = |sets: Vec<&'static str>| {
        sets.into_iter().rfind(|name| of(name) <= limit).expect("the portable set is everywhere")
    };
    let chosen = bkd::use_instruction_set(best(bkd::instruction_sets()))
        && kernels::use_instruction_set(best(kernels::instruction_sets()))
        && kernels::bits::use_instruction_set(best(kernels::bits::instruction_sets()));
    debug_assert!(chosen, "these are sets that the machine has");
}

/// The instruction set of kernels with this name.
fn of(name: &str) -> InstructionSet {
    match name {
        "sse2" => InstructionSet::Sse2,
        "neon" => InstructionSet::Neon,
        "avx2" => InstructionSet::Avx2,
        "avx512" | "avx512vnni" => InstructionSet::Avx512,
        _ => InstructionSet::Portable,
    }
}
