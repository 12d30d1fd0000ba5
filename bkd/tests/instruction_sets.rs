//! Whole builds and searches under every instruction set: the same pages, the same rows, the same bounds to the last bit.
//!
//! One test, in a binary of its own: the choice of an instruction set holds for the process.

mod common;

use std::cell::Cell;

use bkd::{instruction_sets, use_instruction_set, Query, Tid};
use common::*;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Everything that a search for all rows says, and the pages and directories that it read.
fn all(rows: &[Vec<f32>], plan: &Plan) -> Vec<(u64, Tid, Vec<u8>)> {
    let mut said = Vec::new();
    for metric in METRICS {
        let Some(index) = Index::new(metric, rows, plan) else { continue };
        for built in &index.segments {
            let mut bytes = built.segment.directory().encode().unwrap();
            bytes.extend(built.pages());
            said.push((0, Tid::DEAD, bytes));
        }
        for query in queries(&index.rows) {
            index.assert_exact(&query, Sum::Lanes8, 20, None);
            let Ok(query) = Query::new(metric, &query) else { continue };
            let mut search = index.search(&query);
            while let Some(hit) = search.next(&mut || ()).unwrap() {
                said.push((hit.bound.to_bits(), hit.tid, Vec::new()));
            }
        }
    }
    said
}

#[test]
fn all_instruction_sets_agree() {
    let sets = instruction_sets();
    assert_eq!(sets[0], "portable");
    let compared = Cell::new(0);
    let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&(vectors(), plans()), |(rows, plan)| {
        assert!(use_instruction_set(sets[0]));
        let expected = all(&rows, &plan);
        compared.set(compared.get() + expected.len());
        for set in &sets[1..] {
            assert!(use_instruction_set(set));
            prop_assert!(all(&rows, &plan) == expected, "{} differs from {}", set, sets[0]);
        }
        Ok(())
    });
    result.unwrap();
    assert!(compared.get() > 1_000);
}
