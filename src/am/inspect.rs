//! Functions that show what an index consists of, and what a scan did.

// pgrx wants the columns of a result spelled out in the function's signature.
#![allow(clippy::type_complexity)]

use bkd::layout::chain::{delta_items, list_items};
use bkd::layout::meta::{Chain, Meta};
use bkd::layout::{PageKind, PAGE_SIZE};
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::access::{self, Who};
use super::chain::Walk;
use super::segments::{open_all, Opened};
use super::{history, meta};
use crate::pg::index::{Index, Lock};

type PartRow = (
    name!(kind, &'static str),
    name!(vectors, i64),
    name!(dead, i64),
    name!(leaves, Option<i64>),
    name!(coarse_bytes, Option<i64>),
    name!(fine_bytes, Option<i64>),
    name!(tid_bytes, Option<i64>),
    name!(directory_bytes, Option<i64>),
    name!(total_bytes, i64),
    name!(dims, Option<i32>),
    name!(metric, &'static str),
);

/// What an index consists of: a row for each segment, for the delta, for a delta that is being sealed, and for each list.
#[pg_extern(sql = false)]
fn kdtree_stats(
    index: pg_sys::Oid,
) -> TableIterator<
    'static,
    (
        name!(kind, &'static str),
        name!(vectors, i64),
        name!(dead, i64),
        name!(leaves, Option<i64>),
        name!(coarse_bytes, Option<i64>),
        name!(fine_bytes, Option<i64>),
        name!(tid_bytes, Option<i64>),
        name!(directory_bytes, Option<i64>),
        name!(total_bytes, i64),
        name!(dims, Option<i32>),
        name!(metric, &'static str),
    ),
> {
    let open = access::open("kdtree_stats", index, Lock::Read, Who::OwnerOrStatistics);
    let index = open.index();
    let meta = meta::read(index);
    let rows: Vec<PartRow> = segment_rows(index, &meta).into_iter().chain(chain_rows(index, &meta)).collect();
    drop(open);
    TableIterator::new(rows)
}

fn segment_rows(index: Index, meta: &Meta) -> Vec<PartRow> {
    let pages = |range: std::ops::Range<u32>| Some(range.len() as i64 * PAGE_SIZE as i64);
    let opened = open_all(index, meta);
    meta.segments
        .iter()
        .zip(opened)
        .map(|(entry, Opened { segment, .. })| {
            (
                "segment",
                i64::from(entry.vectors),
                i64::from(entry.dead),
                Some(segment.leaves() as i64),
                pages(segment.leaf_pages()),
                pages(segment.fine_pages().start..segment.whole_pages().end),
                pages(segment.tid_pages()),
                Some(i64::from(entry.directory_bytes)),
                i64::from(entry.pages) * PAGE_SIZE as i64,
                dims(meta),
                meta.space.name(),
            )
        })
        .collect()
}

fn chain_rows(index: Index, meta: &Meta) -> Vec<PartRow> {
    [
        ("delta", meta.delta, PageKind::Delta),
        ("sealing", meta.sealing, PageKind::Delta),
        ("unbounded", meta.unbounded, PageKind::TidList),
        ("nan", meta.nan, PageKind::TidList),
        ("null", meta.null, PageKind::TidList),
    ]
    .into_iter()
    .map(|(kind, chain, pages)| {
        let (items, dead) = count(index, meta, chain, pages);
        let bytes = i64::from(chain.pages) * PAGE_SIZE as i64;
        (kind, items, dead, None, None, None, None, None, bytes, dims(meta), meta.space.name())
    })
    .collect()
}

fn dims(meta: &Meta) -> Option<i32> {
    (meta.dims != 0).then_some(meta.dims as i32)
}

/// Items of a chain, and those of them that are dead.
fn count(index: Index, meta: &Meta, chain: Chain, kind: PageKind) -> (i64, i64) {
    let (mut items, mut dead) = (0, 0);
    let layout = meta::delta_layout(meta);
    Walk::new(index, kind).pages(chain, |_, header, payload| {
        let each = |_, tid: bkd::Tid| {
            items += 1;
            dead += i64::from(tid.is_dead());
        };
        match kind {
            PageKind::Delta => delta_items(&layout, header, payload, each),
            _ => list_items(header, payload, each),
        }
    });
    (items, dead)
}

/// What this backend's last scan of a kdtree index did; a row of NULLs if there was none.
#[pg_extern(sql = false)]
fn kdtree_last_scan() -> TableIterator<
    'static,
    (
        name!(index, Option<pg_sys::Oid>),
        name!(leaves, Option<i64>),
        name!(leaves_visited, Option<i64>),
        name!(coarse, Option<i64>),
        name!(fine, Option<i64>),
        name!(delta, Option<i64>),
        name!(rows, Option<i64>),
        name!(passes, Option<i64>),
    ),
> {
    let last = history::last();
    let count = |of: fn(&bkd::ScanStats) -> u64| last.map(|(_, stats)| of(&stats) as i64);
    TableIterator::once((
        last.map(|(index, _)| index),
        count(|stats| stats.leaves),
        count(|stats| stats.leaves_visited),
        count(|stats| stats.coarse),
        count(|stats| stats.fine),
        count(|stats| stats.delta),
        count(|stats| stats.rows),
        count(|stats| stats.passes),
    ))
}
