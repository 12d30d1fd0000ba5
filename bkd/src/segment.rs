//! An opened segment: its directory and where everything lies.

use std::ops::Range;

use crate::layout::attributes::Span;
use crate::layout::leaf::{LeafLayout, LANES};
use crate::layout::packed::PackedLayout;
use crate::layout::records::RecordLayout;
use crate::layout::{tids, CHUNKS_PER_PAGE, PAYLOAD};
use crate::search::group;
use crate::sketch::{Layouts, Sketcher};
use crate::{Axes, BoxTable, Directory, Error, Metric, Result, Space};

/// A segment whose directory has been read: shared by the scans of a backend.
#[derive(Debug)]
pub struct Segment {
    id: u64,
    directory: Directory,
    form: Form,
    /// First chunk and first vector of each leaf, and of the end.
    starts: Vec<(u64, u32)>,
    /// First vector of each cell, and its leaf.
    cells: Vec<(u32, u32)>,
    /// First cell of each leaf; empty if there are none.
    cell_starts: Vec<u32>,
    /// Boxes around groups of leaves.
    groups: BoxTable,
    /// Sequence numbers at which the extents start.
    extent_starts: Vec<u32>,
    /// The axes' directions with [`AXES`] numbers a dimension; empty for the vectors' own axes.
    directions: Vec<f32>,
    /// Where the attributes of each leaf and column start, and where the last ends.
    attribute_starts: Vec<u64>,
    leaf_pages: u32,
    fine_pages: u32,
    whole_pages: u32,
    tid_pages: u32,
    attribute_pages: u32,
}

/// How the leaves are laid out.
#[derive(Debug)]
enum Form {
    Coded(Layouts),
    Packed(PackedLayout),
}

impl Form {
    fn of(directory: &Directory) -> Self {
        let dims = directory.dims as usize;
        match directory.space {
            Space::Dense(_) => Form::Coded(Layouts::new(dims, directory.sketch)),
            Space::Packed(packing) => Form::Packed(PackedLayout::new(packing, dims)),
        }
    }

    /// The chunk behind a leaf.
    fn leaf_end(&self, leaf: u64, vectors: usize) -> u64 {
        match self {
            Form::Coded(layouts) => layouts.leaf.leaf_end(leaf, vectors),
            Form::Packed(_) => leaf + CHUNKS_PER_PAGE as u64,
        }
    }

    /// Pages of fine records, and of whole codes.
    fn record_pages(&self, vectors: usize) -> (u64, u64) {
        match self {
            Form::Coded(layouts) => {
                let pages = |layout: RecordLayout| layout.pages(vectors) as u64;
                (layouts.fine.map_or(0, pages), layouts.whole.map_or(0, pages))
            }
            Form::Packed(_) => (0, 0),
        }
    }
}

impl Segment {
    /// Opens a segment. `directory.extents` must cover its pages.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the extents do not match the number of pages.
    pub fn open(id: u64, directory: Directory) -> Result<Self> {
        let dims = directory.dims as usize;
        let form = Form::of(&directory);
        let mut starts = Vec::with_capacity(directory.leaves.vectors.len() + 1);
        let (mut chunk, mut vector) = (0u64, 0u32);
        starts.push((chunk, vector));
        for &vectors in &directory.leaves.vectors {
            chunk = form.leaf_end(chunk, vectors as usize);
            vector = vector
                .checked_add(vectors)
                .ok_or_else(|| Error::corrupt("segment directory counts too many vectors"))?;
            starts.push((chunk, vector));
        }
        let (mut cells, mut cell_starts) = (Vec::new(), Vec::new());
        if let Some(table) = &directory.cells {
            // `Directory::decode` has seen to it that they add up to the leaves.
            let mut start = 0;
            for (leaf, boxes) in table.boxes.iter().enumerate() {
                cell_starts.push(cells.len() as u32);
                for &vectors in &boxes.vectors {
                    cells.push((start, leaf as u32));
                    start += vectors;
                }
            }
        }
        let leaf_pages = chunk.div_ceil(CHUNKS_PER_PAGE as u64);
        let (fine_pages, whole_pages) = form.record_pages(vector as usize);
        let tid_pages = (vector as usize).div_ceil(tids::PER_PAGE) as u64;
        let table = &directory.attributes;
        let mut attribute_starts = Vec::with_capacity(table.least.len() + 1);
        let mut bytes = 0u64;
        for (leaf, &vectors) in directory.leaves.vectors.iter().enumerate() {
            for column in 0..table.columns as usize {
                attribute_starts.push(bytes);
                bytes += table.span(column * directory.leaves.vectors.len() + leaf).bytes(vectors as usize);
            }
        }
        attribute_starts.push(bytes);
        let attribute_pages = bytes.div_ceil(PAYLOAD as u64);
        let mut extent_starts = Vec::with_capacity(directory.extents.len());
        let mut pages = 0u64;
        for extent in &directory.extents {
            extent_starts.push(pages as u32);
            pages += u64::from(extent.blocks);
        }
        let planes = [leaf_pages, fine_pages, whole_pages, tid_pages, attribute_pages];
        if pages != planes.into_iter().sum() || pages > u64::from(u32::MAX) {
            return Err(Error::corrupt("segment directory does not cover the segment's pages"));
        }
        let directions = directory.axes.columns(dims);
        Ok(Segment {
            id,
            form,
            starts,
            cells,
            cell_starts,
            groups: group(&directory.leaves),
            extent_starts,
            directions,
            leaf_pages: leaf_pages as u32,
            fine_pages: fine_pages as u32,
            whole_pages: whole_pages as u32,
            tid_pages: tid_pages as u32,
            attribute_starts,
            attribute_pages: attribute_pages as u32,
            directory,
        })
    }

    /// Owner number of the segment's pages.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The directory.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Dimensions of the vectors.
    pub fn dims(&self) -> usize {
        self.directory.dims as usize
    }

    /// Number of vectors, dead ones included.
    pub fn vectors(&self) -> u32 {
        self.starts.last().map_or(0, |&(_, vector)| vector)
    }

    /// Number of leaves.
    pub fn leaves(&self) -> usize {
        self.directory.leaves.vectors.len()
    }

    /// Sequence numbers of the pages of the coarse stream.
    pub fn leaf_pages(&self) -> Range<u32> {
        0..self.leaf_pages
    }

    /// Sequence numbers of the pages of the fine plane.
    pub fn fine_pages(&self) -> Range<u32> {
        self.leaf_pages..self.leaf_pages + self.fine_pages
    }

    /// Sequence numbers of the pages of whole codes.
    pub fn whole_pages(&self) -> Range<u32> {
        let start = self.fine_pages().end;
        start..start + self.whole_pages
    }

    /// Sequence numbers of the pages of row addresses.
    pub fn tid_pages(&self) -> Range<u32> {
        let start = self.whole_pages().end;
        start..start + self.tid_pages
    }

    /// Sequence numbers of the pages of attributes.
    pub fn attribute_pages(&self) -> Range<u32> {
        let start = self.tid_pages().end;
        start..start + self.attribute_pages
    }

    /// Number of pages, those of the directory not included.
    pub fn pages(&self) -> u32 {
        self.attribute_pages().end
    }

    /// Number of attribute columns.
    pub fn columns(&self) -> usize {
        self.directory.attributes.columns as usize
    }

    /// The block where a page lies.
    pub fn block(&self, sequence: u32) -> u32 {
        let extent = self.extent_starts.partition_point(|&start| start <= sequence) - 1;
        self.directory.extents[extent].start + (sequence - self.extent_starts[extent])
    }

    /// Row addresses on a page of [`Segment::tid_pages`].
    pub fn tids_on(&self, sequence: u32) -> usize {
        let before = (sequence - self.tid_pages().start) as usize * tids::PER_PAGE;
        (self.vectors() as usize - before).min(tids::PER_PAGE)
    }

    /// Bytes of memory that the opened segment takes, about.
    pub fn memory(&self) -> usize {
        let leaves = &self.directory.leaves;
        let rows = match &self.directory.axes {
            Axes::Own => 0,
            Axes::Principal { rows, .. } => rows.len(),
        };
        size_of::<Self>()
            + self.starts.len() * size_of::<(u64, u32)>()
            + ((leaves.low.len() + self.groups.low.len()) * 2
                + leaves.vectors.len() * 2
                + self.directions.len()
                + rows)
                * 4
            + self
                .directory
                .cells
                .as_ref()
                .map_or(0, |cells| (3 * cells.center.len() + 5 * cells.spread.len()) * 4)
            + (self.attribute_starts.len() + leaves.vectors.len() * self.columns() * 3) * 8
            + self.extent_starts.len() * 12
    }

    /// How the leaves of packed values are laid out; `None` if these are vectors and coded.
    pub fn packed(&self) -> Option<PackedLayout> {
        match self.form {
            Form::Coded(..) => None,
            Form::Packed(layout) => Some(layout),
        }
    }

    pub(crate) fn layout(&self) -> LeafLayout {
        self.coded().leaf
    }

    /// Where the fine records lie, if there are any.
    pub(crate) fn fine(&self) -> Option<RecordPlane> {
        Some(RecordPlane { layout: self.coded().fine?, first: self.fine_pages().start })
    }

    /// Where the whole codes lie, if the others are those of sketches.
    pub(crate) fn whole(&self) -> Option<RecordPlane> {
        Some(RecordPlane { layout: self.coded().whole?, first: self.whole_pages().start })
    }

    /// The metric of coded vectors.
    pub(crate) fn metric(&self) -> Metric {
        self.directory.space.dense().expect("only vectors are coded")
    }

    /// The layouts of the planes of codes, for those who know that there are any.
    fn coded(&self) -> Layouts {
        match self.form {
            Form::Coded(layouts) => layouts,
            Form::Packed(_) => panic!("packed values have no codes"),
        }
    }

    /// What makes sketches of vectors, if there are any.
    pub(crate) fn sketcher(&self) -> Option<Sketcher<'_>> {
        Sketcher::of(&self.directory.axes, self.directory.sketch?, self.dims())
    }

    pub(crate) fn directions(&self) -> &[f32] {
        &self.directions
    }

    /// Boxes around groups of leaves, if there are many.
    pub(crate) fn groups(&self) -> &BoxTable {
        &self.groups
    }

    /// First chunk of a leaf in the coarse stream.
    pub(crate) fn leaf_chunk(&self, leaf: usize) -> u64 {
        self.starts[leaf].0
    }

    /// First chunk of a block of a leaf.
    pub(crate) fn block_chunk(&self, leaf: usize, block: usize) -> u64 {
        self.layout().block_chunk(self.leaf_chunk(leaf), block)
    }

    /// Chunks of the blocks of a leaf in which a run of its vectors lies, by ordinal in the segment.
    pub(crate) fn chunks_of(&self, leaf: usize, vectors: &Range<u32>) -> Range<u64> {
        let within = |ordinal: u32| (ordinal - self.starts[leaf].1) as usize;
        let [first, last] = [vectors.start, vectors.end - 1].map(|ordinal| within(ordinal) / LANES);
        let end = self.block_chunk(leaf, last) + self.layout().block_chunks() as u64;
        self.block_chunk(leaf, first)..end
    }

    /// Vectors of a leaf, by ordinal in the segment.
    pub(crate) fn leaf_vectors(&self, leaf: usize) -> Range<u32> {
        self.starts[leaf].1..self.starts[leaf + 1].1
    }

    /// The share of the cells that an approximate search for so many rows visits.
    pub fn share(&self, recall: f64, rows: usize) -> f64 {
        self.directory.cells.as_ref().map_or(1.0, |cells| cells.calibration.share(recall, rows))
    }

    /// The share of a distance between neighbours that is very likely the most that their sketches see of it.
    pub(crate) fn likely_seen(&self) -> f32 {
        self.directory.cells.as_ref().map_or(1.0, |cells| cells.calibration.seen)
    }

    /// Whether a part of the segment can be searched.
    pub(crate) fn has_cells(&self) -> bool {
        !self.cells.is_empty()
    }

    /// Number of cells.
    pub(crate) fn cells(&self) -> usize {
        self.cells.len()
    }

    /// The boxes of the cells of a leaf, and the first of these; none if the segment has no cells.
    pub(crate) fn leaf_cells(&self, leaf: usize) -> Option<(&BoxTable, u32)> {
        Some((self.directory.cells.as_ref()?.boxes.get(leaf)?, *self.cell_starts.get(leaf)?))
    }

    /// The leaf of a cell, and its vectors.
    pub(crate) fn cell(&self, cell: u32) -> (u32, Range<u32>) {
        let (start, leaf) = self.cells[cell as usize];
        let end = self.cells.get(cell as usize + 1).map_or(self.vectors(), |&(next, _)| next);
        (leaf, start..end)
    }

    /// The leaf of a vector.
    pub(crate) fn leaf_of(&self, ordinal: u32) -> usize {
        self.starts.partition_point(|&(_, vector)| vector <= ordinal) - 1
    }

    /// Pages of the coarse stream on which a leaf lies.
    pub(crate) fn leaf_page_range(&self, leaf: usize) -> Range<u32> {
        let (first, end) = (self.starts[leaf].0, self.starts[leaf + 1].0);
        (first / CHUNKS_PER_PAGE as u64) as u32..end.div_ceil(CHUNKS_PER_PAGE as u64) as u32
    }

    /// Pages of the coarse stream with the grid of a leaf and runs of its vectors, in ascending order.
    pub(crate) fn pages_of<'s>(
        &'s self,
        leaf: usize,
        runs: &'s [Range<u32>],
    ) -> impl Iterator<Item = Range<u32>> + 's {
        let grid = self.leaf_chunk(leaf)..self.block_chunk(leaf, 0);
        let mut done = 0;
        std::iter::once(grid).chain(runs.iter().map(move |run| self.chunks_of(leaf, run))).map(
            move |chunks| {
                let page = |chunk: u64| (chunk / CHUNKS_PER_PAGE as u64) as u32;
                let pages = page(chunks.start).max(done)..page(chunks.end - 1) + 1;
                done = pages.end;
                pages
            },
        )
    }

    /// How many pages of the coarse stream so many vectors take, about.
    pub(crate) fn coarse_pages(&self, vectors: usize) -> usize {
        vectors.div_ceil(LANES) * self.layout().block_chunks() / CHUNKS_PER_PAGE
    }

    /// Page and slot of a vector's row address.
    pub(crate) fn tid_position(&self, ordinal: u32) -> (u32, usize) {
        let (page, slot) = tids::position(ordinal);
        (self.tid_pages().start + page, slot)
    }

    /// What a leaf says about an attribute column.
    pub(crate) fn span(&self, leaf: usize, column: usize) -> Span {
        self.directory.attributes.span(column * self.leaves() + leaf)
    }

    /// Where the codes of an attribute column of a leaf start in the stream of attributes.
    pub(crate) fn attribute_start(&self, leaf: usize, column: usize) -> u64 {
        self.attribute_starts[leaf * self.columns() + column]
    }

    /// Bytes of the stream of attributes.
    pub(crate) fn attribute_bytes(&self) -> u64 {
        *self.attribute_starts.last().expect("has an end")
    }

    /// Page and offset of a byte of the stream of attributes.
    pub(crate) fn attribute_position(&self, byte: u64) -> (u32, usize) {
        let page = (byte / PAYLOAD as u64) as u32;
        (self.attribute_pages().start + page, (byte % PAYLOAD as u64) as usize)
    }
}

/// Where the records of a plane lie in a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordPlane {
    pub layout: RecordLayout,
    /// The plane's first page.
    first: u32,
}

impl RecordPlane {
    /// Page and offset of a vector's record.
    #[inline]
    pub(crate) fn position(&self, ordinal: u32) -> (u32, usize) {
        let (page, offset) = self.layout.position(ordinal);
        (self.first + page, offset)
    }

    /// Pages on which the records of a run of vectors lie.
    pub(crate) fn pages_of(&self, vectors: &Range<u32>) -> Range<u32> {
        self.position(vectors.start).0..self.position(vectors.end - 1).0 + 1
    }
}
