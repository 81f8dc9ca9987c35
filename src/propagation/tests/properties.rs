//! What holds for any headers and any context.

use super::*;
use crate::context::{Bounded, MAX_ORIGIN};
use crate::propagation::environment::{EnvironmentCarrier, EnvironmentWriter};
use crate::propagation::{CarrierMut, ExtractBehaviour};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const NAMES: [&str; 19] = [
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "x-datadog-origin",
    "x-datadog-tags",
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-sampled",
    "x-b3-flags",
    "uber-trace-id",
    "uberctx-key",
    "x-amzn-trace-id",
    "ot-tracer-traceid",
    "ot-tracer-spanid",
    "ot-baggage-key",
];

fn any_propagation() -> impl Strategy<Value = Propagation> {
    let behaviours = [ExtractBehaviour::Continue, ExtractBehaviour::Restart, ExtractBehaviour::Ignore];
    let list = subsequence(Style::ALL.to_vec(), 0..=8).prop_shuffle();
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (list, flags, select(behaviours.to_vec()), 0u16..600, 0u16..80, any::<u16>()).prop_map(
        |(list, (otel, extract_first, http_baggage), behaviour, tags, items, bytes)| Propagation {
            dialect: if otel { Dialect::OpenTelemetry } else { Dialect::Datadog },
            extract_first,
            behaviour,
            tags_max_length: tags,
            http_baggage,
            baggage_max_items: items,
            baggage_max_bytes: bytes,
            ..styles(&list)
        },
    )
}

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..60),
        "[0-9a-f:;=,.%@ ~-]{0,80}".prop_map(String::into_bytes),
        "[0-9]{1,20}".prop_map(String::into_bytes),
        "00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]".prop_map(String::into_bytes),
        "[0-9a-f]{32}-[0-9a-f]{16}-[01d]".prop_map(String::into_bytes),
        "((dd|ot|[a-z]{1,3})=[a-z:;.~]{1,200},){0,40}".prop_map(String::into_bytes),
        "(_dd\\.p\\.[a-z]{1,3}=[a-z-]{1,30},?){0,20}".prop_map(String::into_bytes),
    ]
}

/// A context that every part of the formats can carry.
fn any_context() -> impl Strategy<Value = TraceContext> {
    let tags = vec(("[a-z.]{1,8}", "[a-z:/-]{1,12}"), 0..4);
    let state = vec(("[a-z0-9][a-z0-9_*/@-]{0,10}", "[ -+.-<>-~]{0,20}[!-+.-<>-~]"), 0..6);
    let priority = proptest::option::of(-1..=2i32);
    (1u64.., any::<u64>(), 1u64.., priority, "[a-z]{0,20}", tags, state, any::<bool>()).prop_map(
        |(low, high, span_id, priority, origin, tags, state, random)| {
            let trace_id = (u128::from(high) << 64) | u128::from(low);
            let mut context = TraceContext { span: span(trace_id, span_id, priority), ..TraceContext::default() };
            context.span.flags = if random { 2 } else { 0 };
            context.origin.set(origin.as_bytes()).unwrap();
            for (name, value) in tags.iter().filter(|(name, _)| name != "tid" && name != "dm") {
                context.tags.set(format!("_dd.p.{name}").as_bytes(), value.as_bytes()).unwrap();
            }
            let state: Vec<String> = state
                .iter()
                .filter(|(key, _)| key != "dd" && key != "ot")
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            context.trace_state.set(state.join(",").as_bytes()).unwrap();
            context
        },
    )
}

/// What is left of a context after a style carried it.
fn carried(style: Style, context: &TraceContext) -> (u128, u64, Option<i32>) {
    let (trace, span, priority) = ids(context);
    let sampled = Some(i32::from(priority.is_some_and(|priority| priority > 0)));
    match style {
        Style::Datadog => (trace, span, priority),
        Style::TraceContext => (trace, span, priority.or(Some(0))),
        Style::B3 | Style::B3Multi => (trace, span, priority.map(|priority| priority.max(0))),
        Style::Jaeger => (trace, span, if priority == Some(2) { priority } else { sampled }),
        Style::XRay => (trace, span, sampled),
        Style::OtTrace => (trace & u128::from(u64::MAX), span, sampled),
        Style::Baggage => (0, 0, None),
    }
}

const TRACES: [Style; 7] = [
    Style::Datadog,
    Style::TraceContext,
    Style::B3,
    Style::B3Multi,
    Style::Jaeger,
    Style::XRay,
    Style::OtTrace,
];

proptest! {
    #[test]
    fn anything_may_come(
        propagation in any_propagation(),
        headers in vec((select(NAMES.to_vec()), any_value()), 0..12),
    ) {
        let headers = Headers(headers.into_iter().map(|(name, value)| (name.to_string(), value)).collect());
        let mut baggage = Baggage::default();
        let found = propagation.extract(&headers, &mut baggage);
        prop_assert!(found.has_baggage || baggage.is_empty());
        if let Some(context) = &found.context {
            prop_assert!(context.is_remote);
            if !context.span.trace_id.is_valid() {
                // B3 may say how to sample, and nothing else.
                prop_assert!(context.span.priority.is_some() && !context.span.span_id.is_valid());
                return Ok(());
            }
            // What was read can be written, and what is written can stand in headers.
            let sent = written(propagation, context, &baggage);
            for (name, value) in &sent.0 {
                let is_safe = value.iter().all(|byte| matches!(byte, 0x20..=0x7e));
                let may_be_empty = name.starts_with("uberctx-") || name.starts_with("ot-baggage-");
                prop_assert!(is_safe && (may_be_empty || !value.is_empty()), "{}: {:?}", name, value);
            }
            if let Some(state) = sent.get("tracestate") {
                prop_assert!(state.len() <= 519 && state.split(',').count() <= 32);
            }
        }
        for link in found.links.iter().flatten() {
            prop_assert!(link.span.trace_id.is_valid() && link.span.span_id.is_valid());
        }
    }

    /// But for names that are looked for by their beginning: an environment is asked for one at a time.
    #[test]
    fn the_environment_says_what_headers_say(
        propagation in any_propagation(),
        headers in btree_map(select(NAMES.to_vec()), any_value(), 0..12),
    ) {
        let by_name = |name: &&str| !name.starts_with("uberctx-") && !name.starts_with("ot-baggage-");
        let headers = headers.into_iter().filter(|(name, _)| by_name(name));
        let headers = Headers(headers.map(|(name, value)| (name.to_string(), value)).collect());
        let mut environment = std::collections::BTreeMap::new();
        let mut writer = EnvironmentWriter(|name: &[u8], value: &[u8]| _ = environment.insert(name.to_vec(), value.to_vec()));
        headers.0.iter().for_each(|(name, value)| writer.set(name, value));
        let carrier = EnvironmentCarrier(|name: &[u8]| environment.get(name));
        let (mut from_headers, mut from_environment) = (Baggage::default(), Baggage::default());
        let said = propagation.extract(&headers, &mut from_headers);
        let found = propagation.extract(&carrier, &mut from_environment);
        prop_assert_eq!((said.context, said.links, said.has_baggage), (found.context, found.links, found.has_baggage));
        prop_assert_eq!(from_headers, from_environment);
    }

    #[test]
    fn what_one_style_writes_it_reads(context in any_context(), otel: bool) {
        for style in TRACES {
            let propagation = if otel { of_otel(&[style]) } else { styles(&[style]) };
            let found = propagation.extract(&written(propagation, &context, &Baggage::default()), &mut NoBaggage);
            let found = found.context.expect("a context");
            let mut expected = carried(style, &context);
            if otel && matches!(style, Style::B3 | Style::B3Multi | Style::Jaeger) {
                // Only what came in as debug is.
                expected.2 = expected.2.map(|priority| priority.min(1));
            }
            prop_assert_eq!(ids(&found), expected, "{:?}", style);
            if style == Style::TraceContext {
                prop_assert_eq!(found.trace_state.as_str(), context.trace_state.as_str());
                prop_assert_eq!(found.span.trace_flags() & 2, context.span.flags);
            }
            if matches!(style, Style::Datadog | Style::TraceContext) {
                prop_assert_eq!(&found.origin, &context.origin);
                for (name, value) in context.tags.iter() {
                    prop_assert_eq!(found.tags.get(name), Some(value));
                }
            }
        }
    }

    #[test]
    fn all_pairs_go_round(context in any_context()) {
        for first in TRACES {
            for second in TRACES {
                let through = |style: Style, context: &TraceContext| {
                    let one = styles(&[style]);
                    one.extract(&written(one, context, &Baggage::default()), &mut NoBaggage).context.expect("a context")
                };
                let middle = through(first, &context);
                prop_assert_eq!(ids(&through(second, &middle)), carried(second, &middle), "{:?} {:?}", first, second);
                // Both at once contradict each other only where the trace id lost its high half.
                let both = styles(&[first, second]);
                let sent = written(both, &context, &Baggage::default());
                let found = both.extract(&sent, &mut NoBaggage);
                let halves = first != second && (first == Style::OtTrace) != (second == Style::OtTrace);
                let is_linked = halves && context.span.trace_id.high() != 0;
                prop_assert_eq!(found.links.iter().flatten().count(), usize::from(is_linked));
                prop_assert_eq!(ids(&found.context.expect("a context")), carried(first, &context));
            }
        }
    }

    #[test]
    fn baggage_goes_round(members in vec(("\\PC{1,20}", "\\PC{1,40}"), 0..20)) {
        let mut baggage = Baggage::default();
        for (key, value) in &members {
            if !key.trim().is_empty() && !value.trim().is_empty() {
                baggage.set(key.trim(), value.trim());
            }
        }
        for propagation in [styles(&[Style::Baggage]), of_otel(&[Style::Baggage])] {
            let sent = written(propagation, &TraceContext::default(), &baggage);
            let mut read = Baggage::default();
            propagation.extract(&sent, &mut read);
            prop_assert_eq!(&read, &baggage);
            // Passed on as text, it is the same.
            if let Some(text) = sent.get("baggage") {
                let source = crate::propagation::header_text::HeaderBaggage(text.as_bytes());
                let context = TraceContext::default();
                let outgoing = Outgoing { span: context.span, is_local: false, trace: &context, baggage: &source };
                let mut again = Headers::default();
                propagation.inject(&outgoing, &mut again);
                prop_assert_eq!(again.get("baggage"), Some(text));
            }
        }
    }

    #[test]
    fn any_origin_is_survived(origin in vec(any::<u8>(), 0..MAX_ORIGIN)) {
        let mut context = reference();
        context.origin = Bounded::new();
        context.origin.set(&origin).unwrap();
        let sent = written(Propagation::default(), &context, &Baggage::default());
        let found = Propagation::default().extract(&sent, &mut NoBaggage).context.expect("a context");
        prop_assert_eq!(ids(&found), (TRACE, SPAN, Some(2)));
        prop_assert!(sent.get("tracestate").unwrap().contains("t.dm:-4"));
    }
}
