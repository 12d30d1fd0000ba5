//! CREATE INDEX and REINDEX.
//!
//! The heap is scanned by the backend; vectors gather in memory until `maintenance_work_mem` is full ([`super::batch`]), then the engine seals a
//! segment of them on several threads, and the scan goes on. Nobody else sees the index yet, so pages are appended to
//! the file without logging them; at the end the whole file is logged at once. The metapage is written last but lies
//! first.

use bkd::layout::meta::{Chain, Meta, SegmentEntry};
use bkd::layout::{tids, PageHeader, Payload, PAYLOAD};
use bkd::{BuildOptions, Placement, Tid};
use pgrx::prelude::*;
use pgrx::{pg_sys, PgSqlErrorCode};

use super::batch::Batch;
use super::chain::Part;
use super::insert::{non_null, tid_of};
use super::meta::{self, BLOCK};
use super::progress::{self, Phase};
use super::value::{self, check_dims, Prepared, Value};
use super::vector_type::VectorType;
use super::write::{write_segment, AppendUnlogged};
use super::{attributes, opclass, options};
use crate::pg::buffer::ExclusivePage;
use crate::pg::heap::estimated_rows;
use crate::pg::index::Index;
use crate::pg::report::OrRaise;
use crate::pg::wal::log_whole;
use crate::types::error::{raise, raise_with_hint};

/// `ambuild`
///
/// # Safety
/// Called by Postgres with an open table and a new index on it.
#[pg_guard]
pub unsafe extern "C-unwind" fn build(
    heap: pg_sys::Relation,
    index: pg_sys::Relation,
    index_info: *mut pg_sys::IndexInfo,
) -> *mut pg_sys::IndexBuildResult {
    // SAFETY: as the caller promises.
    unsafe { build_index(heap, index, index_info) }
}

/// Builds an index.
///
/// # Safety
/// As for `ambuild`.
pub unsafe fn build_index(
    heap: pg_sys::Relation,
    index: pg_sys::Relation,
    index_info: *mut pg_sys::IndexInfo,
) -> *mut pg_sys::IndexBuildResult {
    // SAFETY: as the caller promises.
    let mut state = unsafe { Build::begin(Index::from_raw(index), estimated_rows(heap)) };
    Phase::ScanningTable.enter();
    // SAFETY: relations and index_info belong together; `state` outlives the call and is used by nobody else meanwhile.
    let heap_tuples = unsafe {
        pg_sys::table_index_build_scan(
            heap,
            index,
            index_info,
            true,
            true,
            Some(build_row),
            (&raw mut state).cast(),
            std::ptr::null_mut(),
        )
    };
    let index_tuples = state.finish();
    // SAFETY: palloc returns memory of that size.
    unsafe {
        let result =
            pg_sys::palloc0(size_of::<pg_sys::IndexBuildResult>()).cast::<pg_sys::IndexBuildResult>();
        (*result).heap_tuples = heap_tuples;
        (*result).index_tuples = index_tuples as f64;
        result
    }
}

/// `ambuildempty`: the initialisation fork of an unlogged index, which is copied over the main fork after a crash.
///
/// # Safety
/// Called by Postgres with a new unlogged index.
#[pg_guard]
pub unsafe extern "C-unwind" fn build_empty(index: pg_sys::Relation) {
    // SAFETY: as the caller promises.
    let index = unsafe { Index::from_raw(index) };
    let meta = empty_meta(index);
    let mut page = ExclusivePage::extend_init_fork(index);
    page.create_unlogged(meta::header(), |payload| meta.write(payload));
    page.log_image();
}

/// A random number that leaves room for more owners than can ever be made.
fn first_owner() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: fills that many bytes.
    if !unsafe { pg_sys::pg_strong_random(bytes.as_mut_ptr().cast(), bytes.len()) } {
        raise(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, "could not generate a random number");
    }
    Meta::FIRST_OWNER + (u64::from_le_bytes(bytes) >> 2)
}

fn empty_meta(index: Index) -> Meta {
    let (space, vector_type) = opclass::indexed(index);
    attributes::check_columns(index);
    let dims = u32::try_from(index.column_typmod()).unwrap_or(0);
    let columns = attributes::columns(index);
    value::check_column(index, space, dims, columns);
    Meta::new(space, vector_type as u32, dims, columns as u32)
}

/// Called for every row of the table.
///
/// # Safety
/// `state` is the [`Build`] that was passed with the callback; the rest is as for `aminsert`.
#[pg_guard]
unsafe extern "C-unwind" fn build_row(
    _index: pg_sys::Relation,
    tid: pg_sys::ItemPointer,
    values: *mut pg_sys::Datum,
    isnull: *mut bool,
    _is_alive: bool,
    state: *mut std::ffi::c_void,
) {
    // SAFETY: as the caller promises.
    let (build, tid, value) = unsafe { (&mut *state.cast::<Build>(), tid_of(tid), non_null(values, isnull)) };
    match value {
        None => build.null.push(tid),
        Some(datum) => {
            // SAFETY: the operator class is on the type that it names; the row stays in its buffer during this call.
            let value = unsafe { Value::from_datum(build.vector_type, datum) };
            // SAFETY: as the caller promises.
            unsafe { attributes::keys_of_row(build.index, values, isnull, &mut build.keys) };
            build.add(&value, tid);
            value.release();
        }
    }
}

/// An index under construction.
struct Build {
    index: Index,
    meta: Meta,
    vector_type: VectorType,
    /// Made when the dimensions are known.
    batch: Option<Batch>,
    prepared: Prepared,
    /// Of the row that is being added.
    keys: Vec<u64>,
    unbounded: ListWriter,
    nan: ListWriter,
    null: ListWriter,
    vectors: u64,
    /// Rows that the table is likely to have.
    rows_expected: usize,
}

impl Build {
    fn begin(index: Index, rows_expected: usize) -> Self {
        let mut meta = empty_meta(index);
        // A temporary or just created table is truncated in place, and its index built again in the same file. Directories that
        // this backend has cached must not be taken for those of the new build.
        meta.next_owner = first_owner();
        // Block 0. Its contents follow at the end.
        let page = ExclusivePage::extend(index);
        assert_eq!(page.block(), BLOCK, "a new index has no pages");
        drop(page);
        Build {
            index,
            vector_type: opclass::indexed(index).1,
            batch: None,
            prepared: Prepared::default(),
            keys: Vec::new(),
            unbounded: ListWriter::new(index, Part::Unbounded, meta.take_owner()),
            nan: ListWriter::new(index, Part::Nan, meta.take_owner()),
            null: ListWriter::new(index, Part::Null, meta.take_owner()),
            vectors: 0,
            rows_expected,
            meta,
        }
    }

    fn add(&mut self, value: &Value<'_>, tid: Tid) {
        let (space, dims, columns) = (self.meta.space, value.dims(), self.meta.columns as usize);
        check_dims(self.index, space, self.meta.dims, dims);
        self.meta.dims = dims;
        self.vectors += 1;
        match value.prepare_to_store(self.index, space, columns, &mut self.prepared) {
            Placement::Ranked => {
                let batch = self.batch.get_or_insert_with(|| {
                    let mut batch = Batch::new(space, dims as usize, columns);
                    batch.expect_about(self.rows_expected);
                    batch
                });
                batch.push(tid, &self.keys, self.prepared.body(space), 0.0);
                if batch.is_full(self.meta.segments.len()) {
                    self.seal();
                }
            }
            Placement::Unbounded => self.unbounded.push(tid),
            Placement::Nan => self.nan.push(tid),
        }
    }

    /// Makes a segment of the vectors gathered so far.
    fn seal(&mut self) {
        let Some(batch) = self.batch.as_mut().filter(|batch| !batch.is_empty()) else { return };
        if self.meta.segments.len() == Meta::MAX_SEGMENTS {
            raise_with_hint(
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "index \"{}\" would have more than {} segments",
                    self.index.name(),
                    Meta::MAX_SEGMENTS
                ),
                "Raise maintenance_work_mem.",
            );
        }
        Phase::BuildingTree.enter();
        // Over all segments, of which the table scan does not know how many there will be.
        let before: u64 = self.meta.segments.iter().map(|segment| u64::from(segment.vectors)).sum();
        progress::report_total(before + batch.len() as u64);
        let id = self.meta.take_owner();
        let entry: SegmentEntry = write_segment(
            self.index,
            &mut AppendUnlogged(self.index),
            id,
            batch,
            &BuildOptions { leaf_size: options::leaf_size(self.index), ..BuildOptions::default() },
            &mut |done| progress::report_done(before + done),
        );
        self.meta.segments.push(entry);
        batch.clear();
        Phase::ScanningTable.enter();
    }

    /// Writes what is left, the lists and the metapage, and logs everything. Returns the number of rows.
    fn finish(mut self) -> u64 {
        self.seal();
        let rows = self.vectors + self.null.rows;
        self.meta.unbounded = self.unbounded.finish();
        self.meta.nan = self.nan.finish();
        self.meta.null = self.null.finish();
        let mut page = ExclusivePage::read(self.index, BLOCK);
        page.create_unlogged(meta::header(), |payload| self.meta.write(payload));
        drop(page);
        Phase::WritingLog.enter();
        log_whole(self.index);
        rows
    }
}

/// Writes a list of row addresses, a page at a time.
struct ListWriter {
    index: Index,
    part: Part,
    chain: Chain,
    page: Box<Payload>,
    on_page: usize,
    rows: u64,
}

impl ListWriter {
    fn new(index: Index, part: Part, owner: u64) -> Self {
        ListWriter {
            index,
            part,
            chain: Chain { owner, ..Chain::EMPTY },
            page: Box::new([0; PAYLOAD]),
            on_page: 0,
            rows: 0,
        }
    }

    fn push(&mut self, tid: Tid) {
        tids::set(&mut self.page, self.on_page, tid);
        self.on_page += 1;
        self.rows += 1;
        if self.on_page == tids::PER_PAGE {
            self.write_page();
        }
    }

    fn finish(mut self) -> Chain {
        if self.on_page > 0 {
            self.write_page();
        }
        if self.chain.is_empty() {
            Chain::EMPTY
        } else {
            self.chain
        }
    }

    fn write_page(&mut self) {
        let mut page = ExclusivePage::extend(self.index);
        let block = page.block();
        let used = self.on_page * Tid::SIZE;
        page.create_unlogged(
            PageHeader::new(self.part.kind(), self.chain.owner, self.chain.pages),
            |payload| {
                payload[..used].copy_from_slice(&self.page[..used]);
                used
            },
        );
        drop(page);
        if self.chain.is_empty() {
            self.chain.head = block;
        } else {
            self.link(self.chain.tail, block);
        }
        self.chain.tail = block;
        self.chain.pages += 1;
        self.on_page = 0;
    }

    fn link(&self, block: u32, next: u32) {
        let mut page = ExclusivePage::read(self.index, block);
        let header = page.header().or_raise(self.index).expect("written before");
        page.change_unlogged(PageHeader { next, ..header });
    }
}
