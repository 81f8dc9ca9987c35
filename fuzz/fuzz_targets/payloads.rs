//! Payloads of the spool, which are split where a receiver finds them too large.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../launcher/src/export/format/split.rs"]
mod split;

fuzz_target!(|data: &[u8]| {
    let Some((format, payload)) = data.split_first() else { return };
    let is_datadog = format % 2 == 0;
    let after = |payload: &[u8], spans| match is_datadog {
        true => split::datadog_after(payload, spans),
        false => split::otlp_after(payload, spans),
    };
    if let Some(rest) = after(payload, 1) {
        // Heads may be written in a longer form than they had.
        assert!(rest.len() <= payload.len() + 10);
    }
    let halves = if is_datadog { split::datadog(payload) } else { split::otlp(payload) };
    let Some((first, second)) = halves else { return };
    if first.spans > 0 && second.spans > 0 {
        // What is left behind the first half is the second one.
        let rest = after(payload, first.spans).expect("there are so many");
        assert_eq!(after(&rest, second.spans), after(&second.body, second.spans));
    }
    if format % 2 == 0 {
        // Both heads, and no byte more or less than there was.
        assert!(first.body.len() + second.body.len() <= payload.len() + 20);
        let again = split::datadog(&first.body);
        assert!(again.is_none_or(|(a, b)| a.spans + b.spans == first.spans));
    }
});
