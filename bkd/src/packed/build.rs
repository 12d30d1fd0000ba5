//! Turning a set of packed values into the pages of a segment: in the order of their sizes, a page a leaf.

use std::sync::atomic::Ordering;

use crate::build::attributes;
use crate::build::{zeros, RecordPages};
use crate::layout::packed::{sparse_size, PackedLayout, SparseBody};
use crate::layout::{PageKind, Payload, PAYLOAD};
use crate::packed::query::round_down;
use crate::{
    AttributeTable, Axes, BoxTable, Directory, Error, Packing, PageSink, Progress, Result, Space, Tid,
};

/// The packed values of a segment to be built, as [`crate::pack_bits`] or [`crate::pack_sparse`] returned them.
pub struct PackedInput<'a> {
    /// What the index is of.
    pub packing: Packing,
    /// Dimensions of a value, or bits.
    pub dims: usize,
    /// The bodies, one after the other.
    pub bodies: &'a [u8],
    /// Where each of them ends.
    pub ends: &'a [usize],
    /// Row addresses of the values.
    pub tids: &'a [Tid],
    /// Attribute columns.
    pub columns: usize,
    /// `tids.len() * columns` keys of the rows' attributes ([`layout::attributes`](crate::layout::attributes)).
    pub keys: &'a [u64],
}

/// Values between two looks at whether the build was cancelled.
const CHECK_EVERY: usize = 4096;

impl PackedInput<'_> {
    /// Memory that a build takes for each value beside its input: size, place in the order, and what a leaf of one value has in the
    /// directory.
    pub const BESIDE_INPUT: usize = 40;

    fn body(&self, at: u32) -> &[u8] {
        let at = at as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bodies[start..self.ends[at]]
    }

    /// Builds a segment and appends its pages to `sink` in the order of their sequence numbers.
    ///
    /// The caller completes the returned directory with the extents in which the pages came to lie.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::TooLarge`], [`Error::OutOfMemory`], or what the sink returns.
    ///
    /// # Panics
    /// If there is no value, the lengths do not match, or a body does not fit on a page.
    pub fn build(&self, progress: &Progress, sink: &mut (dyn PageSink + Send)) -> Result<Directory> {
        let count = self.tids.len();
        assert!(count > 0 && self.ends.len() == count && self.keys.len() == count * self.columns);
        if u32::try_from(count).is_err() {
            return Err(Error::TooLarge(format!("segment of {count} values")));
        }
        let mut sizes: Vec<f64> = zeros(count)?;
        let mut order: Vec<u32> = zeros(count)?;
        for (at, (size, place)) in (0..).zip(sizes.iter_mut().zip(&mut order)) {
            *size = size_of(self.packing, self.body(at));
            *place = at;
        }
        progress.check()?;
        order.sort_unstable_by(|&a, &b| sizes[a as usize].total_cmp(&sizes[b as usize]).then(a.cmp(&b)));

        let layout = PackedLayout::new(self.packing, self.dims);
        let mut leaves = Leaves::default();
        let mut page = Box::new([0; PAYLOAD]);
        let (mut first, mut used) = (0, 0);
        for (at, &id) in order.iter().enumerate() {
            if at % CHECK_EVERY == 0 {
                progress.check()?;
            }
            let body = self.body(id);
            let bytes = layout.in_leaf(body);
            if used + bytes > PAYLOAD {
                leaves.push(&order[first..at], &sizes);
                finish_page(&mut page, &mut used, sink)?;
                first = at;
            }
            layout.write(body, &mut page[used..]);
            used += bytes;
            progress.vectors_done.fetch_add(1, Ordering::Relaxed);
        }
        leaves.push(&order[first..], &sizes);
        finish_page(&mut page, &mut used, sink)?;

        let mut addresses = RecordPages::new(PageKind::Tids, Tid::SIZE);
        for &id in &order {
            let mut address = [0; Tid::SIZE];
            self.tids[id as usize].write(&mut address);
            addresses.append(&address, sink)?;
        }
        addresses.finish(sink)?;
        let attributes = self.attributes(&order, &leaves, progress, sink)?;
        let beyond = vec![0.0; leaves.values.len()];
        Ok(Directory {
            space: Space::Packed(self.packing),
            dims: self.dims as u32,
            max_norm: 0.0,
            radius: 0.0,
            axes: Axes::Own,
            sketch: None,
            leaves: BoxTable { vectors: leaves.values, low: leaves.low, high: leaves.high, beyond },
            cells: None,
            attributes,
            extents: Vec::new(),
        })
    }

    fn attributes(
        &self,
        order: &[u32],
        leaves: &Leaves,
        progress: &Progress,
        sink: &mut (dyn PageSink + Send),
    ) -> Result<AttributeTable> {
        let mut rest = order;
        let ids = leaves.values.iter().map(|&values| {
            let (leaf, after) = rest.split_at(values as usize);
            rest = after;
            leaf
        });
        attributes::write(self.columns, self.keys, ids, progress, sink)
    }
}

fn finish_page(page: &mut Payload, used: &mut usize, sink: &mut (dyn PageSink + Send)) -> Result<()> {
    sink.append(PageKind::Leaf, page, *used)?;
    page.fill(0);
    *used = 0;
    Ok(())
}

/// What the directory says of the leaves.
#[derive(Default)]
struct Leaves {
    values: Vec<u32>,
    low: Vec<f32>,
    high: Vec<f32>,
}

impl Leaves {
    /// Adds a leaf of values in the order of their sizes.
    fn push(&mut self, ids: &[u32], sizes: &[f64]) {
        let size = |id: Option<&u32>| sizes[*id.expect("a leaf is not empty") as usize];
        let (low, high) = leaf_range(size(ids.first()), size(ids.last()));
        self.values.push(ids.len() as u32);
        self.low.push(low);
        self.high.push(high);
    }
}

/// What the directory says of a leaf whose values have sizes from `least` to `most`.
pub(super) fn leaf_range(least: f64, most: f64) -> (f32, f32) {
    (round_down(least), -round_down(-most))
}

/// The size of a value: bits that are set, or what [`sparse_size`] says.
pub(super) fn size_of(packing: Packing, body: &[u8]) -> f64 {
    match packing {
        Packing::Bits(_) => f64::from(body.iter().map(|byte| byte.count_ones()).sum::<u32>()),
        Packing::Sparse(metric) => sparse_size(metric, SparseBody::of(body).expect("whole elements")),
    }
}
