//! Headers of a request: a line that chooses options and styles, then lines of `name: value`.
#![no_main]

use ddtrace::propagation::Outgoing;
use ddtrace::propagation::baggage::Baggage;
use ddtrace_fuzz::headers::{Headers, first_line, propagation};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (line, rest) = first_line(data);
    let propagation = propagation(line);
    let mut baggage = Baggage::default();
    let found = propagation.extract(&Headers::parse(rest), &mut baggage);
    assert!(found.has_baggage || baggage.is_empty());
    for link in found.links.iter().flatten() {
        assert!(link.span.trace_id.is_valid() && link.span.span_id.is_valid() && link.span.flags <= 1);
    }
    let Some(context) = found.context else { return };
    assert!(context.is_remote);
    if !context.span.trace_id.is_valid() {
        // B3 may only say how to sample: there is nothing to be sent on.
        assert!(context.span.priority.is_some() && !context.span.span_id.is_valid());
        return;
    }
    // Whatever was read can be sent on, by a span of this process and as it is.
    for is_local in [true, false] {
        let mut sent = Headers::default();
        let outgoing = Outgoing { span: context.span, is_local, trace: &context, baggage: &baggage };
        let _ = propagation.inject(&outgoing, &mut sent);
        sent.check();
    }
});
