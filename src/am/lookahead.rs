//! How far ahead of a scan the system reads, along the pages that the scan says it will read.

use std::ops::Range;

/// The most pages that are read ahead, and the least.
const MOST: u32 = 512;
const LEAST: u32 = 32;

/// Pages of a segment in ascending order, which are counted along the way.
#[derive(Default)]
pub struct Lookahead {
    pages: Vec<Range<u32>>,
    /// How many come before each range.
    before: Vec<u32>,
    /// How many in all.
    all: u32,
    /// How many of the first the system was told to read, or are behind.
    told: u32,
}

impl Lookahead {
    pub fn new(pages: Vec<Range<u32>>) -> Self {
        let mut all = 0;
        let before = pages.iter().map(|pages| {
            let before = all;
            all += pages.len() as u32;
            before
        });
        let before = before.collect();
        Lookahead { pages, before, all, told: 0 }
    }

    /// Which pages to read ahead, of a scan that has come to this one: none if there is enough on the way. The more it has read already, the
    /// more it is likely to read.
    pub fn ahead_of(&mut self, page: u32) -> Vec<Range<u32>> {
        let passed = self.count_before(page);
        let window = (2 * passed).clamp(LEAST, MOST);
        let until = self.all.min(passed + window);
        let from = self.told.max(passed);
        if from >= until || from > passed + window / 2 {
            return Vec::new();
        }
        self.told = until;
        self.between(from, until)
    }

    /// How many of the pages come before one.
    fn count_before(&self, page: u32) -> u32 {
        let next = self.pages.partition_point(|pages| pages.end <= page);
        match (self.pages.get(next), self.before.get(next)) {
            (Some(pages), Some(before)) => before + page.saturating_sub(pages.start),
            _ => self.all,
        }
    }

    /// The pages from one count to another.
    fn between(&self, from: u32, until: u32) -> Vec<Range<u32>> {
        let first = self.before.partition_point(|&before| before <= from).saturating_sub(1);
        let parts = self.pages[first..].iter().zip(&self.before[first..]);
        let parts = parts.take_while(|(_, &before)| before < until);
        let part = |(pages, &before): (&Range<u32>, &u32)| {
            let end = pages.end.min(pages.start + (until - before));
            pages.start + from.saturating_sub(before)..end
        };
        parts.map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pages told ahead of one, each by itself.
    fn told(lookahead: &mut Lookahead, page: u32) -> Vec<u32> {
        lookahead.ahead_of(page).into_iter().flatten().collect()
    }

    #[test]
    fn all_is_told_once_and_in_time() {
        let pages = vec![3..20, 40..41, 50..1300, 1400..3000];
        let mut lookahead = Lookahead::new(pages.clone());
        let mut all_told: Vec<u32> = Vec::new();
        for (passed, page) in pages.iter().cloned().flatten().enumerate() {
            all_told.extend(told(&mut lookahead, page));
            // What is read now, and at least a half of the smallest window after it.
            assert!(
                all_told.len() > passed + 15 || all_told.len() as u32 == lookahead.all,
                "{passed}: {}",
                all_told.len()
            );
            assert!(all_told.len() <= passed + MOST as usize);
        }
        assert!(all_told.into_iter().eq(pages.into_iter().flatten()));
    }

    #[test]
    fn what_is_left_out_is_not_told_any_more() {
        let mut lookahead = Lookahead::new(vec![0..100, 200..300]);
        assert_eq!(told(&mut lookahead, 0), Vec::from_iter(0..32));
        assert!(told(&mut lookahead, 8).is_empty());
        assert_eq!(told(&mut lookahead, 90), Vec::from_iter((90..100).chain(200..300)));
        assert!(told(&mut lookahead, 150).is_empty());
        let mut lookahead = Lookahead::new(vec![0..100, 200..300]);
        assert_eq!(told(&mut lookahead, 250), Vec::from_iter(250..300));
        assert!(told(&mut lookahead, 300).is_empty());
        assert!(told(&mut Lookahead::new(Vec::new()), 7).is_empty());
    }
}
