//! The shared library as a file: what it exports, and that it asks nothing of the system it is loaded into.

use ddtrace_test_support::repository;
use object::elf::{
    DT_NEEDED, DT_TEXTREL, DT_VERNEED, DynamicTag, FileHeader64, PF_W, PF_X, PT_GNU_STACK, PT_LOAD, PT_TLS,
    ProgramFlags, ProgramType, SHN_UNDEF, STB_LOCAL,
};
use object::read::elf::{Dyn, ElfFile64, FileHeader, ProgramHeader, Sym};
use object::{Endianness, Object};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

type Header = FileHeader64<Endianness>;

fn library() -> Vec<u8> {
    let path = Path::new(env!("CARGO_BIN_EXE_ddtrace-run")).with_file_name("libddtrace_preload.so");
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names of the dynamic symbols, those that are defined and those that are not.
fn dynamic_symbols(bytes: &[u8]) -> (BTreeSet<String>, BTreeSet<String>) {
    let file: ElfFile64<'_, Endianness> = ElfFile64::parse(bytes).expect("a 64-bit ELF file");
    let table = file.elf_dynamic_symbol_table();
    let (mut defined, mut undefined) = (BTreeSet::new(), BTreeSet::new());
    // The first one is empty by definition.
    for symbol in table.iter().skip(1) {
        let name = symbol.name(file.endian(), table.strings()).expect("each symbol has a name");
        let name = String::from_utf8_lossy(name).into_owned();
        if symbol.st_shndx(file.endian()) == SHN_UNDEF {
            undefined.insert(name);
        } else if symbol.st_bind() != STB_LOCAL {
            defined.insert(name);
        }
    }
    (defined, undefined)
}

/// Whether the dynamic section has an entry with this tag.
fn has_dynamic_entry(bytes: &[u8], tag: DynamicTag) -> bool {
    let header = Header::parse(bytes).expect("a 64-bit ELF file");
    let endian = header.endian().expect("it has a byte order");
    let headers = header.program_headers(endian, bytes).expect("program headers");
    let entries =
        headers.iter().find_map(|program| program.dynamic(endian, bytes).expect("a readable dynamic section"));
    entries.expect("a dynamic section").iter().any(|entry| entry.d_tag(endian) == tag)
}

/// Flags and size in memory of the segments of one type.
fn segments(bytes: &[u8], wanted: ProgramType) -> Vec<(ProgramFlags, u64)> {
    let header = Header::parse(bytes).expect("a 64-bit ELF file");
    let endian = header.endian().expect("it has a byte order");
    let headers = header.program_headers(endian, bytes).expect("program headers").iter();
    let of_type = headers.filter(|program| program.p_type(endian) == wanted);
    of_type.map(|program| (program.p_flags(endian), program.p_memsz(endian))).collect()
}

#[test]
fn it_exports_what_the_golden_list_says_and_nothing_else() {
    let path = repository().join("tests/golden/preload-symbols.txt");
    let golden = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let golden: BTreeSet<String> =
        golden.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect();
    let (defined, _) = dynamic_symbols(&library());
    let missing: Vec<_> = golden.difference(&defined).collect();
    let surplus: Vec<_> = defined.difference(&golden).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "not exported: {missing:?}; not in the list: {surplus:?}");
}

#[test]
fn it_needs_no_symbol_and_no_library() {
    let bytes = library();
    let (_, undefined) = dynamic_symbols(&bytes);
    assert!(undefined.is_empty(), "a program without them would not start: {undefined:?}");
    assert!(!has_dynamic_entry(&bytes, DT_NEEDED), "it needs another library");
    assert!(!has_dynamic_entry(&bytes, DT_VERNEED), "it needs a version of a library");
    assert!(!has_dynamic_entry(&bytes, DT_TEXTREL), "its code would be relocated");
}

#[test]
fn its_memory_is_small_and_never_both_writable_and_executable() {
    let bytes = library();
    // The process hooks alone would need a third of it: propagation and sampling are in it, for programs with spans of
    // their own (210 KiB so far), the parsers of what goes over connections, hooks for four copies of TLS libraries, and what
    // spans of a language share with those of connections, addresses of clients behind proxies, which are parsed by itself, and
    // for whom a thread waits.
    // Pages that nobody uses are never loaded.
    assert!(bytes.len() <= 388 * 1024, "{} bytes are mapped into each process", bytes.len());
    let stack = segments(&bytes, PT_GNU_STACK);
    assert!(stack.len() == 1 && !stack[0].0.contains(PF_X), "it would make the stack executable: {stack:?}");
    // Libraries that come late share a small reserve of thread-local memory.
    let thread_local: u64 = segments(&bytes, PT_TLS).iter().map(|(_, size)| size).sum();
    assert!(thread_local <= 80, "{thread_local} bytes for each thread");
    let loaded = segments(&bytes, PT_LOAD);
    assert!(loaded.iter().all(|(flags, _)| !flags.contains(PF_W | PF_X)), "writable and executable: {loaded:?}");
}

#[test]
fn it_is_there_once_for_each_build_and_stripped() {
    let bytes = library();
    let file: ElfFile64<'_, Endianness> = ElfFile64::parse(bytes.as_slice()).expect("a 64-bit ELF file");
    assert_eq!(file.symbols().count(), 0, "the symbol table is of no use to the loader");
}
