//! The context that a program was started in, which travels in environment variables (OpenTelemetry, "Environment
//! Variables as Context Propagation Carriers").

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapCompositePropagator, TextMapPropagator};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use std::boxed::Box;
use std::string::String;
use std::vec;
use std::vec::Vec;

/// The context that this program was started in: `TRACEPARENT`, `TRACESTATE` and `BAGGAGE` of its environment; under
/// `ddtrace-run` with process spans, this process's own span.
///
/// Meant as the parent of what the program does as a whole. A server's requests have parents of their own, or none.
#[must_use]
pub fn incoming_context() -> Context {
    context_of(&Environment::read(|name| std::env::var(name).ok()))
}

fn context_of(environment: &Environment) -> Context {
    let propagator = TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ]);
    propagator.extract_with_context(&Context::new(), environment)
}

/// Keys as the propagators name them, and the variables that carry them: upper case only, as the specification has it.
const CARRIED: [(&str, &str); 3] =
    [("traceparent", "TRACEPARENT"), ("tracestate", "TRACESTATE"), ("baggage", "BAGGAGE")];

struct Environment(Vec<(&'static str, String)>);

impl Environment {
    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        Environment(CARRIED.iter().filter_map(|(key, name)| Some((*key, variable(name)?))).collect())
    }
}

impl Extractor for Environment {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(present, _)| *present == key).map(|(_, value)| value.as_str())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(key, _)| *key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::baggage::BaggageExt;
    use opentelemetry::trace::TraceContextExt;
    use std::string::ToString;

    fn context(variables: &[(&str, &str)]) -> Context {
        let of = |name: &str| variables.iter().find(|(present, _)| *present == name).map(|(_, text)| text.to_string());
        context_of(&Environment::read(of))
    }

    #[test]
    fn all_three_variables_are_read() {
        let context = context(&[
            ("TRACEPARENT", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("TRACESTATE", "dd=s:1"),
            ("BAGGAGE", "user=7"),
        ]);
        let span = context.span().span_context().clone();
        assert_eq!(span.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span.span_id().to_string(), "00f067aa0ba902b7");
        assert!(span.is_remote() && span.is_sampled());
        assert_eq!(span.trace_state().get("dd"), Some("s:1"));
        assert_eq!(context.baggage().get("user").map(|value| value.as_str()), Some("7"));
    }

    #[test]
    fn nothing_and_nonsense_are_no_parent() {
        assert!(!context(&[]).span().span_context().is_valid());
        assert!(!context(&[("TRACEPARENT", "00-xyz")]).span().span_context().is_valid());
        let lower = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
        assert!(!context(&lower).span().span_context().is_valid());
    }
}
