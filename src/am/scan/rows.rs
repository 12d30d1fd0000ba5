//! The rows of a scan: the steps that yield them, one after the other.

use std::collections::VecDeque;

use bkd::layout::chain::list_items;
use bkd::layout::meta::Chain;
use bkd::layout::PageKind;
use bkd::{Everything, PackedSearch, PackedWithin, ScanStats, Search, Tid, Within};

use super::keys::Conditions;
use crate::am::chain::Walk;
use crate::am::segments::SegmentPages;
use crate::pg::index::Index;
use crate::pg::interrupts::check_for_interrupts;
use crate::pg::report::OrRaise;

/// What the executor is told of a row's distance.
#[derive(Clone, Copy)]
pub enum Order {
    /// It is not below this.
    Value(f64),
    /// It is NULL.
    Null,
}

/// The rows of a scan, in order.
pub struct Rows {
    index: Index,
    steps: VecDeque<Step>,
    /// Whether rows may fail a condition: those that a search found, and others.
    lossy: bool,
    conditional: bool,
    pub stats: ScanStats,
}

/// A part of a scan.
pub enum Step {
    List(ListRows, Order),
    Search(Box<Search<SegmentPages>>),
    PackedSearch(Box<PackedSearch<SegmentPages>>),
    Delta(std::vec::IntoIter<Tid>, Order),
    Everything(Everything<SegmentPages>, Order),
    Within(Box<Within<SegmentPages>>),
    PackedWithin(Box<PackedWithin<SegmentPages>>),
}

impl Rows {
    pub fn new(index: Index, steps: VecDeque<Step>, conditions: &Conditions) -> Self {
        Rows {
            index,
            steps,
            lossy: conditions.are_lossy(),
            conditional: !conditions.is_empty(),
            stats: ScanStats::default(),
        }
    }

    pub fn next(&mut self) -> Option<(Tid, Order, bool)> {
        loop {
            let step = self.steps.front_mut()?;
            if let Some((tid, order)) = step.next(self.index) {
                self.stats.rows += 1;
                let recheck = if step.is_filtered() { self.lossy } else { self.conditional };
                return Some((tid, order, recheck));
            }
            if let Some(stats) = self.steps.pop_front().and_then(|step| step.stats()) {
                self.stats = ScanStats { rows: self.stats.rows, ..stats };
            }
        }
    }

    pub fn stats(&self) -> ScanStats {
        let running = self.steps.iter().find_map(Step::stats);
        ScanStats { rows: self.stats.rows, ..running.unwrap_or(self.stats) }
    }
}

impl Step {
    fn next(&mut self, index: Index) -> Option<(Tid, Order)> {
        match self {
            Step::List(list, order) => list.next().map(|tid| (tid, *order)),
            Step::Delta(tids, order) => tids.next().map(|tid| (tid, *order)),
            Step::Search(search) => {
                let hit = search.next(&mut check_for_interrupts).or_raise(index)?;
                Some((hit.tid, Order::Value(hit.bound)))
            }
            Step::PackedSearch(search) => {
                let hit = search.next(&mut check_for_interrupts).or_raise(index)?;
                Some((hit.tid, Order::Value(hit.bound)))
            }
            Step::Everything(rows, order) => {
                rows.next(&mut check_for_interrupts).or_raise(index).map(|tid| (tid, *order))
            }
            Step::Within(rows) => {
                let tid = rows.next(&mut check_for_interrupts).or_raise(index)?;
                Some((tid, Order::Value(f64::NEG_INFINITY)))
            }
            Step::PackedWithin(rows) => {
                let tid = rows.next(&mut check_for_interrupts).or_raise(index)?;
                Some((tid, Order::Value(f64::NEG_INFINITY)))
            }
        }
    }

    /// Whether its rows meet the conditions, as far as the index can tell.
    fn is_filtered(&self) -> bool {
        matches!(self, Step::Search(_) | Step::PackedSearch(_) | Step::Within(_) | Step::PackedWithin(_))
    }

    fn stats(&self) -> Option<ScanStats> {
        match self {
            Step::Search(search) => Some(search.stats()),
            Step::PackedSearch(search) => Some(search.stats()),
            Step::Within(rows) => Some(rows.stats()),
            Step::PackedWithin(rows) => Some(rows.stats()),
            Step::List(..) | Step::Delta(..) | Step::Everything(..) => None,
        }
    }
}

/// The rows of a list, read a page at a time.
pub struct ListRows {
    walk: Walk,
    chain: Chain,
    /// The page to be read next.
    sequence: u32,
    block: u32,
    page: std::vec::IntoIter<Tid>,
}

impl ListRows {
    pub fn new(index: Index, chain: Chain) -> Self {
        let walk = Walk::new(index, PageKind::TidList);
        ListRows { walk, chain, sequence: 0, block: chain.head, page: Vec::new().into_iter() }
    }

    fn next(&mut self) -> Option<Tid> {
        loop {
            if let Some(tid) = self.page.next() {
                return Some(tid);
            }
            if self.sequence == self.chain.pages {
                return None;
            }
            check_for_interrupts();
            let mut tids = Vec::new();
            self.block =
                self.walk.page(self.block, self.chain.owner, self.sequence, &mut |_, header, payload| {
                    list_items(header, payload, |_, tid| {
                        if !tid.is_dead() {
                            tids.push(tid);
                        }
                    });
                });
            self.sequence += 1;
            self.page = tids.into_iter();
        }
    }
}
