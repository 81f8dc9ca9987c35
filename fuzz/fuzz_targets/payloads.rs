//! Payloads of the spool, which are split where a receiver finds them too large.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../launcher/src/export/format/split.rs"]
mod split;

fuzz_target!(|data: &[u8]| {
    let Some((format, payload)) = data.split_first() else { return };
    let halves = if format % 2 == 0 { split::datadog(payload) } else { split::otlp(payload) };
    let Some((first, second)) = halves else { return };
    if format % 2 == 0 {
        // Both heads, and no byte more or less than there was.
        assert!(first.body.len() + second.body.len() <= payload.len() + 20);
        let again = split::datadog(&first.body);
        assert!(again.is_none_or(|(a, b)| a.spans + b.spans == first.spans));
    }
});
