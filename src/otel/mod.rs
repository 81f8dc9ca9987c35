//! The OpenTelemetry API for Rust programs: feature `otel`.
//!
//! [`init`] makes this crate's tracer provider and propagator the global ones of the `opentelemetry` crate, configured by
//! the rules of this crate (`DD_*`, `OTEL_*`, `ddtrace.toml`, Datadog's files):
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
//! There are two ways to the receiver, and [`Tracing::path`] says which one is taken:
//!
//! - A program that `ddtrace-run` started records into the memory that it shares with the launcher's sidecar, which sends to
//!   wherever the launcher was told. It starts no thread, opens no connection, and loses nothing if it is killed.
//! - Any other sends by itself, if feature `direct` is on: the OpenTelemetry SDK gathers and sends to the OTLP receiver that
//!   is configured, by http/protobuf, http/json or gRPC; where only a Datadog Agent is, to the OTLP port of its host. This
//!   starts threads: one of the SDK that gathers spans, and a small runtime that sends them.
//!
//! Propagation and sampling are the same in both. Nothing is printed; failures of the export are events of the `tracing`
//! crate.

mod carried;
#[cfg(feature = "direct")]
mod direct;
mod error;
mod launched;
mod propagator;
mod provider;
mod values;

#[cfg(test)]
mod tests;

pub use error::{InitError, NotDelivered};
pub use launched::{RecordedSpan, RecordingProvider, RecordingTracer};
pub use propagator::Propagator;
pub use provider::Provider;

use crate::config::{self, Resolution, Sources, Warning};
use crate::recorder::Absent;
use crate::tracer::{Settings, Tracer};
use opentelemetry::{Context, global};
use std::string::String;
use std::vec::Vec;

/// How a program's spans get to the receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Path {
    /// Through the memory shared with `ddtrace-run`.
    Launched,
    /// By the program itself, since `ddtrace-run` is not there, for this reason.
    Direct(Absent),
    /// Not at all: `ddtrace-run` is not there, for this reason, and this crate was built without feature `direct`.
    Untraced(Absent),
    /// Not at all: tracing is switched off.
    Disabled,
}

/// Starts tracing this program, configured by its environment and the files of [`config::resolve`].
///
/// The tracer provider and the propagator become the global ones of the `opentelemetry` crate. Where nothing is recorded,
/// the guard does nothing, and only the propagator is set: contexts are passed on.
///
/// The guard has to be kept until the program ends.
///
/// # Errors
/// [`InitError`] where the configuration cannot be followed. The program runs on untraced, with its propagator set.
pub fn init() -> Result<Tracing, InitError> {
    let sources = own_sources();
    let resolution = config::resolve(&sources);
    let tracing = start(&resolution, &sources);
    match &tracing {
        Ok(tracing) => {
            global::set_text_map_propagator(tracing.propagator.clone());
            match &tracing.active {
                Active::Launched(provider) => global::set_tracer_provider(provider.clone()),
                #[cfg(feature = "direct")]
                Active::Direct(direct) => global::set_tracer_provider(direct.provider().clone()),
                Active::Nothing(_) => {}
            }
        }
        Err(_) => global::set_text_map_propagator(Propagator::new(
            Settings::of(&resolution.config, LANGUAGE).propagation,
            None,
        )),
    }
    tracing
}

/// As [`init`], but configured by the given sources, and nothing becomes global: for programs with several providers.
///
/// # Errors
/// As [`init`].
pub fn init_from(sources: &Sources) -> Result<Tracing, InitError> {
    start(&config::resolve(sources), sources)
}

/// The context that this program was started in, as its environment carries it in the styles that are configured, such as
/// `TRACEPARENT`, `TRACESTATE` and `BAGGAGE`.
///
/// Meant as the parent of what the program does as a whole, where it sends by itself; under `ddtrace-run` with process
/// spans, spans without a parent are below the process's span anyway. A server's requests have parents of their own, or
/// none.
#[must_use]
pub fn incoming_context() -> Context {
    let settings = Settings::of(&config::resolve(&own_sources()).config, LANGUAGE);
    Propagator::new(settings.propagation, None).extract_environment(&Context::new())
}

const LANGUAGE: &str = "rust";

fn own_sources() -> Sources {
    Sources {
        env: std::env::vars_os().collect(),
        program: std::env::args_os().collect(),
        language: Some(String::from(LANGUAGE)),
        ..Sources::default()
    }
}

fn start(resolution: &Resolution, sources: &Sources) -> Result<Tracing, InitError> {
    let config = &resolution.config;
    let mut propagation = config.propagation;
    let mut tracer = None;
    let active = if !config.enabled {
        Active::Nothing(Path::Disabled)
    } else {
        match Tracer::of_program(config, LANGUAGE) {
            Ok(of_program) => {
                propagation = of_program.settings().propagation;
                let tracer = tracer.insert(of_program);
                launched::decide_before_forks(tracer);
                Active::Launched(RecordingProvider::new(tracer.clone()))
            }
            Err(absent) => otherwise(absent, resolution, sources, Settings::of(config, LANGUAGE))?,
        }
    };
    let mut warnings = resolution.warnings.clone();
    if sends_by_itself(&active) && !config.sampling.span_rules.as_set().is_empty() {
        warnings.push(Warning::new(
            "DD_SPAN_SAMPLING_RULES is without effect where the program sends by itself: the SDK makes nothing of what is \
             dropped; run it under ddtrace-run to keep single spans",
        ));
    }
    Ok(Tracing { active, propagator: Propagator::new(propagation, tracer), warnings })
}

/// Whether the SDK makes the spans, and the program sends them.
fn sends_by_itself(active: &Active) -> bool {
    match active {
        #[cfg(feature = "direct")]
        Active::Direct(_) => true,
        Active::Launched(_) | Active::Nothing(_) => false,
    }
}

#[cfg(feature = "direct")]
fn otherwise(
    absent: Absent,
    resolution: &Resolution,
    sources: &Sources,
    settings: Settings,
) -> Result<Active, InitError> {
    direct::Direct::start(absent, resolution, sources, settings).map(Active::Direct)
}

#[cfg(not(feature = "direct"))]
fn otherwise(absent: Absent, _: &Resolution, _: &Sources, _: Settings) -> Result<Active, InitError> {
    Ok(Active::Nothing(Path::Untraced(absent)))
}

/// Tracing that was started. Dropping it delivers what is left, as [`Tracing::shutdown`] does.
#[derive(Debug)]
#[must_use = "tracing ends when the guard is dropped"]
pub struct Tracing {
    active: Active,
    propagator: Propagator,
    warnings: Vec<Warning>,
}

/// What runs while tracing is on.
#[derive(Debug)]
enum Active {
    Launched(RecordingProvider),
    #[cfg(feature = "direct")]
    Direct(direct::Direct),
    Nothing(Path),
}

impl Tracing {
    /// How spans get to the receiver.
    #[must_use]
    pub fn path(&self) -> Path {
        match &self.active {
            Active::Launched(_) => Path::Launched,
            #[cfg(feature = "direct")]
            Active::Direct(direct) => Path::Direct(direct.absent()),
            Active::Nothing(path) => *path,
        }
    }

    /// Whether anything is recorded.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        !matches!(self.active, Active::Nothing(_))
    }

    /// What was wrong with the configuration, and what is used instead. Printing it is left to the program.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The provider of tracers, for libraries that want it handed over; `None` where nothing is recorded.
    #[must_use]
    pub fn provider(&self) -> Option<Provider> {
        match &self.active {
            Active::Launched(provider) => Some(Provider::launched(provider.clone())),
            #[cfg(feature = "direct")]
            Active::Direct(direct) => Some(Provider::direct(direct.provider().clone())),
            Active::Nothing(_) => None,
        }
    }

    /// The propagator, for libraries that want it handed over.
    #[must_use]
    pub fn propagator(&self) -> &Propagator {
        &self.propagator
    }

    /// Sends what is finished, and waits for it as long as `shutdown_timeout` of the configuration allows.
    ///
    /// Under `ddtrace-run` there is nothing to do: what is recorded is out of the program's hands already.
    ///
    /// # Errors
    /// [`NotDelivered`] where the receiver did not take spans, since this was last told, or has not answered in time.
    pub fn flush(&self) -> Result<(), NotDelivered> {
        match &self.active {
            #[cfg(feature = "direct")]
            Active::Direct(direct) => direct.flush(),
            _ => Ok(()),
        }
    }

    /// Ends tracing: delivers what is left, and waits for it as long as `shutdown_timeout` of the configuration allows.
    /// Spans that are finished later are not recorded.
    ///
    /// Under `ddtrace-run` there is nothing to do, and spans that are finished later are recorded, too.
    ///
    /// # Errors
    /// [`NotDelivered`], as [`Tracing::flush`] has it.
    pub fn shutdown(mut self) -> Result<(), NotDelivered> {
        self.stop()
    }

    fn stop(&mut self) -> Result<(), NotDelivered> {
        match std::mem::replace(&mut self.active, Active::Nothing(Path::Disabled)) {
            #[cfg(feature = "direct")]
            Active::Direct(direct) => direct.stop(),
            _ => Ok(()),
        }
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        // The SDK has told `tracing` about it; there is nobody else to tell.
        let _ = self.stop();
    }
}
