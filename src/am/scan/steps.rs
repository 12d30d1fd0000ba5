//! Which steps yield the rows that a scan is asked for.

use std::collections::VecDeque;

use bkd::layout::meta::Meta;
use bkd::{
    Body, Everything, Filter, PackedQuery, PackedSearch, PackedWithin, Placement, Query, ScanStats, Tid,
    Within,
};

use super::keys::{Conditions, Point, Target};
use super::rows::{ListRows, Order, Rows, Step};
use crate::am::chain::scan_delta;
use crate::am::segments::readable;
use crate::am::value::check_same_dims;
use crate::am::{helpers, history, meta, options};
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
    within.iter().for_each(|(center, _)| check_same_dims(&meta, center.dims()));
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
        Target::Point(point) => {
            check_same_dims(&meta, point.dims());
            let ends = within.iter().any(|(center, radius)| center == point && *radius < f64::INFINITY);
            let smallest = within.iter().filter(|(_, radius)| !ends && *radius < f64::INFINITY);
            let few = smallest
                .min_by(|(_, a), (_, b)| compare_radii(*a, *b))
                .and_then(|(center, radius)| few_within(index, &meta, conditions, center, *radius));
            let mut steps = if let Some((steps, searched)) = few {
                stats = searched;
                steps
            } else {
                let radii = within.iter().filter(|(center, _)| center == point).map(|(_, radius)| *radius);
                // To NaN, as a radius, everything is within. (And a minimum passes it over.)
                let radius = radii.fold(f64::INFINITY, f64::min);
                match ranked(index, &meta, filter, point, radius) {
                    Ok(steps) => steps,
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

/// Rows by their distance from a point, up to a radius, unless that is infinite. An error says where the point belongs, if not among those
/// that are ranked: all its distances are alike.
fn ranked(
    index: Index,
    meta: &Meta,
    filter: &Filter,
    point: &Point,
    radius: f64,
) -> Result<VecDeque<Step>, Placement> {
    let expected = history::expected_rows(index);
    let search = match point {
        Point::Vector(vector) => {
            let query = Query::new(meta.space.dense_metric(), vector)?;
            let exact = query.exact();
            let delta = delta_keys(index, meta, filter, |body| exact.key(body.dense()));
            let mut search = helpers::search(query, readable(index, meta), delta);
            search.set_filter(filter.clone());
            if let Some(rows) = expected {
                search.expect(rows);
            }
            if radius < f64::INFINITY {
                // Everything within a distance, not most of it.
                search.stop_after(radius);
            } else {
                search.set_recall(options::recall(index));
            }
            Step::Search(Box::new(search))
        }
        Point::Packed(point) => {
            let mut query = point.query(meta.space)?;
            let delta = delta_keys(index, meta, filter, |body| query.key(body.packed()).or_raise(index));
            let mut search = PackedSearch::new(query, filter.clone(), readable(index, meta), delta);
            if let Some(rows) = expected {
                search.expect(rows);
            }
            if radius < f64::INFINITY {
                search.stop_after(radius);
            }
            Step::PackedSearch(Box::new(search))
        }
    };
    let unbounded = ListRows::new(index, meta.unbounded);
    Ok([Step::List(unbounded, Order::Value(f64::NEG_INFINITY)), search].into())
}

/// Rows of the delta that meet a filter, with their keys.
fn delta_keys(
    index: Index,
    meta: &Meta,
    filter: &Filter,
    mut key: impl FnMut(Body<'_>) -> f32,
) -> Vec<(f32, Tid)> {
    let mut rows = Vec::new();
    for chain in [meta.sealing, meta.delta] {
        let each = |tid, keys: &[u64], body: Body<'_>| {
            if filter.is_met_by(keys) {
                rows.push((key(body), tid));
            }
        };
        scan_delta(index, chain, meta::delta_layout(meta), each);
    }
    rows
}

/// Rows that may be within a radius of a point.
fn unordered(index: Index, meta: &Meta, filter: &Filter, center: &Point, radius: f64) -> VecDeque<Step> {
    let order = Order::Value(f64::NEG_INFINITY);
    let found =
        if radius < f64::INFINITY { within_finite(index, meta, filter, center, radius).ok() } else { None };
    let Some((delta, segments)) = found else {
        let mut steps = all(index, meta, order);
        // To NaN, as a radius, NaN is not larger.
        steps.extend(radius.is_nan().then(|| Step::List(ListRows::new(index, meta.nan), order)));
        return steps;
    };
    let unbounded = ListRows::new(index, meta.unbounded);
    [Step::List(unbounded, order), Step::Delta(delta.into_iter(), order), segments].into()
}

/// Those of them in the delta, and the search for those in segments. An error is as in [`ranked`].
fn within_finite(
    index: Index,
    meta: &Meta,
    filter: &Filter,
    center: &Point,
    radius: f64,
) -> Result<(Vec<Tid>, Step), Placement> {
    let (near, segments) = match center {
        Point::Vector(vector) => {
            let query = Query::new(meta.space.dense_metric(), vector)?;
            let (exact, end) = (query.exact(), query.end_of(radius));
            let delta = delta_keys(index, meta, filter, |body| exact.key(body.dense()));
            let found = Within::new(query, filter.clone(), readable(index, meta), delta.len() as u64, radius);
            (keep(&delta, |key| key < end), Step::Within(Box::new(found)))
        }
        Point::Packed(point) => {
            let mut query = point.query(meta.space)?;
            let delta = delta_keys(index, meta, filter, |body| query.key(body.packed()).or_raise(index));
            let limit = PackedQuery::largest_key(radius);
            let found =
                PackedWithin::new(query, filter.clone(), readable(index, meta), delta.len() as u64, radius);
            (keep(&delta, |key| key <= limit), Step::PackedWithin(Box::new(found)))
        }
    };
    Ok((near, segments))
}

/// The rows of the delta whose keys are near enough.
fn keep(delta: &[(f32, Tid)], is_near: impl Fn(f32) -> bool) -> Vec<Tid> {
    delta.iter().filter(|(key, _)| is_near(*key)).map(|(_, tid)| *tid).collect()
}

/// The most rows within a radius that are left to the executor to put in order: it keeps copies of them all.
const MAX_UNORDERED: usize = 4096;

/// Rows that may be within a radius, for an order by the distance from another point, and what it took to find them. `None` if there are
/// too many: to look at rows in their order then finds some of them soon.
fn few_within(
    index: Index,
    meta: &Meta,
    conditions: &Conditions,
    center: &Point,
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
