//! What the view is to show: written into a file that has no name, so that a large trace is not held in memory, and handed
//! to the launcher at the end.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ddtrace::span::TraceChunk;
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::export::{Batch, otlp_json_line};

/// The spans for the view, as OTLP JSON lines.
pub struct Shown {
    view: File,
    lines: io::Result<File>,
}

impl Shown {
    /// Nothing yet. `view` gets all of it at the end; until then it is in `directory`, if that can be written.
    pub fn new(view: OwnedFd, directory: Option<&Path>) -> Shown {
        let on_disk = directory.and_then(|directory| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE).open(directory).ok()
        });
        let lines = on_disk.map_or_else(
            || Ok(File::from(memfd_create(c"ddtrace-run view", MFdFlags::MFD_CLOEXEC)?)),
            Ok::<File, io::Error>,
        );
        Shown { view: view.into(), lines }
    }

    /// Takes in what is finished.
    pub fn add(&mut self, chunks: &[TraceChunk]) {
        for chunk in chunks {
            let Ok(lines) = &mut self.lines else { return };
            // Whoever asked to see the trace sees it, though it was decided not to keep it.
            let sampling_priority = chunk.sampling_priority.max(1);
            let batch = Batch { chunks: vec![TraceChunk { sampling_priority, ..chunk.clone() }] };
            if let Err(error) = lines.write_all(&otlp_json_line(&batch)) {
                self.lines = Err(error);
            }
        }
    }

    /// Hands all of it to the view.
    pub fn show(mut self) {
        let copied = self.lines.and_then(|mut lines| {
            lines.rewind()?;
            io::copy(&mut lines, &mut self.view)
        });
        if let Err(error) = copied {
            tracing::warn!("cannot hand the spans to the view: {error}");
        }
    }
}
