//! Pages: what the metapage leads to is there, is sound, and belongs to one owner only.

use std::collections::HashSet;

use bkd::layout::chain::DeltaReader;
use bkd::layout::meta::{Chain, Meta, Retired, SegmentEntry};
use bkd::layout::packed::PackedLayout;
use bkd::layout::{is_rest_zero, payload, PageHeader, PageKind};
use bkd::{check_segment, prepare, Body, PageRead, Placement, Space, Tid};

use super::Findings;
use crate::am::chain::{Part, Walk};
use crate::am::segments::{read_directory, read_segment, Opened};
use crate::am::vector_type::VectorType;
use crate::am::{meta, opclass};
use crate::pg::buffer::{Page, SharedPage};
use crate::pg::index::Index;
use crate::pg::interrupts::check_for_interrupts;
use crate::pg::report::{in_recovery, OrRaise};
use crate::pg::structure_lock::SealLock;

/// What of an index can be read.
pub struct Sound {
    pub index: Index,
    pub meta: Meta,
    pub segments: Vec<Opened>,
}

impl Sound {
    /// The same by the metapage as it is now.
    pub fn again(&self) -> Self {
        let meta = meta::read(self.index);
        let open = |entry| read_segment(self.index, &meta, entry).ok().map(Opened::new);
        Sound { index: self.index, segments: meta.segments.iter().filter_map(open).collect(), meta }
    }
}

/// Checks all pages. `None` if not even the metapage can be read.
pub fn check(index: Index, findings: &mut Findings) -> Option<Sound> {
    // What waits for its readers is freed by those who seal; meanwhile it stays.
    let lock = (!in_recovery()).then(|| SealLock::acquire(index));
    let meta = check_meta(index, findings)?;
    let mut check = Check { index, meta: &meta, claimed: Blocks::new(index), findings };
    check.claimed.claim(meta::BLOCK);
    if lock.is_some() {
        meta.retired.iter().for_each(|retired| check.retired(retired));
    }
    drop(lock);
    for (name, kind, chain) in [
        ("delta", PageKind::Delta, meta.delta),
        ("sealing", PageKind::Delta, meta.sealing),
        ("unbounded", Part::Unbounded.kind(), meta.unbounded),
        ("nan", Part::Nan.kind(), meta.nan),
        ("null", Part::Null.kind(), meta.null),
    ] {
        check.chain(name, kind, chain);
    }
    let segments = meta.segments.iter().filter_map(|entry| check.segment(entry)).collect();
    Some(Sound { index, segments, meta })
}

/// The metapage by itself.
fn check_meta(index: Index, findings: &mut Findings) -> Option<Meta> {
    let page = SharedPage::read(index, meta::BLOCK);
    let meta = match meta::parse(&page) {
        Ok(meta) => meta,
        // Nothing is wrong with it, we cannot read it.
        Err(error @ (bkd::Error::Version(_) | bkd::Error::Foreign(_))) => Err(error).or_raise(index),
        Err(error) => {
            findings.add_error(Some(meta::BLOCK), error);
            return None;
        }
    };
    let is_rest_used = PageHeader::read(&page).is_ok_and(|header| !is_rest_zero(&page, &header));
    drop(page);
    if let Err(error) = meta::check_columns(index, meta.columns) {
        findings.add_error(Some(meta::BLOCK), error);
        return None;
    }
    let mut problem = |text: String| findings.add(Some(meta::BLOCK), format!("metapage: {text}"));
    if is_rest_used {
        problem("there is something behind its contents".into());
    }
    let (space, declared) = opclass::indexed(index);
    if meta.space != space {
        problem(format!("orders by {}, the operator class by {}", meta.space.name(), space.name()));
    }
    if let Some(indexed) = VectorType::from_code(meta.input).filter(|&indexed| indexed != declared) {
        problem(format!("is one of {}, the operator class is for {}", indexed.name(), declared.name()));
    }
    let typmod = index.column_typmod();
    if typmod > 0 && typmod as u32 != meta.dims {
        problem(format!("has {} dimensions, the column {typmod}", meta.dims));
    }
    let mut owners = HashSet::new();
    let chains = meta.chains();
    let chains = chains.iter().filter(|chain| !chain.is_empty()).map(|chain| chain.owner);
    let segments = meta.segments.iter().map(|entry| entry.id);
    for owner in chains.chain(segments).chain(meta.retired.iter().map(Retired::owner)) {
        if !owners.insert(owner) || owner >= meta.next_owner {
            problem(format!("owner {owner} is there twice, or was never given out"));
        }
    }
    for entry in meta.segments.iter().filter(|entry| entry.dead > entry.vectors) {
        problem(format!("segment {} has more dead vectors than vectors", entry.id));
    }
    Some(meta)
}

/// Blocks of the file that something was found to lie in.
struct Blocks {
    seen: Vec<u64>,
    count: u32,
}

impl Blocks {
    fn new(index: Index) -> Self {
        let count = index.blocks();
        Blocks { seen: vec![0; (count as usize).div_ceil(64)], count }
    }

    /// Notes a block; false if it was noted before. A block behind the end as it was when the check began is newer, and not
    /// noted.
    fn claim(&mut self, block: u32) -> bool {
        if block >= self.count {
            return true;
        }
        let (word, bit) = (&mut self.seen[block as usize / 64], 1 << (block % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

struct Check<'a> {
    index: Index,
    meta: &'a Meta,
    claimed: Blocks,
    findings: &'a mut Findings,
}

impl Check<'_> {
    /// Notes that a block belongs to something.
    fn claim(&mut self, block: u32, what: &str) {
        if !self.claimed.claim(block) {
            self.findings.add(Some(block), format!("{what}: block belongs to something else too"));
        }
    }

    /// The part of a page that nobody reads.
    fn rest(&mut self, block: u32, page: &Page, header: &PageHeader) {
        if !is_rest_zero(page, header) {
            self.findings.add(Some(block), "there is something behind the page's contents");
        }
    }

    fn chain(&mut self, name: &str, kind: PageKind, chain: Chain) {
        let (walk, mut contents) = (Walk::new(self.index, kind), Contents::of(kind, self.meta));
        let mut block = chain.head;
        for sequence in 0..chain.pages {
            check_for_interrupts();
            let (page, header) = match walk.read(block, chain.owner, sequence) {
                Ok(found) => found,
                Err(error) => return self.findings.add_error(Some(block), error),
            };
            self.claim(block, name);
            self.rest(block, &page, &header);
            if let Err(problem) = contents.page(&page, &header) {
                self.findings.add(Some(block), format!("{name}: {problem}"));
            }
            let is_last = sequence + 1 == chain.pages;
            if is_last != (block == chain.tail) {
                self.findings.add(
                    Some(block),
                    format!("{name}: the metapage says that page {} is the last", chain.tail),
                );
            }
            if is_last && chain == self.meta.sealing && !header.closed {
                self.findings.add(Some(block), format!("{name}: rows may still be appended"));
            }
            block = header.next;
        }
    }

    fn segment(&mut self, entry: &SegmentEntry) -> Option<Opened> {
        let name = format!("segment {}", entry.id);
        self.directory_pages(&name, entry);
        let segment = match read_segment(self.index, self.meta, entry) {
            Ok(segment) => segment,
            Err(error) => {
                self.findings.add(None, format!("{name}: {error}"));
                return None;
            }
        };
        let opened = Opened::new(segment);
        let segment = &opened.segment;
        let pages = opened.pages(self.index);
        for sequence in 0..segment.pages() {
            self.claim(segment.block(sequence), &name);
        }
        check_segment(segment, &pages, &mut check_for_interrupts, &mut |finding| {
            let block = finding.sequence.map(|sequence| segment.block(sequence));
            self.findings.add(block, format!("{name}: {}", finding.problem));
        });
        // What no reader looks at.
        let mut dead = 0;
        for sequence in 0..segment.pages() {
            check_for_interrupts();
            let block = segment.block(sequence);
            let page = SharedPage::read(self.index, block);
            if let Ok(header) = PageHeader::read(&page) {
                self.rest(block, &page, &header);
            }
        }
        for sequence in segment.tid_pages() {
            if let Ok(page) = pages.page(PageKind::Tids, sequence) {
                let on_page = segment.tids_on(sequence);
                dead += (0..on_page).filter(|&slot| bkd::layout::tids::get(&page, slot).is_dead()).count();
            }
        }
        if dead < entry.dead as usize {
            let problem = format!("{name}: {dead} vectors are dead, the metapage says {}", entry.dead);
            self.findings.add(Some(meta::BLOCK), problem);
        }
        Some(opened)
    }

    fn directory_pages(&mut self, name: &str, entry: &SegmentEntry) {
        let mut blocks = Vec::new();
        // Errors are reported by whoever opens the segment.
        let _ = read_directory(self.index, entry.id, entry.directory, entry.directory_bytes, |block| {
            blocks.push(block);
        });
        for block in blocks {
            self.claim(block, name);
            let page = SharedPage::read(self.index, block);
            if let Ok(header) = PageHeader::read(&page) {
                self.rest(block, &page, &header);
            }
        }
    }

    /// Something that waits for its readers: only that it can be freed.
    fn retired(&mut self, retired: &Retired) {
        let mut blocks = Vec::new();
        let walked = crate::am::space::walk_retired(self.index, retired, &mut |block| blocks.push(block));
        if let Err(error) = walked {
            self.findings.add(None, format!("what was replaced: {error}"));
        }
        blocks.into_iter().for_each(|block| self.claim(block, "what was replaced"));
    }
}

/// What the pages of a chain hold.
enum Contents {
    Delta(DeltaReader, Space, u32),
    List,
}

impl Contents {
    fn of(kind: PageKind, meta: &Meta) -> Self {
        match kind {
            PageKind::Delta => {
                Contents::Delta(DeltaReader::new(meta::delta_layout(meta)), meta.space, meta.dims)
            }
            _ => Contents::List,
        }
    }

    fn page(&mut self, page: &SharedPage, header: &PageHeader) -> Result<(), String> {
        let used = header.used as usize;
        match self {
            Contents::List if used.is_multiple_of(Tid::SIZE) => Ok(()),
            Contents::Delta(reader, space, dims) => {
                let (mut strange, mut prepared) = (0, Vec::new());
                let mut belongs = |body: Body<'_>| match (*space, body) {
                    (Space::Dense(metric), Body::Dense(vector)) => {
                        prepare(metric, vector, &mut prepared) == Placement::Ranked
                    }
                    (Space::Packed(packing), Body::Packed(bytes)) => {
                        PackedLayout::new(packing, *dims as usize).is_body(bytes)
                    }
                    _ => false,
                };
                let each = |_, _: &[u64], body: Body<'_>| strange += u32::from(!belongs(body));
                reader.page(header, payload(page), each).map_err(|error| error.to_string())?;
                match strange {
                    0 => Ok(()),
                    _ => Err(format!("{strange} vectors do not belong here")),
                }
            }
            Contents::List => Err(format!("{used} bytes are no whole number of row addresses")),
        }
    }
}
