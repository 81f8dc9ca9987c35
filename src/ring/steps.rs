//! The writer is stopped behind every single instruction, and what a reader would find if it had died there is looked at.
//!
//! A forked child appends under `PTRACE_SINGLESTEP`; the ring lies in memory that both share. So no point can be
//! forgotten at which a process may be killed, and what is tried is the code as the compiler made it.

use super::layout::{CHUNK_CAPACITY, CHUNK_COUNT, CHUNK_SIZE, HEADER_SIZE, MAX_RECORD, MOST_HELD, RING_SIZE};
use super::{Reader, Ring, ThreadSlot};
use crate::ids::SpanId;
use crate::record::records;
use crate::semconv::Key;
use crate::sys;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicU64, Ordering};
use std::vec::Vec;

/// Chunks that a test needs: only these are copied at each step.
const FEW: usize = 4;

/// Memory that a forked child shares.
fn shared(bytes: usize) -> NonNull<u8> {
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
    // SAFETY: a new mapping, whose place the kernel chooses; it stays until the test's process ends.
    let memory = unsafe { libc::mmap(null_mut(), bytes, access, flags, -1, 0) };
    assert_ne!(memory, libc::MAP_FAILED);
    NonNull::new(memory.cast()).unwrap()
}

/// A ring that a child writes, what it has finished, and a copy to read from.
struct Stage {
    ring: NonNull<u8>,
    finished: NonNull<u8>,
    copy: NonNull<u8>,
}

impl Stage {
    fn new() -> Stage {
        let stage = Stage { ring: shared(RING_SIZE), finished: shared(4096), copy: sys::map_private(RING_SIZE).unwrap() };
        // SAFETY: a fresh zeroed mapping that stays.
        unsafe { Ring::initialise(stage.ring, CHUNK_COUNT as u32) };
        stage
    }

    /// How many records the child knows to have appended.
    fn finished(&self) -> &AtomicU64 {
        // SAFETY: a page of this stage's own, used as this word alone.
        unsafe { self.finished.cast::<AtomicU64>().as_ref() }
    }

    /// The ids of the records that a reader finds, had the child died now.
    fn found(&self) -> Vec<u64> {
        let used = HEADER_SIZE + FEW * CHUNK_SIZE;
        let mut ids = Vec::new();
        // SAFETY: both mappings are as long; the child does not run meanwhile.
        unsafe {
            core::ptr::copy_nonoverlapping(self.ring.as_ptr(), self.copy.as_ptr(), used);
            let mut reader = Reader::new(self.copy).unwrap();
            reader.drain(|bytes| ids.extend(records(bytes).map(|record| record.unwrap().span_id.0))).unwrap();
        }
        ids
    }

    /// Forks a child that stops itself once, ready to be watched, and then does `work`.
    fn child(&self, work: impl FnOnce(Ring)) -> libc::pid_t {
        // SAFETY: the child only works on its own memory and the shared one, and ends without returning to the test.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                libc::raise(libc::SIGSTOP);
                work(Ring::attach(self.ring));
                libc::_exit(0);
            }
            assert!(child > 0);
            wait(child);
            child
        }
    }
}

/// Waits for the next stop of the child; gives the signal, or nothing if it has ended.
fn wait(child: libc::pid_t) -> Option<i32> {
    let mut status = 0;
    // SAFETY: `status` is writable.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, libc::__WALL) }, child);
    assert!(libc::WIFSTOPPED(status) || libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "{status:#x}");
    libc::WIFSTOPPED(status).then(|| libc::WSTOPSIG(status))
}

/// Lets the child make one step, or run, and waits for its next stop.
fn go_on(child: libc::pid_t, request: libc::c_uint, signal: i32) -> Option<i32> {
    // SAFETY: a child of ours that is stopped; no memory is handed over.
    assert_eq!(unsafe { libc::ptrace(request, child, 0, signal as usize) }, 0);
    wait(child)
}

fn fill(ring: Ring, slot: &ThreadSlot, id: u64, length: usize) {
    let text = [b'x'; MAX_RECORD];
    let result = ring.append(slot, |record| {
        record.amend(SpanId(id));
        record.text(Key::Name, &text[..length]);
    });
    assert_eq!(result, Ok(()));
}

#[test]
fn a_writer_that_dies_behind_any_instruction_loses_at_most_the_record_in_hand() {
    dies_behind_any_instruction(MOST_HELD);
}

#[test]
fn so_does_one_that_has_no_chunk_to_itself() {
    dies_behind_any_instruction(0);
}

/// So many threads may have a chunk to themselves.
fn dies_behind_any_instruction(most_held: u32) {
    let stage = Stage::new();
    let child = stage.child(|ring| {
        ring.header().most_held.store(most_held, Ordering::Relaxed);
        let slot = ThreadSlot::new();
        // The next one but one does not fit any more: a chunk is completed and another taken.
        fill(ring, &slot, 1, CHUNK_CAPACITY - MAX_RECORD - 128);
        fill(ring, &slot, 2, 32);
        stage.finished().store(2, Ordering::SeqCst);
        // SAFETY: from here on each instruction is a step of the parent's.
        unsafe { libc::raise(libc::SIGSTOP) };
        for id in 3..=5 {
            ring.append(&slot, |record| record.close(SpanId(id), id)).unwrap();
            stage.finished().store(id, Ordering::SeqCst);
        }
    });
    assert_eq!(go_on(child, libc::PTRACE_CONT, 0), Some(libc::SIGSTOP));
    let (mut steps, mut ahead) = (0, 0);
    while go_on(child, libc::PTRACE_SINGLESTEP, 0).is_some() {
        steps += 1;
        let finished = stage.finished().load(Ordering::SeqCst);
        let found = stage.found();
        // In order, each once, all that was finished, and perhaps the one whose writer has not come back yet.
        let count = found.len() as u64;
        assert!(found.iter().copied().eq(1..=count), "{found:?} behind step {steps}");
        assert!(count == finished || count == finished + 1, "{count} of {finished} behind step {steps}");
        ahead += u64::from(count == finished + 1);
    }
    assert!(steps > 300 && ahead > 0, "{steps} steps, of which {ahead} are behind a publication");
    assert_eq!(stage.found(), [1, 2, 3, 4, 5]);
}

static NESTED: core::sync::atomic::AtomicPtr<(Ring, ThreadSlot)> = core::sync::atomic::AtomicPtr::new(null_mut());
static NESTED_ID: AtomicU64 = AtomicU64::new(1_000_000);

/// Records as the interrupted thread, which may be in the midst of a record.
extern "C" fn record_in_handler(_: libc::c_int) {
    // SAFETY: set before the signal is sent, to what lives until the child ends.
    let (ring, slot) = unsafe { &*NESTED.load(Ordering::Relaxed) };
    let id = NESTED_ID.fetch_add(1, Ordering::Relaxed);
    if ring.append(slot, |record| record.close(SpanId(id), id)).is_err() {
        // SAFETY: ends the child, which the test notices.
        unsafe { libc::_exit(1) };
    }
}

#[test]
fn a_handler_may_record_behind_any_instruction_of_a_record() {
    // Each round is interrupted behind one more instruction than the one before. Primes meet all in the end, and every
    // fifth one is enough for one run.
    const STRIDE: u64 = 5;
    const ROUNDS: u64 = 400;
    let stage = Stage::new();
    let child = stage.child(|ring| {
        let place = (ring, ThreadSlot::new());
        NESTED.store(core::ptr::from_ref(&place).cast_mut(), Ordering::Relaxed);
        let handler: extern "C" fn(libc::c_int) = record_in_handler;
        // SAFETY: the handler only appends to the ring.
        unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
        for id in 1..=ROUNDS {
            // SAFETY: the parent steps from here.
            unsafe { libc::raise(libc::SIGSTOP) };
            ring.append(&place.1, |record| record.close(SpanId(id), id)).unwrap();
            stage.finished().store(id, Ordering::SeqCst);
        }
    });
    // SAFETY: the ring outlives the reader; the child is stopped, or publishes by the protocol.
    let mut reader = unsafe { Reader::new(stage.ring) }.unwrap();
    let (mut outer, mut nested, mut interrupted) = (Vec::new(), Vec::new(), 0);
    let mut stop = go_on(child, libc::PTRACE_CONT, 0);
    for round in 0..ROUNDS {
        assert_eq!(stop, Some(libc::SIGSTOP));
        for _ in 0..round * STRIDE % 1999 {
            assert_eq!(go_on(child, libc::PTRACE_SINGLESTEP, 0), Some(libc::SIGTRAP));
            if stage.finished().load(Ordering::SeqCst) == round + 1 {
                break;
            }
        }
        interrupted += u64::from(stage.finished().load(Ordering::SeqCst) == round);
        stop = go_on(child, libc::PTRACE_CONT, libc::SIGUSR1);
        let take = |bytes: &[u8]| {
            for record in records(bytes) {
                let id = record.unwrap().span_id.0;
                if id >= 1_000_000 { nested.push(id) } else { outer.push(id) }
            }
        };
        reader.drain(take).unwrap();
    }
    assert_eq!(stop, None, "the child has ended well");
    assert!(outer.iter().copied().eq(1..=ROUNDS), "{outer:?}");
    nested.sort_unstable();
    assert!(nested.iter().copied().eq(1_000_000..1_000_000 + ROUNDS), "{nested:?}");
    assert!(interrupted > ROUNDS / 10, "{interrupted} of them in the midst of a record");
}
