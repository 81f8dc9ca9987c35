//! The OpenTelemetry SDK, for programs that run without the launcher: feature `direct`.

mod exporter;
mod http;
mod ids;
mod resource;
mod sampler;
mod scrub;
mod tls;

use super::InitError;
use crate::config::{Exporter, Resolution, Sources, table};
use crate::recorder::Absent;
use crate::span::scrub::Rules;
use crate::tracer::Settings;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanLimits};
use std::time::Duration;
use tokio::runtime::Runtime;

/// What runs while the program sends by itself.
#[derive(Debug)]
pub(super) struct Direct {
    absent: Absent,
    provider: SdkTracerProvider,
    /// Sends the requests: the SDK's thread has no runtime, and that of the program, if it has one, may be blocked.
    runtime: Runtime,
    shutdown_timeout: Duration,
}

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
        let exporter = scrub::Scrubbing::new(exporter, Rules::new(&config.obfuscation));
        let batches = BatchConfigBuilder::default().with_scheduled_delay(config.flush_interval).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_span_limits(limits(&settings.limits))
            .with_id_generator(ids::Generator::new(config.trace_id_128_bit))
            .with_sampler(sampler::CoreSampler::new(settings))
            .with_resource(resource::of(config, sources))
            .build();
        Ok(Direct { absent, provider, runtime, shutdown_timeout: config.shutdown_timeout })
    }

    /// Why the launcher's shared memory is not there.
    pub(super) fn absent(&self) -> Absent {
        self.absent
    }

    pub(super) fn provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    pub(super) fn stop(self) -> OTelSdkResult {
        let result = self.provider.shutdown_with_timeout(self.shutdown_timeout);
        self.runtime.shutdown_background();
        result
    }
}

/// The limits as the SDK has them, which knows none on the length of texts.
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
