//! The OpenTelemetry API for Rust programs that run without the launcher: feature `direct`.
//!
//! [`init`] configures the OpenTelemetry SDK by the rules of this crate (`DD_*`, `OTEL_*`, `ddtrace.toml`, Datadog's
//! files), makes it the global tracer provider, and gives a guard that delivers what is left when it is dropped:
//!
//! ```no_run
//! use opentelemetry::trace::{Tracer, TracerProvider};
//!
//! fn main() {
//!     let _tracing = ddtrace::init().inspect_err(|error| eprintln!("{error}")).ok();
//!     opentelemetry::global::tracer_provider().tracer("shop").in_span("checkout", |_| {});
//! }
//! ```
//!
//! Spans go to the OTLP receiver that is configured, by http/protobuf, http/json or gRPC; where only a Datadog Agent is,
//! to the OTLP port of its host. A program that was started by `ddtrace-run` finds the launcher's configuration in its
//! environment, and its spans go the same way: to the receiver, not through the launcher's shared memory.
//!
//! Unlike the rest of the crate this starts threads: one of the SDK that gathers spans, and a small runtime that sends
//! them. Nothing is printed; failures of the export are events of the `tracing` crate.

mod error;
mod exporter;
mod http;
mod ids;
mod incoming;
mod resource;
mod tls;

pub use error::InitError;
pub use incoming::incoming_context;
pub use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use crate::config::{self, Exporter, Resolution, Sources, Warning, table};
use opentelemetry::global;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use std::boxed::Box;
use std::string::String;
use std::time::Duration;
use std::vec;
use std::vec::Vec;
use tokio::runtime::Runtime;

/// Starts tracing this program, configured by its environment and the files of [`config::resolve`].
///
/// The tracer provider and the propagators for W3C `traceparent` and `baggage` become the global ones of the
/// `opentelemetry` crate. Sampling, span limits and the size of batches are the SDK's own, with its variables
/// (`OTEL_TRACES_SAMPLER`, `OTEL_SPAN_*_LIMIT`, `OTEL_BSP_*`): every span is recorded unless the parent or a variable
/// says otherwise. Where tracing is disabled, the guard does nothing, and only the propagators are set.
///
/// The guard has to be kept until the program ends.
///
/// # Errors
/// [`InitError`] where the configuration cannot be followed. The program runs on untraced, with its propagators set.
pub fn init() -> Result<Tracing, InitError> {
    let tracing = init_from(&Sources {
        env: std::env::vars_os().collect(),
        program: std::env::args_os().collect(),
        language: Some(String::from("rust")),
        ..Sources::default()
    });
    global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ]));
    if let Ok(Tracing { active: Some(active), .. }) = &tracing {
        global::set_tracer_provider(active.provider.clone());
    }
    tracing
}

/// As [`init`], but configured by the given sources, and nothing becomes global: for programs with several providers.
///
/// # Errors
/// As [`init`].
pub fn init_from(sources: &Sources) -> Result<Tracing, InitError> {
    let resolution = config::resolve(sources);
    let active = if resolution.config.enabled { Some(Active::start(&resolution, sources)?) } else { None };
    Ok(Tracing { active, warnings: resolution.warnings })
}

/// Tracing that was started. Dropping it delivers what is left, as [`Tracing::shutdown`] does.
#[derive(Debug)]
#[must_use = "tracing ends when the guard is dropped"]
pub struct Tracing {
    active: Option<Active>,
    warnings: Vec<Warning>,
}

impl Tracing {
    /// Whether anything is recorded.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.active.is_some()
    }

    /// What was wrong with the configuration, and what is used instead. Printing it is left to the program.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The provider of tracers, for libraries that want it handed over; `None` where tracing is disabled.
    #[must_use]
    pub fn provider(&self) -> Option<&SdkTracerProvider> {
        self.active.as_ref().map(|active| &active.provider)
    }

    /// Sends what is finished and waits until that is done, the SDK's five seconds at most.
    ///
    /// # Errors
    /// Those of the SDK; what could not be sent is lost.
    pub fn flush(&self) -> OTelSdkResult {
        self.active.as_ref().map_or(Ok(()), |active| active.provider.force_flush())
    }

    /// Ends tracing: delivers what is left, and waits for it as long as `shutdown_timeout` of the configuration allows.
    /// Spans that are finished later are not recorded.
    ///
    /// # Errors
    /// Those of the SDK; what could not be sent is lost.
    pub fn shutdown(mut self) -> OTelSdkResult {
        self.active.take().map_or(Ok(()), Active::stop)
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        if let Some(active) = self.active.take() {
            // The SDK has told `tracing` about it; there is nobody else to tell.
            let _ = active.stop();
        }
    }
}

/// What runs while tracing is on.
#[derive(Debug)]
struct Active {
    provider: SdkTracerProvider,
    /// Sends the requests: the SDK's thread has no runtime, and that of the program, if it has one, may be blocked.
    runtime: Runtime,
    shutdown_timeout: Duration,
}

impl Active {
    fn start(resolution: &Resolution, sources: &Sources) -> Result<Active, InitError> {
        let config = &resolution.config;
        let named = &config.exporters;
        if !named.is_empty() && !named.contains(&Exporter::Otlp) {
            let exporter = resolution.of(table::Id::Exporter);
            return Err(InitError::NotOtlp { named: exporter.value.clone(), origin: exporter.origin.clone() });
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("ddtrace-otlp")
            .enable_io()
            .enable_time()
            .build()
            .map_err(InitError::Runtime)?;
        let exporter = match exporter::build(&config.otlp, runtime.handle()) {
            Ok(exporter) => exporter,
            Err(error) => {
                // Dropping it would panic where the program itself is asynchronous.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let batches = BatchConfigBuilder::default().with_scheduled_delay(config.flush_interval).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_id_generator(ids::Generator::new(config.trace_id_128_bit))
            .with_resource(resource::of(config, sources))
            .build();
        Ok(Active { provider, runtime, shutdown_timeout: config.shutdown_timeout })
    }

    fn stop(self) -> OTelSdkResult {
        let result = self.provider.shutdown_with_timeout(self.shutdown_timeout);
        self.runtime.shutdown_background();
        result
    }
}
