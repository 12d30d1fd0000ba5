//! One leaf: its scales and grid, and what is said of each of its vectors.

use super::geometry::{Geometry, Hull, Lengths as Measured, DOUBLE, ROUNDED_UP, TINY};
use super::{Full, Report};
use crate::build::SMALLEST_STEP;
use crate::decode::{Claims, Codes, LeafReader};
use crate::layout::leaf::{LeafHeader, LANES};
use crate::layout::{CHUNK, CHUNKS_PER_PAGE};
use crate::query::UNIT;
use crate::search::{Coarse, Planes, Stream};
use crate::sketch::{self, Sketcher};
use crate::{BoxTable, PageRead, Result, Segment};

/// What is wrong with a grid of so many dimensions.
fn grid_problem(Codes { low, step, .. }: &Codes, dims: usize) -> Option<&'static str> {
    let is_step = |step: f32| step.to_bits() == 0 || (step.is_finite() && step >= SMALLEST_STEP);
    if !low.iter().all(|low| low.is_finite()) || !step.iter().all(|&step| is_step(step)) {
        Some("its grid is none")
    } else if low[dims..].iter().chain(&step[dims..]).any(|value| value.to_bits() != 0) {
        Some("its grid has more dimensions than the vectors")
    } else {
        None
    }
}

/// Looks at leaves, one after the other.
pub(super) struct LeafCheck {
    reader: LeafReader,
    geometry: Geometry,
    decoded: Vec<f64>,
    /// Of the leaf, and of the segment.
    hull: Hull,
    /// Whether all leaves so far could be read.
    complete: bool,
}

/// Lengths that follow from the codes of a vector.
struct Lengths {
    /// Of the coarse decoding, from the grid's centre; squared.
    norm: f64,
    /// Of the centred coarse codes; squared.
    codes: f64,
    /// Between the coarse and the fine decoding; in the metric, and not squared.
    between: f64,
    /// If there are sketches.
    sketch: Option<SketchLengths>,
}

struct SketchLengths {
    /// Between the fine decoding, or the coarse one if there are no fine codes, and the sketch of what whole codes decode to.
    between: f64,
    /// How far sketches may be off, here and when the segment was built.
    error: f64,
}

/// What is wrong with vectors of a leaf: each kind of problem is one finding.
#[derive(Default)]
struct Tally(Vec<(&'static str, u32, usize)>);

impl Tally {
    fn add(&mut self, problem: &'static str, ordinal: u32) {
        match self.0.iter_mut().find(|(other, ..)| *other == problem) {
            Some((.., count)) => *count += 1,
            None => self.0.push((problem, ordinal, 1)),
        }
    }
}

/// The boxes of the cells of a leaf, whose vectors come one after the other.
struct Cells<'a> {
    boxes: &'a BoxTable,
    /// The cell of the next vector, and how many of the cell's were before.
    cell: usize,
    vectors: u32,
    hull: Hull,
    is_any_too_large: bool,
}

impl<'a> Cells<'a> {
    fn of(segment: &'a Segment, leaf: usize) -> Option<Self> {
        let (boxes, _) = segment.leaf_cells(leaf)?;
        Some(Cells { boxes, cell: 0, vectors: 0, hull: Hull::default(), is_any_too_large: false })
    }

    /// Looks at the next vector, which was measured last.
    fn check(&mut self, segment: &Segment, geometry: &Geometry, measured: &Measured) -> Option<&'static str> {
        let is_outside = geometry.contradicts_cell(segment, self.boxes, self.cell, measured);
        self.hull.add(geometry, measured);
        self.vectors += 1;
        if self.vectors == self.boxes.vectors[self.cell] {
            self.is_any_too_large |= self.hull.is_too_large(segment, self.boxes, self.cell);
            self.hull.next_box();
            (self.cell, self.vectors) = (self.cell + 1, 0);
        }
        is_outside.then_some("is outside of its cell's box")
    }
}

impl LeafCheck {
    pub(super) fn new(segment: &Segment) -> Self {
        LeafCheck {
            reader: LeafReader::new(segment),
            geometry: Geometry::new(segment),
            decoded: Vec::new(),
            hull: Hull::default(),
            complete: true,
        }
    }

    /// For a leaf that cannot be read.
    pub(super) fn skip(&mut self) {
        self.complete = false;
    }

    /// Looks at a leaf whose pages can be read.
    pub(super) fn check<S: PageRead>(
        &mut self,
        segment: &Segment,
        store: &S,
        leaf: usize,
        report: &mut Report<'_>,
    ) -> Result<(), Full> {
        let page = |chunk: u64| Some((chunk / CHUNKS_PER_PAGE as u64) as u32);
        let first = page(segment.leaf_chunk(leaf));
        let mut stream = Stream::new(segment, store);
        let mut planes = stream.planes();
        match self.check_grid(segment, &mut planes.coarse, leaf) {
            Ok(None) => {}
            Ok(Some(problem)) => {
                self.skip();
                return report.add(first, format!("leaf {leaf}: {problem}"));
            }
            Err(error) => {
                self.skip();
                return report.add(first, format!("leaf {leaf}: {error}"));
            }
        }
        let mut tally = Tally::default();
        let problem = match self.check_vectors(segment, &mut planes, leaf, &mut tally) {
            Ok(problem) => problem.map(str::to_string),
            Err(error) => {
                self.skip();
                Some(error.to_string())
            }
        };
        // Findings are handed on with no page held.
        drop(stream);
        if let Some(problem) = problem {
            report.add(first, format!("leaf {leaf}: {problem}"))?;
        }
        for (problem, ordinal, count) in tally.0 {
            let block = (ordinal - segment.leaf_vectors(leaf).start) as usize / LANES;
            let others = if count > 1 { format!(", and {} more", count - 1) } else { String::new() };
            let problem = format!("leaf {leaf}: vector {ordinal} {problem}{others}");
            report.add(page(self.reader.block_chunk(segment, block)), problem)?;
        }
        Ok(())
    }

    /// Scales and grid are such as to be computed with.
    fn check_grid<S: PageRead>(
        &mut self,
        segment: &Segment,
        coarse: &mut Coarse<'_, '_, S>,
        leaf: usize,
    ) -> Result<Option<&'static str>> {
        self.reader.open(segment, coarse, leaf)?;
        let header = coarse.run(segment.leaf_chunk(leaf), 1)?;
        if header[LeafHeader::BYTES..].iter().any(|&byte| byte != 0) {
            return Ok(Some("what the header does not use is not zero"));
        }
        let header = &self.reader.header;
        for (scale, plane) in [
            ([header.fine_base, header.fine_step], segment.fine()),
            ([header.whole_base, header.whole_step], segment.whole()),
        ] {
            if plane.is_none() && scale != [0.0; 2] {
                return Ok(Some("it has a scale of codes that it does not have"));
            }
        }
        let LeafReader { vector, sketch, .. } = &self.reader;
        let problem_of_sketches = || {
            let directions = segment.directory().sketch?;
            grid_problem(sketch.as_ref()?, sketch::dims(directions as usize))
        };
        Ok(grid_problem(vector, segment.dims()).or_else(problem_of_sketches))
    }

    /// Looks at the vectors of the leaf that was opened. Returns what is wrong with the leaf as a whole.
    fn check_vectors<S: PageRead>(
        &mut self,
        segment: &Segment,
        planes: &mut Planes<'_, '_, S>,
        leaf: usize,
        tally: &mut Tally,
    ) -> Result<Option<&'static str>> {
        self.hull.next_box();
        let mut cells = Cells::of(segment, leaf);
        let mut sketcher = segment.sketcher();
        let (mut norm_max, mut code_norm) = (0f64, 0f64);
        for ordinal in segment.leaf_vectors(leaf) {
            let claims = self.reader.read(segment, planes, ordinal)?;
            self.decoded.clear();
            self.decoded.extend(self.reader.vector.decoded());
            let lengths = self.lengths(segment, sketcher.as_mut(), &claims);
            norm_max = norm_max.max(lengths.norm);
            code_norm = code_norm.max(lengths.codes.sqrt());
            let mut add = |problem| tally.add(problem, ordinal);
            if self.reader.vector.are_off_grid() || self.reader.coarse().are_off_grid() {
                add("has codes where there is no grid");
            }
            self.compare(&claims, &lengths).for_each(&mut add);
            let measured = self.geometry.measure(segment, &self.decoded, f64::from(claims.whole));
            self.geometry.contradiction(segment, leaf, &measured).map(&mut add);
            self.hull.add(&self.geometry, &measured);
            if let Some(cells) = &mut cells {
                cells.check(segment, &self.geometry, &measured).map(&mut add);
            }
        }
        let is_largest = |said: f32, is: f64| {
            (is * (1.0 - DOUBLE) - TINY..=is * (1.0 + ROUNDED_UP) + TINY).contains(&f64::from(said))
        };
        let header = &self.reader.header;
        Ok(if !is_largest(header.norm_max, norm_max) || !is_largest(header.code_norm, code_norm) {
            Some("the largest norms are not those of its vectors")
        } else if self.has_idle_codes(segment.leaf_vectors(leaf).len()) {
            Some("its last block has more vectors than the leaf")
        } else if self.hull.is_too_large(segment, &segment.directory().leaves, leaf) {
            Some("its box in the segment directory is larger than its vectors need")
        } else if cells.is_some_and(|cells| cells.is_any_too_large) {
            Some("the box of one of its cells in the segment directory is larger than its vectors need")
        } else {
            None
        })
    }

    /// What follows from the codes that were read, and decoded, last.
    fn lengths(&self, segment: &Segment, sketcher: Option<&mut Sketcher<'_>>, claims: &Claims) -> Lengths {
        let metric = segment.metric();
        let (mut norm, mut codes, mut between) = (0.0, 0.0, 0.0);
        let coarse = self.reader.coarse();
        for (&code, &step) in coarse.codes.iter().zip(&coarse.step) {
            let (high, low) = (f64::from(code >> 4) - 7.5, f64::from(code & 15) - 7.5);
            let step = f64::from(step);
            norm += (16.0 * step * high).powi(2);
            codes += high * high;
            between += metric.term(step * low);
        }
        let sketch = sketcher.map(|sketcher| self.sketch_lengths(segment, sketcher, claims));
        Lengths { norm, codes, between: metric.of_sum(between), sketch }
    }

    fn sketch_lengths(
        &self,
        segment: &Segment,
        sketcher: &mut Sketcher<'_>,
        claims: &Claims,
    ) -> SketchLengths {
        let decoded: Vec<f32> = self.decoded.iter().map(|&x| x as f32).collect();
        let rounding: f64 = decoded.iter().map(|&x| (f64::from(x) * UNIT).powi(2)).sum();
        let (sketch, _) = sketcher.sketch(&decoded);
        let sketch: Vec<f64> = sketch.into_iter().map(f64::from).collect();
        let square = |lost: f64| lost.powi(2);
        let codes = self.reader.coarse();
        let between: f64 = match claims.fine {
            Some(_) => codes.lost(&sketch).map(square).sum(),
            None => codes.coarse_lost(&sketch).map(square).sum(),
        };
        let directions = sketcher.directions();
        let reach = f64::from(claims.whole) + rounding.sqrt();
        let length = sketch.iter().map(|x| x.powi(2)).sum::<f64>().sqrt() + reach;
        let least_hidden = sketch[directions] - reach;
        let most_error = sketch::most_error(directions, segment.dims(), length, least_hidden);
        SketchLengths { between: between.sqrt(), error: 2.0 * most_error + rounding.sqrt() }
    }

    /// What is stored with a vector against what follows from its codes.
    fn compare(&self, claims: &Claims, lengths: &Lengths) -> impl Iterator<Item = &'static str> {
        let header = &self.reader.header;
        let norm = f64::from(claims.norm);
        // One step of the scale is lost by rounding to it, and something by computing on it in single precision.
        let smallest = lengths.norm * (1.0 - 8.0 * UNIT - DOUBLE) - f64::from(header.norm_step);
        let norm_fits = (smallest - TINY..=lengths.norm * (1.0 + DOUBLE) + TINY).contains(&norm);
        let fit = |(residual, scale_step): (f32, f32), finer: f32, between: f64, error: f64| {
            let finer = f64::from(finer);
            let nearest = (between - finer) * (1.0 - DOUBLE) - DOUBLE * finer - error;
            let farthest = (between + finer + error) * (1.0 + 8.0 * UNIT + DOUBLE) + f64::from(scale_step);
            (nearest - TINY..=farthest + TINY).contains(&f64::from(residual))
        };
        let coarse = (claims.coarse, header.coarse_step);
        let (last, residuals_fit) = match claims.fine {
            None => (coarse, true),
            Some(fine) => ((fine, header.fine_step), fit(coarse, fine, lengths.between, 0.0)),
        };
        let sketch_fits = lengths
            .sketch
            .as_ref()
            .is_none_or(|SketchLengths { between, error }| fit(last, claims.whole, *between, *error));
        let norm = (!norm_fits).then_some("has another norm than its coarse code");
        let residual = (!residuals_fit || !sketch_fits).then_some("has residuals that contradict each other");
        norm.into_iter().chain(residual)
    }

    /// Whether anything is in the lanes of the last block that belong to no vector. That block was read last.
    fn has_idle_codes(&self, vectors: usize) -> bool {
        let lanes = (vectors - 1) % LANES + 1;
        let (head, chunks) = self.reader.block().split_at(CHUNK);
        let (norms, residuals) = head.split_at(2 * LANES);
        let mut idle = norms[2 * lanes..].iter().chain(&residuals[2 * lanes..]);
        idle.any(|&byte| byte != 0)
            || chunks.chunks_exact(CHUNK).any(|chunk| chunk[4 * lanes..].iter().any(|&byte| byte != 0))
    }

    /// Looks at what the directory says of all leaves.
    pub(super) fn finish(self, segment: &Segment, report: &mut Report<'_>) -> Result<(), Full> {
        if self.complete && self.hull.is_segment_too_large(segment) {
            report.add(
                None,
                "no vector is as long, or as far from the axes' center, as the segment directory says",
            )?;
        }
        Ok(())
    }
}
