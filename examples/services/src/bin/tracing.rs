//! A program whose spans are those of the `tracing` crate. `tracing-opentelemetry` makes them spans of the OpenTelemetry
//! API, and `ddtrace::init()` has them recorded:
//!
//! ```sh
//! ddtrace-run --view tracing
//! ```

use opentelemetry::global;
use tracing::{Span, error, info, instrument};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() {
    let _tracing = ddtrace::init().inspect_err(|error| eprintln!("tracing: {error}")).ok();
    tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(global::tracer("bakery"))).init();
    bake(3);
}

#[instrument]
fn bake(loaves: u32) {
    for number in 1..=loaves {
        knead(number);
    }
    Span::current().set_attribute("baked", i64::from(loaves) - 1);
}

/// `otel.kind`, `otel.name` and `otel.status_code` are fields that the layer understands.
#[instrument(fields(otel.name = format!("knead {number}")))]
fn knead(number: u32) {
    info!(dough = "sourdough", "it rises");
    if number == 2 {
        error!("burnt");
        Span::current().set_status(opentelemetry::trace::Status::error("burnt"));
    }
}
