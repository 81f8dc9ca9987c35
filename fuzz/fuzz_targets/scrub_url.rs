//! An address, and the same bytes as a query string.
#![no_main]

use ddtrace::scrub::query::next_secret;
use ddtrace::scrub::url::UrlPieces;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for scrub in [UrlPieces::of_url, UrlPieces::of_query] {
        for obfuscate in [true, false] {
            let pieces = scrub(data, obfuscate);
            let unchanged = pieces.is_unchanged();
            let shown = pieces.collect::<Vec<_>>().concat();
            assert!(!unchanged || shown == data);
            if let Ok(text) = std::str::from_utf8(data) {
                assert!(std::str::from_utf8(&shown).is_ok(), "{text:?} is cut within a character");
            }
            let again = scrub(&shown, obfuscate).collect::<Vec<_>>().concat();
            assert_eq!(again, shown, "scrubbed twice");
        }
    }
    let mut at = 0;
    while let Some((start, end)) = next_secret(data, at) {
        assert!(at <= start && start < end && end <= data.len());
        at = end;
    }
});
