//! Segments of the spool as a damaged disk, or somebody else, may have left them.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the writing side is not fuzzed")]
#[path = "../../launcher/src/spool/frame.rs"]
mod frame;
#[allow(dead_code, reason = "the writing side is not fuzzed")]
#[path = "../../launcher/src/sidecar/origin.rs"]
mod origin;
#[allow(dead_code, reason = "the writing side is not fuzzed")]
#[path = "../../launcher/src/sidecar/death.rs"]
mod death;

#[allow(dead_code, reason = "the writing side is not fuzzed")]
#[path = "../../launcher/src/sidecar/given_up.rs"]
mod given_up;

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let mut read = 0;
    while let Some((frame, size)) = frame::first(rest) {
        assert!(size >= frame::FRAME_HEADER && frame.payload.len() + frame::FRAME_HEADER <= rest.len());
        read += frame.payload.len();
        match frame.kind {
            frame::FrameKind::Origin => {
                if let Some(origin) = origin::Origin::parse(frame.payload) {
                    // NUL ends each of its texts, so that what was read is written and read the same.
                    assert_eq!(origin::Origin::parse(&origin.format()).as_ref(), Some(&origin));
                }
            }
            frame::FrameKind::Death => {
                if let Some(death) = death::Death::parse(frame.payload) {
                    assert_eq!(death::Death::parse(&death.format()), Some(death));
                }
            }
            frame::FrameKind::ProcessesGivenUp => {
                if let Some((given_up, time_ns)) = given_up::GivenUp::parse(frame.payload) {
                    assert_eq!(given_up::GivenUp::parse(&given_up.format(time_ns)), Some((given_up, time_ns)));
                }
            }
            _ => {}
        }
        rest = rest.get(size..).unwrap_or_default();
    }
    assert!(read <= data.len());
});
