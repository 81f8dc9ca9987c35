//! The doorbell: a process whose ring fills up between two looks says so, and the collector looks at once.
//!
//! Looking by itself is what the collector does (`run.rs`); a program that records as fast as it can fills a ring
//! within some fifty milliseconds, which is less than the longest pause between two looks. So while a ring is not looked at,
//! a word in its header says that the sidecar sleeps, and the thread here waits on all of these words in one system call
//! (`futex_waitv`, Linux 5.16). Where there is none, the collector never pauses for long.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use ddtrace::ring::layout::ASLEEP_OFFSET;
use memmap2::MmapRaw;

/// The system call takes 128 words; one is our own.
const MOST_RINGS: usize = 127;
/// After a ring the collector looks again and again for a while; it need not be told once more. Nor need each process that
/// comes or goes be noticed in the same instant.
const PAUSE: Duration = Duration::from_millis(5);

/// What the collector has of it.
pub struct Doorbell {
    shared: Arc<Shared>,
}

struct Shared {
    /// The newest ones last; some may be gone.
    rings: Mutex<Vec<Weak<MmapRaw>>>,
    /// Changes whenever the list does.
    changes: AtomicU32,
    /// Readable when a ring wants to be looked at.
    rung: EventFd,
    is_over: AtomicBool,
    is_deaf: AtomicBool,
}

impl Shared {
    fn rings(&self) -> MutexGuard<'_, Vec<Weak<MmapRaw>>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        // It fails where it rings already.
        let _ = self.rung.write(1);
    }

    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
        // SAFETY: wakes the thread that waits on this word, which is ours; nothing is written.
        unsafe { libc::syscall(libc::SYS_futex, self.changes.as_ptr(), libc::FUTEX_WAKE, 1) };
    }
}

impl Doorbell {
    /// Starts to listen.
    pub fn hang() -> std::io::Result<Doorbell> {
        let shared = Arc::new(Shared {
            rings: Mutex::default(),
            changes: AtomicU32::new(0),
            rung: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            is_over: AtomicBool::new(false),
            is_deaf: AtomicBool::new(false),
        });
        let for_thread = Arc::clone(&shared);
        std::thread::Builder::new().name("doorbell".into()).stack_size(64 << 10).spawn(move || listen(&for_thread))?;
        Ok(Doorbell { shared })
    }

    /// What becomes readable when somebody rings.
    pub fn rung(&self) -> impl AsFd + '_ {
        self.shared.rung.as_fd()
    }

    /// It was heard.
    pub fn answer(&self) {
        let _ = self.shared.rung.read();
    }

    /// Another ring is there.
    pub fn add(&self, ring: &Arc<MmapRaw>) {
        self.shared.rings().push(Arc::downgrade(ring));
        self.shared.changed();
    }

    /// Rings are not read any more: their memory is let go of.
    pub fn forget(&self) {
        self.shared.changed();
    }

    /// Whether the kernel has no ears: then nobody is told of anything.
    pub fn is_deaf(&self) -> bool {
        self.shared.is_deaf.load(Ordering::Relaxed)
    }
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.shared.changed();
    }
}

/// One word that is waited for (`struct futex_waitv`).
#[repr(C)]
struct Waiter {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

impl Waiter {
    fn of(word: *const u32, value: u32) -> Waiter {
        const FUTEX2_SIZE_U32: u32 = 2;
        Waiter { value: value.into(), address: word as u64, flags: FUTEX2_SIZE_U32, reserved: 0 }
    }
}

fn listen(shared: &Shared) {
    while !shared.is_over.load(Ordering::Relaxed) {
        let changes = shared.changes.load(Ordering::Acquire);
        // Held while they are waited for, so that no address comes to mean something else.
        let rings = newest(&mut shared.rings());
        let mut words = vec![Waiter::of(shared.changes.as_ptr(), changes)];
        for ring in &rings {
            let asleep = asleep(ring);
            asleep.store(1, Ordering::Relaxed);
            words.push(Waiter::of(asleep.as_ptr(), 1));
        }
        match wait(&words) {
            Ok(1..) => shared.ring(),
            // Somebody rang before we listened, or the list is another one.
            Err(Errno::EAGAIN) if rings.iter().any(|ring| asleep(ring).load(Ordering::Relaxed) != 1) => {
                shared.ring();
            }
            Ok(0) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => {
                shared.is_deaf.store(true, Ordering::Relaxed);
                return;
            }
        }
        drop(rings);
        std::thread::sleep(PAUSE);
    }
}

/// Those that can be waited for, and forgets those that are gone.
fn newest(rings: &mut Vec<Weak<MmapRaw>>) -> Vec<Arc<MmapRaw>> {
    rings.retain(|ring| ring.strong_count() > 0);
    rings.iter().rev().filter_map(Weak::upgrade).take(MOST_RINGS).collect()
}

fn asleep(ring: &MmapRaw) -> &AtomicU32 {
    // SAFETY: the mapping is a whole ring, aligned to a page, and lives as long as the reference; the process behind it
    // changes the word by atomic operations alone, or hurts nobody but itself.
    unsafe { &*ring.as_ptr().add(ASLEEP_OFFSET).cast::<AtomicU32>() }
}

/// The index of the word that was woken.
fn wait(words: &[Waiter]) -> nix::Result<usize> {
    const SYS_FUTEX_WAITV: libc::c_long = 449;
    let no_flags = 0;
    let no_timeout = std::ptr::null::<libc::timespec>();
    // SAFETY: the kernel reads the list and the words that it names, all of which live until it returns; it writes nothing.
    let result = unsafe { libc::syscall(SYS_FUTEX_WAITV, words.as_ptr(), words.len(), no_flags, no_timeout, 0) };
    Errno::result(result).map(|index| index as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddtrace::record::RecordWriter;
    use ddtrace::ring::layout::{CHUNK_COUNT, RING_SIZE};
    use ddtrace::ring::{Ring, ThreadSlot};
    use memmap2::MmapOptions;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::ptr::NonNull;

    fn rings(doorbell: &Doorbell, within_ms: u16) -> bool {
        let rung = doorbell.rung();
        let mut fds = [PollFd::new(rung.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(within_ms)).expect("poll") > 0
    }

    #[test]
    fn a_ring_that_fills_up_is_told_of_and_one_that_does_not_is_not() {
        let doorbell = Doorbell::hang().expect("a doorbell");
        let memory: Arc<MmapRaw> = Arc::new(MmapOptions::new().len(RING_SIZE).map_anon().expect("memory").into());
        let base = NonNull::new(memory.as_mut_ptr()).expect("a mapping");
        // SAFETY: fresh zeros, as long as a ring is, that stay until the end of the test.
        let ring = unsafe { Ring::initialise(base, CHUNK_COUNT as u32) };
        doorbell.add(&memory);
        let slot = ThreadSlot::new();
        let record = |record: &mut RecordWriter| {
            record.close(ddtrace::ids::SpanId(1), 1);
            record.text(ddtrace::semconv::Key::Name, &[b'x'; 1000]);
        };
        for _ in 0..100 {
            ring.append(&slot, record).expect("there is room");
        }
        assert!(!rings(&doorbell, 200) && !doorbell.is_deaf());
        for round in 0..2 {
            for _ in 0..6000 {
                ring.append(&slot, record).expect("there is room");
            }
            assert!(rings(&doorbell, 10_000), "in round {round}");
            doorbell.answer();
            std::thread::sleep(4 * PAUSE);
        }
        drop(memory);
        doorbell.forget();
    }
}
