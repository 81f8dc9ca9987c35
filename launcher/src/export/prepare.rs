//! What is done to spans once, before any backend or the view gets them: secrets hidden, limits kept, services renamed,
//! peers named.

use ddtrace::config::Config;
use ddtrace::span::datadog::{self, PeerServices};
use ddtrace::span::scrub::{Rules, scrub_span};
use ddtrace::span::{Span, SpanLimits, TraceChunk};
use std::collections::HashMap;

/// The rules of a configuration, ready for use.
pub struct Preparation {
    rules: Rules,
    limits: SpanLimits,
    services: HashMap<String, String>,
    peers: PeerServices,
}

impl Preparation {
    /// The rules of this configuration.
    pub fn new(config: &Config) -> Self {
        Preparation {
            rules: Rules::new(&config.obfuscation),
            limits: config.span_limits,
            services: config.service_mapping.iter().cloned().collect(),
            peers: PeerServices {
                defaults: config.peer_service_defaults,
                mapping: config.peer_service_mapping.iter().cloned().collect(),
            },
        }
    }

    /// Prepares a chunk.
    pub fn apply(&self, chunk: &mut TraceChunk) {
        for span in &mut chunk.spans {
            // Before anything is cut: half of a literal looks like none.
            scrub_span(span, &self.rules);
            self.limits.apply(span);
            self.peers.apply(span);
        }
        if !self.services.is_empty() {
            let TraceChunk { resource, spans, .. } = chunk;
            spans.iter_mut().for_each(|span| self.rename_service(span, datadog::service(span, resource).to_owned()));
        }
    }

    fn rename_service(&self, span: &mut Span, service: String) {
        if let Some(renamed) = self.services.get(&service) {
            // What named the service until now would win over the field.
            span.attributes.retain(|(key, _)| key != "datadog.service" && key != "service.name");
            span.service = Some(renamed.clone());
        }
    }
}

#[cfg(test)]
mod tests;
