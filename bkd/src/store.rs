//! Where pages come from and go to. Postgres' buffers are one such place, memory is another.

use std::ops::{Deref, Range};

use crate::layout::{PageKind, Payload};
use crate::{Error, Result};

/// Read access to the pages of one segment, by their position in it.
pub trait PageRead {
    /// A page that stays as it is while this is held.
    type Page<'a>: Deref<Target = Payload>
    where
        Self: 'a;

    /// Pages that stay as they are while this is held.
    type Lent<'a>
    where
        Self: 'a;

    /// The payload of a page, whose header has been checked to be of this kind and position.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the page is not what it should be.
    fn page(&self, kind: PageKind, sequence: u32) -> Result<Self::Page<'_>>;

    /// The same, letting go of another page first.
    ///
    /// # Errors
    /// As [`PageRead::page`].
    #[inline]
    fn page_after<'a>(
        &'a self,
        before: Option<Self::Page<'a>>,
        kind: PageKind,
        sequence: u32,
    ) -> Result<Self::Page<'a>> {
        drop(before);
        self.page(kind, sequence)
    }

    /// How many reads it pays to have under way at once: none, unless pages come from a disk.
    fn concurrency(&self) -> usize {
        0
    }

    /// Where the payload of a page lies, probably. Only a hint: nothing is read from there.
    fn address(&self, _page: u32) -> Option<*const u8> {
        None
    }

    /// Has the processor fetch what it takes to begin with a page that is read soon, beside its payload.
    fn fetch(&self, _page: u32) {}

    /// How many pages may be [lent](PageRead::lend) at once: none, unless pages stay where they are in memory.
    fn lendable(&self) -> usize {
        0
    }

    /// Pages for other threads to read as long as what this returns is held, unless they would have to be looked for. Calls `each` with
    /// them in their order.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a page is not what it should be.
    fn lend(
        &self,
        _kind: PageKind,
        _pages: &[u32],
        _each: &mut dyn FnMut(&Payload),
    ) -> Result<Option<Self::Lent<'_>>> {
        Ok(None)
    }

    /// Lets the reading of pages begin that are wanted soon, of all that are not in memory. Returns whether there were any. Only a hint: what
    /// is asked for may be wrong, and what goes wrong shows when the page is read.
    fn prefetch(&self, _pages: Range<u32>) -> bool {
        false
    }

    /// Says which pages of the coarse stream are read from now on, in ascending order but for a few that turn out not to be needed: for who
    /// reads ahead. Only a hint, too.
    fn expect(&self, _pages: Vec<Range<u32>>) {}
}

impl<S: PageRead> PageRead for &S {
    type Page<'a>
        = S::Page<'a>
    where
        Self: 'a;
    type Lent<'a>
        = S::Lent<'a>
    where
        Self: 'a;

    fn page(&self, kind: PageKind, sequence: u32) -> Result<Self::Page<'_>> {
        (**self).page(kind, sequence)
    }

    fn page_after<'a>(
        &'a self,
        before: Option<Self::Page<'a>>,
        kind: PageKind,
        sequence: u32,
    ) -> Result<Self::Page<'a>> {
        (**self).page_after(before, kind, sequence)
    }

    fn concurrency(&self) -> usize {
        (**self).concurrency()
    }

    fn address(&self, page: u32) -> Option<*const u8> {
        (**self).address(page)
    }

    fn fetch(&self, page: u32) {
        (**self).fetch(page);
    }

    fn lendable(&self) -> usize {
        (**self).lendable()
    }

    fn lend(
        &self,
        kind: PageKind,
        pages: &[u32],
        each: &mut dyn FnMut(&Payload),
    ) -> Result<Option<Self::Lent<'_>>> {
        (**self).lend(kind, pages, each)
    }

    fn prefetch(&self, pages: Range<u32>) -> bool {
        (**self).prefetch(pages)
    }

    fn expect(&self, pages: Vec<Range<u32>>) {
        (**self).expect(pages);
    }
}

/// Takes the pages of a new segment in the order of their positions.
pub trait PageSink {
    /// Appends a page; `used` bytes of the payload count.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the build is to stop.
    fn append(&mut self, kind: PageKind, payload: &Payload, used: usize) -> Result<()>;
}

/// Pages of a [`MemStore`] that are lent at once: as few as Postgres would lend, so that tests see what becomes of that.
const MEM_LENDABLE: usize = 128;

/// A segment's pages in memory.
#[derive(Default)]
pub struct MemStore {
    pages: Vec<(PageKind, Box<Payload>)>,
}

impl MemStore {
    /// A store without pages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of pages.
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// A page to be changed, for tests of corruption and of removal.
    pub fn page_mut(&mut self, sequence: u32) -> &mut Payload {
        &mut self.pages[sequence as usize].1
    }
}

impl PageRead for MemStore {
    type Page<'a> = &'a Payload;
    type Lent<'a> = &'a MemStore;

    fn page(&self, kind: PageKind, sequence: u32) -> Result<&Payload> {
        match self.pages.get(sequence as usize) {
            Some((found, payload)) if *found == kind => Ok(payload),
            _ => Err(Error::corrupt(format!("no {kind:?} page {sequence}"))),
        }
    }

    fn address(&self, page: u32) -> Option<*const u8> {
        self.pages.get(page as usize).map(|(_, payload)| payload.as_ptr())
    }

    fn lendable(&self) -> usize {
        MEM_LENDABLE
    }

    fn lend(
        &self,
        kind: PageKind,
        pages: &[u32],
        each: &mut dyn FnMut(&Payload),
    ) -> Result<Option<&MemStore>> {
        for &page in pages {
            each(self.page(kind, page)?);
        }
        Ok(Some(self))
    }
}

impl PageSink for MemStore {
    fn append(&mut self, kind: PageKind, payload: &Payload, _used: usize) -> Result<()> {
        self.pages.push((kind, Box::new(*payload)));
        Ok(())
    }
}
