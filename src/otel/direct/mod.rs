//! The OpenTelemetry SDK, for programs that run without the launcher: feature `direct`.

mod continuing;
mod exporter;
mod http;
mod ids;
mod links;
mod lost;
mod resource;
mod sampler;
mod scrub;
mod sending;
mod tls;

pub(super) use continuing::ContinuingProvider;

use super::{InitError, NotDelivered};
use crate::config::{Exporter, Resolution, Sources, table};
use crate::recorder::{Absent, Recorder};
use crate::span::scrub::Rules;
use crate::tracer::Settings;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanLimits};
use sending::{Processor, Sending, Terms};
use std::string::String;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// What runs while the program sends by itself.
#[derive(Debug)]
pub(super) struct Direct {
    absent: Absent,
    provider: SdkTracerProvider,
    sending: Arc<Sending>,
    shutdown_timeout: Duration,
}

/// How long the SDK waits for a flush, whatever anybody wants.
const SDKS_FLUSH: Duration = Duration::from_secs(5);

impl Direct {
    pub(super) fn start(
        absent: Absent,
        resolution: &Resolution,
        sources: &Sources,
        settings: Settings,
    ) -> Result<Direct, InitError> {
        let config = &resolution.config;
        let named = &config.exporters;
        if !named.is_empty() && !named.contains(&Exporter::Otlp) {
            let exporter = resolution.of(table::Id::Exporter);
            return Err(InitError::NotOtlp { named: exporter.value.clone(), origin: exporter.origin.clone() });
        }
        let recorder = Arc::new(Recorder::nowhere());
        let terms = Terms {
            otlp: config.otlp.clone(),
            flush_interval: config.flush_interval,
            rules: Rules::new(&config.obfuscation),
            limits: settings.limits,
        };
        let resource = resource::of(config, sources);
        let sending = Arc::new(Sending::start(Arc::clone(&recorder), terms, resource.clone())?);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(links::Linking(Processor(Arc::clone(&sending))))
            .with_span_limits(limits(&settings.limits))
            .with_id_generator(ids::Generator::new(recorder, config.trace_id_128_bit))
            .with_sampler(sampler::CoreSampler::new(settings))
            .with_resource(resource)
            .build();
        Ok(Direct { absent, provider, sending, shutdown_timeout: config.shutdown_timeout })
    }

    /// Why the launcher's shared memory is not there.
    pub(super) fn absent(&self) -> Absent {
        self.absent
    }

    pub(super) fn provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    /// Sends what is finished, and waits for it as long as for the end.
    pub(super) fn flush(&self) -> Result<(), NotDelivered> {
        let deadline = Instant::now() + self.shutdown_timeout;
        let provider = self.provider.clone();
        let (done, told) = mpsc::sync_channel(1);
        // The SDK waits as long as it likes, which may be too long; a thread of its own does not matter then.
        let thread = std::thread::Builder::new().name(String::from("ddtrace-flush"));
        let flushed = thread.spawn(move || _ = done.send(flush_until(&provider, deadline)));
        let result = match flushed {
            Ok(_) => {
                told.recv_timeout(self.shutdown_timeout).unwrap_or(Err(OTelSdkError::Timeout(self.shutdown_timeout)))
            }
            Err(_) => self.provider.force_flush(),
        };
        self.sending.lost_or(result)
    }

    pub(super) fn stop(self) -> Result<(), NotDelivered> {
        let result = self.provider.shutdown_with_timeout(self.shutdown_timeout);
        self.sending.stop();
        // It is content when all was tried.
        self.sending.lost_or(result)
    }
}

fn flush_until(provider: &SdkTracerProvider, deadline: Instant) -> OTelSdkResult {
    loop {
        let start = Instant::now();
        let result = provider.force_flush();
        if result.is_ok() || start.elapsed() < SDKS_FLUSH || Instant::now() >= deadline {
            return result;
        }
    }
}

/// The limits as the SDK has them; it knows none on the length of texts, which is seen to when they are sent.
fn limits(of: &crate::span::SpanLimits) -> SpanLimits {
    let count = |most: usize| u32::try_from(most).unwrap_or(u32::MAX);
    SpanLimits {
        max_attributes_per_span: count(of.attributes),
        max_events_per_span: count(of.events),
        max_links_per_span: count(of.links),
        max_attributes_per_event: count(of.event_attributes),
        max_attributes_per_link: count(of.link_attributes),
    }
}
