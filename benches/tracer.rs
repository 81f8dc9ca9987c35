//! What a span costs the program that makes it: recorded into the memory shared with the launcher's sidecar, next to the
//! OpenTelemetry SDK, whose exporter here does nothing.
//!
//! What is done later, elsewhere, is not counted: the sidecar's reading, the SDK's batches.

mod side_by_side;

use criterion::{Criterion, criterion_group, criterion_main};
use ddtrace::handshake::{HELLO_LENGTH, Hello, socket_name};
use ddtrace::identity::{Holder, Identity};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::ring::Reader;
use ddtrace::ring::layout::RING_SIZE;
use ddtrace::sys;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::noop::NoopTracerProvider;
use opentelemetry::trace::{Span, SpanKind, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter};
use side_by_side::SideBySide;
use std::ffi::OsString;
use std::hint::black_box;
use std::os::unix::ffi::OsStringExt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// So many spans find room in the ring and in the SDK's queue.
const BATCH: u64 = 20_000;

/// Stands for the sidecar: takes the ring that the program gives away.
struct Sidecar {
    socket: libc::c_int,
    run: u128,
}

impl Sidecar {
    fn listen() -> Sidecar {
        let run = 0x5eed << 64 | u128::from(std::process::id());
        // SAFETY: plain system calls over an address that lives as long as they last.
        let socket = unsafe {
            let socket = libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0);
            let mut address: libc::sockaddr_un = std::mem::zeroed();
            address.sun_family = libc::AF_UNIX as libc::sa_family_t;
            let name = socket_name(run);
            for (to, from) in address.sun_path.iter_mut().skip(1).zip(name) {
                *to = from as libc::c_char;
            }
            let length = (size_of::<libc::sa_family_t>() + 1 + name.len()) as libc::socklen_t;
            assert_eq!(libc::bind(socket, (&raw const address).cast(), length), 0, "the name is free");
            assert_eq!(libc::listen(socket, 1), 0);
            socket
        };
        Sidecar { socket, run }
    }

    /// What the launcher would set for this process.
    fn identity(&self) -> OsString {
        let identity = Identity {
            run: self.run,
            flags: 0,
            holder: Holder::Process(std::process::id()),
            trace_flags: 1,
            trace_id: TraceId(1),
            span_id: SpanId(2),
            parent_id: SpanId(0),
            start_ns: sys::monotonic_ns(),
        };
        OsString::from_vec(identity.format().to_vec())
    }

    fn accept(&self) -> Reader {
        let mut hello = [0u8; HELLO_LENGTH];
        let mut control = [0u64; 8];
        // SAFETY: plain system calls over memory that lives as long as they last; the message has one descriptor.
        let memory = unsafe {
            let connection = libc::accept(self.socket, std::ptr::null_mut(), std::ptr::null_mut());
            let mut part = libc::iovec { iov_base: hello.as_mut_ptr().cast(), iov_len: hello.len() };
            let mut message: libc::msghdr = std::mem::zeroed();
            (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
            (message.msg_control, message.msg_controllen) = (control.as_mut_ptr().cast(), size_of_val(&control));
            assert_eq!(libc::recvmsg(connection, &raw mut message, 0), HELLO_LENGTH as isize);
            libc::CMSG_DATA(libc::CMSG_FIRSTHDR(&raw const message)).cast::<libc::c_int>().read_unaligned()
        };
        assert_eq!(Hello::parse(&hello).expect("a hello").pid, std::process::id());
        let base = sys::map_shared(memory, RING_SIZE).expect("the ring can be mapped");
        // SAFETY: a mapping of the ring's size that stays until the process ends.
        unsafe { Reader::new(base) }.expect("a ring of this release")
    }
}

/// Takes spans and does nothing with them.
#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        black_box(batch);
        Ok(())
    }
}

/// A tracer, and what makes room again between batches.
struct Way<'a> {
    name: &'static str,
    tracer: BoxedTracer,
    make_room: Box<dyn Fn() + 'a>,
}

impl Way<'_> {
    fn measure(&self, table: &mut SideBySide<'_>, one: impl Fn(&BoxedTracer)) {
        table.measure_timed(self.name, |times| {
            let mut elapsed = Duration::ZERO;
            let mut left = times;
            while left > 0 {
                let now = left.min(BATCH);
                let start = Instant::now();
                (0..now).for_each(|_| one(&self.tracer));
                elapsed += start.elapsed();
                (self.make_room)();
                left -= now;
            }
            elapsed
        });
    }
}

/// Starts, gives two attributes, ends.
fn span(tracer: &BoxedTracer, kind: SpanKind, parent: &Context) {
    let mut span = tracer.span_builder("query").with_kind(kind).start_with_context(tracer, parent);
    span.set_attribute(KeyValue::new("db.system.name", "postgresql"));
    span.set_attribute(KeyValue::new("db.response.returned_rows", 42));
    span.end();
}

fn spans(criterion: &mut Criterion) {
    let sidecar = Sidecar::listen();
    // SAFETY: this process has one thread so far.
    unsafe { std::env::set_var("_DDTRACE_RUN", sidecar.identity()) };
    let tracing = ddtrace::init().expect("the shared memory is there");
    assert_eq!(tracing.path(), ddtrace::Path::Launched);
    let reader = Mutex::new(sidecar.accept());
    let drain = || {
        let mut reader = reader.lock().expect("no thread has panicked");
        let drained = reader.drain(|bytes| assert!(!black_box(bytes).is_empty())).expect("a sound ring");
        assert_eq!(drained.lost, 0, "the batch is too large for the ring");
    };

    let batches = BatchConfigBuilder::default().with_max_queue_size(2 * BATCH as usize).build();
    let sdk = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(Nowhere).with_batch_config(batches).build())
        .build();
    let flush = || sdk.force_flush().expect("nothing can fail");
    let ours = tracing.provider().expect("it is enabled").tracer("bench");
    let theirs = BoxedTracer::new(Box::new(sdk.tracer("bench")));
    let ways = [
        Way { name: "ddtrace, shared memory", tracer: ours, make_room: Box::new(drain) },
        Way { name: "opentelemetry_sdk, batches to nowhere", tracer: theirs, make_room: Box::new(flush) },
    ];

    let mut table = SideBySide::new(criterion, "a child span: start, two attributes, end", 1, "span");
    for way in &ways {
        let parent = Context::new().with_span(way.tracer.start_with_context("parent", &Context::new()));
        way.measure(&mut table, |tracer| span(tracer, SpanKind::Client, &parent));
    }
    let nothing = BoxedTracer::new(Box::new(NoopTracerProvider::new().tracer("bench")));
    table.measure("the API alone, nothing behind it", || span(&nothing, SpanKind::Client, &Context::new()));
    table.finish();
    let mut table = SideBySide::new(criterion, "a local root: start, two attributes, end", 1, "span");
    for way in &ways {
        way.measure(&mut table, |tracer| span(tracer, SpanKind::Server, &Context::new()));
    }
    table.finish();
    // What a request costs: making its span the active one asks for its context, which decides about the trace.
    let mut table = SideBySide::new(criterion, "a local root that is made active, and a child of it", 1, "pair");
    for way in &ways {
        way.measure(&mut table, |tracer| {
            let root =
                tracer.span_builder("request").with_kind(SpanKind::Server).start_with_context(tracer, &Context::new());
            let context = Context::new().with_span(root);
            span(tracer, SpanKind::Client, &context);
            context.span().end();
        });
    }
    table.finish();
}

criterion_group!(benches, spans);
criterion_main!(benches);
