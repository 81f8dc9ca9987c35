//! Lines of `baggage` headers; the first byte chooses the dialect.
#![no_main]

use ddtrace::context::TraceContext;
use ddtrace::propagation::baggage::Baggage;
use ddtrace::propagation::header_text::HeaderBaggage;
use ddtrace::propagation::{BaggageSource, Outgoing, Propagation};
use ddtrace_fuzz::headers::{Headers, baggage, propagation};
use libfuzzer_sys::fuzz_target;

/// The style `baggage` alone, with the options of its own.
fn of_options(options: u8) -> Propagation {
    propagation(&[b'0' + (options & 1), 2])
}

fn sent(propagation: &Propagation, source: &dyn BaggageSource) -> Headers {
    let context = TraceContext::default();
    let mut headers = Headers::default();
    let outgoing = Outgoing { span: context.span, is_local: false, trace: &context, baggage: source };
    let _ = propagation.inject(&outgoing, &mut headers);
    headers.check();
    headers
}

fuzz_target!(|data: &[u8]| {
    let Some((options, text)) = data.split_first() else { return };
    let propagation = of_options(*options);
    let headers = text.split(|byte| *byte == b'\n').map(|line| (b"baggage".to_vec(), line.to_vec())).collect();
    let read = baggage(&propagation, &Headers(headers));
    assert!(read.len() <= 64);
    // What has gone through once goes through unchanged.
    let second: Baggage = baggage(&propagation, &sent(&propagation, &read));
    let third = sent(&propagation, &second);
    assert_eq!(baggage(&propagation, &third), second);
    // Passed on as text, it says the same.
    if let Some(text) = third.get("baggage") {
        assert_eq!(sent(&propagation, &HeaderBaggage(text)), third);
    }
    let _ = sent(&propagation, &HeaderBaggage(text));
});
