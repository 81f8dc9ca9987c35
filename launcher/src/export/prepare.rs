//! What is done to spans once, before any backend or the view gets them: secrets hidden, limits kept, services renamed.

use ddtrace::config::Config;
use ddtrace::span::datadog;
use ddtrace::span::scrub::{Rules, scrub_span};
use ddtrace::span::{Span, SpanLimits, TraceChunk};
use std::collections::HashMap;

/// The rules of a configuration, ready for use.
pub struct Preparation {
    rules: Rules,
    limits: SpanLimits,
    services: HashMap<String, String>,
}

impl Preparation {
    /// The rules of this configuration.
    pub fn new(config: &Config) -> Self {
        Preparation {
            rules: Rules::new(&config.obfuscation),
            limits: config.span_limits,
            services: config.service_mapping.iter().cloned().collect(),
        }
    }

    /// Prepares a chunk.
    pub fn apply(&self, chunk: &mut TraceChunk) {
        for span in &mut chunk.spans {
            // Before anything is cut: half of a literal looks like none.
            scrub_span(span, &self.rules);
            self.limits.apply(span);
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
mod tests {
    use super::*;
    use crate::export::testing::{attribute, chunk, config, resource, span};
    use ddtrace::span::Value;

    #[test]
    fn secrets_are_hidden_before_text_is_cut() {
        let mut config = config();
        config.span_limits.attribute_length = Some(12);
        let mut spans = vec![span(1)];
        spans[0].attributes = vec![attribute("db.statement", "SELECT 'abcdefghij' FROM t")];
        let mut chunk = chunk(resource("shop"), spans);
        Preparation::new(&config).apply(&mut chunk);
        assert_eq!(chunk.spans[0].attributes, [attribute("db.statement", "SELECT ? FRO")]);
    }

    #[test]
    fn services_are_renamed_whoever_named_them() {
        let mut config = config();
        config.service_mapping = vec![("shop".into(), "store".into()), ("db".into(), "shop".into())];
        let mut spans = vec![span(1), span(2), span(3), span(4)];
        spans[1].service = Some("db".into());
        spans[2].attributes = vec![attribute("service.name", "db"), attribute("a", Value::I64(1))];
        spans[3].service = Some("other".into());
        let mut chunk = chunk(resource("shop"), spans);
        Preparation::new(&config).apply(&mut chunk);
        let services: Vec<Option<&str>> = chunk.spans.iter().map(|span| span.service.as_deref()).collect();
        assert_eq!(services, [Some("store"), Some("shop"), Some("shop"), Some("other")]);
        assert_eq!(chunk.spans[2].attributes, [attribute("a", Value::I64(1))]);
    }
}
