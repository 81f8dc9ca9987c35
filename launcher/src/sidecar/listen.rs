//! The socket at which traced processes hand over their rings.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use ddtrace::handshake::{HELLO_LENGTH, Hello, LOST, NOTE, socket_name};
use ddtrace::ring::layout::RING_SIZE;
use ddtrace::ring::{Corrupt, Reader};
use memmap2::MmapRaw;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::socket::{
    self, AddressFamily, Backlog, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, getsockopt, sockopt,
};
use nix::sys::stat::fstat;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pidfd::Watch;
use super::zombie;

/// Who comes to the socket.
pub enum Visitor {
    /// A process that came with its ring.
    Guest(Guest),
    /// One that only has something to say.
    Note {
        /// Its id.
        pid: u32,
        /// What it says; no control characters are in it.
        text: String,
    },
    /// One that could make no ring, and lost so many records by that.
    Lost {
        /// Its id.
        pid: u32,
        /// How many.
        records: u64,
    },
}

/// A process that came with its ring.
pub struct Guest {
    /// What it says of itself.
    pub hello: Hello,
    /// Its id as the kernel tells us.
    pub pid: u32,
    /// Tells of its end; `None` where the kernel does not give it any more, as the process is long gone.
    pub watch: Option<Watch>,
    /// Its records.
    pub ring: MappedRing,
}

/// A process that has handed its memory over.
struct Arrival {
    hello: Hello,
    pid: u32,
    watch: Option<Watch>,
    memory: OwnedFd,
}

/// What a connection has brought.
enum Word {
    Arrival(Arrival),
    Said(Visitor),
}

/// A ring and the mapping that it is read from.
pub struct MappedRing {
    reader: Reader,
    // After the reader, so that it goes last.
    map: Arc<MmapRaw>,
}

impl MappedRing {
    /// The reader.
    pub fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// The memory.
    pub fn memory(&self) -> &Arc<MmapRaw> {
        &self.map
    }
}

/// Why a process was sent away. It runs on untraced, or is not one of ours.
#[derive(Debug, thiserror::Error)]
pub enum Unwelcome {
    #[error("it belongs to user {0}")]
    User(u32),
    #[error("it said nothing")]
    Silent,
    #[error("it went without a word")]
    Gone,
    #[error("it is of another release")]
    Release,
    #[error("too many others wait with it")]
    Crowd,
    #[error("the limit of memory (ulimit -v, ulimit -d) leaves no room for its; what it records is lost, uncounted")]
    NoRoom,
    #[error("it speaks for process {0}, which is not its parent")]
    Stranger(u32),
    #[error("it speaks of a span that is another process's")]
    Taken,
    #[error("it claims to be more processes than one can be")]
    Many,
    #[error("its memory is not sealed against shrinking, or of the wrong size")]
    Unsealed,
    #[error("{0}")]
    Ring(Corrupt),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<nix::Error> for Unwelcome {
    fn from(error: nix::Error) -> Self {
        Unwelcome::Io(error.into())
    }
}

/// Binds the socket of a run. Processes can connect from now on, whether or not the sidecar runs already.
pub fn bind(run: u128) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket::socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    socket::bind(fd.as_raw_fd(), &UnixAddr::new_abstract(&socket_name(run))?)?;
    socket::listen(&fd, Backlog::MAXCONN)?;
    Ok(fd)
}

/// How long a process may take between connecting and handing over its ring. It does nothing else in between, but the
/// kernel may let others run first. Who finds no room for its memory though nobody else's takes any waits as long.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many may stand there without a word. More do not come about by chance: a descriptor is held for each.
const MOST_WAITING: usize = 256;

/// How many may wait for room: two descriptors are held for each.
const MOST_UNMAPPED: usize = 400;

/// So much address space is left to the rest of the sidecar, which would end without it.
const RESERVE: usize = 64 << 20;

/// The socket, and the processes that have connected and not yet said anything.
pub struct Door {
    listener: OwnedFd,
    /// Oldest first.
    waiting: VecDeque<(OwnedFd, Instant)>,
    /// Those whose memory finds no room in the sidecar's address space (`ulimit -v` and `-d`) before that of others is gone.
    /// What they record stays there meanwhile. Oldest first.
    unmapped: VecDeque<Arrival>,
    /// That some wait was said.
    told_unmapped: bool,
    /// Since when there is no room though nobody else takes any.
    no_room_since: Option<Instant>,
    /// That nobody can be let in was said, and not why.
    is_shut: bool,
}

/// A look at the door: whoever waits is asked once in it.
#[derive(Default)]
pub struct Round {
    /// How many of those who wait were asked and have said nothing.
    asked: usize,
    /// There is no room for the memory of more processes.
    is_full: bool,
    /// Nobody's memory is mapped: there will never be more room than now.
    is_first: bool,
}

impl Round {
    /// A look while so many processes are known whose memory is mapped.
    pub fn beside(mapped: usize) -> Round {
        Round { is_first: mapped == 0, ..Round::default() }
    }
}

impl Door {
    /// The door at a bound socket.
    pub fn new(listener: OwnedFd) -> Self {
        Door {
            listener,
            waiting: VecDeque::new(),
            unmapped: VecDeque::new(),
            told_unmapped: false,
            no_room_since: None,
            is_shut: false,
        }
    }

    /// Whether somebody stands there who has not said anything yet.
    pub fn is_waited_at(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many processes wait for room.
    pub fn unmapped(&self) -> usize {
        self.unmapped.len()
    }

    /// The next one who has come with a ring or a word, or is sent away. One at a time: what each of them brings is a
    /// descriptor and a mapping, and who claims to be many is to be sent away before the next one is heard.
    pub fn next_visitor(&mut self, round: &mut Round) -> Option<Result<Visitor, Unwelcome>> {
        while !round.is_full
            && let Some(arrival) = self.unmapped.pop_front()
        {
            if let Some(visitor) = self.let_in(arrival, round) {
                return Some(visitor);
            }
        }
        while let Some((connection, since)) = self.waiting.get(round.asked) {
            match welcome(connection) {
                Err(Unwelcome::Silent) if since.elapsed() < PATIENCE => round.asked += 1,
                word => {
                    self.waiting.remove(round.asked);
                    if let Some(visitor) = self.hear(word, round) {
                        return Some(visitor);
                    }
                }
            }
        }
        while let Some(connection) = self.accept() {
            match welcome(&connection) {
                Err(Unwelcome::Silent) => {
                    self.waiting.push_back((connection, Instant::now()));
                    // The oldest go first when there are too many of them.
                    if self.waiting.len() > MOST_WAITING {
                        self.waiting.pop_front();
                        return Some(Err(Unwelcome::Crowd));
                    }
                    round.asked += 1;
                }
                word => {
                    if let Some(visitor) = self.hear(word, round) {
                        return Some(visitor);
                    }
                }
            }
        }
        None
    }

    fn hear(&mut self, word: Result<Word, Unwelcome>, round: &mut Round) -> Option<Result<Visitor, Unwelcome>> {
        match word {
            Ok(Word::Arrival(arrival)) => self.let_in(arrival, round),
            Ok(Word::Said(visitor)) => Some(Ok(visitor)),
            Err(reason) => Some(Err(reason)),
        }
    }

    /// Maps the memory of a process, or keeps it for later.
    fn let_in(&mut self, arrival: Arrival, round: &mut Round) -> Option<Result<Visitor, Unwelcome>> {
        match map(&arrival.memory, if round.is_first { 0 } else { RESERVE }) {
            Ok(ring) => {
                round.is_first = false;
                self.no_room_since = None;
                let Arrival { hello, pid, watch, .. } = arrival;
                Some(Ok(Visitor::Guest(Guest { hello, pid, watch, ring })))
            }
            Err(Unwelcome::Io(error)) if error.kind() == io::ErrorKind::OutOfMemory => {
                if self.unmapped.len() >= MOST_UNMAPPED {
                    return Some(Err(Unwelcome::Crowd));
                }
                if round.is_first && self.no_room_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    return Some(Err(Unwelcome::NoRoom));
                }
                if !std::mem::replace(&mut self.told_unmapped, true) {
                    tracing::warn!(
                        "the limit of memory (ulimit -v, ulimit -d) leaves no room for that of all processes: some wait for it"
                    );
                }
                round.is_full = true;
                self.unmapped.push_front(arrival);
                None
            }
            Err(reason) => Some(Err(reason)),
        }
    }

    /// Lets one in, if there is any.
    fn accept(&mut self) -> Option<OwnedFd> {
        loop {
            match socket::accept4(self.listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK) {
                Ok(fd) => {
                    self.is_shut = false;
                    // SAFETY: accept4 has just made it.
                    return Some(unsafe { OwnedFd::from_raw_fd(fd) });
                }
                Err(nix::Error::EINTR | nix::Error::ECONNABORTED) => {}
                Err(nix::Error::EAGAIN) => return None,
                Err(error) => {
                    // Said once: it is tried again with every look at the rings.
                    if !std::mem::replace(&mut self.is_shut, true) {
                        tracing::warn!("cannot accept a process: {error}; it waits");
                    }
                    return None;
                }
            }
        }
    }
}

fn welcome(connection: &OwnedFd) -> Result<Word, Unwelcome> {
    let credentials = getsockopt(connection, sockopt::PeerCredentials)?;
    let own = nix::unistd::geteuid().as_raw();
    // A daemon that has given up root is a legitimate guest of root.
    if credentials.uid() != own && own != 0 {
        return Err(Unwelcome::User(credentials.uid()));
    }
    let pid = credentials.pid() as u32;
    let (bytes, memory) = receive(connection)?;
    if let Some(text) = bytes.strip_prefix(NOTE) {
        let text = String::from_utf8_lossy(text).replace(char::is_control, " ");
        return Ok(Word::Said(Visitor::Note { pid, text }));
    }
    if let Some(records) = bytes.strip_prefix(LOST) {
        let records = u64::from_le_bytes(records.try_into().map_err(|_| Unwelcome::Release)?);
        return Ok(Word::Said(Visitor::Lost { pid, records: records.min(u32::MAX.into()) }));
    }
    let hello = Hello::parse(&bytes).ok_or(Unwelcome::Release)?;
    let memory = memory.ok_or(Unwelcome::Release)?;
    if hello.ring_size != RING_SIZE as u64 {
        return Err(Unwelcome::Release);
    }
    // A vfork child shares its parent's memory, and may be the first to need the ring: it speaks for the parent.
    if hello.speaker != hello.pid {
        let parent = zombie::parent(pid);
        // In a pid namespace below ours both ids are others than ours.
        let owner = match hello.speaker == pid {
            true => parent.is_none_or(|parent| parent == hello.pid).then_some(hello.pid),
            false => parent.filter(|parent| zombie::id_within(*parent) == Some(hello.pid)),
        };
        let Some(owner) = owner else { return Err(Unwelcome::Stranger(hello.pid)) };
        return Ok(Word::Arrival(Arrival { hello, pid: owner, watch: Watch::of(owner), memory }));
    }
    let watch = Watch::of_peer(connection, pid);
    Ok(Word::Arrival(Arrival { hello, pid, watch, memory }))
}

/// The longest message that is read whole: a note.
const MOST_BYTES: usize = 1024;
const _: () = assert!(MOST_BYTES >= HELLO_LENGTH);

/// One message, and the first descriptor with it. Descriptors beyond that are closed again.
fn receive(connection: &OwnedFd) -> Result<(Vec<u8>, Option<OwnedFd>), Unwelcome> {
    let mut bytes = vec![0u8; MOST_BYTES];
    let mut control = nix::cmsg_space!([RawFd; 4]);
    let mut vectors = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = socket::recvmsg::<()>(connection.as_raw_fd(), &mut vectors, Some(&mut control), flags)
        .map_err(|error| if error == nix::Error::EAGAIN { Unwelcome::Silent } else { error.into() })?;
    if message.bytes == 0 {
        return Err(Unwelcome::Gone);
    }
    let mut descriptors = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = part {
            // SAFETY: the kernel has just installed them for us.
            descriptors.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    let length = message.bytes;
    bytes.truncate(length);
    Ok((bytes, descriptors.into_iter().next()))
}

/// Maps what a stranger sent only after the kernel vouches that it will not shrink under the mapping, and if so much room is
/// left besides.
fn map(memory: &OwnedFd, reserve: usize) -> Result<MappedRing, Unwelcome> {
    let seals = SealFlag::from_bits_truncate(fcntl(memory, FcntlArg::F_GET_SEALS)?);
    if !seals.contains(SealFlag::F_SEAL_SHRINK) || fstat(memory)?.st_size as usize != RING_SIZE {
        return Err(Unwelcome::Unsealed);
    }
    let map = memmap2::MmapOptions::new().len(RING_SIZE).map_raw(memory)?;
    if reserve > 0 {
        drop(memmap2::MmapOptions::new().len(reserve).map_anon()?);
    }
    let base = std::ptr::NonNull::new(map.as_mut_ptr()).ok_or(Unwelcome::Unsealed)?;
    // SAFETY: a writable mapping of RING_SIZE bytes, which cannot be truncated (sealed) and lives as long as the reader.
    let reader = unsafe { Reader::new(base) }.map_err(Unwelcome::Ring)?;
    Ok(MappedRing { reader, map: Arc::new(map) })
}
