use super::*;
use proptest::prelude::*;
use std::vec::Vec;

/// A minimal program: header, one program header of the given type pointing at `content` behind it.
fn elf(class64: bool, little: bool, segment: Option<(u32, &[u8])>) -> Vec<u8> {
    let number = |value: u64, width: usize| {
        let mut bytes = value.to_le_bytes()[..width].to_vec();
        if !little {
            bytes.reverse();
        }
        bytes
    };
    let word = if class64 { 8 } else { 4 };
    let (header_size, entry_size) = if class64 { (64u64, 56u64) } else { (52, 32) };
    let mut file = [b"\x7fELF".as_slice(), &[if class64 { 2 } else { 1 }, if little { 1 } else { 2 }, 1]].concat();
    file.resize(16, 0);
    file.extend(number(3, 2));
    file.extend(number(62, 2));
    file.extend(number(1, 4));
    file.extend(number(0, word));
    file.extend(number(header_size, word));
    file.extend(number(0, word));
    file.extend(number(0, 4));
    for half in [header_size, entry_size, 1, 0, 0, 0] {
        file.extend(number(half, 2));
    }
    assert_eq!(file.len() as u64, header_size);
    let (kind, content) = segment.unwrap_or((1, b""));
    file.extend(number(u64::from(kind), 4));
    if class64 {
        file.extend(number(0, 4));
    }
    for value in [header_size + entry_size, 0, 0, content.len() as u64] {
        file.extend(number(value, word));
    }
    file.resize((header_size + entry_size) as usize, 0);
    file.extend(content);
    file
}

fn interpreter(head: &[u8]) -> Interpreter {
    match identify(head) {
        Image::Elf(image) => image.interpreter,
        other => panic!("{other:?} is not an ELF image"),
    }
}

#[test]
fn both_classes_and_byte_orders_are_read() {
    for (class64, little) in [(true, true), (true, false), (false, true), (false, false)] {
        let file = elf(class64, little, Some((PT_INTERP, b"/lib/ld-musl-x.so.1\0")));
        let expected = ElfImage {
            class64,
            little_endian: little,
            machine: 62,
            kind: ElfKind::Dyn,
            interpreter: Interpreter::Musl,
        };
        assert_eq!(identify(&file), Image::Elf(expected));
    }
}

#[test]
fn the_loader_tells_the_library() {
    for (loader, expected) in [
        ("/lib64/ld-linux-x86-64.so.2", Interpreter::Glibc),
        ("/lib/ld-linux-aarch64.so.1", Interpreter::Glibc),
        ("/lib/ld-linux.so.2", Interpreter::Glibc),
        ("/lib64/ld64.so.2", Interpreter::Glibc),
        ("/lib/ld.so.1", Interpreter::Glibc),
        ("/nix/store/9h8q-glibc-2.38/lib/ld-linux-x86-64.so.2", Interpreter::Glibc),
        ("/lib/ld-musl-x86_64.so.1", Interpreter::Musl),
        ("/system/bin/linker64", Interpreter::Other),
        ("/lib/ld-uClibc.so.0", Interpreter::Other),
        ("/ld-musl-x86_64.so.1/other", Interpreter::Other),
    ] {
        assert_eq!(Interpreter::of_loader(loader.as_bytes()), expected, "{loader}");
    }
}

#[test]
fn no_loader_is_static() {
    assert_eq!(interpreter(&elf(true, true, None)), Interpreter::None);
}

#[test]
fn what_lies_beyond_the_head_is_unknown_unless_it_can_be_read() {
    let file = elf(true, true, Some((PT_INTERP, b"/lib64/ld-linux-x86-64.so.2\0")));
    for cut in [64, 100, 120, 130] {
        let head = &file[..cut];
        assert_eq!(interpreter(head), Interpreter::Unknown, "cut at {cut}");
        let mut read_at = |at: u64, buffer: &mut [u8]| {
            let rest = &file[at as usize..];
            let size = rest.len().min(buffer.len());
            buffer[..size].copy_from_slice(&rest[..size]);
            size
        };
        let Image::Elf(image) = identify_with(head, &mut read_at) else { panic!("cut at {cut}") };
        assert_eq!(image.interpreter, Interpreter::Glibc, "cut at {cut}");
    }
}

#[test]
fn what_the_kernel_does_not_execute_is_other() {
    let program = elf(true, true, None);
    let changed = |at: usize, value: u8| {
        let mut file = program.clone();
        file[at] = value;
        file
    };
    assert_eq!(identify(&changed(16, 1)), Image::Other, "object file");
    assert_eq!(identify(&changed(16, 4)), Image::Other, "core file");
    assert_eq!(identify(&changed(4, 3)), Image::Other, "no such class");
    assert_eq!(identify(&changed(5, 0)), Image::Other, "no byte order");
    assert_eq!(identify(&program[..20]), Image::Other, "cut header");
    assert_eq!(identify(b""), Image::Other);
    assert_eq!(identify(b"#"), Image::Other);
    assert_eq!(identify(b"echo hello\n"), Image::Other);
    assert_eq!(interpreter(&changed(54, 57)), Interpreter::Unknown, "entry size that no kernel takes");
}

fn script(line: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    match identify(line) {
        Image::Script(script) => Some((script.interpreter, script.argument)),
        _ => None,
    }
}

#[test]
fn script_lines_are_read_as_the_kernel_does() {
    let sh = b"/bin/sh".as_slice();
    assert_eq!(script(b"#!/bin/sh\necho"), Some((sh, None)));
    assert_eq!(script(b"#! \t/bin/sh\t \nx"), Some((sh, None)));
    assert_eq!(script(b"#!/bin/sh"), Some((sh, None)), "the file ends with the name");
    assert_eq!(script(b"#!/bin/sh -e -x \n"), Some((sh, Some(b"-e -x".as_slice()))), "one argument");
    assert_eq!(script(b"#!/usr/bin/env\t python3\n"), Some((b"/usr/bin/env".as_slice(), Some(b"python3".as_slice()))));
    assert_eq!(script(b"#!/bin/sh\r\n"), Some((b"/bin/sh\r".as_slice(), None)), "a DOS line end belongs to the name");
    assert_eq!(script(b"#!/bin/sh\0-e\n"), Some((sh, None)), "a zero byte ends the name, nothing follows");
    assert_eq!(script(b"#!/bin/sh -e\0-x\n"), Some((sh, Some(b"-e".as_slice()))));
    assert_eq!(script(b"#!\n/bin/sh\n"), None);
    assert_eq!(script(b"#!  \t\n"), None);
    assert_eq!(script(b"#!\0\n"), None);
    assert_eq!(script(b" #!/bin/sh\n"), None);
}

#[test]
fn long_script_lines_lose_their_argument_but_never_half_a_name() {
    let line = |name: usize, newline: bool| {
        let mut line = b"#!/".to_vec();
        line.resize(2 + name, b'a');
        line.extend(if newline { b"\n" } else { b"b" });
        line.resize(400, b'x');
        line
    };
    assert_eq!(script(&line(253, true)).map(|(name, _)| name.len()), Some(253), "newline is byte 256");
    assert_eq!(script(&line(254, true)), None, "newline is byte 257");
    assert_eq!(script(&line(253, false)), None);
    let mut argument = b"#!/bin/sh ".to_vec();
    argument.resize(400, b'y');
    assert_eq!(script(&argument).and_then(|(_, argument)| argument).map(<[u8]>::len), Some(255 - 10));
}

#[test]
fn go_programs_have_a_note() {
    let note =
        |owner: &[u8; 4], kind: u8| [&[4, 0, 0, 0, 3, 0, 0, 0, kind, 0, 0, 0], owner.as_slice(), b"abc\0"].concat();
    let none = &mut |_: u64, _: &mut [u8]| 0;
    assert!(is_go(&elf(true, true, Some((PT_NOTE, &note(b"Go\0\0", 4)))), none));
    let second = [note(b"GNU\0", 3), note(b"Go\0\0", 4)].concat();
    assert!(is_go(&elf(true, true, Some((PT_NOTE, &second))), none));
    assert!(!is_go(&elf(true, true, Some((PT_NOTE, &note(b"GNU\0", 4)))), none));
    assert!(!is_go(b"#!/usr/bin/go\n", none));
}

#[test]
fn asan_runtimes_are_known_by_name() {
    assert!(is_asan_runtime(b"libasan.so.8"));
    assert!(is_asan_runtime(b"libclang_rt.asan-x86_64.so"));
    assert!(is_asan_runtime(b"libclang_rt.asan.so"));
    assert!(!is_asan_runtime(b"libtsan.so.2"));
    assert!(!is_asan_runtime(b"libc.so.6"));
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), magic in 0..3, at in any::<u64>()) {
        let start: &[u8] = match magic { 0 => b"\x7fELF\x02\x01", 1 => b"\x7fELF\x01\x02", _ => b"#!" };
        for (byte, wanted) in bytes.iter_mut().zip(start) {
            *byte = *wanted;
        }
        if let Some(kind) = bytes.get_mut(16..20) {
            kind.copy_from_slice(if magic == 1 { &[0, 3, 0, 3] } else { &[3, 0, 62, 0] });
        }
        let mut read_at = |offset: u64, buffer: &mut [u8]| {
            buffer.fill((offset ^ at) as u8);
            buffer.len()
        };
        let _ = identify(&bytes);
        let _ = identify_with(&bytes, &mut read_at);
        let _ = is_go(&bytes, &mut read_at);
        let _ = needs_asan(&bytes, &mut read_at);
    }

    #[test]
    fn script_parts_come_from_the_line(line in "[ -~\t]{0,250}") {
        let file = [b"#!".as_slice(), line.as_bytes(), b"\n"].concat();
        if let Some((interpreter, argument)) = script(&file) {
            prop_assert!(!interpreter.contains(&b' ') && !interpreter.contains(&b'\t'));
            let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            prop_assert_eq!(interpreter, words[0].as_bytes());
            prop_assert_eq!(argument.is_some(), words.len() > 1);
        }
    }
}

/// The test program itself, whatever linked it.
#[test]
#[cfg(target_os = "linux")]
fn the_libraries_of_a_real_program_are_listed() {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let mut read_at = |at: u64, buffer: &mut [u8]| file.read_at(buffer, at).unwrap_or(0);
    let mut head = [0u8; HEAD_LEN];
    let length = read_at(0, &mut head);
    let head = &head[..length];
    let Image::Elf(image) = identify(head) else { panic!("the test program is no ELF image") };
    assert!(image.is_native());
    let mut libraries = Vec::new();
    each_library(head, &mut read_at, &mut |name| {
        libraries.push(std::string::String::from_utf8_lossy(name).into_owned());
        true
    });
    let is_static = image.interpreter == Interpreter::None;
    assert_eq!(libraries.iter().any(|name| name.starts_with("libc.")), !is_static, "{libraries:?}");
    let mut calls = 0;
    each_library(head, &mut read_at, &mut |_| {
        calls += 1;
        false
    });
    assert_eq!(calls, u32::from(!is_static), "false ends it");
    assert!(!needs_asan(head, &mut read_at));
}
