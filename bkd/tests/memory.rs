//! A build takes the memory that it says it will, and not much less.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use bkd::layout::{PageKind, Payload};
use bkd::{build, BuildMemory, BuildOptions, Input, Metric, PageSink, Progress, Result, Tid};

/// The system's allocator, which counts what is in use and remembers the most.
struct Counted;

static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn taken(bytes: usize) {
    let used = USED.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(used, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new may exist at once.
        taken(size);
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTED: Counted = Counted;

struct Discard;

impl PageSink for Discard {
    fn append(&mut self, _kind: PageKind, _payload: &Payload, _used: usize) -> Result<()> {
        Ok(())
    }
}

const THREADS: usize = 2;

/// The most memory of a build, beside its input. The vectors are uniform, or nearly flat in most dimensions, so that they have sketches.
fn peak(metric: Metric, dims: usize, count: usize, flat: bool) -> usize {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let scale = |at: usize| if flat && at % dims > 40 { 0.05 } else { 1.0 };
    let vectors: Vec<f32> = (0..count * dims).map(|at| random() * scale(at)).collect();
    let tids: Vec<Tid> = (0..count).map(|at| Tid::new(at as u32, 1)).collect();
    let input = Input { metric, dims, vectors: &vectors, slack: None, tids: &tids, columns: 0, keys: &[] };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build().unwrap();
    let before = USED.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    pool.install(|| build(&input, &BuildOptions::default(), &Progress::default(), &mut Discard)).unwrap();
    MOST.load(Ordering::Relaxed) - before
}

#[test]
fn builds_keep_to_their_estimate() {
    limits_are_kept_and_used();
    for (dims, count, flat) in [
        (1, 300_000, false),
        (2, 1_000_000, false),
        (20, 200_000, false),
        (21, 200_000, false),
        (64, 3_000, false),
        (64, 400_000, false),
        (128, 10_000, false),
        (128, 120_000, false),
        (128, 120_000, true),
        (768, 10_000, true),
        (768, 30_000, false),
        (768, 30_000, true),
        (2_000, 2_000, false),
        (2_000, 12_000, true),
        (16_000, 500, false),
        (16_000, 2_500, false),
    ] {
        for metric in [Metric::L2, Metric::InnerProduct] {
            let memory = BuildMemory::new(dims, 0, THREADS);
            let input = memory.of(count) - memory.beside_input(count);
            let (peak, estimate) = (peak(metric, dims, count, flat), memory.beside_input(count));
            println!(
                "{count} x {dims}, {}: {:.1} MB of {:.1} beside {:.1}; of all {:.3}",
                metric.name(),
                peak as f64 / 1e6,
                estimate as f64 / 1e6,
                input as f64 / 1e6,
                (input + estimate) as f64 / (input + peak) as f64
            );
            assert!(peak <= estimate, "{count} x {dims} took {peak} bytes instead of {estimate}");
            // A small segment has fewer axes and a smaller sample than the estimate allows for. It allows for sketches, which uniform vectors
            // do not have.
            if input > 50 << 20 && dims < 10_000 {
                let excess = estimate.saturating_sub(peak);
                let part = if flat { 6 } else { 3 };
                assert!(
                    excess * part <= input + peak,
                    "{count} x {dims} took {peak} bytes instead of {estimate}"
                );
            }
        }
    }
}

/// Called by the only test, since others would allocate meanwhile.
fn limits_are_kept_and_used() {
    for dims in [1, 2, 20, 21, 64, 128, 129, 768, 2_000, 16_000] {
        for threads in [1, 3, 16] {
            let memory = BuildMemory::new(dims, 0, threads);
            for bytes in [0, 1 << 20, 10_000_000, 64 << 20, 1 << 30, 1 << 40, usize::MAX] {
                let vectors = memory.vectors_within(bytes);
                assert!(vectors == 0 || memory.of(vectors) <= bytes, "{dims} {threads} {bytes}");
                let more = vectors + vectors / 50 + 2;
                assert!(memory.of(more) > bytes || bytes == usize::MAX, "{dims} {threads} {bytes}");
            }
        }
    }
}
