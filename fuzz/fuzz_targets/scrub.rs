//! Command lines: arguments between zero bytes, as `/proc/<pid>/cmdline` has them.
#![no_main]

use ddtrace::scrub::{ArgScrubber, REDACTED};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut scrubber = ArgScrubber::new();
    for arg in data.split(|byte| *byte == 0) {
        let scrubbed = scrubber.scrub(arg);
        let shown: Vec<u8> = scrubbed.pieces().flatten().copied().collect();
        assert_eq!(shown.len(), scrubbed.len());
        assert!(shown.len() <= arg.len() + 80);
        let is_original = |piece: &&[u8]| arg.as_ptr_range().contains(&piece.as_ptr());
        assert!(scrubbed.pieces().all(|piece| is_original(&piece) || piece == REDACTED));
        assert_eq!(scrubbed.is_unchanged(), scrubbed.pieces().all(|piece| is_original(&piece)));
        assert!(!scrubbed.is_unchanged() || shown == arg);
        // What is shown is the original with parts cut out, in order.
        let mut rest = arg;
        for piece in scrubbed.pieces().filter(is_original) {
            let at = piece.as_ptr() as usize - rest.as_ptr() as usize;
            rest = &rest[at + piece.len()..];
        }
    }
});
