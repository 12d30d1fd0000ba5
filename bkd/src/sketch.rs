//! Sketches: a few numbers for a vector of many, between which no distance is larger than between the vectors.
//!
//! With orthonormal directions P and u = x - center, the sketch of x is P u and one number more, the length of what the directions do not
//! see, √(||u||² - ||P u||²). Since that is a seminorm of u, for all vectors x and y
//!
//! ```text
//! ||sketch(x) - sketch(y)||² = ||P (x - y)||² + (hidden(x) - hidden(y))² <= ||x - y||²
//! ```
//!
//! and for a query q, whose sketch is that of q itself, not of q - center,
//!
//! ```text
//! <q, x> = <q, center> + <q, u> <= <q, center> + <sketch(q), sketch(x)>
//! ```
//!
//! So where the leading principal components say most of what there is to say, as of embeddings of hundreds of dimensions, coarse and fine
//! codes are those of sketches ([`Directory::sketch`](crate::Directory::sketch)): all that a search knows of such codes is true of them, and
//! there are fewer to be read. They are no help where sums of magnitudes count.
//!
//! The idea to look at leading components first is old (the VA+-file: Ferhatosmanoglu, Tuncel, Agrawal, El Abbadi, "Vector Approximation
//! based Indexing for Non-uniform High Dimensional Data Sets", 2000).

use crate::kernels::{Floats, Kernels};
use crate::layout::leaf::{padded, LeafLayout};
use crate::layout::records::RecordLayout;
use crate::query::UNIT;
use crate::search::{projection_error, vanished, ORTHONORMALITY};
use crate::{Axes, Metric};

/// The most directions of a sketch: one number less than whole groups.
pub(crate) const MOST: usize = 383;
/// The most dimensions of a vector that is sketched. All of its codes must lie on one page, and directions take memory.
pub(crate) const MOST_DIMS: usize = 4_096;

/// Numbers of a sketch on so many directions.
pub(crate) const fn dims(directions: usize) -> usize {
    directions + 1
}

/// Vectors of so many dimensions have sketches with fine codes. Whole codes of shorter ones are only a few cache lines, so that it takes as
/// long to look at something else first.
const FINE_FROM: usize = 1024;

/// How the codes of a segment are laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layouts {
    pub leaf: LeafLayout,
    /// If there are fine codes.
    pub fine: Option<RecordLayout>,
    /// Of the vectors' own codes, if the others are those of sketches.
    pub whole: Option<RecordLayout>,
}

impl Layouts {
    /// For vectors of so many dimensions, and sketches on so many directions, if they have any.
    pub(crate) fn new(dims: usize, directions: Option<u32>) -> Self {
        match directions.map(|directions| self::dims(directions as usize)) {
            None => {
                Layouts { leaf: LeafLayout::new(dims), fine: Some(RecordLayout::fine(dims)), whole: None }
            }
            Some(sketch) => Layouts {
                leaf: LeafLayout::of_sketches(sketch, dims),
                fine: (dims >= FINE_FROM).then(|| RecordLayout::fine(sketch)),
                whole: Some(RecordLayout::whole(dims)),
            },
        }
    }
}

/// Whether sketches say something about values of this metric.
pub(crate) fn suits(metric: Metric) -> bool {
    match metric {
        Metric::L2 | Metric::Cosine | Metric::InnerProduct => true,
        Metric::L1 => false,
    }
}

/// Makes sketches, one after the other.
pub(crate) struct Sketcher<'a> {
    floats: &'static Floats,
    center: &'a [f32],
    /// The directions, one after the other.
    rows: &'a [f32],
    centered: Vec<f32>,
}

impl<'a> Sketcher<'a> {
    /// For vectors of so many dimensions; `None` if there are not so many directions.
    pub(crate) fn of(axes: &'a Axes, directions: u32, dims: usize) -> Option<Self> {
        let Axes::Principal { center, rows } = axes else { return None };
        let rows = rows.get(..directions as usize * dims)?;
        Some(Sketcher { floats: Kernels::get().floats(), center, rows, centered: vec![0.0; dims] })
    }

    /// On how many directions.
    pub(crate) fn directions(&self) -> usize {
        self.rows.len() / self.centered.len()
    }

    /// The sketch of a vector, padded with zeros to whole groups, and how far it may be from what it would be without rounding, and on
    /// directions that are orthonormal.
    pub(crate) fn sketch(&mut self, vector: &[f32]) -> (Vec<f32>, f64) {
        let vector = &vector[..self.centered.len()];
        let pairs = self.centered.iter_mut().zip(vector.iter().zip(self.center));
        pairs.for_each(|(into, (x, center))| *into = x - center);
        self.of_centered(self.floats.l2_exact(vector, self.center))
    }

    /// The sketch of a query whose products count.
    pub(crate) fn sketch_for_products(&mut self, query: &[f32]) -> (Vec<f32>, f64) {
        let dims = self.centered.len();
        self.centered.copy_from_slice(&query[..dims]);
        self.of_centered(self.floats.norm_squared(&query[..dims]))
    }

    /// The product of a query with the center, and the sum of the magnitudes of its terms.
    pub(crate) fn at_center(&self, query: &[f32]) -> (f64, f64) {
        let terms = self.center.iter().zip(query).map(|(&center, &x)| f64::from(center) * f64::from(x));
        terms.fold((0.0, 0.0), |(sum, magnitude), term| (sum + term, magnitude + term.abs()))
    }

    /// The sketch of what was centered last, given the square of its length.
    fn of_centered(&self, square: f64) -> (Vec<f32>, f64) {
        let dims = self.centered.len();
        let rows = self.rows.chunks_exact(dims);
        let mut sketch: Vec<f32> = rows.map(|row| self.floats.ip(row, &self.centered)).collect();
        let (hidden, error) = hidden(&sketch, dims, square);
        sketch.push(hidden);
        sketch.resize(padded(sketch.len()), 0.0);
        (sketch, error)
    }
}

/// Given the coordinates of a vector of so many dimensions, and the square of its distance from the center: the last number of its sketch,
/// and how far all of the sketch may be off.
pub(crate) fn hidden(coordinates: &[f32], dims: usize, square: f64) -> (f32, f64) {
    let axes = coordinates.len();
    let length = square.sqrt();
    let error = coordinate_error(axes, dims, length);
    let seen: f64 = coordinates.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let square_error = error * (2.0 * length + error);
    let root = |square: f64| square.max(0.0).sqrt();
    let hidden = root(square - seen);
    let (least, most) = (root(square - seen - square_error), root(square - seen + square_error));
    let rounding = 4.0 * UNIT * hidden + f64::from(f32::MIN_POSITIVE);
    (hidden as f32, error.hypot((most - hidden).max(hidden - least)) + rounding)
}

/// How far coordinates of something so long may be off, all together.
fn coordinate_error(axes: usize, dims: usize, length: f64) -> f64 {
    (projection_error(axes, dims) + ORTHONORMALITY) * length + vanished(axes, dims, length)
}

/// The most that a sketch on so many directions may be off, of something so long, of which at least so much is hidden: the less that is, the more
/// of it may be rounding.
pub(crate) fn most_error(axes: usize, dims: usize, length: f64, least_hidden: f64) -> f64 {
    let error = coordinate_error(axes, dims, length);
    let square_error = error * (2.0 * length + error);
    let of_hidden = square_error.sqrt().min(square_error / least_hidden.max(0.0));
    error + of_hidden + 8.0 * UNIT * length + f64::from(f32::MIN_POSITIVE)
}
