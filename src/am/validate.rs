//! Checking operator classes (`amvalidate`) and answering what an index can do (`amproperty`).

use std::ffi::{c_char, CStr};

use pgrx::prelude::*;
use pgrx::{pg_sys, PgSqlErrorCode};

use bkd::Space;

use super::attributes::{kind_of, Kind};
use super::opclass::{
    family_members, family_operators, space_of, type_name, vector_type_of, within_strategy, Comparison,
    DISTANCE_STRATEGY, METRIC_PROC, TYPE_PROC,
};
use super::vector_type::VectorType;

/// `pg_amop.amoppurpose` of an operator for ORDER BY.
const PURPOSE_ORDER: c_char = b'o' as c_char;

/// `pg_amop.amoppurpose` of an operator for conditions.
const PURPOSE_SEARCH: c_char = b's' as c_char;

/// `amvalidate`: an operator class is one distance operator that returns `float8`, for ORDER BY, and one support function
/// that names a metric. There may be an operator for what is within a distance, and there is a support function that names the type,
/// unless that is `vector`. One for attributes is comparisons of types whose keys are of
/// one kind.
///
/// # Safety
/// Called by Postgres.
#[pg_guard]
pub unsafe extern "C-unwind" fn validate(opclass: pg_sys::Oid) -> bool {
    let class = OpClass::read(opclass);
    let mut problems = Vec::new();
    match kind_of(class.input) {
        Some(kind) => class.check_comparisons(kind, &mut problems),
        None => {
            class.check_operators(&mut problems);
            class.check_procedures(&mut problems);
        }
    }
    for problem in &problems {
        ereport!(
            PgLogLevel::INFO,
            PgSqlErrorCode::ERRCODE_INVALID_OBJECT_DEFINITION,
            format!("operator class \"{}\" of access method kdtree {problem}", class.name)
        );
    }
    problems.is_empty()
}

/// `amproperty`: Postgres leaves it to the access method whether a column can be ordered by distance.
///
/// # Safety
/// Called by Postgres with valid pointers.
#[pg_guard]
pub unsafe extern "C-unwind" fn property(
    _index: pg_sys::Oid,
    attribute: i32,
    property: pg_sys::IndexAMProperty::Type,
    _name: *const c_char,
    result: *mut bool,
    is_null: *mut bool,
) -> bool {
    let known = attribute > 0 && property == pg_sys::IndexAMProperty::AMPROP_DISTANCE_ORDERABLE;
    if known {
        // SAFETY: as the caller promises.
        unsafe {
            *result = attribute == 1;
            *is_null = false;
        }
    }
    known
}

struct OpClass {
    name: String,
    family: pg_sys::Oid,
    input: pg_sys::Oid,
}

impl OpClass {
    fn read(oid: pg_sys::Oid) -> Self {
        let cache = pg_sys::SysCacheIdentifier::CLAOID as i32;
        // SAFETY: a row of pg_opclass, released when its fields have been copied.
        unsafe {
            let tuple = pg_sys::SearchSysCache1(cache, oid.into());
            if tuple.is_null() {
                panic!("cache lookup failed for operator class {}", oid.to_u32());
            }
            let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_opclass>();
            let class = OpClass {
                name: CStr::from_ptr((*form).opcname.data.as_ptr()).to_string_lossy().into_owned(),
                family: (*form).opcfamily,
                input: (*form).opcintype,
            };
            pg_sys::ReleaseSysCache(tuple);
            class
        }
    }

    /// Operators of a class for attributes.
    fn check_comparisons(&self, kind: Kind, problems: &mut Vec<String>) {
        let operators = family_operators(self.family);
        for operator in &operators {
            let name = operator_name(operator.amopopr);
            let comparison = Comparison::from_strategy(operator.amopstrategy as u16);
            // Hashes have no order.
            if comparison.is_none_or(|comparison| kind == Kind::Text && comparison != Comparison::Equal) {
                problems.push(format!(
                    "contains operator {name} with invalid strategy number {}",
                    operator.amopstrategy
                ));
            }
            if operator.amoppurpose != PURPOSE_SEARCH {
                problems.push(format!("contains operator {name}, which is not FOR SEARCH"));
            }
            let comparable = [operator.amoplefttype, operator.amoprighttype]
                .iter()
                .all(|&side| side == self.input || are_comparable(side, self.input));
            // SAFETY: a catalog lookup.
            let result = unsafe { pg_sys::get_op_rettype(operator.amopopr) };
            if !comparable || result != pg_sys::BOOLOID {
                problems.push(format!("contains operator {name} with wrong signature"));
            }
        }
        let equal = Comparison::Equal as i16;
        if !operators.iter().any(|operator| {
            (operator.amopstrategy, operator.amoplefttype, operator.amoprighttype)
                == (equal, self.input, self.input)
        }) {
            problems.push(format!("is missing operator {equal}"));
        }
        let procedures: Vec<pg_sys::FormData_pg_amproc> =
            family_members(pg_sys::SysCacheIdentifier::AMPROCNUM, self.family);
        for procedure in procedures {
            problems.push(format!(
                "contains function {} with invalid support number {}",
                procedure_name(procedure.amproc),
                procedure.amprocnum
            ));
        }
    }

    fn check_operators(&self, problems: &mut Vec<String>) {
        let space = self.space();
        let operators = family_operators(self.family);
        for operator in &operators {
            let name = operator_name(operator.amopopr);
            let orders = operator.amopstrategy == DISTANCE_STRATEGY as i16;
            let searches = space.is_some_and(|space| operator.amopstrategy == within_strategy(space) as i16);
            if !orders && !searches {
                problems.push(format!(
                    "contains operator {name} with invalid strategy number {}",
                    operator.amopstrategy
                ));
            }
            if orders && operator.amoppurpose != PURPOSE_ORDER {
                problems.push(format!("contains operator {name}, which is not FOR ORDER BY"));
            }
            if searches && operator.amoppurpose != PURPOSE_SEARCH {
                problems.push(format!("contains operator {name}, which is not FOR SEARCH"));
            }
            let same_types = operator.amoplefttype == operator.amoprighttype;
            // SAFETY: a catalog lookup.
            let result = unsafe { pg_sys::get_op_rettype(operator.amopopr) };
            if (same_types, result)
                != if searches { (false, pg_sys::BOOLOID) } else { (true, pg_sys::FLOAT8OID) }
            {
                problems.push(format!("contains operator {name} with wrong signature"));
            }
        }
        if !operators.iter().any(|operator| {
            operator.amopstrategy == DISTANCE_STRATEGY as i16 && operator.amoplefttype == self.input
        }) {
            problems.push(format!("is missing operator {DISTANCE_STRATEGY}"));
        }
    }

    /// What the support function names, if it is there and sound.
    fn space(&self) -> Option<Space> {
        let procedures: Vec<pg_sys::FormData_pg_amproc> =
            family_members(pg_sys::SysCacheIdentifier::AMPROCNUM, self.family);
        let sound = |procedure: &&pg_sys::FormData_pg_amproc| {
            procedure.amprocnum == METRIC_PROC as i16 && is_number_signature(procedure.amproc)
        };
        // SAFETY: the signature was just checked.
        procedures.iter().find(sound).and_then(|procedure| unsafe { space_of(procedure.amproc) })
    }

    fn check_procedures(&self, problems: &mut Vec<String>) {
        let procedures: Vec<pg_sys::FormData_pg_amproc> =
            family_members(pg_sys::SysCacheIdentifier::AMPROCNUM, self.family);
        let space = self.space();
        let mut vector_type = space.map_or(VectorType::Vector, VectorType::of_space);
        for procedure in &procedures {
            let (name, number) = (procedure_name(procedure.amproc), procedure.amprocnum);
            if number != METRIC_PROC as i16 && number != TYPE_PROC as i16 {
                problems.push(format!("contains function {name} with invalid support number {number}"));
            } else if !is_number_signature(procedure.amproc) {
                problems.push(format!(
                    "contains function {name} with wrong signature for support number {number}"
                ));
            } else if number == METRIC_PROC as i16 {
                // SAFETY: the signature was just checked.
                if unsafe { space_of(procedure.amproc) }.is_none() {
                    problems.push(format!(
                        "contains function {name}, which does not return the number of a metric"
                    ));
                }
            } else {
                // SAFETY: the signature was just checked.
                match unsafe { vector_type_of(procedure.amproc) } {
                    Some(named) => vector_type = named,
                    None => problems.push(format!(
                        "contains function {name}, which does not return the number of a type"
                    )),
                }
            }
        }
        let input = type_name(self.input);
        if space.is_some_and(|space| !vector_type.is_of(space) || input != vector_type.name()) {
            problems.push(format!(
                "is for type {input}, but would read its values as {}: see support function {TYPE_PROC}",
                vector_type.name()
            ));
        }
        if !procedures.iter().any(|procedure| {
            procedure.amprocnum == METRIC_PROC as i16 && procedure.amproclefttype == self.input
        }) {
            problems.push(format!("is missing support function {METRIC_PROC}"));
        }
    }
}

/// Whether SQL compares values of these types with each other as their keys compare.
fn are_comparable(one: pg_sys::Oid, other: pg_sys::Oid) -> bool {
    const INTEGERS: [pg_sys::Oid; 3] = [pg_sys::INT2OID, pg_sys::INT4OID, pg_sys::INT8OID];
    const FLOATS: [pg_sys::Oid; 2] = [pg_sys::FLOAT4OID, pg_sys::FLOAT8OID];
    [&INTEGERS[..], &FLOATS[..]].iter().any(|types| types.contains(&one) && types.contains(&other))
}

/// Whether a function takes nothing and returns an integer.
fn is_number_signature(procedure: pg_sys::Oid) -> bool {
    // SAFETY: catalog lookups; the argument types are not used.
    unsafe {
        let mut arguments = std::ptr::null_mut();
        let mut count = 0;
        pg_sys::get_func_signature(procedure, &mut arguments, &mut count) == pg_sys::INT4OID && count == 0
    }
}

fn operator_name(operator: pg_sys::Oid) -> String {
    // SAFETY: returns a NUL-terminated string in the current memory context.
    unsafe { CStr::from_ptr(pg_sys::format_operator(operator)) }.to_string_lossy().into_owned()
}

fn procedure_name(procedure: pg_sys::Oid) -> String {
    // SAFETY: returns a NUL-terminated string in the current memory context.
    unsafe { CStr::from_ptr(pg_sys::format_procedure(procedure)) }.to_string_lossy().into_owned()
}
