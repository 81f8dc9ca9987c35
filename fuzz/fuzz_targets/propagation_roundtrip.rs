//! A context as a program may make it: a line that chooses options and styles, the line of the ids (16 and 8 bytes,
//! priority and flags), then lines for the origin, the vendors' state, OpenTelemetry's member and the tags.
#![no_main]

use ddtrace::context::{Priority, TraceContext};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::propagation::{ExtractBehaviour, NoBaggage, Outgoing, Propagation, Style};
use ddtrace_fuzz::headers::{Headers, first_line, propagation};
use libfuzzer_sys::fuzz_target;

fn context(data: &[u8]) -> Option<TraceContext> {
    let (trace, rest) = data.split_first_chunk::<16>()?;
    let (span, rest) = rest.split_first_chunk::<8>()?;
    let ([priority, flags], rest) = rest.split_first_chunk::<2>()?;
    let mut lines = rest.split(|byte| *byte == b'\n');
    let mut context = TraceContext::default();
    context.span.trace_id = TraceId(u128::from_be_bytes(*trace));
    context.span.span_id = SpanId(u64::from_be_bytes(*span));
    context.span.priority = (*priority != b'?').then(|| Priority(i32::from(*priority as i8) - 48));
    context.span.flags = flags & 3;
    let _ = context.origin.set(lines.next()?);
    let _ = context.trace_state.set(lines.next()?);
    let _ = context.ot.set(lines.next()?);
    for line in lines {
        let equals = line.iter().position(|byte| *byte == b'=')?;
        let _ = context.tags.set(&line[..equals], &line[equals + 1..]);
    }
    Some(context)
}

fn sent(propagation: &Propagation, context: &TraceContext) -> Headers {
    let mut headers = Headers::default();
    let outgoing = Outgoing { span: context.span, is_local: false, trace: context, baggage: &NoBaggage };
    let _ = propagation.inject(&outgoing, &mut headers);
    headers.check();
    headers
}

fn pass_on(propagation: &Propagation, context: &TraceContext) -> TraceContext {
    let headers = sent(propagation, context);
    propagation.extract(&headers, &mut NoBaggage).context.expect("it went through before")
}

fuzz_target!(|data: &[u8]| {
    let (line, rest) = first_line(data);
    let propagation = propagation(line);
    let Some(context) = context(rest) else { return };
    let first = sent(&propagation, &context);
    let received = propagation.extract(&first, &mut NoBaggage);
    let goes_on = propagation.behaviour == ExtractBehaviour::Continue && !propagation.extract_first;
    assert!(received.context.is_some() || first.0.is_empty() || !goes_on);
    let Some(received) = received.context else { return };
    let ids = |context: &TraceContext| (context.span.trace_id.low(), context.span.span_id);
    assert_eq!(ids(&received), ids(&context));
    let only_low = propagation.extract.iter().all(|style| style == Style::OtTrace);
    let tags_are_lost = first.get("x-datadog-tags").is_none() && propagation.inject.contains(Style::Datadog);
    if !only_low && !tags_are_lost && !propagation.inject.contains(Style::OtTrace) {
        assert_eq!(received.span.trace_id, context.span.trace_id);
    }
    // What has gone through twice goes through unchanged: the first time, a style may shorten the trace id, and only then
    // the others agree with it.
    let twice = pass_on(&propagation, &received);
    assert_eq!(pass_on(&propagation, &twice), twice);
});
