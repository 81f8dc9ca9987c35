//! An address, and the same bytes as a query string.
#![no_main]

use ddtrace::scrub::query::next_secret;
use ddtrace::scrub::url::UrlPieces;
use libfuzzer_sys::fuzz_target;

fn scrub(text: &[u8], is_url: bool, obfuscate: bool) -> UrlPieces<'_> {
    if is_url { UrlPieces::of_url(text, obfuscate) } else { UrlPieces::of_query(text, obfuscate) }
}

fuzz_target!(|data: &[u8]| {
    for is_url in [true, false] {
        for obfuscate in [true, false] {
            let pieces = scrub(data, is_url, obfuscate);
            let unchanged = pieces.is_unchanged();
            let shown = pieces.collect::<Vec<_>>().concat();
            assert!(!unchanged || shown == data);
            if let Ok(text) = std::str::from_utf8(data) {
                assert!(std::str::from_utf8(&shown).is_ok(), "{text:?} is cut within a character");
            }
            // What is hidden in a query string may bring together what looks like a secret of its own, as with the pattern of
            // Datadog's tracers.
            if !obfuscate {
                let again = scrub(&shown, is_url, obfuscate).collect::<Vec<_>>().concat();
                assert_eq!(again, shown, "scrubbed twice");
            }
        }
    }
    let mut at = 0;
    while let Some((start, end)) = next_secret(data, at) {
        assert!(at <= start && start < end && end <= data.len());
        at = end;
    }
});
