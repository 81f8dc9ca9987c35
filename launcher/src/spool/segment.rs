//! A segment: a memory-mapped file of frames that only grows.
//!
//! The file is private to the user and bounded. Where no file can be had it lives in an anonymous one, which does all but
//! outlive the sidecar.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{Mmap, MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::directory::is_at;
use super::frame::{self, FRAME_HEADER, Frame, FrameKind};
use super::trouble;

const MAGIC: u64 = 0x6765_735f_6474_6464;
const VERSION: u64 = 4;
pub(super) const HEADER: u64 = 4096;
/// The smallest segment that makes sense.
const LEAST: u64 = 256 * 1024;
const PAGE: u64 = 4096;
/// Disk is taken in steps of this many bytes at first, and of sixteen times as many in a segment that fills.
const STEP: u64 = 64 * 1024;

/// The words of the segment's header.
#[repr(C)]
struct Header {
    magic: AtomicU64,
    version: AtomicU64,
    /// Where the next frame goes; what lies before is published.
    committed: AtomicU64,
    /// How far the reader is with it: see [`Segment::set_progress`].
    progress: AtomicU64,
}

/// What the reader of a segment needs of it yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u64)]
pub enum Progress {
    /// It has not been read to its end.
    Unread = 0,
    /// It has been read, and is needed if the sidecar is killed.
    Read = 1,
    /// Nothing.
    Done = 2,
}

/// The shared part: readers read while the writer writes.
pub struct Segment {
    map: MmapRaw,
}

impl Segment {
    fn header(&self) -> &Header {
        // SAFETY: the mapping is page-aligned and longer than the header, which is made of atomics only.
        unsafe { &*self.map.as_ptr().cast::<Header>() }
    }

    /// What the header says of it.
    fn said_committed(&self) -> u64 {
        // Pairs with the release in `Writer::append_all`: the bytes are visible before the length is.
        self.header().committed.load(Ordering::Acquire)
    }

    fn committed(&self) -> usize {
        (self.said_committed() as usize).min(self.map.len())
    }

    /// The published bytes from there on.
    pub fn bytes_from(&self, position: usize) -> &[u8] {
        let left = self.committed().saturating_sub(position);
        if left == 0 {
            return &[];
        }
        // SAFETY: [position, committed) lies inside the mapping. Published bytes do not change any more but for the
        // settled words of payloads, which nobody reads through this slice.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(position), left) }
    }

    /// The word at an offset within a payload, which is shared with those who settle it.
    pub fn word(&self, offset: usize) -> Option<&AtomicU64> {
        if !offset.is_multiple_of(8) || offset + 8 > self.committed() {
            return None;
        }
        // SAFETY: aligned (the mapping is by pages, the offset was checked), inside of it, and accessed as an atomic only.
        Some(unsafe { &*self.map.as_ptr().add(offset).cast::<AtomicU64>() })
    }

    /// Tells the writing side what is needed yet.
    pub fn set_progress(&self, progress: Progress) {
        self.header().progress.store(progress as u64, Ordering::Release);
    }

    /// What the reading side needs yet.
    pub fn progress(&self) -> Progress {
        // Pairs with the release in `set_progress`.
        match self.header().progress.load(Ordering::Acquire) {
            0 => Progress::Unread,
            1 => Progress::Read,
            _ => Progress::Done,
        }
    }
}

/// Most bytes of what waits, or of one segment of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Where it is in files.
    pub on_disk: u64,
    /// Where there is no disk for it.
    pub in_memory: u64,
}

impl Bound {
    /// One of so many equal parts.
    pub fn part(self, parts: u64) -> Bound {
        Bound { on_disk: self.on_disk / parts, in_memory: self.in_memory / parts }
    }

    /// For what is in a segment already, to be written elsewhere.
    pub fn of(segment: &Segment) -> Bound {
        let bytes = segment.committed() as u64;
        Bound { on_disk: bytes, in_memory: bytes }
    }

    /// With room for so many bytes of frames at least, wherever it is.
    pub fn at_least(self, bytes: usize) -> Bound {
        let needed = HEADER + 4096 + bytes as u64;
        Bound { on_disk: self.on_disk.max(needed), in_memory: self.in_memory.max(needed) }
    }
}

/// Appends to a segment. There is one writer.
pub struct Writer {
    segment: Arc<Segment>,
    /// `None` where not even the kernel's anonymous files can be had.
    file: Option<File>,
    path: Option<PathBuf>,
    allocated: u64,
}

/// Why a frame could not be kept.
#[derive(Debug)]
pub enum Full {
    /// The configured bound is reached.
    Bound,
    /// The disk is.
    Disk(io::Error),
}

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Full::Bound => f.write_str("it has reached its bound"),
            Full::Disk(error) => error.fmt(f),
        }
    }
}

/// What is appended: kind, producer, and the payload in two parts.
pub type Appended<'a> = (FrameKind, u64, [&'a [u8]; 2]);

impl Writer {
    /// Makes a segment of at most `bound` bytes at `path`, or in memory where that cannot be done; then the reason comes
    /// with it.
    pub fn create(path: Option<&Path>, bound: Bound) -> io::Result<(Writer, Option<String>)> {
        let reason = match path.map(|path| (path, Writer::on_disk(path, bound))) {
            Some((_, Ok(writer))) => return Ok((writer, None)),
            Some((path, Err(error))) => {
                Some(format!("cannot keep spans in {}: {error}; keeping them in memory", path.display()))
            }
            None => None,
        };
        Ok((Writer::in_memory(bound)?, reason))
    }

    /// Makes a file. Where limits allow less than the bound, it is smaller.
    ///
    /// # Errors
    /// It cannot be made; nothing is left of it.
    pub fn on_disk(path: &Path, bound: Bound) -> io::Result<Writer> {
        as_large_as_may_be(bound.on_disk, |bound| {
            let file = create_file(path)?;
            // Before it has a length: who looks at it meanwhile would read what a full disk has no room for.
            let sized = reserve(&file, 0, HEADER).and_then(|()| file.set_len(bound));
            let made = sized.and_then(|()| Writer::map(Some(file), Some(path.to_owned()), bound));
            if made.is_err() {
                let _ = std::fs::remove_file(path);
            }
            made
        })
    }

    /// Makes one that goes with us. Where limits allow less than the bound, it is smaller.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn in_memory(bound: Bound) -> io::Result<Writer> {
        as_large_as_may_be(bound.in_memory, |bound| {
            let anonymous = memfd_create(c"ddtrace-run segment", MFdFlags::MFD_CLOEXEC).map(File::from);
            // There is none under a filter of system calls that does not know it, as some sandboxes have.
            let file = anonymous.ok();
            if let Some(file) = &file {
                file.set_len(bound)?;
            }
            Writer::map(file, None, bound)
        })
    }

    fn map(file: Option<File>, path: Option<PathBuf>, bound: u64) -> io::Result<Writer> {
        let mut options = MmapOptions::new();
        options.len(bound as usize);
        let map = match &file {
            Some(file) => options.map_raw(file)?,
            None => options.map_anon()?.into(),
        };
        // Without this the kernel reads ahead: megabytes of zeros, for a few pages that are only written to.
        let _ = map.advise(memmap2::Advice::Random);
        let mut writer = Writer { segment: Arc::new(Segment { map }), file, path, allocated: 0 };
        writer.allocate(HEADER)?;
        let header = writer.segment.header();
        header.version.store(VERSION, Ordering::Relaxed);
        header.committed.store(HEADER, Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
        Ok(writer)
    }

    /// What is written to.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Where the file is, if it is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// How many bytes there is room for.
    pub fn room(&self) -> usize {
        self.segment.map.len() - self.segment.committed()
    }

    fn allocate(&mut self, needed: u64) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        while self.allocated < needed {
            let left = self.segment.map.len() as u64 - self.allocated;
            let step = if self.allocated < 4 * STEP { STEP } else { 16 * STEP }.min(left);
            let least = (needed - self.allocated).next_multiple_of(PAGE).min(left);
            // Allocated beforehand, so that a full disk is an error here and not SIGBUS at the first touch.
            let allocate = |length: u64| reserve(file, self.allocated, length).map(|()| length);
            self.allocated += match allocate(step) {
                // The last of a disk is less than a step.
                Err(_) if least < step => allocate(least)?,
                allocated => allocated?,
            };
        }
        Ok(())
    }

    /// Sees to it that there is room for so many bytes, as far as the bound allows.
    pub fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        self.allocate(bytes.min(self.segment.map.len() as u64))
    }

    /// Appends one frame.
    pub fn append(&mut self, kind: FrameKind, producer: u64, payload: &[u8]) -> Result<(), Full> {
        self.append_all(&[(kind, producer, [payload, &[]])]).map(drop)
    }

    /// Appends frames, all or none: who reads, now or after our death, never meets only some of them. Gives the offset of
    /// the first.
    pub fn append_all(&mut self, frames: &[Appended<'_>]) -> Result<usize, Full> {
        let length: usize = frames.iter().map(|(_, _, parts)| frame::size(parts[0].len() + parts[1].len())).sum();
        if length > self.room() {
            return Err(Full::Bound);
        }
        let start = self.segment.committed();
        let end = start + length;
        self.allocate(end as u64).map_err(Full::Disk)?;
        let mut place = start;
        for (kind, producer, [first, second]) in frames {
            let head = frame::head(*kind, *producer, first.len() + second.len());
            for (offset, bytes) in [(0, &head[..]), (FRAME_HEADER, first), (FRAME_HEADER + first.len(), second)] {
                // SAFETY: [start, end) lies inside the mapping (checked above) and behind what readers look at; this is
                // the only writer, as the one `Writer` is borrowed mutably.
                unsafe {
                    let target = self.segment.map.as_mut_ptr().add(place + offset);
                    core::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
                }
            }
            place += frame::size(first.len() + second.len());
        }
        // Pairs with the acquire in `Segment::committed`.
        self.segment.header().committed.store(end as u64, Ordering::Release);
        Ok(start)
    }

    /// Whether whoever comes next will find it: it is a file, and that is where it was made. Somebody may have deleted it
    /// since, or what it was on.
    pub fn is_there(&self) -> bool {
        let (Some(file), Some(path)) = (&self.file, &self.path) else { return false };
        file.metadata().is_ok_and(|metadata| is_at(path, &metadata))
    }

    /// Deletes the file, unless somebody has done so.
    pub fn delete(self) {
        if let Some(path) = &self.path
            && let Err(error) = std::fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot delete {}: {error}", path.display());
        }
    }

    /// Leaves the file, cut to what is in it.
    pub fn leave(&self) {
        if let Some(file) = &self.file {
            let _ = file.set_len(self.segment.committed() as u64);
        }
    }
}

/// Has the file system hold room for so many bytes there, of which nothing was written yet.
fn reserve(file: &File, start: u64, length: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, start as i64, length as i64) {
        // Some cannot hold it (ext2, ext3, ramfs, NFS before 4.2), or a filter knows no such call: what is written has room.
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {
            let zeros = [0u8; 4096];
            let mut at = start;
            while at < start + length {
                let piece = (start + length - at).min(zeros.len() as u64) as usize;
                file.write_all_at(&zeros[..piece], at)?;
                at += piece as u64;
            }
            Ok(())
        }
        reserved => Ok(reserved?),
    }
}

fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Makes what is to be of so many bytes, or of fewer where that is too much.
fn as_large_as_may_be(mut bound: u64, make: impl Fn(u64) -> io::Result<Writer>) -> io::Result<Writer> {
    loop {
        bound = bound.max(LEAST);
        match make(bound) {
            // RLIMIT_FSIZE, RLIMIT_AS, or no memory.
            Err(error) if bound > LEAST && matches!(error.raw_os_error(), Some(libc::EFBIG | libc::ENOMEM)) => {
                bound /= 4;
            }
            made => return made,
        }
    }
}

/// Whether a segment that begins with these words was begun at all; the magic number is what is written last there.
///
/// # Errors
/// It is of another release, or damaged.
fn is_begun(magic: u64, version: u64) -> io::Result<bool> {
    match (magic, version) {
        (MAGIC, VERSION) => Ok(true),
        (MAGIC, _) => Err(trouble::of_another_version()),
        (0, _) => Ok(false),
        _ => Err(trouble::damage("its beginning is damaged".to_owned())),
    }
}

/// Whether what was published could be read to its end, which was done up to `position`.
fn check_end(position: usize, committed: u64) -> io::Result<()> {
    match position as u64 == committed {
        true => Ok(()),
        false => Err(trouble::damage(format!("it is damaged from byte {position} of {committed} on"))),
    }
}

/// The length of a segment's file; `None` where it has none yet.
fn length_of(file: &File) -> io::Result<Option<usize>> {
    match file.metadata()?.len() {
        0 => Ok(None),
        1..HEADER => Err(trouble::damage("its beginning is damaged".to_owned())),
        length => Ok(Some(length as usize)),
    }
}

/// What the header begins with. It is read and not mapped: where the disk is full, a page of a file that nothing was
/// written to yet cannot be looked at.
fn first_words(file: &File) -> io::Result<[u64; 3]> {
    let mut bytes = [0; 24];
    file.read_exact_at(&mut bytes, 0)?;
    let (words, _) = bytes.as_chunks::<8>();
    Ok(std::array::from_fn(|place| words.get(place).map_or(0, |word| u64::from_le_bytes(*word))))
}

/// A segment that was written before, to be read and settled. `None` where nothing was written into it.
pub fn open(path: &Path) -> io::Result<Option<Arc<Segment>>> {
    let file =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let Some(length) = length_of(&file)? else { return Ok(None) };
    let [magic, version, _] = first_words(&file)?;
    if !is_begun(magic, version)? {
        return Ok(None);
    }
    Ok(Some(Arc::new(Segment { map: MmapOptions::new().len(length).map_raw(&file)? })))
}

/// The frames of a segment that is only looked at, one after the other.
///
/// # Errors
/// It cannot be read, or not to its end; `take` has had what is before that.
pub fn look(path: &Path, mut take: impl FnMut(Frame<'_>)) -> io::Result<()> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    if length_of(&file)?.is_none() {
        return Ok(());
    }
    let [magic, version, committed] = first_words(&file)?;
    if !is_begun(magic, version)? {
        return Ok(());
    }
    // SAFETY: what others do to the file meanwhile is bounded by the format: segments grow, and are never cut below what
    // is committed; the user's own files are not defended against the user.
    let map = unsafe { Mmap::map(&file)? };
    let mut position = HEADER as usize;
    let published = map.get(..(committed as usize).min(map.len())).unwrap_or_default();
    while let Some((frame, size)) = published.get(position..).and_then(frame::first) {
        take(frame);
        position += size;
    }
    check_end(position, committed)
}

/// Reads a segment from its start, each frame once.
pub struct Reader {
    segment: Arc<Segment>,
    position: usize,
}

impl Reader {
    /// A reader.
    pub fn new(segment: Arc<Segment>) -> Reader {
        Reader { segment, position: HEADER as usize }
    }

    /// What is read.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Whether all is read of a segment that nobody writes to any more.
    ///
    /// # Errors
    /// What follows is malformed or missing.
    pub fn check_end(&self) -> io::Result<()> {
        check_end(self.position, self.segment.said_committed())
    }

    /// The next frame that is published, with the offset of its payload; `None` where there is none yet. What is malformed
    /// ends the segment.
    pub fn next_frame(&mut self) -> Option<(Frame<'_>, usize)> {
        let at = self.position + FRAME_HEADER;
        let (frame, size) = frame::first(self.segment.bytes_from(self.position))?;
        self.position += size;
        Some((frame, at))
    }
}

#[cfg(test)]
mod tests;
