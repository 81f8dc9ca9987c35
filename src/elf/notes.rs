//! What a program's notes say about who made it.

use super::{Header, PT_NOTE, SEGMENTS_MAX, part};

/// Note segments are some dozens of bytes; what lies further back is not looked at.
const NOTES_MAX: usize = 512;

/// The type of the note that holds a Go program's build id (`cmd/internal/buildid`).
const GO_BUILD_ID: u32 = 4;

/// Whether a program was linked by Go's tool chain. Its own code makes system calls without a C library, so that
/// interposed functions see none of them. The note stays when a program is stripped.
///
/// `head` is the beginning of the file, `read_at` fills a buffer from an offset and returns how many bytes it got.
#[must_use]
pub fn is_go(head: &[u8], read_at: &mut impl FnMut(u64, &mut [u8]) -> usize) -> bool {
    find_go_note(head, read_at).is_some()
}

fn find_go_note(head: &[u8], read_at: &mut impl FnMut(u64, &mut [u8]) -> usize) -> Option<()> {
    let header = Header::parse(head)?;
    for index in 0..header.segments.min(SEGMENTS_MAX) {
        let segment = header.segment(index, head, read_at)?;
        if segment.kind != PT_NOTE {
            continue;
        }
        let size = usize::try_from(segment.file_size).unwrap_or(NOTES_MAX).min(NOTES_MAX);
        let mut buffer = [0u8; NOTES_MAX];
        let mut notes = part(head, segment.offset, size, &mut buffer, read_at)?;
        while let Some((name, kind, rest)) = next_note(notes, &header) {
            if name == b"Go\0\0" && kind == GO_BUILD_ID {
                return Some(());
            }
            notes = rest;
        }
    }
    None
}

/// The owner's name and the type of the first note, and what follows it. Names and contents are padded to 4 bytes.
fn next_note<'a>(notes: &'a [u8], header: &Header) -> Option<(&'a [u8], u32, &'a [u8])> {
    let padded = |size: u32| usize::try_from(size.checked_add(3)? & !3).ok();
    let name_size = header.format.u32(notes, 0)?;
    let content_size = header.format.u32(notes, 4)?;
    let kind = header.format.u32(notes, 8)?;
    let (name, rest) = notes.get(12..)?.split_at_checked(padded(name_size)?)?;
    let (_, rest) = rest.split_at_checked(padded(content_size)?)?;
    Some((name, kind, rest))
}
