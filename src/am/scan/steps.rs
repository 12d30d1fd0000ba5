//! Which steps yield the rows that a scan is asked for.

use std::collections::VecDeque;

use bkd::layout::meta::Meta;
use bkd::{Body, Everything, Filter, PackedQuery, PackedSearch, Placement, Query, ScanStats, Search, Within};

use super::keys::{Conditions, PackedTarget, Target};
use super::rows::{ListRows, Order, Rows, Step};
use crate::am::chain::scan_delta;
use crate::am::segments::readable;
use crate::am::value::check_same_dims;
use crate::am::{history, meta, options};
use crate::pg::index::Index;
use crate::pg::report::OrRaise;

/// What is to be done for the rows that are asked for, in their order.
pub fn start(index: Index, target: &Target, conditions: &Conditions) -> Rows {
    let meta = meta::read(index);
    let all_as = |order| all(index, &meta, order);
    let nan = Step::List(ListRows::new(index, meta.nan), Order::Value(f64::NAN));
    let mut stats = ScanStats::default();
    if conditions.impossible {
        return Rows::new(index, VecDeque::new(), conditions);
    }
    let Conditions { within, attributes, .. } = conditions;
    within.iter().for_each(|(center, _)| check_same_dims(&meta, center.len() as u32));
    let filter = &attributes.filter;
    let mut steps = match target {
        Target::None => match within.iter().min_by(|(_, a), (_, b)| compare_radii(*a, *b)) {
            Some((center, radius)) => unordered(index, &meta, filter, center, *radius),
            None => {
                let mut steps = all_as(Order::Null);
                steps.push_back(nan);
                steps
            }
        },
        Target::Null => {
            let mut steps = all_as(Order::Null);
            steps.push_back(Step::List(ListRows::new(index, meta.nan), Order::Null));
            steps
        }
        Target::Packed(target) => {
            check_same_dims(&meta, target.dims);
            let mut steps = match target.placement {
                Placement::Ranked => ranked_packed(index, &meta, filter, target),
                Placement::Nan => all_as(Order::Value(f64::NAN)),
                Placement::Unbounded => all_as(Order::Value(f64::NEG_INFINITY)),
            };
            steps.push_back(nan);
            steps
        }
        Target::Vector(vector) => {
            check_same_dims(&meta, vector.len() as u32);
            let ends = within.iter().any(|(center, radius)| center == vector && *radius < f64::INFINITY);
            let smallest = within.iter().filter(|(_, radius)| !ends && *radius < f64::INFINITY);
            let few = smallest
                .min_by(|(_, a), (_, b)| compare_radii(*a, *b))
                .and_then(|(center, radius)| few_within(index, &meta, conditions, center, *radius));
            let mut steps = if let Some((steps, searched)) = few {
                stats = searched;
                steps
            } else {
                match Query::new(meta.space.dense_metric(), vector) {
                    Ok(query) => {
                        let radii = within.iter().filter(|(center, _)| center == vector);
                        ranked(index, &meta, filter, query, radii.map(|(_, radius)| *radius))
                    }
                    Err(Placement::Nan) => all_as(Order::Value(f64::NAN)),
                    Err(_) => all_as(Order::Value(f64::NEG_INFINITY)),
                }
            };
            steps.push_back(nan);
            steps
        }
    };
    if within.is_empty() {
        steps.push_back(Step::List(ListRows::new(index, meta.null), Order::Null));
    }
    let mut rows = Rows::new(index, steps, conditions);
    rows.stats = stats;
    rows
}

/// As Postgres compares numbers, NaN the largest. The smallest radius is searched for: the others are left to the recheck, which must not
/// be given more rows than necessary.
fn compare_radii(a: f64, b: f64) -> std::cmp::Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Rows by their distance from an ordinary query, up to the smallest of some radii.
fn ranked(
    index: Index,
    meta: &Meta,
    filter: &Filter,
    query: Query,
    radii: impl Iterator<Item = f64>,
) -> VecDeque<Step> {
    let mut delta = Vec::new();
    let exact = query.exact();
    for chain in [meta.sealing, meta.delta] {
        let each = |tid, keys: &[u64], body: Body<'_>| {
            delta.extend(filter.is_met_by(keys).then(|| (exact.key(body.dense()), tid)));
        };
        scan_delta(index, chain, meta::delta_layout(meta), each);
    }
    let mut search = Search::new(query, readable(index, meta), delta);
    search.set_filter(filter.clone());
    if let Some(rows) = history::expected_rows(index) {
        search.expect(rows);
    }
    // To NaN, as a radius, everything is within. (And a minimum passes it over.)
    let radius = radii.fold(f64::INFINITY, f64::min);
    if radius < f64::INFINITY {
        // Everything within a distance, not most of it.
        search.stop_after(radius);
    } else {
        search.set_recall(options::recall(index));
    }
    let unbounded = ListRows::new(index, meta.unbounded);
    [Step::List(unbounded, Order::Value(f64::NEG_INFINITY)), Step::Search(Box::new(search))].into()
}

/// Rows by their distance from a bit string or a sparse vector.
fn ranked_packed(index: Index, meta: &Meta, filter: &Filter, target: &PackedTarget) -> VecDeque<Step> {
    let body = target.prepared.body(meta.space).packed();
    let mut query = PackedQuery::new(meta.space.packing(), target.dims as usize, body);
    let mut delta = Vec::new();
    for chain in [meta.sealing, meta.delta] {
        let each = |tid, keys: &[u64], body: Body<'_>| {
            if filter.is_met_by(keys) {
                delta.push((query.key(body.packed()).or_raise(index), tid));
            }
        };
        scan_delta(index, chain, meta::delta_layout(meta), each);
    }
    let mut search = PackedSearch::new(query, filter.clone(), readable(index, meta), delta);
    if let Some(rows) = history::expected_rows(index) {
        search.expect(rows);
    }
    let unbounded = ListRows::new(index, meta.unbounded);
    [Step::List(unbounded, Order::Value(f64::NEG_INFINITY)), Step::PackedSearch(Box::new(search))].into()
}

/// Rows that may be within a radius of a vector.
fn unordered(index: Index, meta: &Meta, filter: &Filter, center: &[f32], radius: f64) -> VecDeque<Step> {
    let order = Order::Value(f64::NEG_INFINITY);
    let query = match Query::new(meta.space.dense_metric(), center) {
        Ok(query) if radius < f64::INFINITY => query,
        _ => {
            let mut steps = all(index, meta, order);
            // To NaN, as a radius, NaN is not larger.
            steps.extend(radius.is_nan().then(|| Step::List(ListRows::new(index, meta.nan), order)));
            return steps;
        }
    };
    let (mut delta, mut in_delta) = (Vec::new(), 0);
    let (exact, end) = (query.exact(), query.end_of(radius));
    for chain in [meta.sealing, meta.delta] {
        let each = |tid, keys: &[u64], body: Body<'_>| {
            in_delta += 1;
            delta.extend((filter.is_met_by(keys) && exact.key(body.dense()) < end).then_some(tid));
        };
        scan_delta(index, chain, meta::delta_layout(meta), each);
    }
    [
        Step::List(ListRows::new(index, meta.unbounded), order),
        Step::Delta(delta.into_iter(), order),
        Step::Within(Box::new(Within::new(query, filter.clone(), readable(index, meta), in_delta, radius))),
    ]
    .into()
}

/// The most rows within a radius that are left to the executor to put in order: it keeps copies of them all.
const MAX_UNORDERED: usize = 4096;

/// Rows that may be within a radius, for an order by the distance from another vector, and what it took to find them. `None` if there are
/// too many: to look at rows in their order then finds some of them soon.
fn few_within(
    index: Index,
    meta: &Meta,
    conditions: &Conditions,
    center: &[f32],
    radius: f64,
) -> Option<(VecDeque<Step>, ScanStats)> {
    let steps = unordered(index, meta, &conditions.attributes.filter, center, radius);
    let mut rows = Rows::new(index, steps, conditions);
    let mut found = Vec::new();
    while let Some((tid, ..)) = rows.next() {
        if found.len() == MAX_UNORDERED {
            return None;
        }
        found.push(tid);
    }
    let step = Step::Delta(found.into_iter(), Order::Value(f64::NEG_INFINITY));
    Some(([step].into(), ScanStats { rows: 0, ..rows.stats }))
}

/// All rows that have a vector, but for those of the list of NaN, as equals.
fn all(index: Index, meta: &Meta, order: Order) -> VecDeque<Step> {
    let mut delta = Vec::new();
    for chain in [meta.sealing, meta.delta] {
        scan_delta(index, chain, meta::delta_layout(meta), |tid, _, _| delta.push(tid));
    }
    [
        Step::List(ListRows::new(index, meta.unbounded), order),
        Step::Delta(delta.into_iter(), order),
        Step::Everything(Everything::new(readable(index, meta)), order),
    ]
    .into()
}
