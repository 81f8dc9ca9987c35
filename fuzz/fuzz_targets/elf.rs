//! The beginning of a program's file, and reads further into it.
#![no_main]

use ddtrace::elf::{HEAD_LEN, Image, each_library, identify, identify_with, is_go, needs_asan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let mut reads = 0;
    let mut read_at = |offset: u64, buffer: &mut [u8]| {
        reads += 1;
        let rest = usize::try_from(offset).ok().and_then(|offset| file.get(offset..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        length
    };
    let head = &file[..file.len().min(HEAD_LEN)];
    let alone = identify(head);
    let image = identify_with(head, &mut read_at);
    match (alone, image) {
        (Image::Elf(alone), Image::Elf(image)) => assert_eq!(alone.is_native(), image.is_native()),
        (Image::Script(alone), Image::Script(script)) => {
            assert_eq!(alone, script);
            assert!(!script.interpreter.is_empty() && !script.interpreter.contains(&b'\n'));
        }
        (Image::Other, Image::Other) => {}
        other => panic!("a look further into the file changed its kind: {other:?}"),
    }
    let (mut listed, mut asan) = (0, false);
    each_library(head, &mut read_at, &mut |name| {
        listed += 1;
        asan |= ddtrace::elf::is_asan_runtime(name);
        true
    });
    assert_eq!(needs_asan(head, &mut read_at), asan);
    let _ = is_go(head, &mut read_at);
    // A hostile file must not keep the process busy.
    assert!(listed <= 512 && reads < 4096, "{listed} libraries, {reads} reads");
});
