//! What recording costs the traced program: a record into the ring, next to other ways out of a thread.

mod side_by_side;

use criterion::{Criterion, criterion_group, criterion_main};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::random::Random;
use ddtrace::record::{OpenBody, ROLE_SELF, RecordWriter};
use ddtrace::ring::layout::RING_SIZE;
use ddtrace::ring::{Reader, Ring, ThreadSlot};
use ddtrace::semconv::Key;
use ddtrace::sys;
use side_by_side::SideBySide;
use std::hint::black_box;
use std::ptr::NonNull;
use std::sync::{Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// So many records fit without the reader.
const BATCH: u64 = 100_000;

/// A ring of this process, and its reader.
struct Memory {
    ring: Ring,
    reader: Mutex<Reader>,
}

// SAFETY: a ring may be written to by any thread that has a slot of its own; it is never unmapped.
unsafe impl Sync for Memory {}

impl Memory {
    fn new() -> Memory {
        let base: NonNull<u8> = sys::map_private(RING_SIZE).expect("address space");
        // SAFETY: a fresh zeroed mapping of the ring's size that stays until the process ends.
        let (ring, reader) = unsafe { (Ring::initialise(base, 1), Reader::new(base)) };
        Memory { ring, reader: Mutex::new(reader.expect("a ring of this release")) }
    }

    fn append(&self, slot: &ThreadSlot, write: impl FnOnce(&mut RecordWriter)) {
        self.ring.append(slot, write).expect("room in the ring");
    }

    /// Takes everything out, as the sidecar does while the program goes on.
    fn drain(&self) {
        let mut reader = self.reader.lock().expect("no thread has panicked");
        let drained = reader.drain(|bytes| assert!(!black_box(bytes).is_empty())).expect("a sound ring");
        assert_eq!(drained.lost, 0, "the batch is too large for the ring");
    }
}

/// Runs `work` `times` times in batches and `after` behind each; only the work is timed.
fn batches(times: u64, mut work: impl FnMut(u64) -> Duration, mut after: impl FnMut()) -> Duration {
    let mut elapsed = Duration::ZERO;
    let mut left = times;
    while left > 0 {
        let now = left.min(BATCH);
        elapsed += work(now);
        after();
        left -= now;
    }
    elapsed
}

fn timed(times: u64, mut work: impl FnMut(u64)) -> Duration {
    let start = Instant::now();
    (0..times).for_each(&mut work);
    start.elapsed()
}

/// Two threads that begin together share the work; the time is that of the slower one.
fn on_two_threads(times: u64, work: impl Fn(u64) -> Duration + Sync) -> Duration {
    let barrier = Barrier::new(2);
    let half = |share: u64| {
        barrier.wait();
        work(share)
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| half(times / 2));
        let own = half(times - times / 2);
        own.max(other.join().expect("the thread does not panic"))
    })
}

fn small_record(criterion: &mut Criterion) {
    let mut table = SideBySide::new(criterion, "a record of 24 bytes leaves a thread", 1, "record");
    let memory = Memory::new();
    let append = |slot: &ThreadSlot, number: u64| memory.append(slot, |record| record.close(SpanId(number), number));
    let slot = ThreadSlot::new();
    table.measure_timed("ring, 1 thread", |times| {
        batches(times, |now| timed(now, |number| append(&slot, number)), || memory.drain())
    });
    let slots = Mutex::new(vec![ThreadSlot::new(), ThreadSlot::new()]);
    table.measure_timed("ring, 2 threads", |times| {
        let work = |share| {
            let slot = slots.lock().expect("no thread has panicked").pop().expect("a slot for each thread");
            let elapsed = timed(share, |number| append(&slot, number));
            slots.lock().expect("no thread has panicked").push(slot);
            elapsed
        };
        batches(times, |now| on_two_threads(now, work), || memory.drain())
    });
    let (sender, receiver) = mpsc::channel::<[u64; 3]>();
    let send = |number| sender.send([3, number, number]).expect("the receiver is there");
    let receive = || receiver.try_iter().for_each(|message| assert_eq!(black_box(message)[0], 3));
    table.measure_timed("std::sync::mpsc::channel, 1 thread", |times| batches(times, |now| timed(now, send), receive));
    let sender = Mutex::new(sender.clone());
    table.measure_timed("std::sync::mpsc::channel, 2 threads", |times| {
        let work = |share| {
            let sender = sender.lock().expect("no thread has panicked").clone();
            timed(share, |number| sender.send([3, number, number]).expect("the receiver is there"))
        };
        batches(times, |now| on_two_threads(now, work), receive)
    });
    let locked = Mutex::new(Vec::with_capacity(BATCH as usize));
    let push = |number| locked.lock().expect("no thread has panicked").push([3, number, number]);
    let clear = || locked.lock().expect("no thread has panicked").clear();
    table.measure_timed("Mutex<Vec>, 1 thread", |times| batches(times, |now| timed(now, push), clear));
    table.measure_timed("Mutex<Vec>, 2 threads", |times| {
        batches(times, |now| on_two_threads(now, |share| timed(share, push)), clear)
    });
    table.finish();
}

fn whole_span(criterion: &mut Criterion) {
    let mut table = SideBySide::new(criterion, "a span with one attribute begins and ends", 1, "span");
    let memory = Memory::new();
    let slot = ThreadSlot::new();
    let random = Random::new();
    let span = |number: u64| {
        let id = SpanId(random.next());
        let open = OpenBody {
            trace_id: TraceId(u128::from(number) + 1),
            parent_id: SpanId(0),
            start_ns: monotonic_ns(),
            pid: 1,
            ppid: 0,
            trace_flags: 1,
            role: ROLE_SELF,
            remote_parent: false,
        };
        memory.append(&slot, |record| {
            record.open(id, &open);
            record.text(Key::ExecutableName, b"checkout");
        });
        memory.append(&slot, |record| record.close(id, monotonic_ns()));
    };
    table.measure_timed("ring: open and close", |times| batches(times, |now| timed(now, span), || memory.drain()));
    table.measure("the two looks at the clock in it alone", || (monotonic_ns(), monotonic_ns()));
    #[cfg(feature = "direct")]
    sdk::measure(&mut table);
    table.finish();
}

/// The clock as a library reads it, without a system call.
fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid timespec to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The OpenTelemetry SDK, whose processor does nothing with the span.
#[cfg(feature = "direct")]
mod sdk {
    use super::SideBySide;
    use opentelemetry::trace::{Span as _, Tracer, TracerProvider};
    use opentelemetry::{Context, KeyValue};
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};
    use std::time::Duration;

    #[derive(Debug)]
    struct Nothing;

    impl SpanProcessor for Nothing {
        fn on_start(&self, _: &mut Span, _: &Context) {}

        fn on_end(&self, span: SpanData) {
            drop(super::black_box(span));
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    pub fn measure(table: &mut SideBySide<'_>) {
        let provider = SdkTracerProvider::builder().with_span_processor(Nothing).build();
        let tracer = provider.tracer("bench");
        let none = Context::new();
        table.measure("opentelemetry_sdk: span, processor that does nothing", || {
            let mut span = tracer.start_with_context("checkout", &none);
            span.set_attribute(KeyValue::new("process.executable.name", "checkout"));
            span.end();
        });
    }
}

criterion_group!(benches, small_record, whole_span);
criterion_main!(benches);
