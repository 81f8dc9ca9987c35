//! Which libraries a program asks for by itself (`DT_NEEDED`).

use super::{Format, Header, PT_DYNAMIC, PT_LOAD, SEGMENTS_MAX, Segment, part};

const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;

/// The most entries looked at; real dynamic sections have about forty, those of the largest programs two hundred.
const ENTRIES_MAX: u64 = 512;

/// Entries read at once: one read does for nearly every program.
const BLOCK: usize = 64;

/// Longer names are cut.
const NAME_MAX: usize = 64;

/// Calls `each` with the name of every library that the program itself (not a library of its) needs, in order, until
/// that says false. Never called for what is not an ELF file, is statically linked or can't be read.
///
/// `head` is the beginning of the file, `read_at` fills a buffer from an offset and returns how many bytes it got.
pub fn each_library(
    head: &[u8],
    read_at: &mut impl FnMut(u64, &mut [u8]) -> usize,
    each: &mut impl FnMut(&[u8]) -> bool,
) {
    // Nothing to tell of a file without libraries.
    let _: Option<()> = walk_libraries(head, read_at, each);
}

/// Whether the program needs the shared runtime of AddressSanitizer; see [`is_asan_runtime`].
#[must_use]
pub fn needs_asan(head: &[u8], read_at: &mut impl FnMut(u64, &mut [u8]) -> usize) -> bool {
    let mut needed = false;
    each_library(head, read_at, &mut |library| {
        needed = is_asan_runtime(library);
        !needed
    });
    needed
}

/// The runtime of AddressSanitizer as a shared library: gcc's `libasan.so.N`, clang's `libclang_rt.asan[-arch].so`.
///
/// It ends the program at its start when any other library comes before it, and a preloaded one does. The runtimes of
/// the other sanitizers do not mind.
#[must_use]
pub fn is_asan_runtime(library: &[u8]) -> bool {
    library.starts_with(b"libasan.so") || library.starts_with(b"libclang_rt.asan")
}

fn walk_libraries(
    head: &[u8],
    read_at: &mut impl FnMut(u64, &mut [u8]) -> usize,
    each: &mut impl FnMut(&[u8]) -> bool,
) -> Option<()> {
    let header = Header::parse(head)?;
    let format = header.format;
    let dynamic = find_segment(&header, head, read_at, |segment| segment.kind == PT_DYNAMIC)?;

    let mut strings_address = None;
    for_each_entry(&dynamic, format, read_at, |_, tag, value| {
        if tag == DT_STRTAB {
            strings_address = Some(value);
        }
        tag != DT_STRTAB
    });
    let address = strings_address?;
    let load = find_segment(&header, head, read_at, |segment| {
        segment.kind == PT_LOAD && address.wrapping_sub(segment.address) < segment.file_size
    })?;
    let strings = load.offset.checked_add(address.wrapping_sub(load.address))?;

    for_each_entry(&dynamic, format, read_at, |read_at, tag, value| {
        let at = strings.wrapping_add(value);
        let mut name = [0u8; NAME_MAX];
        tag != DT_NEEDED || {
            let got = read_at(at, &mut name);
            let name = name.get(..got).unwrap_or_default().split(|&byte| byte == 0).next().unwrap_or_default();
            each(name)
        }
    });
    Some(())
}

fn find_segment<R: FnMut(u64, &mut [u8]) -> usize>(
    header: &Header,
    head: &[u8],
    read_at: &mut R,
    matches: impl Fn(&Segment) -> bool,
) -> Option<Segment> {
    (0..header.segments.min(SEGMENTS_MAX)).find_map(|index| header.segment(index, head, read_at).filter(&matches))
}

/// Calls `each` with tag and value of every entry until it says false, or the section ends.
fn for_each_entry<R: FnMut(u64, &mut [u8]) -> usize>(
    dynamic: &Segment,
    format: Format,
    read_at: &mut R,
    mut each: impl FnMut(&mut R, u64, u64) -> bool,
) {
    let entry_size = format.either(16, 8);
    let entries = ENTRIES_MAX.min(dynamic.file_size >> format.either(4, 3));
    let mut done = 0;
    while done < entries {
        let now = (entries - done).min(BLOCK as u64);
        let mut buffer = [0u8; BLOCK * 16];
        let at = dynamic.offset.saturating_add(done << format.either(4, 3));
        let Some(block) = part(&[], at, (now as usize) * entry_size, &mut buffer, read_at) else { return };
        for entry in block.chunks_exact(entry_size) {
            let (Some(tag), Some(value)) = (format.word(entry, 0), format.word(entry, format.either(8, 4))) else {
                return;
            };
            if tag == DT_NULL || !each(read_at, tag, value) {
                return;
            }
        }
        done += now;
    }
}
