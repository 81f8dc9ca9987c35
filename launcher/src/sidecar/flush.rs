//! Delivery on demand of what earlier runs have left.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use ddtrace::config::Config;
use tokio::task::LocalSet;

use super::leftover::{Done, Leftovers, Story};
use super::queues::{Patience, Queues};
use crate::spool;

/// The directory of the spool in the state directory.
pub const SPOOL: &str = "spool";

/// So many moments a run is waited for that somebody is at work on: a sidecar may be just about to leave it.
const BUSY_TRIES: usize = 10;

/// Most that waits of one run, by the configuration. Where there is no disk for it, it is memory that it takes; a segment or
/// two beyond that are just being read or sent.
pub fn spool_bound(config: &Config) -> spool::Bound {
    let in_memory = config.memory_max_bytes / 8 * 7;
    spool::Bound { on_disk: config.spool_max_bytes, in_memory: in_memory.min(config.spool_max_bytes) }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Flushed {
    /// What became of spans.
    pub done: Done,
    /// Spans of earlier runs that still wait.
    pub waiting: u64,
    /// The receivers that these wait for.
    pub wait_for: BTreeSet<String>,
    /// There is something that could not be read, and may be another time.
    pub leaves_unread: bool,
    /// What went wrong, for people.
    pub complaints: Vec<String>,
}

/// Delivers what earlier runs have left below `state_dir`, for as long as `wait`.
///
/// # Errors
/// There is no descriptor for a runtime.
pub fn flush(config: &Config, state_dir: &Path, wait: Duration) -> std::io::Result<Flushed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let spool = state_dir.join(SPOOL);
    let mut flushed = LocalSet::new().block_on(&runtime, async {
        let patience: Rc<Patience> = Rc::default();
        let queues = Queues::open(config, Some(state_dir), false, &patience, &Rc::new(RefCell::default())).await;
        patience.end_within(wait);
        let mut leftovers = Leftovers::find(Some(&spool), None);
        let mut tries = BUSY_TRIES;
        loop {
            leftovers.work(&queues, config).await;
            if patience.is_over() {
                break;
            }
            if leftovers.is_idle() {
                if tries == 0 || !leftovers.try_busy_again() {
                    break;
                }
                tries -= 1;
            }
            queues.moment().await;
        }
        let ended = leftovers.end();
        let complaints = ended.complaints.into_iter().chain(queues.complaints()).collect();
        Flushed { done: ended.done, complaints, ..Flushed::default() }
    });
    let left = spool::Status::of(&spool, |path, moved| count_unsent(path, moved, config));
    flushed.waiting = left.left_behind();
    flushed.wait_for = left.wait_for();
    flushed.leaves_unread = left.leaves_unread();
    Ok(flushed)
}

/// How many spans the records of a run in this directory tell of that are not among the `moved`, and what cannot be read.
pub fn count_unsent(directory: &Path, moved: &HashSet<u64>, config: &Config) -> (u64, Vec<spool::Trouble>) {
    let mut story = Story::new(config);
    let mut troubles = spool::old_records(directory, |frame| story.feed(frame));
    troubles.extend(story.malformed(directory));
    (story.end(moved).iter().map(crate::export::Batch::spans).sum(), troubles)
}
