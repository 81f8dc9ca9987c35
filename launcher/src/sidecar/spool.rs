//! The segment file: queue, spool and account in one.
//!
//! Everything that was drained goes into one memory-mapped file of frames before its chunk is given back, and the
//! exporters read it from there. What is published survives the sidecar's own death by SIGKILL, as the pages are the
//! kernel's. The file is private to the user, bounded, and deleted when all of it is delivered. Where no file can be
//! had it lives in an anonymous one, which does all but outlive the sidecar.

use std::ffi::CString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::MmapRaw;
use nix::fcntl::{FallocateFlags, Flock, FlockArg, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};

const MAGIC: u64 = 0x6765_735f_6474_6464;
const VERSION: u64 = 1;
const HEADER: u64 = 4096;
/// The smallest bound that makes sense.
const LEAST: u64 = 1 << 20;
/// Disk is taken in steps of this many bytes.
const STEP: u64 = 64 * 1024;
/// Bytes before a frame's payload: length (u32), kind (u8), 3 bytes zero, producer (u64).
const FRAME_HEADER: usize = 16;

/// What a frame holds. The number is part of the format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FrameKind {
    /// Records as they were drained from the ring of one process.
    Records = 1,
    /// A process is gone: see [`super::death::Death`].
    Death = 2,
    /// Nothing more will come: time (u64).
    End = 3,
    /// Who records: see [`super::origin::Origin`]. The first frame of a segment.
    Origin = 4,
    /// Spans that are delivered, or dropped for good: their ids, 8 bytes each.
    Settled = 5,
    /// All rings of a process were looked at, after something had been found in them now or the last time.
    Pass = 6,
}

/// A frame, borrowed from the segment.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What it holds.
    pub kind: FrameKind,
    /// The process that it is about, or 0: a number of the collector's own.
    pub producer: u64,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// The words of the segment's header.
#[repr(C)]
struct Header {
    magic: AtomicU64,
    version: AtomicU64,
    /// Where the next frame goes; what lies before is published.
    committed: AtomicU64,
    recorded: AtomicU64,
    delivered: AtomicU64,
    dropped: AtomicU64,
    /// Not zero when the reader needs nothing of it any more.
    done: AtomicU64,
}

/// The account: every span that was recorded is delivered, dropped, or still waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// Spans that came to be.
    pub recorded: u64,
    /// Spans that every backend has.
    pub delivered: u64,
    /// Spans that were given up, with a reason in the log.
    pub dropped: u64,
}

impl std::ops::Add for Account {
    type Output = Account;

    fn add(self, other: Account) -> Account {
        Account {
            recorded: self.recorded + other.recorded,
            delivered: self.delivered + other.delivered,
            dropped: self.dropped + other.dropped,
        }
    }
}

impl Account {
    /// Spans that wait for a backend.
    pub fn waiting(&self) -> u64 {
        self.recorded.saturating_sub(self.delivered.saturating_add(self.dropped))
    }
}

/// The shared part: the exporters read while the collector writes.
struct Shared {
    map: MmapRaw,
}

impl Shared {
    fn header(&self) -> &Header {
        // SAFETY: the mapping is page-aligned and longer than the header, which is made of atomics only.
        unsafe { &*self.map.as_ptr().cast::<Header>() }
    }
}

/// Appends to the segment. There is one writer.
pub struct Writer {
    shared: Arc<Shared>,
    /// Locked: it tells other sidecars that the file is in use, and goes with the process.
    file: Flock<File>,
    path: Option<PathBuf>,
    allocated: u64,
}

/// Reads the segment from its start, each frame once.
pub struct Reader {
    shared: Arc<Shared>,
    position: u64,
}

/// Why a frame could not be kept.
#[derive(Debug)]
pub enum Full {
    /// The configured bound is reached.
    Bound,
    /// The disk is.
    Disk(io::Error),
}

impl Writer {
    /// Makes a segment of at most `bound` bytes in `directory`, or in memory where that cannot be done; then the reason
    /// comes with it. Where limits allow less than the bound, it is smaller.
    pub fn create(directory: Option<&Path>, bound: u64) -> io::Result<(Writer, Option<String>)> {
        let mut bound = bound.max(LEAST);
        loop {
            match Writer::create_bounded(directory, bound) {
                // RLIMIT_FSIZE, RLIMIT_AS, or no memory.
                Err(error) if bound > LEAST && matches!(error.raw_os_error(), Some(libc::EFBIG | libc::ENOMEM)) => {
                    bound = (bound / 4).max(LEAST);
                }
                other => return other,
            }
        }
    }

    fn create_bounded(directory: Option<&Path>, bound: u64) -> io::Result<(Writer, Option<String>)> {
        let mut reason = None;
        let mut on_disk = None;
        if let Some(directory) = directory {
            match create_file(directory, bound) {
                Ok(made) => on_disk = Some(made),
                Err(error) if error.raw_os_error() == Some(libc::EFBIG) => return Err(error),
                Err(error) => {
                    let directory = directory.display();
                    reason = Some(format!("cannot keep spans in {directory}: {error}; keeping them in memory"));
                }
            }
        }
        let (file, path) = match on_disk {
            Some((file, path)) => (file, Some(path)),
            None => (create_in_memory(bound)?, None),
        };
        let map = memmap2::MmapOptions::new().len(bound as usize).map_raw(&*file).inspect_err(|_| {
            if let Some(path) = &path {
                let _ = std::fs::remove_file(path);
            }
        })?;
        // Without this the kernel reads ahead: megabytes of zeros, for a few pages that are only written to.
        let _ = map.advise(memmap2::Advice::Random);
        let shared = Arc::new(Shared { map });
        let mut writer = Writer { shared, file, path, allocated: 0 };
        writer.allocate(HEADER)?;
        let header = writer.shared.header();
        header.version.store(VERSION, Ordering::Relaxed);
        header.committed.store(HEADER, Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
        Ok((writer, reason))
    }

    /// A reader of the same segment.
    pub fn reader(&self) -> Reader {
        Reader { shared: Arc::clone(&self.shared), position: HEADER }
    }

    /// Where the file is, if it is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn allocate(&mut self, needed: u64) -> io::Result<()> {
        while self.allocated < needed {
            let length = STEP.min(self.shared.map.len() as u64 - self.allocated);
            // Allocated beforehand, so that a full disk is an error here and not SIGBUS at the first touch.
            fallocate(&*self.file, FallocateFlags::FALLOC_FL_KEEP_SIZE, self.allocated as i64, length as i64)?;
            self.allocated += length;
        }
        Ok(())
    }

    /// Appends one frame.
    pub fn append(&mut self, kind: FrameKind, producer: u64, payload: &[u8]) -> Result<(), Full> {
        let length = FRAME_HEADER + payload.len();
        let start = self.shared.header().committed.load(Ordering::Relaxed);
        let end = start + length.next_multiple_of(8) as u64;
        if end > self.shared.map.len() as u64 {
            return Err(Full::Bound);
        }
        self.allocate(end).map_err(Full::Disk)?;
        let mut head = [0u8; FRAME_HEADER];
        head[..4].copy_from_slice(&(length as u32).to_le_bytes());
        head[4] = kind as u8;
        head[8..].copy_from_slice(&producer.to_le_bytes());
        // SAFETY: [start, end) lies inside the mapping (checked above) and behind what readers look at; this is the only
        // writer, as `append` takes the one `Writer` mutably.
        unsafe {
            let place = self.shared.map.as_mut_ptr().add(start as usize);
            core::ptr::copy_nonoverlapping(head.as_ptr(), place, FRAME_HEADER);
            core::ptr::copy_nonoverlapping(payload.as_ptr(), place.add(FRAME_HEADER), payload.len());
        }
        // Pairs with the acquire in `Reader::next`: the bytes are visible before the length is.
        self.shared.header().committed.store(end, Ordering::Release);
        Ok(())
    }

    /// The account as it stands.
    pub fn account(&self) -> Account {
        self.reader().account()
    }

    /// Whether its reader needs nothing of it any more.
    pub fn is_done(&self) -> bool {
        // Pairs with the release in `Reader::set_done`: the account is final.
        self.shared.header().done.load(Ordering::Acquire) != 0
    }

    /// Opens a segment that another sidecar left behind; `None` where one is still at work on it, or it is none of ours.
    pub fn adopt(path: &Path) -> io::Result<Option<Writer>> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
        let Ok(file) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { return Ok(None) };
        let length = file.metadata()?.len();
        // Whoever finished with it has deleted it between our look and our lock.
        if length < HEADER || !path.exists() {
            return Ok(None);
        }
        let map = memmap2::MmapOptions::new().len(length as usize).map_raw(&*file)?;
        let shared = Arc::new(Shared { map });
        let header = shared.header();
        let known = header.magic.load(Ordering::Acquire) == MAGIC && header.version.load(Ordering::Relaxed) == VERSION;
        Ok(known.then(|| Writer { shared, file, path: Some(path.to_owned()), allocated: length }))
    }

    /// Makes room at the end of an adopted segment, which was cut to its length.
    pub fn append_to_adopted(mut self, kind: FrameKind, payload: &[u8]) -> io::Result<()> {
        let length = self.shared.map.len() as u64 + (FRAME_HEADER + payload.len()).next_multiple_of(8) as u64;
        self.file.set_len(length)?;
        let map = memmap2::MmapOptions::new().len(length as usize).map_raw(&*self.file)?;
        self.shared = Arc::new(Shared { map });
        self.allocated = length;
        self.append(kind, 0, payload).map_err(|_| io::Error::from(io::ErrorKind::StorageFull))
    }

    /// Ends the segment: deletes the file if nothing waits in it, else leaves it, cut to its length. Gives the path of
    /// what was left.
    pub fn finish(self) -> io::Result<Option<PathBuf>> {
        let Some(path) = self.path else { return Ok(None) };
        let header = self.shared.header();
        let (recorded, done) = (
            header.recorded.load(Ordering::Relaxed),
            header.delivered.load(Ordering::Relaxed) + header.dropped.load(Ordering::Relaxed),
        );
        if recorded <= done {
            std::fs::remove_file(&path)?;
            return Ok(None);
        }
        self.file.set_len(header.committed.load(Ordering::Relaxed))?;
        Ok(Some(path))
    }
}

fn create_file(directory: &Path, bound: u64) -> io::Result<(Flock<File>, PathBuf)> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let path = directory.join(format!("{}-{}.seg", time.as_micros(), std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    let file = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error)?;
    let sized = file.set_len(bound).and_then(|()| {
        // Where not even the header fits on the disk, memory is the better place.
        fallocate(&*file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, HEADER as i64).map_err(io::Error::from)
    });
    if let Err(error) = sized {
        let _ = std::fs::remove_file(&path);
        return Err(error);
    }
    Ok((file, path))
}

fn create_in_memory(bound: u64) -> io::Result<Flock<File>> {
    let name = CString::new("ddtrace-run segment").unwrap_or_default();
    let file = File::from(memfd_create(name.as_c_str(), MFdFlags::MFD_CLOEXEC)?);
    file.set_len(bound)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error.into())
}

impl Reader {
    /// The next frame that is published, `None` where there is none yet. What is malformed ends the segment.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        // Pairs with the release in `Writer::append`.
        let committed = self.shared.header().committed.load(Ordering::Acquire).min(self.shared.map.len() as u64);
        let left = usize::try_from(committed.checked_sub(self.position)?).ok()?;
        if left < FRAME_HEADER {
            return None;
        }
        // SAFETY: [position, committed) lies inside the mapping, and published bytes never change again.
        let bytes = unsafe { std::slice::from_raw_parts(self.shared.map.as_ptr().add(self.position as usize), left) };
        let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
        let (head, payload) = bytes.get(..length)?.split_first_chunk::<FRAME_HEADER>()?;
        self.position += length.next_multiple_of(8) as u64;
        let kind = match head[4] {
            1 => FrameKind::Records,
            2 => FrameKind::Death,
            3 => FrameKind::End,
            4 => FrameKind::Origin,
            5 => FrameKind::Settled,
            6 => FrameKind::Pass,
            _ => return None,
        };
        let producer = u64::from_le_bytes(*head.last_chunk()?);
        Some(Frame { kind, producer, payload })
    }

    /// Nothing of the segment is needed any more.
    pub fn set_done(&self) {
        self.shared.header().done.store(1, Ordering::Release);
    }

    /// Counts spans.
    pub fn count(&self, recorded: u64, delivered: u64, dropped: u64) {
        let header = self.shared.header();
        header.recorded.fetch_add(recorded, Ordering::Relaxed);
        header.delivered.fetch_add(delivered, Ordering::Relaxed);
        header.dropped.fetch_add(dropped, Ordering::Relaxed);
    }

    /// The account as it stands.
    pub fn account(&self) -> Account {
        let header = self.shared.header();
        Account {
            recorded: header.recorded.load(Ordering::Relaxed),
            delivered: header.delivered.load(Ordering::Relaxed),
            dropped: header.dropped.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: u64 = 1 << 20;

    #[test]
    fn frames_come_out_as_they_went_in() {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, reason) = Writer::create(Some(directory.path()), BOUND).unwrap();
        assert_eq!(reason, None);
        let mut reader = writer.reader();
        assert!(reader.next_frame().is_none());
        writer.append(FrameKind::Records, 7, b"abc").unwrap();
        writer.append(FrameKind::End, 0, b"").unwrap();
        let frame = reader.next_frame().unwrap();
        assert_eq!((frame.kind, frame.payload), (FrameKind::Records, &b"abc"[..]));
        assert_eq!(reader.next_frame().unwrap().kind, FrameKind::End);
        assert!(reader.next_frame().is_none());
    }

    #[test]
    fn a_settled_segment_is_deleted_and_an_unsettled_one_stays() {
        let directory = tempfile::tempdir().unwrap();
        for (delivered, left) in [(2, 0), (1, 1)] {
            let (writer, _) = Writer::create(Some(directory.path()), BOUND).unwrap();
            let path = writer.path().unwrap().to_owned();
            writer.reader().count(2, delivered, 0);
            assert_eq!(writer.account().waiting(), left);
            assert_eq!(writer.finish().unwrap().is_some(), left > 0);
            assert_eq!(path.exists(), left > 0);
            if left > 0 {
                std::fs::remove_file(path).unwrap();
            }
        }
    }

    #[test]
    fn without_a_directory_memory_serves() {
        let (mut writer, reason) = Writer::create(Some(Path::new("/proc/no/such/place")), BOUND).unwrap();
        assert!(reason.unwrap().contains("/proc/no/such/place"));
        writer.append(FrameKind::Records, 1, &[1; 1000]).unwrap();
        assert_eq!(writer.reader().next_frame().unwrap().payload.len(), 1000);
    }

    #[test]
    fn the_bound_holds() {
        let (mut writer, _) = Writer::create(None, BOUND).unwrap();
        let mut kept = 0;
        while writer.append(FrameKind::Records, 1, &[0; 4096 - FRAME_HEADER]).is_ok() {
            kept += 1;
        }
        assert_eq!(kept, BOUND / 4096 - 1);
    }
}
