//! Segments that other sidecars left behind: the first one that reaches the backend again delivers them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use ddtrace::ids::SpanId;
use ddtrace::sampling::SamplingConfig;
use ddtrace::span::TraceChunk;

use super::assemble::{Assembler, Policy};
use super::judge::Judge;
use super::origin::Origin;
use super::spool::{FrameKind, Writer};

/// A segment that nobody else is at work on.
pub struct Leftover {
    segment: Writer,
    path: PathBuf,
    /// What still waits in it.
    pub chunks: Vec<TraceChunk>,
}

/// What is left in the spool, oldest first; `own` is the segment of this sidecar.
pub fn find(directory: &Path, own: Option<&Path>) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "seg") && Some(path.as_path()) != own)
        .collect();
    paths.sort();
    paths
}

/// Deletes the oldest segments until the others take at most `bound` bytes.
pub fn keep_within(directory: &Path, bound: u64) {
    let mut kept = 0;
    for path in find(directory, None).into_iter().rev() {
        let size = std::fs::metadata(&path).map_or(0, |meta| meta.len());
        // One that a sidecar is at work on is that sidecar's to bound.
        let Ok(Some(segment)) = Writer::adopt(&path) else { continue };
        kept += size;
        if kept > bound && std::fs::remove_file(&path).is_ok() {
            tracing::error!(
                "the spool is full: {} spans that no backend took are dropped with {}",
                segment.account().waiting(),
                path.display()
            );
        }
    }
}

impl Leftover {
    /// Takes a segment over and reads what waits in it; traces that nobody has decided about are decided by `sampling`. `None` where another sidecar has it, or nothing can be read.
    pub fn open(path: &Path, sampling: &SamplingConfig) -> Option<Leftover> {
        let segment = match Writer::adopt(path) {
            Ok(segment) => segment?,
            Err(error) => {
                tracing::warn!("cannot read {}: {error}; it stays", path.display());
                return None;
            }
        };
        let mut reader = segment.reader();
        let mut assembler: Option<Assembler> = None;
        let mut settled: HashSet<SpanId> = HashSet::new();
        while let Some(frame) = reader.next_frame() {
            match frame.kind {
                FrameKind::Origin => {
                    let origin = Origin::parse(frame.payload)?;
                    let policy = Policy { partial_flush: None, hold_processes: false };
                    let judge = Judge::new(sampling, Rc::default());
                    assembler = Some(Assembler::new(policy, origin.clock_offset, Arc::new(origin.resource), judge));
                }
                FrameKind::Settled => {
                    let (ids, _) = frame.payload.as_chunks::<8>();
                    settled.extend(ids.iter().map(|id| SpanId(u64::from_le_bytes(*id))));
                }
                _ => {
                    if let Some(assembler) = &mut assembler {
                        assembler.feed(frame);
                    }
                }
            }
        }
        let mut chunks = assembler?.end();
        for chunk in &mut chunks {
            chunk.spans.retain(|span| !settled.contains(&span.span_id));
        }
        chunks.retain(|chunk| !chunk.spans.is_empty());
        Some(Leftover { segment, path: path.to_owned(), chunks })
    }

    /// How many spans wait in it.
    pub fn spans(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.spans.len()).sum()
    }

    /// Everything in it is delivered or dropped.
    pub fn settle(self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!("cannot delete {}: {error}; it may be delivered twice", self.path.display());
        }
    }

    /// These spans are delivered or dropped, the others still wait.
    pub fn settle_some(self, ids: &[u64]) {
        let payload: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        if let Err(error) = self.segment.append_to_adopted(FrameKind::Settled, &payload) {
            tracing::warn!("cannot write to {}: {error}; it may be delivered twice", self.path.display());
        }
    }
}
