//! A Rust program that traces itself through the OpenTelemetry API, under the launcher or without it:
//!
//! ```sh
//! cargo build --features otel --example rust-service
//! ddtrace-run --view target/debug/examples/rust-service
//!
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 cargo run --features direct --example rust-service
//! ```

use opentelemetry::trace::{Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue, global};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

fn main() -> ExitCode {
    // An error here is no reason not to work: the program then runs untraced.
    let tracing = ddtrace::init().inspect_err(|error| eprintln!("rust-service: {error}")).ok();
    for warning in tracing.iter().flat_map(|tracing| tracing.warnings()) {
        eprintln!("rust-service: {warning}");
    }
    let orders = [("apples", 3), ("pears", 1), ("plums", 0)];
    let tracer = global::tracer_provider().tracer("rust-service");
    let day = tracer.start_with_context("a day at the shop", &ddtrace::otel::incoming_context());
    let day = Context::current_with_span(day);
    for (fruit, amount) in orders {
        serve(&day, fruit, amount);
    }
    day.span().set_attribute(KeyValue::new("orders", orders.len() as i64));
    day.span().end();
    match tracing.map(ddtrace::Tracing::shutdown) {
        Some(Err(error)) => {
            eprintln!("rust-service: spans were lost: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn serve(day: &Context, fruit: &'static str, amount: i64) {
    let tracer = global::tracer_provider().tracer("rust-service");
    let mut order = tracer.span_builder("order").with_kind(SpanKind::Server).start_with_context(&tracer, day);
    order.set_attribute(KeyValue::new("fruit", fruit));
    thread::sleep(Duration::from_millis(2));
    if amount == 0 {
        order.set_status(Status::error("sold out"));
    }
    order.end();
}
