//! One leaf: its scales and grid, and what is said of each of its vectors.

use super::geometry::{Geometry, Hull, Lengths as Measured, DOUBLE, ROUNDED_UP, TINY};
use super::{Full, Report};
use crate::build::SMALLEST_STEP;
use crate::decode::{Claims, LeafReader, SketchCodes};
use crate::layout::leaf::{LeafHeader, LANES};
use crate::layout::{CHUNK, CHUNKS_PER_PAGE};
use crate::query::UNIT;
use crate::search::{Coarse, Fine, Stream};
use crate::sketch::{self, Sketcher};
use crate::{BoxTable, PageRead, Result, Segment};

/// What is wrong with a grid of so many dimensions.
fn grid_problem(low: &[f32], step: &[f32], dims: usize) -> Option<&'static str> {
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
    /// Between the coarse and the fine decoding; in the metric, and not squared. Of sketches: between what the coarse codes decode to and the
    /// sketch of the fine decoding.
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
        let (mut coarse, mut fine) = stream.split();
        match self.check_grid(segment, &mut coarse, leaf) {
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
        let problem = match self.check_vectors(segment, &mut coarse, &mut fine, leaf, &mut tally) {
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
        let LeafReader { low, step, sketch, .. } = &self.reader;
        let problem_of_sketches = || {
            let directions = segment.directory().sketch?;
            let SketchCodes { low, step, .. } = sketch.as_ref()?;
            grid_problem(low, step, sketch::dims(directions as usize))
        };
        Ok(grid_problem(low, step, segment.dims()).or_else(problem_of_sketches))
    }

    /// Looks at the vectors of the leaf that was opened. Returns what is wrong with the leaf as a whole.
    fn check_vectors<S: PageRead>(
        &mut self,
        segment: &Segment,
        coarse: &mut Coarse<'_, '_, S>,
        fine: &mut Fine<'_, '_, S>,
        leaf: usize,
        tally: &mut Tally,
    ) -> Result<Option<&'static str>> {
        self.hull.next_box();
        let mut cells = Cells::of(segment, leaf);
        let mut sketcher = segment.sketcher();
        let (mut norm_max, mut code_norm) = (0f64, 0f64);
        for ordinal in segment.leaf_vectors(leaf) {
            let claims = self.reader.read(segment, coarse, fine, ordinal)?;
            self.decoded.clear();
            self.decoded.extend(self.reader.decoded());
            let lengths = self.lengths(segment, sketcher.as_mut(), claims.fine);
            norm_max = norm_max.max(lengths.norm);
            code_norm = code_norm.max(lengths.codes.sqrt());
            let mut add = |problem| tally.add(problem, ordinal);
            if self.reader.codes.iter().zip(&self.reader.step).any(|(&code, &step)| code > 0 && step == 0.0) {
                add("has codes where there is no grid");
            }
            self.compare(&claims, &lengths).for_each(&mut add);
            let measured = self.geometry.measure(segment, &self.decoded, f64::from(claims.fine));
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
    fn lengths(&self, segment: &Segment, sketcher: Option<&mut Sketcher<'_>>, fine: f32) -> Lengths {
        let metric = segment.metric();
        let (mut norm, mut codes, mut between) = (0.0, 0.0, 0.0);
        if let Some((sketch, sketcher)) = self.reader.sketch.as_ref().zip(sketcher) {
            let decoded: Vec<f32> = self.decoded.iter().map(|&x| x as f32).collect();
            let rounding: f64 = decoded.iter().map(|&x| (f64::from(x) * UNIT).powi(2)).sum();
            let (of_fine, _) = sketcher.sketch(&decoded);
            for (&code, &step) in sketch.codes.iter().zip(&sketch.step) {
                let high = f64::from(code) - 7.5;
                norm += (16.0 * f64::from(step) * high).powi(2);
                codes += high * high;
            }
            for (coarse, &fine) in sketch.decoded().zip(&of_fine) {
                between += metric.term(coarse - f64::from(fine));
            }
            let directions = sketcher.directions();
            let reach = f64::from(fine) + rounding.sqrt();
            let length = of_fine.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt() + reach;
            let least_hidden = f64::from(of_fine[directions]) - reach;
            let most_error = sketch::most_error(directions, segment.dims(), length, least_hidden);
            let error = 2.0 * most_error + rounding.sqrt();
            return Lengths { norm, codes, between: metric.of_sum(between), error };
        }
        for (&code, &step) in self.reader.codes.iter().zip(&self.reader.step) {
            let (high, low) = (f64::from(code >> 4) - 7.5, f64::from(code & 15) - 7.5);
            let step = f64::from(step);
            norm += (16.0 * step * high).powi(2);
            codes += high * high;
            between += metric.term(step * low);
        }
        Lengths { norm, codes, between: metric.of_sum(between), error: 0.0 }
    }

    /// What is stored with a vector against what follows from its codes.
    fn compare(&self, claims: &Claims, lengths: &Lengths) -> impl Iterator<Item = &'static str> {
        let [norm, coarse, fine] = [claims.norm, claims.coarse, claims.fine].map(f64::from);
        let header = &self.reader.header;
        let (largest, between) = (lengths.norm, lengths.between);
        // One step of the scale is lost by rounding to it, and something by computing on it in single precision.
        let smallest = largest * (1.0 - 8.0 * UNIT - DOUBLE) - f64::from(header.norm_step);
        let nearest = (between - fine) * (1.0 - DOUBLE) - DOUBLE * fine - lengths.error;
        let farthest =
            (between + fine + lengths.error) * (1.0 + 8.0 * UNIT + DOUBLE) + f64::from(header.coarse_step);
        let norm_fits = (smallest - TINY..=largest * (1.0 + DOUBLE) + TINY).contains(&norm);
        let residual_fits = (nearest - TINY..=farthest + TINY).contains(&coarse);
        let norm = (!norm_fits).then_some("has another norm than its coarse code");
        let residual = (!residual_fits).then_some("has residuals that contradict each other");
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
