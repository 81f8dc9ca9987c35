//! Forks while a span is active. Each process prints its generation and its id.
//!
//! `forks family`: a child and a grandchild. `forks many N`: N children, one after the other, while another thread of the
//! parent makes spans all the time; how many those are is printed at the end.

use ddtrace::otel::Tracing;
use opentelemetry::trace::{TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

fn main() {
    let mut tracing = ddtrace::init().inspect_err(|error| eprintln!("forks: {error}")).ok();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["family"] => descend(&["parent", "child", "grandchild"]),
        ["many", count] => many(count.parse().expect("a number"), &mut tracing),
        _ => panic!("forks family, or forks many N"),
    }
    end(&mut tracing);
}

/// What a program that sends by itself has to do, in each of its processes.
fn end(tracing: &mut Option<Tracing>) {
    if let Some(Err(error)) = tracing.take().map(Tracing::shutdown) {
        eprintln!("forks: {error}");
    }
}

fn span(name: impl Into<String>) {
    global::tracer("forks").in_span(name.into(), |_| {});
}

/// The work of one generation, in the middle of which it has the next one.
fn descend(generations: &[&str]) {
    let [own, younger @ ..] = generations else { return };
    println!("{own} {}", std::process::id());
    let tracer = global::tracer("forks");
    let context = Context::current_with_span(tracer.start((*own).to_owned()));
    let active = context.clone().attach();
    span(format!("{own} before"));
    // SAFETY: the only other threads are those of a tracer, which are not waited for in the child.
    let child = if younger.is_empty() { -1 } else { unsafe { libc::fork() } };
    // The child holds the span of its parent, too.
    let writer = if child == 0 { younger[0] } else { own };
    context.span().set_attribute(KeyValue::new("written.by", (*writer).to_owned()));
    if child == 0 {
        descend(younger);
    } else {
        span(format!("{own} after"));
    }
    drop(active);
    context.span().end();
    wait_for(child);
}

fn wait_for(child: libc::pid_t) {
    if child > 0 {
        let mut status = 0;
        // SAFETY: a child of our own, and a status to write to.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!((waited, status), (child, 0), "the child has ended well");
    }
}

fn many(count: u32, tracing: &mut Option<Tracing>) {
    let (ends, made) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ends.load(Ordering::Relaxed) {
                span("busy");
                made.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        global::tracer("forks").in_span("parent", |_| {
            for number in 0..count {
                // SAFETY: the child makes spans, which wait for no thread that it does not have, and ends.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    span(format!("child {number}"));
                    end(tracing);
                    // Nothing that waits for the other thread, as the end of the scope would.
                    // SAFETY: ends the process.
                    unsafe { libc::_exit(0) };
                }
                wait_for(child);
            }
        });
        ends.store(true, Ordering::Relaxed);
    });
    println!("busy {}", made.load(Ordering::Relaxed));
}
