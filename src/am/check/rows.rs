//! Rows: each address is in the index once, and each row of the table is where a scan looks for it.

use std::collections::VecDeque;
use std::ops::Range;

use super::entries::{self, Entry, Place};
use super::structure::Sound;
use super::Findings;
use crate::am::attributes::keys_of_row;
use crate::am::chain::Part;
use crate::am::opclass;
use crate::am::options::maintenance_bytes;
use crate::am::segments::{Opened, SegmentPages};
use crate::am::value::{Prepared, Value};
use crate::am::vector_type::VectorType;
use crate::pg::heap::{for_each_visible_row, IndexedValues, OpenTable, Snapshot};
use bkd::{Placement, RowCheck, Tid};

/// Checks all rows; against the table if there is one.
pub fn check(sound: &Sound, table: Option<(&OpenTable, &Snapshot)>, findings: &mut Findings) {
    let most = maintenance_bytes() / size_of::<Entry>();
    let mut ranges: VecDeque<Range<u64>> = entries::ranges(sound, most).into();
    let Some((table, snapshot)) = table else {
        for range in ranges {
            find_doubles(sound, &range, &entries::within(sound, &range), findings);
        }
        return;
    };
    let check_of = |opened: &Opened| RowCheck::new(opened.segment.clone(), opened.pages(sound.index));
    let mut rows = Rows {
        sound,
        vector_type: opclass::indexed(sound.index).1,
        segments: sound.segments.iter().map(check_of).collect(),
        range: 0..0,
        entries: Vec::new(),
        prepared: Prepared::default(),
        keys: Vec::new(),
        findings,
    };
    for_each_visible_row(table, snapshot, &mut |tid, values| {
        // The table is read in the order of its blocks.
        while !rows.range.contains(&u64::from(tid.block)) {
            let range = ranges.pop_front().expect("the ranges cover all block numbers");
            rows.enter(range);
        }
        rows.row(tid, &values);
    });
    // Behind the last row.
    ranges.into_iter().for_each(|range| rows.enter(range));
}

/// Reports row addresses that come more than once.
///
/// What comes twice is looked for once more, by the metapage as it is then. For VACUUM may remove an address from a page that was read already,
/// or from what took that page's place, and a new row of the same address may come to a page that was not read yet.
fn find_doubles(sound: &Sound, range: &Range<u64>, entries: &[Entry], findings: &mut Findings) {
    let found = doubles(entries);
    if found.is_empty() {
        return;
    }
    let still_there: Vec<Tid> =
        doubles(&entries::within(&sound.again(), range)).iter().map(|[(tid, _), _]| *tid).collect();
    for [(tid, first), (_, second)] in found.into_iter().filter(|[(tid, _), _]| still_there.contains(tid)) {
        let (first, second) = (describe(sound, first), describe(sound, second));
        findings.add(None, format!("row {} is in the index more than once: {first} and {second}", name(tid)));
    }
}

fn doubles(entries: &[Entry]) -> Vec<[Entry; 2]> {
    entries.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| [pair[0], pair[1]]).collect()
}

fn describe(sound: &Sound, place: Place) -> String {
    match place {
        Place::Segment { at, ordinal } => {
            format!("at {ordinal} in segment {}", sound.segments[usize::from(at)].segment.id())
        }
        Place::Delta { .. } => "in the delta".into(),
        Place::List(part) => format!("in the list {part:?}"),
    }
}

/// A row's address as Postgres writes it.
fn name(tid: Tid) -> String {
    format!("({},{})", tid.block, tid.offset)
}

/// The index's entries of a part of the table, to be compared with its rows.
struct Rows<'a> {
    sound: &'a Sound,
    vector_type: VectorType,
    segments: Vec<RowCheck<SegmentPages>>,
    range: Range<u64>,
    entries: Vec<Entry>,
    prepared: Prepared,
    /// Attributes of the row.
    keys: Vec<u64>,
    findings: &'a mut Findings,
}

impl Rows<'_> {
    fn enter(&mut self, range: Range<u64>) {
        self.entries = entries::within(self.sound, &range);
        self.range = range;
        find_doubles(self.sound, &self.range, &self.entries, self.findings);
    }

    /// Checks a row of the table that has these values.
    fn row(&mut self, tid: Tid, values: &IndexedValues) {
        let key = |tid: Tid| (tid.block, tid.offset);
        let found = self.entries.binary_search_by_key(&key(tid), |&(tid, _)| key(tid));
        let Ok(at) = found else {
            return self.findings.add(None, format!("row {} of the table is not in the index", name(tid)));
        };
        let place = self.entries[at].1;
        let problem = match values.first() {
            None => (place != Place::List(Part::Null)).then(|| "is NULL, but not with these".to_string()),
            Some(datum) => {
                // SAFETY: the operator class is on that type, and the row stays where it is during this call.
                let value = unsafe { Value::from_datum(self.vector_type, datum) };
                // SAFETY: the values are those of a row of the index.
                unsafe { keys_of_row(self.sound.index, values.datums(), values.nulls(), &mut self.keys) };
                let problem = self.value(place, &value);
                value.release();
                problem
            }
        };
        if let Some(problem) = problem {
            self.findings.add(None, format!("row {} of the table {problem}", name(tid)));
        }
    }

    fn value(&mut self, place: Place, value: &Value<'_>) -> Option<String> {
        let meta = &self.sound.meta;
        if value.dims() != meta.dims {
            return Some(format!("has {} dimensions, the index {}", value.dims(), meta.dims));
        }
        let elsewhere = || Some("is in the index, but not where its vector belongs".to_string());
        match (value.prepare(meta.space, &mut self.prepared), place) {
            (Placement::Ranked, Place::Segment { at, ordinal }) => {
                let segment = &mut self.segments[usize::from(at)];
                if segment.keys(ordinal).is_ok_and(|keys| keys != self.keys) {
                    return Some("has other attributes than the index".to_string());
                }
                match segment.check(ordinal, self.prepared.body(meta.space)) {
                    Ok(problem) => problem.map(|problem| format!("is not within its bounds: {problem}")),
                    // Reported with the page.
                    Err(_) => None,
                }
            }
            (Placement::Ranked, Place::Delta { checksum }) => {
                let same = entries::checksum(&self.keys, self.prepared.body(meta.space)) == checksum;
                (!same).then(|| "has another vector than the delta, or other attributes".to_string())
            }
            (Placement::Ranked, Place::List(_)) => elsewhere(),
            (placement, Place::List(part)) if part == Part::of(placement) => None,
            _ => elsewhere(),
        }
    }
}
