//! A program's file: opened once, its beginning read once, everything else looked up in it.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use ddtrace::elf::{self, HEAD_LEN, Image};

/// A program's file with its first bytes.
pub(super) struct ProgramFile {
    file: File,
    head: Vec<u8>,
}

impl ProgramFile {
    /// Opens a regular file and reads its beginning.
    ///
    /// # Errors
    ///
    /// When it can't be read, which does not keep it from being run, or is no regular file.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Metadata)> {
        // A `#!` line may name a pipe, whose opening would wait for a writer.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut head = vec![0; HEAD_LEN];
        let length = read_up_to(&file, 0, &mut head);
        head.truncate(length);
        Ok((ProgramFile { file, head }, metadata))
    }

    /// What the file is.
    pub(super) fn image(&self) -> Image<'_> {
        elf::identify_with(&self.head, &mut self.reader())
    }

    /// The libraries that the program itself asks for, in order.
    pub(super) fn libraries(&self) -> Vec<String> {
        let mut libraries = Vec::new();
        elf::each_library(&self.head, &mut self.reader(), &mut |name| {
            libraries.push(String::from_utf8_lossy(name).into_owned());
            true
        });
        libraries
    }

    /// Whether Go's tool chain linked it.
    pub(super) fn is_go(&self) -> bool {
        elf::is_go(&self.head, &mut self.reader())
    }

    fn reader(&self) -> impl FnMut(u64, &mut [u8]) -> usize {
        |at, buffer| read_up_to(&self.file, at, buffer)
    }
}

/// Fills `buffer` from `at` as far as the file goes, and says how far that was.
fn read_up_to(file: &File, at: u64, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    filled
}
