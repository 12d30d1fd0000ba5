//! `kdtree_recall`: what approximate scans of an index find, and what they cost, measured on the index itself.
//!
//! Queries are the caller's, or vectors of the index, as their codes say, which is within a part in some thousands of what the rows say;
//! then a query's own row does not count. What is found is compared with what an exact scan finds by its bounds; rows of the table are
//! not read, and the times are those of the index alone.

// pgrx wants the columns of a result spelled out in the function's signature.
#![allow(clippy::type_complexity)]

use std::time::Instant;

use bkd::{decode, Query, Space, Tid};
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::PgSqlErrorCode;

use super::access::{self, Who};
use super::segments::readable;
use super::value::check_same_dims;
use super::{helpers, meta, options};
use crate::pg::index::{Index, Lock};
use crate::pg::interrupts::check_for_interrupts;
use crate::pg::report::OrRaise;
use crate::types::array::ArrayRef;
use crate::types::error::raise;
use crate::types::vector::VectorRef;

/// The most neighbours and queries: more would take long and tell nothing new.
const MOST_NEIGHBOURS: i32 = 1000;
const MOST_QUERIES: i32 = 10_000;

/// What one scan did.
struct Measured {
    found: Vec<Tid>,
    milliseconds: f64,
    leaves: f64,
    vectors: f64,
}

/// A query, and the address of the row that it was taken from.
type Sample = (Vec<f32>, Option<Tid>);

/// The columns of both functions.
type Report = TableIterator<
    'static,
    (
        name!(target, f64),
        name!(measured, i32),
        name!(mean, Option<f64>),
        name!(minimum, Option<f64>),
        name!(approximate_ms, Option<f64>),
        name!(exact_ms, Option<f64>),
        name!(leaves, Option<f64>),
        name!(vectors, Option<f64>),
    ),
>;

/// Measures recall and time of approximate scans for vectors of the index; NULLs if it has no tree to search: bit
/// strings and sparse vectors have none, and are always searched exactly.
#[pg_extern(sql = false)]
fn kdtree_recall(
    index: Option<pg_sys::Oid>,
    k: Option<i32>,
    queries: Option<i32>,
    recall: Option<f64>,
) -> Report {
    let queries = within("queries", queries, MOST_QUERIES);
    report(index, k, recall, |index| sample(index, queries))
}

/// The same for the caller's own queries.
#[pg_extern(sql = false)]
fn kdtree_recall_queries(
    index: Option<pg_sys::Oid>,
    queries: Option<ArrayRef<'_>>,
    k: Option<i32>,
    recall: Option<f64>,
) -> Report {
    let queries = queries.unwrap_or_else(|| refuse_null("queries"));
    let count = i32::try_from(queries.len()).unwrap_or(i32::MAX);
    within("number of queries", Some(count), MOST_QUERIES);
    report(index, k, recall, |index| {
        let meta = meta::read(index);
        if let Space::Packed(_) = meta.space {
            raise(
                PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                format!("index \"{}\" is not of vectors", index.name()),
            );
        }
        let mut own = Vec::with_capacity(queries.len());
        for datum in queries.datums() {
            // SAFETY: the SQL declaration says that these are vectors; the array outlives them.
            let query = unsafe { VectorRef::from_datum(datum) };
            check_same_dims(&meta, query.as_slice().len() as u32);
            own.push((query.as_slice().to_vec(), None));
        }
        own
    })
}

fn report(
    index: Option<pg_sys::Oid>,
    k: Option<i32>,
    recall: Option<f64>,
    queries: impl FnOnce(Index) -> Vec<Sample>,
) -> Report {
    let index = index.unwrap_or_else(|| refuse_null("index"));
    let k = within("k", k, MOST_NEIGHBOURS);
    let open = access::open("kdtree_recall", index, Lock::Read, Who::OwnerOrStatistics);
    let index = open.index();
    let recall = options::recall_or(index, recall);
    let mut recalls = Vec::new();
    let (mut approximate, mut exact) = (Vec::new(), Vec::new());
    for (query, own) in queries(index) {
        check_for_interrupts();
        let search = |recall| measure(index, &query, own, k as usize, recall);
        // First once for what it finds, so that both of the others are timed with the same in the caches.
        let truth = search(1.0).found;
        // Nothing has an order by its distance from a vector of zeros by cosine, say.
        if truth.is_empty() {
            continue;
        }
        let scan = search(recall);
        exact.push(search(1.0).milliseconds);
        let hits = scan.found.iter().filter(|tid| truth.contains(tid)).count();
        recalls.push(hits as f64 / truth.len() as f64);
        approximate.push(scan);
    }
    drop(open);
    let mean = |of: &dyn Fn(&Measured) -> f64| {
        let sum: f64 = approximate.iter().map(of).sum();
        (!approximate.is_empty()).then(|| sum / approximate.len() as f64)
    };
    TableIterator::once((
        recall,
        recalls.len() as i32,
        (!recalls.is_empty()).then(|| recalls.iter().sum::<f64>() / recalls.len() as f64),
        recalls.iter().copied().reduce(f64::min),
        median(approximate.iter().map(|scan| scan.milliseconds).collect()),
        median(exact),
        mean(&|scan| scan.leaves),
        mean(&|scan| scan.vectors),
    ))
}

/// An argument that is between one and the most that is allowed.
fn within(name: &str, value: Option<i32>, most: i32) -> u64 {
    let value = value.unwrap_or_else(|| refuse_null(name));
    if !(1..=most).contains(&value) {
        raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("{name} must be between 1 and {most}, not {value}"),
        );
    }
    value as u64
}

fn refuse_null(name: &str) -> ! {
    raise(PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, format!("{name} must not be NULL"))
}

/// Vectors from everywhere in the trees, with the addresses of their rows; those that are dead are left out. None of what is not in trees:
/// there all scans are exact.
fn sample(index: Index, queries: u64) -> Vec<Sample> {
    let meta = meta::read(index);
    if let Space::Packed(_) = meta.space {
        return Vec::new();
    }
    let segments = readable(index, &meta);
    let vectors: u64 = segments.iter().map(|(segment, _)| u64::from(segment.vectors())).sum();
    let queries = queries.min(vectors);
    let mut sampled = Vec::with_capacity(queries as usize);
    for query in 0..queries {
        // In the middle of the part of all vectors that it stands for.
        let mut at = ((2 * query + 1) * vectors) / (2 * queries);
        for (segment, pages) in &segments {
            if at < u64::from(segment.vectors()) {
                let (vector, tid) = decode(segment, pages, at as u32).or_raise(index);
                sampled.extend((!tid.is_dead()).then_some((vector, Some(tid))));
                break;
            }
            at -= u64::from(segment.vectors());
        }
    }
    sampled
}

/// Scans the trees for a query's neighbours, of which its own row is none.
fn measure(index: Index, query: &[f32], own: Option<Tid>, neighbours: usize, recall: f64) -> Measured {
    let started = Instant::now();
    let meta = meta::read(index);
    let Space::Dense(metric) = meta.space else { unreachable!("nothing else is sampled") };
    let Ok(query) = Query::new(metric, query) else {
        return Measured { found: Vec::new(), milliseconds: 0.0, leaves: 0.0, vectors: 0.0 };
    };
    let segments = readable(index, &meta);
    let vectors: u64 = segments.iter().map(|(segment, _)| u64::from(segment.vectors())).sum();
    let mut search = helpers::search(query, segments, Vec::new());
    search.expect(neighbours + usize::from(own.is_some()));
    search.set_recall(recall);
    let mut found = Vec::with_capacity(neighbours);
    while found.len() < neighbours {
        let Some(hit) = search.next(&mut check_for_interrupts).or_raise(index) else { break };
        if Some(hit.tid) != own {
            found.push(hit.tid);
        }
    }
    let stats = search.stats();
    Measured {
        found,
        milliseconds: started.elapsed().as_secs_f64() * 1e3,
        leaves: stats.leaves_visited as f64 / stats.leaves.max(1) as f64,
        vectors: stats.coarse as f64 / vectors.max(1) as f64,
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
