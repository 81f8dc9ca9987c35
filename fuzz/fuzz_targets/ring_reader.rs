//! The sidecar's side of a ring in which a hostile process writes whatever it likes, whenever it likes.
#![no_main]

use ddtrace::ids::SpanId;
use ddtrace::record::records;
use ddtrace::ring::layout::{CHUNK_CAPACITY, CHUNK_COUNT, CHUNK_HEADER_SIZE, CHUNK_SIZE, HEADER_SIZE, RING_SIZE};
use ddtrace::ring::{Reader, Ring, ThreadSlot};
use ddtrace::sys;
use libfuzzer_sys::fuzz_target;
use std::ptr::NonNull;
use std::sync::LazyLock;

/// Made once: making 32 MiB anew takes longer than a run.
struct Mapping(NonNull<u8>);

// SAFETY: the fuzzer runs one input after the other.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

static MAPPING: LazyLock<Mapping> = LazyLock::new(|| Mapping(sys::map_private(RING_SIZE).expect("memory")));

impl Mapping {
    /// Gives back every page that a run has touched, so that the next one finds zeros.
    fn clean(&self) {
        // SAFETY: the whole of a private anonymous mapping of our own, to which nobody holds a reference.
        let done = unsafe { libc::madvise(self.0.as_ptr().cast(), RING_SIZE, libc::MADV_DONTNEED) };
        assert_eq!(done, 0, "the memory can be given back");
    }

    fn scribble(&self, offset: usize, bytes: &[u8]) {
        let offset = offset % RING_SIZE;
        let length = bytes.len().min(RING_SIZE - offset);
        // SAFETY: `offset` and `length` are inside the mapping, to which nobody holds a reference now.
        unsafe { self.0.add(offset).copy_from_nonoverlapping(NonNull::from(bytes).cast(), length) };
    }
}

fn drain(reader: &mut Reader) {
    let mut taken = 0;
    let result = reader.drain(|bytes| {
        assert!(!bytes.is_empty() && bytes.len() <= CHUNK_CAPACITY);
        taken += bytes.len();
        for record in records(bytes).flatten() {
            record.fields().for_each(drop);
        }
    });
    if let Ok(drained) = result {
        assert_eq!(drained.bytes, taken);
    }
}

// A list of steps: what to do (one byte), where (two), with what (four).
fuzz_target!(|data: &[u8]| {
    let memory = &*MAPPING;
    memory.clean();
    // SAFETY: a zeroed mapping of the ring's size that stays for ever.
    let (ring, reader) = unsafe { (Ring::initialise(memory.0, CHUNK_COUNT as u32), Reader::new(memory.0)) };
    let mut reader = reader.expect("a ring of this release");
    let slot = ThreadSlot::new();
    for step in data.chunks_exact(7) {
        let [what, where_0, where_1, value @ ..] = step else { continue };
        let place = usize::from(u16::from_le_bytes([*where_0, *where_1]));
        let chunk = HEADER_SIZE + place % CHUNK_COUNT * CHUNK_SIZE;
        match what % 8 {
            // Committed length, state, and bytes of a chunk.
            0 => memory.scribble(chunk, value),
            1 => memory.scribble(chunk + 4, value),
            2 => memory.scribble(chunk + CHUNK_HEADER_SIZE, value),
            // The header behind what the reader checked when it began: counters, control, the free bitmap.
            3 => memory.scribble(64 + place % (HEADER_SIZE - 64), value),
            // Anywhere, the magic number included.
            4 => memory.scribble(usize::from(value[0]) << 16 | place, &value[1..]),
            // The process goes on recording, led by what was scribbled.
            5 | 6 => drop(ring.append(&slot, |record| record.close(SpanId(7), u64::from(value[0])))),
            _ => drain(&mut reader),
        }
    }
    drain(&mut reader);
    drain(&mut reader);
});
