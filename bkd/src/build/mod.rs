//! Turning a set of vectors into the pages of a segment: choose axes, split at medians, calibrate, encode the leaves, write.

mod ahead;
pub(crate) mod attributes;
mod boxes;
mod calibrate;
mod cells;
mod directions;
mod encode;
mod memory;
mod pages;
mod regroup;
mod sketches;
mod split;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use boxes::BoundingBox;
pub(crate) use cells::CELL;
pub(crate) use encode::SMALLEST_STEP;
use encode::{encode_leaf, EncodedLeaf, LeafRecords};
use memory::batch_leaves;
pub(crate) use memory::zeros;
pub use memory::BuildMemory;
pub(crate) use pages::RecordPages;
use pages::StreamPages;
use rayon::prelude::*;
use sketches::Sketches;
use split::{split, LEAF_SAMPLE};

use crate::kernels::{Kernels, AXES};
use crate::layout::attributes::MAX_COLUMNS;
use crate::layout::leaf::LeafLayout;
use crate::layout::{PageKind, CHUNK};
use crate::metric::norm;
use crate::query::round_up;
use crate::search::invisible;
use crate::sketch::Layouts;
use crate::{axes, Axes, BoxTable, Directory, Error, Metric, PageSink, Result, Space, Tid, MAX_DIMS};

/// The vectors of a segment to be built, all of them as [`crate::prepare`] returned them.
pub struct Input<'a> {
    /// What the index orders by.
    pub metric: Metric,
    /// Numbers of a vector.
    pub dims: usize,
    /// `tids.len() * dims` numbers.
    pub vectors: &'a [f32],
    /// How far (for L1, in L1 distance) each vector may be from the one that it stands for: zero (`None`) for vectors that come from rows, the
    /// slack that [`crate::export()`] returned for those of other segments.
    pub slack: Option<&'a [f32]>,
    /// Row addresses of the vectors.
    pub tids: &'a [Tid],
    /// Attribute columns.
    pub columns: usize,
    /// `tids.len() * columns` keys of the rows' attributes ([`layout::attributes`](crate::layout::attributes)).
    pub keys: &'a [u64],
}

impl Input<'_> {
    fn vector(&self, at: u32) -> &[f32] {
        &self.vectors[at as usize * self.dims..][..self.dims]
    }

    fn slack(&self, at: u32) -> f32 {
        self.slack.map_or(0.0, |slack| slack[at as usize])
    }
}

/// What a build may choose.
#[derive(Default)]
pub struct BuildOptions<'a> {
    /// Vectors of a leaf; `None`: what suits the dimensions.
    pub leaf_size: Option<usize>,
    /// Axes of another segment to use again instead of computing principal components.
    pub axes: Option<&'a Axes>,
    /// Directions of sketches, as far as there are so many axes; 0: no sketches; `None`: what suits the vectors.
    pub sketch: Option<u32>,
    /// The segment will soon be merged into a larger one: what takes long and only makes searches faster is left out (cells).
    pub short_lived: bool,
}

/// Seen by the thread that waits for a build, and set by it to stop the build.
#[derive(Default)]
pub struct Progress {
    /// Set to make the build return [`Error::Cancelled`] soon.
    pub cancel: AtomicBool,
    /// Vectors encoded so far.
    pub vectors_done: AtomicU64,
}

impl Progress {
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancel.load(Ordering::Relaxed) {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// Vectors of a leaf if the caller does not say. Few dimensions: small leaves, of which a query visits few. Many: large
/// ones, since most are visited, and each costs half a microsecond beside its vectors; the more dimensions, the less
/// that matters, and smaller leaves have tighter grids.
fn default_leaf_size(dims: usize) -> usize {
    match dims {
        ..=8 => 128,
        9..=20 => 256,
        21..=128 => 4096,
        _ => 2048,
    }
}

/// Builds a segment in the current rayon pool and appends its pages to `sink` in the order of their sequence numbers.
///
/// The caller completes the returned directory with the extents in which the pages came to lie.
///
/// # Errors
/// [`Error::Cancelled`], [`Error::TooLarge`], [`Error::OutOfMemory`], or what the sink returns.
///
/// # Panics
/// If there is no vector, or the lengths in `input` do not match.
pub fn build(
    input: &Input<'_>,
    options: &BuildOptions<'_>,
    progress: &Progress,
    sink: &mut (dyn PageSink + Send),
) -> Result<Directory> {
    let (count, dims) = (input.tids.len(), input.dims);
    assert!(count > 0 && (1..=MAX_DIMS).contains(&dims));
    assert_eq!(input.vectors.len(), count * dims);
    assert!(input.slack.is_none_or(|slack| slack.len() == count));
    assert!(input.keys.len() == count * input.columns && input.columns <= MAX_COLUMNS);
    if u32::try_from(count).is_err() {
        return Err(Error::TooLarge(format!("segment of {count} vectors")));
    }

    let leaf_size = options.leaf_size.unwrap_or_else(|| default_leaf_size(dims)).max(1);
    let leaves = count.div_ceil(leaf_size);
    let has_cells = !options.short_lived && cells::worthwhile(dims, count);
    let mut axes = match options.axes {
        Some(axes) => axes.clone(),
        None => {
            let as_leaves = if has_cells { cells::as_leaves(count) } else { 0 };
            axes::choose(input.vectors, dims, leaves.max(as_leaves))?
        }
    };
    progress.check()?;
    let sketch = match options.sketch {
        None if has_cells && options.axes.is_none() => directions::choose(input, &mut axes, progress)?,
        None => None,
        Some(directions) => directions::within(input, &axes, directions),
    };
    let sketches = Sketches::new(&axes, sketch, dims);
    progress.check()?;
    let coordinates = Coordinates::new(input, &axes)?;
    progress.check()?;

    let mut order: Vec<u32> = zeros(count)?;
    order.iter_mut().zip(0..).for_each(|(at, vector)| *at = vector);
    split(&mut order, &coordinates.values, coordinates.axes, leaf_size, LEAF_SAMPLE, progress)?;
    let (cells, leaf_sizes) = if has_cells {
        let (cells, leaf_sizes) =
            cells::make(input, &axes, sketch, &coordinates, &mut order, leaf_size, progress)?;
        (Some(cells), leaf_sizes)
    } else {
        (None, parts(count, leaf_size))
    };

    // Records follow the whole coarse stream, so they wait here.
    let layouts = Layouts::new(dims, sketch);
    let [fine_record, whole_record] =
        [layouts.fine, layouts.whole].map(|layout| layout.map_or(0, |layout| layout.record));
    let mut fine: Vec<u8> = zeros(count * fine_record)?;
    let mut whole: Vec<u8> = zeros(count * whole_record)?;
    let mut writer = Writer::new(layouts.leaf, coordinates.axes, leaf_sizes.len());
    let records = slices_mut(&mut fine, &leaf_sizes, fine_record)
        .zip(slices_mut(&mut whole, &leaf_sizes, whole_record))
        .map(|(fine, whole)| LeafRecords { fine, whole });
    let mut leaves: Vec<(&[u32], LeafRecords<'_>)> = slices(&order, &leaf_sizes).zip(records).collect();
    let at_once = batch_leaves(dims, leaf_size, rayon::current_num_threads());
    let mut encoded: Vec<EncodedLeaf> = Vec::new();
    for batch in leaves.chunks_mut(at_once) {
        let done = std::mem::take(&mut encoded);
        let (written, next) = rayon::join(
            || writer.write(done, progress, sink),
            || {
                let encode = |(ids, records): &mut (&[u32], LeafRecords<'_>)| {
                    progress.check()?;
                    let leaf = encode_leaf(input, &coordinates, sketches.as_ref(), layouts, ids, records);
                    progress.vectors_done.fetch_add(ids.len() as u64, Ordering::Relaxed);
                    leaf
                };
                batch.par_iter_mut().map(encode).collect::<Result<Vec<EncodedLeaf>>>()
            },
        );
        written?;
        progress.check()?;
        encoded = next?;
    }
    writer.write(encoded, progress, sink)?;
    let leaves = writer.finish(sink)?;
    for (kind, records, size) in [(PageKind::Fine, fine, fine_record), (PageKind::Whole, whole, whole_record)]
    {
        if size == 0 {
            continue;
        }
        let mut pages = RecordPages::new(kind, size);
        records.chunks_exact(size).try_for_each(|record| pages.append(record, sink))?;
        pages.finish(sink)?;
    }
    let mut addresses = RecordPages::new(PageKind::Tids, Tid::SIZE);
    for &at in &order {
        let mut address = [0; Tid::SIZE];
        input.tids[at as usize].write(&mut address);
        addresses.append(&address, sink)?;
    }
    addresses.finish(sink)?;
    let attributes =
        attributes::write(input.columns, input.keys, slices(&order, &leaf_sizes), progress, sink)?;
    let max_norm = (0..count as u32)
        .into_par_iter()
        .map(|at| norm(input.vector(at)) + f64::from(input.slack(at)))
        .reduce(|| 0.0, f64::max);
    Ok(Directory {
        space: Space::Dense(input.metric),
        dims: dims as u32,
        max_norm: round_up(max_norm),
        radius: round_up(coordinates.radius),
        axes,
        sketch,
        leaves,
        cells,
        attributes,
        extents: Vec::new(),
    })
}

/// So many in parts of one size, but for the last.
fn parts(all: usize, size: usize) -> Vec<u32> {
    (0..all).step_by(size).map(|start| size.min(all - start) as u32).collect()
}

/// A slice in parts of these sizes.
fn slices<'a, T>(mut all: &'a [T], sizes: &'a [u32]) -> impl ExactSizeIterator<Item = &'a [T]> {
    sizes.iter().map(move |&size| all.split_off(..size as usize).expect("they add up to the whole"))
}

/// The same, to be written, with so many for each.
fn slices_mut<'a, T>(
    mut all: &'a mut [T],
    sizes: &'a [u32],
    each: usize,
) -> impl Iterator<Item = &'a mut [T]> {
    sizes
        .iter()
        .map(move |&size| all.split_off_mut(..size as usize * each).expect("they add up to the whole"))
}

/// The vectors' coordinates on the axes.
struct Coordinates<'a> {
    /// Of each vector, one after the other: the vectors themselves or their projections.
    values: Cow<'a, [f32]>,
    axes: usize,
    /// Largest distance from the axes' center.
    radius: f64,
    /// What the axes do not see of each vector; only inner products want it.
    beyond: Vec<f32>,
}

impl<'a> Coordinates<'a> {
    fn new(input: &Input<'a>, axes: &Axes) -> Result<Self> {
        let count = axes.count(input.dims);
        let Axes::Principal { center, .. } = axes else {
            return Ok(Coordinates {
                values: Cow::Borrowed(input.vectors),
                axes: count,
                radius: 0.0,
                beyond: Vec::new(),
            });
        };
        let floats = Kernels::get().floats();
        let columns = axes.columns(input.dims);
        let vectors = input.vectors.par_chunks_exact(input.dims);
        let mut values: Vec<f32> = zeros(input.tids.len() * count)?;
        if count > 0 {
            values.par_chunks_exact_mut(count).zip(vectors.clone()).for_each(|(into, vector)| {
                let mut coordinates = [0.0; AXES];
                floats.project(vector, center, &columns, &mut coordinates);
                into.copy_from_slice(&coordinates[..count]);
            });
        }
        let mut lengths: Vec<f64> = zeros(input.tids.len())?;
        lengths.par_iter_mut().zip(vectors).for_each(|(length, vector)| {
            *length = floats.l2_exact(vector, center);
        });
        let slack = |at: usize| f64::from(input.slack(at as u32));
        let radius = lengths.iter().enumerate().map(|(at, length)| length.sqrt() + slack(at));
        let radius = radius.fold(0.0, f64::max);
        let mut beyond = Vec::new();
        if input.metric == Metric::InnerProduct {
            beyond.extend(lengths.iter().enumerate().map(|(at, length)| {
                let seen = &values[at * count..][..count];
                let seen: f64 = seen.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
                let hidden = (length - seen).max(0.0) + invisible(count, input.dims) * length;
                round_up(hidden.sqrt() + slack(at))
            }));
        }
        Ok(Coordinates { values: Cow::Owned(values), axes: count, radius, beyond })
    }

    fn of(&self, at: u32) -> &[f32] {
        &self.values[at as usize * self.axes..][..self.axes]
    }

    fn beyond(&self, at: u32) -> f32 {
        self.beyond.get(at as usize).copied().unwrap_or(0.0)
    }
}

/// Puts the coarse stream of encoded leaves on pages and collects their boxes.
struct Writer {
    layout: LeafLayout,
    coarse: StreamPages,
    boxes: Vec<BoundingBox>,
    axes: usize,
}

impl Writer {
    fn new(layout: LeafLayout, axes: usize, leaves: usize) -> Self {
        let boxes = Vec::with_capacity(leaves);
        Writer { layout, coarse: StreamPages::new(PageKind::Leaf), boxes, axes }
    }

    fn write(
        &mut self,
        leaves: Vec<EncodedLeaf>,
        progress: &Progress,
        sink: &mut (dyn PageSink + Send),
    ) -> Result<()> {
        for leaf in leaves {
            progress.check()?;
            if self.layout.unbroken().is_some() {
                let (prefix, blocks) = leaf.stream.split_at(self.layout.prefix_chunks() * CHUNK);
                self.coarse.append(prefix, sink)?;
                let mut blocks = blocks.chunks_exact(self.layout.block_chunks() * CHUNK);
                blocks.try_for_each(|block| self.coarse.append_unbroken(block, sink))?;
            } else {
                self.coarse.append(&leaf.stream, sink)?;
            }
            self.boxes.push(leaf.bounds);
        }
        Ok(())
    }

    fn finish(self, sink: &mut (dyn PageSink + Send)) -> Result<BoxTable> {
        self.coarse.finish(sink)?;
        Ok(boxes::table(&self.boxes, self.axes))
    }
}
