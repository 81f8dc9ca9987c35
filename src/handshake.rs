//! How a process and the sidecar come together: one message over a Unix socket that carries the ring's memfd.
//!
//! There is no reply and nothing is waited for; afterwards the process owns no descriptor of ours.

use crate::ids::SpanId;
use crate::ring::Ring;
use crate::ring::layout::{FIRST_ALLOCATION, RING_SIZE, bytes_of};
use crate::sys::{self, Errno, Fd};

const MAGIC: u64 = 0x6f6c_6c65_685f_6464;

/// Changes whenever one side would misread the other.
pub const VERSION: u32 = 1;

/// Bytes of a [`Hello`] on the wire.
pub const HELLO_LENGTH: usize = 40;

/// How a message begins that is not a [`Hello`] but a line for the sidecar's log, in UTF-8. Those speak so who cannot have a
/// ring, such as Pythons that the tracer is not made for (`python/ddtrace_run/_note.py`).
pub const NOTE: &[u8] = b"note ";

/// How a message begins that only says how many records a process has lost that never had a ring: a `u64` follows.
pub const LOST: &[u8; 5] = b"lost ";

/// Longest name of the sidecar's socket.
pub const SOCKET_NAME_LENGTH: usize = 46;

/// The abstract name of the sidecar's socket for a run.
///
/// Abstract, so that no directory need be writable and nothing is left behind; the 128 random bits of the run cannot be
/// guessed by one who would take the name first.
#[must_use]
pub fn socket_name(run: u128) -> [u8; SOCKET_NAME_LENGTH] {
    let mut name = [0u8; SOCKET_NAME_LENGTH];
    let text = b"ddtrace-run/1/".iter().copied().chain(crate::ids::TraceId(run).to_hex());
    for (to, from) in name.iter_mut().zip(text) {
        *to = from;
    }
    name
}

/// What a process says of itself. Claims: the sidecar asks the kernel for the credentials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hello {
    /// Its id in its own pid namespace.
    pub pid: u32,
    /// Its parent's id.
    pub ppid: u32,
    /// Who says so: the process itself, or a vfork child that shares its memory.
    pub speaker: u32,
    /// Its process span, zero for none.
    pub span_id: SpanId,
    /// Bytes of the ring.
    pub ring_size: u64,
}

impl Hello {
    /// Writes the message.
    #[must_use]
    pub fn format(&self) -> [u8; HELLO_LENGTH] {
        let mut bytes = [0u8; HELLO_LENGTH];
        let text = MAGIC.to_le_bytes().into_iter().chain(VERSION.to_le_bytes()).chain(self.speaker.to_le_bytes());
        let text = text.chain(self.pid.to_le_bytes()).chain(self.ppid.to_le_bytes());
        let text = text.chain(self.span_id.0.to_le_bytes()).chain(self.ring_size.to_le_bytes());
        for (to, from) in bytes.iter_mut().zip(text) {
            *to = from;
        }
        bytes
    }

    /// Reads the message; `None` for another release's or a stranger's.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Hello> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (version, rest) = rest.split_first_chunk::<4>()?;
        let (speaker, rest) = rest.split_first_chunk::<4>()?;
        let (pid, rest) = rest.split_first_chunk::<4>()?;
        let (ppid, rest) = rest.split_first_chunk::<4>()?;
        let (span_id, rest) = rest.split_first_chunk::<8>()?;
        let (ring_size, rest) = rest.split_first_chunk::<8>()?;
        let known = u64::from_le_bytes(*magic) == MAGIC && u32::from_le_bytes(*version) == VERSION && rest.is_empty();
        known.then_some(Hello {
            pid: u32::from_le_bytes(*pid),
            ppid: u32::from_le_bytes(*ppid),
            speaker: u32::from_le_bytes(*speaker),
            span_id: SpanId(u64::from_le_bytes(*span_id)),
            ring_size: u64::from_le_bytes(*ring_size),
        })
    }
}

/// Why a process has no ring. It runs on untraced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// `RLIMIT_FSIZE` or `RLIMIT_AS` leaves no room; trying would kill the host by SIGXFSZ.
    Limit,
    /// The memory could not be made.
    Memory(Errno),
    /// The sidecar could not be reached.
    Socket(Errno),
}

/// Makes a ring, of which so many chunks are used, and gives it to the sidecar of the run. The descriptors needed on the way are
/// closed again.
///
/// # Errors
///
/// [`Refusal`]; nothing of ours is left in the process then.
pub fn open_ring(run: u128, hello: &Hello, chunks: usize) -> Result<Ring, Refusal> {
    let size = RING_SIZE as u64;
    if sys::soft_limit(sys::RLIMIT_FSIZE) < size || sys::soft_limit(sys::RLIMIT_AS) < size.saturating_mul(8) {
        return Err(Refusal::Limit);
    }
    // The socket first: where there is no sidecar, nothing else need be done.
    let socket = connect(run).map_err(Refusal::Socket)?;
    let result = make_ring(socket, hello, chunks);
    sys::close(socket);
    result
}

/// Tells the sidecar of a run how many records were lost. That takes a descriptor for a moment, and no memory. Gives whether
/// it was sent.
pub fn tell_lost(run: u128, records: u64) -> bool {
    let Ok(socket) = connect(run) else { return false };
    let mut message = [0u8; LOST.len() + size_of::<u64>()];
    for (to, from) in message.iter_mut().zip(LOST.iter().copied().chain(records.to_le_bytes())) {
        *to = from;
    }
    let sent = sys::send(socket, &message).is_ok();
    sys::close(socket);
    sent
}

fn connect(run: u128) -> Result<Fd, Errno> {
    let socket = above_stdio(sys::seqpacket_socket()?)?;
    match sys::connect_abstract(socket, &socket_name(run)) {
        Ok(()) => Ok(socket),
        Err(error) => {
            sys::close(socket);
            Err(error)
        }
    }
}

/// A host started with closed stdio would otherwise print into our socket.
fn above_stdio(fd: Fd) -> Result<Fd, Errno> {
    if fd > 2 {
        return Ok(fd);
    }
    let moved = sys::duplicate_above(fd, 3);
    sys::close(fd);
    moved
}

fn make_ring(socket: Fd, hello: &Hello, chunks: usize) -> Result<Ring, Refusal> {
    let memory = sys::memfd_create(c"ddtrace-run").and_then(above_stdio).map_err(Refusal::Memory)?;
    let result = fill_ring(memory, socket, hello, chunks);
    sys::close(memory);
    result
}

fn fill_ring(memory: Fd, socket: Fd, hello: &Hello, chunks: usize) -> Result<Ring, Refusal> {
    sys::ftruncate(memory, RING_SIZE).map_err(Refusal::Memory)?;
    sys::fallocate(memory, FIRST_ALLOCATION).map_err(Refusal::Memory)?;
    let length = bytes_of(chunks);
    sys::add_seals(memory, sys::SEAL_SHRINK | sys::SEAL_GROW | sys::SEAL_SEAL).map_err(Refusal::Memory)?;
    let base = sys::map_shared(memory, length).map_err(Refusal::Memory)?;
    // SAFETY: the whole of our own new mapping. A forked child must not write into its parent's ring, a core dump need
    // not carry it; where the kernel refuses the advice, the child's wiped page still keeps it away.
    let _ = unsafe { sys::advise(base, length, sys::Advice::DontFork) };
    // SAFETY: as above.
    let _ = unsafe { sys::advise(base, length, sys::Advice::DontDump) };
    // SAFETY: a fresh, zeroed, writable mapping of the chunks that are kept, which stay until the process ends, or it keeps
    // fewer.
    let ring = unsafe { Ring::initialise(base, 1) };
    let _ = ring.keep(chunks);
    match sys::send_with_fd(socket, &hello.format(), memory) {
        Ok(()) => Ok(ring),
        Err(error) => {
            // SAFETY: made above, and nobody else has it yet.
            unsafe { sys::unmap(base, length) };
            Err(Refusal::Socket(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::layout::CHUNK_COUNT;
    use proptest::prelude::*;

    #[test]
    fn a_hello_is_read_back_and_a_stranger_is_not() {
        let hello = Hello { pid: 1, ppid: 2, speaker: 1, span_id: SpanId(3), ring_size: RING_SIZE as u64 };
        let bytes = hello.format();
        assert_eq!(Hello::parse(&bytes), Some(hello));
        assert_eq!(Hello::parse(&bytes[..HELLO_LENGTH - 1]), None);
        let mut other = bytes;
        other[8] = 2;
        assert_eq!(Hello::parse(&other), None);
    }

    #[test]
    fn the_socket_name_fills_its_length() {
        assert!(!socket_name(1).contains(&0));
    }

    #[test]
    fn without_a_sidecar_nothing_is_left() {
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = open();
        let hello = Hello { pid: 1, ppid: 2, speaker: 1, span_id: SpanId(3), ring_size: 0 };
        assert!(matches!(open_ring(0, &hello, CHUNK_COUNT), Err(Refusal::Socket(_))));
        assert_eq!(open(), before);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Hello::parse(&bytes);
        }
    }
}
