//! The directory of a segment: what a scan must know before it reads a leaf. Encoded with bincode, and nowhere else; numbers that are
//! many are bytes to it ([`floats`]), which are copied, where it would decode one after the other. Every backend does that with megabytes
//! before its first query, so they are copied once, from the pages to where they stay ([`decode`]).

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::kernels::{columns, AXES};
use crate::layout::attributes::{Span, MAX_COLUMNS};
use crate::layout::packed::PackedLayout;
use crate::layout::NO_BLOCK;
use crate::{sketch, Calibration, Error, Result, Space};

mod decode;
mod floats;

/// Directions on which the tree was split, and in which the leaves have boxes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Axes {
    /// The vectors' own dimensions.
    Own,
    /// Orthonormal directions (leading principal components), `rows.len() / dims` of them, applied to x - center.
    Principal {
        /// Origin of the axes.
        #[serde(serialize_with = "floats::serialize")]
        center: Vec<f32>,
        /// The directions, one after the other: boxes are measured on the first 32 of them at the most, [sketches](Directory::sketch)
        /// may take more.
        #[serde(serialize_with = "floats::serialize")]
        rows: Vec<f32>,
    },
}

impl Axes {
    /// Number of axes on which vectors of so many dimensions have boxes.
    pub fn count(&self, dims: usize) -> usize {
        match self {
            Axes::Own => dims,
            Axes::Principal { rows, .. } => (rows.len() / dims).min(AXES),
        }
    }

    /// These in the form that the projection kernel wants; nothing for the vectors' own.
    pub(crate) fn columns(&self, dims: usize) -> Vec<f32> {
        match self {
            Axes::Own => Vec::new(),
            Axes::Principal { .. } => columns::<AXES>(self.boxed(dims), dims),
        }
    }

    /// The directions of these, one after the other; none of the vectors' own.
    pub(crate) fn boxed(&self, dims: usize) -> &[f32] {
        match self {
            Axes::Own => &[],
            Axes::Principal { rows, .. } => &rows[..self.count(dims) * dims],
        }
    }
}

/// The leaves of a segment, or its cells, in storage order, as a structure of arrays.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BoxTable {
    /// Vectors of each.
    pub vectors: Vec<u32>,
    /// Lower ends of their boxes on the axes: `low[axis * leaves + leaf]`. Packed values have one axis, their
    /// [size](crate::layout::packed).
    #[serde(serialize_with = "floats::serialize")]
    pub low: Vec<f32>,
    /// Upper ends, in the same order.
    #[serde(serialize_with = "floats::serialize")]
    pub high: Vec<f32>,
    /// Largest norm of what the axes do not see of its vectors (zero with [`Axes::Own`]).
    #[serde(serialize_with = "floats::serialize")]
    pub beyond: Vec<f32>,
}

/// The cells of a segment, in storage order, as a structure of arrays: runs of neighbouring vectors within leaves. An exact search
/// leaves out those whose boxes are too far away, an approximate one visits those whose centres are nearest to the query.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CellTable {
    /// The cells of each leaf: vectors, which add up to the leaf's, and boxes.
    pub boxes: Vec<BoxTable>,
    /// Centres on the axes: `center[axis * cells + cell]`.
    #[serde(serialize_with = "floats::serialize")]
    pub center: Vec<f32>,
    /// How far the vectors are from the centres on the axes: what is added to the squared distance of a centre, so that of two cells
    /// as far away the denser comes first. For inner products: what a query's length times this is added to the product,
    /// since it is the largest that counts.
    #[serde(serialize_with = "floats::serialize")]
    pub spread: Vec<f32>,
    /// How many cells it takes.
    pub calibration: Calibration,
}

/// What the leaves say about the attributes of their rows, as a structure of arrays: `least[column * leaves + leaf]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttributeTable {
    /// Attribute columns of the index.
    pub columns: u32,
    /// The smallest keys of values.
    pub least: Vec<u64>,
    /// The largest.
    pub most: Vec<u64>,
    /// Whether there are NULLs.
    pub nulls: Vec<bool>,
}

impl AttributeTable {
    /// Of the columns of all leaves, one after the other.
    pub(crate) fn new(columns: usize, spans: &[Span]) -> Self {
        AttributeTable {
            columns: columns as u32,
            least: spans.iter().map(|span| span.least).collect(),
            most: spans.iter().map(|span| span.most).collect(),
            nulls: spans.iter().map(|span| span.nulls).collect(),
        }
    }

    /// What is known of a column, by its place in the arrays.
    pub(crate) fn span(&self, at: usize) -> Span {
        Span { least: self.least[at], most: self.most[at], nulls: self.nulls[at] }
    }

    fn is_valid(&self, leaves: usize) -> bool {
        let columns = self.columns as usize;
        columns <= MAX_COLUMNS
            && self.least.len() == columns * leaves
            && self.most.len() == columns * leaves
            && self.nulls.len() == columns * leaves
            && (0..columns * leaves).all(|at| self.span(at).is_valid())
    }
}

/// Consecutive blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// The first of them.
    pub start: u32,
    /// How many there are.
    pub blocks: u32,
}

/// The directory of a segment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Directory {
    /// What the segment is of.
    pub space: Space,
    /// Dimensions of its vectors, or bits.
    pub dims: u32,
    /// Largest norm of a vector of the segment, rounded up; of packed values nothing.
    pub max_norm: f32,
    /// Largest distance of a vector from the axes' center, rounded up.
    pub radius: f32,
    /// What the leaves' boxes are measured on; of packed values nothing.
    pub axes: Axes,
    /// If coarse and fine codes are not those of the vectors, but of their sketches: on how many of the directions these are.
    pub sketch: Option<u32>,
    /// The leaves.
    pub leaves: BoxTable,
    /// Cells; none in a segment that is too small to be worth an approximate search.
    pub cells: Option<CellTable>,
    /// What rows can be filtered by.
    pub attributes: AttributeTable,
    /// Where the pages of the coarse stream, the fine plane, whole codes, row addresses and attributes lie, in this order.
    pub extents: Vec<Extent>,
}

/// Directories are read from disk: a damaged length must not make us allocate more than this.
const MAX_DECODED_BYTES: usize = 1 << 30;

impl Directory {
    /// The bytes for disk.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if they could not be read back.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let bytes = bincode::serde::encode_to_vec(self, bincode::config::standard())
            .map_err(|error| Error::TooLarge(format!("segment directory: {error}")))?;
        if bytes.len() > MAX_DECODED_BYTES {
            return Err(Error::TooLarge(format!("segment directory of {} bytes", bytes.len())));
        }
        Ok(bytes)
    }

    /// Reads and validates the bytes from disk.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the bytes are no directory or its parts do not fit together.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut bytes = Some(bytes);
        Self::decode_parts(bytes.map_or(0, <[u8]>::len), || Ok(bytes.take()))
    }

    /// The same of bytes that come in parts, `length` in all: `next` returns one after the other, and is called when the one before was
    /// dropped.
    ///
    /// # Errors
    /// The same, and what `next` returns.
    pub fn decode_parts<P: Deref<Target = [u8]>>(
        length: usize,
        next: impl FnMut() -> Result<Option<P>>,
    ) -> Result<Self> {
        let directory = decode::directory(length, next)?;
        directory.validate()?;
        Ok(directory)
    }

    /// Axes on which the leaves have boxes.
    fn boxed_axes(&self) -> usize {
        match self.space {
            Space::Dense(_) => self.axes.count(self.dims as usize),
            Space::Packed(_) => 1,
        }
    }

    /// Whether nothing is there that packed values do not have, and no leaf is larger than a page.
    fn is_packed(&self, layout: PackedLayout) -> bool {
        let most = layout.most_in_leaf() as u32;
        self.axes == Axes::Own
            && self.cells.is_none()
            && self.sketch.is_none()
            && (self.max_norm, self.radius) == (0.0, 0.0)
            && self.leaves.beyond.iter().all(|&beyond| beyond == 0.0)
            && self.leaves.vectors.iter().all(|&vectors| vectors <= most)
    }

    fn validate(&self) -> Result<()> {
        let dims = self.dims as usize;
        let leaves = self.leaves.vectors.len();
        let finite = |values: &[f32]| all(values, |x| x.is_finite());
        let natural = |values: &[f32]| all(values, |x| x.is_finite() && x >= 0.0);
        let directions = self.sketch.map_or(0, |sketch| sketch as usize);
        let axes_fit = match &self.axes {
            Axes::Own => directions == 0,
            Axes::Principal { center, rows } => {
                center.len() == dims
                    && dims > 0
                    && rows.len().is_multiple_of(dims)
                    && (directions..=directions.max(AXES)).contains(&(rows.len() / dims))
                    && finite(center)
                    && finite(rows)
            }
        };
        let sketch_fits = self.sketch.is_none_or(|directions| {
            (1..=sketch::MOST as u32).contains(&directions)
                && dims <= sketch::MOST_DIMS
                && self.space.dense().is_some_and(sketch::suits)
        });
        let boxes_fit = |boxes: &BoxTable| {
            let BoxTable { vectors, low, high, beyond } = boxes;
            vectors.iter().all(|&vectors| vectors > 0)
                && low.len() == self.boxed_axes() * vectors.len()
                && high.len() == low.len()
                && beyond.len() == vectors.len()
                && natural(beyond)
                && finite(low)
                && finite(high)
                && ascend(low, high)
        };
        let vectors = &self.leaves.vectors;
        let fits = (1..=self.space.max_dims()).contains(&dims)
            && axes_fit
            && sketch_fits
            && boxes_fit(&self.leaves)
            && natural(&[self.max_norm, self.radius])
            && vectors.iter().map(|&vectors| u64::from(vectors)).sum::<u64>() <= u64::from(u32::MAX)
            && self.attributes.is_valid(leaves)
            && match self.space {
                Space::Dense(_) => true,
                Space::Packed(packing) => self.is_packed(PackedLayout::new(packing, dims)),
            }
            && self.cells.as_ref().is_none_or(|cells| {
                cells.boxes.iter().all(boxes_fit)
                    && cells.boxes.iter().map(|leaf| leaf.vectors.len()).sum::<usize>() == cells.spread.len()
                    && cells.center.len() == self.boxed_axes() * cells.spread.len()
                    && finite(&cells.center)
                    && natural(&cells.spread)
                    && cells.calibration.is_valid()
                    && fill(&cells.boxes, vectors)
            })
            && self.extents.iter().all(|extent| {
                extent.blocks > 0 && extent.start.checked_add(extent.blocks).is_some_and(|end| end < NO_BLOCK)
            });
        if fits {
            Ok(())
        } else {
            Err(Error::corrupt("segment directory contradicts itself"))
        }
    }
}

/// Whether all numbers are so. A stretch of them is looked at without a branch.
fn all(numbers: &[f32], is_so: impl Fn(f32) -> bool) -> bool {
    numbers.chunks(STRETCH).all(|stretch| stretch.iter().fold(true, |so_far, &x| so_far & is_so(x)))
}

/// Whether each number is at most the other at its place.
fn ascend(low: &[f32], high: &[f32]) -> bool {
    let mut stretches = low.chunks(STRETCH).zip(high.chunks(STRETCH));
    stretches.all(|(low, high)| low.iter().zip(high).fold(true, |so_far, (low, high)| so_far & (low <= high)))
}

/// Numbers that are looked at without a branch.
const STRETCH: usize = 128;

/// Whether the vectors of cells add up to those of their leaves.
fn fill(cells: &[BoxTable], leaves: &[u32]) -> bool {
    let vectors = |cells: &BoxTable| cells.vectors.iter().map(|&vectors| u64::from(vectors)).sum::<u64>();
    cells.iter().map(vectors).eq(leaves.iter().map(|&leaf| u64::from(leaf)))
}

impl CellTable {
    /// Vectors of each cell.
    pub(crate) fn vectors(&self) -> impl Iterator<Item = u32> + '_ {
        self.boxes.iter().flat_map(|leaf| leaf.vectors.iter().copied())
    }
}
