//! Delivery on demand of what earlier runs have left.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ddtrace::config::Config;
use ddtrace::sys::monotonic_ns;
use tokio::task::LocalSet;

use super::leftover::{Done, Leftovers, Story};
use super::queues::{Patience, Queues};
use super::zombie;
use crate::spool;

/// The directory of the spool in the state directory.
pub const SPOOL: &str = "spool";

/// So long it takes at most, whatever the wait, to learn which runs go on: their sidecars look around several times in it.
const LOOK: Duration = Duration::from_millis(500);
/// A sidecar of this age has a directory for its run, if it ever has one.
const NEWBORN_MS: u64 = 1000;

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
    /// Spans that still wait, of runs whose programs are over.
    pub waiting: u64,
    /// The receivers that these wait for.
    pub wait_for: BTreeSet<String>,
    /// Somebody is still at work on a run whose program is over, or that has just begun.
    pub is_unsettled: bool,
    /// There is something that could not be read, and may be another time.
    pub leaves_unread: bool,
    /// What went wrong, for people.
    pub complaints: Vec<String>,
}

/// Delivers what earlier runs have left below `state_dir`, for as long as `wait`. What others are at work on is waited for,
/// but for the runs of programs that go on.
///
/// # Errors
/// There is no descriptor for a runtime.
pub fn flush(config: &Config, state_dir: &Path, wait: Duration) -> std::io::Result<Flushed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let spool = state_dir.join(SPOOL);
    let since_ns = monotonic_ns();
    let mut flushed = LocalSet::new().block_on(&runtime, async {
        let patience: Rc<Patience> = Rc::default();
        let queues = Queues::open(config, Some(state_dir), false, &patience, &Rc::new(RefCell::default())).await;
        patience.end_within(wait);
        let mut leftovers = Leftovers::find(Some(&spool), None);
        let begun = Instant::now();
        let is_unsettled = loop {
            leftovers.work(&queues, config).await;
            let goes_on = |path: &Path| spool::went_on_at(path, since_ns) == Some(true);
            let is_idle = leftovers.is_idle();
            let others_work = leftovers.look_again(&spool, goes_on) || expects_a_run();
            if is_idle && !others_work || patience.is_over() && begun.elapsed() >= LOOK {
                break others_work;
            }
            queues.moment().await;
        };
        let ended = leftovers.end();
        let complaints = ended.complaints.into_iter().chain(queues.complaints()).collect();
        Flushed { done: ended.done, complaints, is_unsettled, ..Flushed::default() }
    });
    let left = spool::Status::of(&spool, |path, moved| count_unsent(path, moved, config));
    flushed.waiting = left.of_the_past(since_ns);
    flushed.wait_for = left.wait_for(since_ns);
    flushed.leaves_unread = left.leaves_unread();
    Ok(flushed)
}

/// Whether a sidecar of this user, or a launcher that is about to start one, is so young that its run may have no directory
/// yet.
fn expects_a_run() -> bool {
    let Ok(entries) = std::fs::read_dir("/proc") else { return false };
    let (own_id, own_user) = (std::process::id(), nix::unistd::geteuid().as_raw());
    entries.flatten().any(|entry| {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { return false };
        let is_ours = || entry.metadata().is_ok_and(|metadata| metadata.uid() == own_user);
        let is_named_so = || {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            matches!(name.trim_end(), "ddtrace-sidecar" | "ddtrace-run")
        };
        let is_young = || zombie::age_ms(pid).is_some_and(|age| age < NEWBORN_MS);
        pid != own_id && is_ours() && is_named_so() && is_young() && has_same_state(&entry.path())
    })
}

/// Whether a process was started with the same variables that a state directory comes of.
fn has_same_state(process: &Path) -> bool {
    const OF_STATE: [&str; 4] = ["HOME", "XDG_STATE_HOME", "TMPDIR", "DD_TRACE_STATE_DIR"];
    let environment = std::fs::read(process.join("environ")).unwrap_or_default();
    OF_STATE.iter().all(|name| {
        let is_it = |entry: &&[u8]| entry.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
        let theirs = environment.split(|byte| *byte == 0).find(is_it).map(|entry| &entry[name.len() + 1..]);
        theirs == std::env::var_os(name).as_ref().map(|own| own.as_bytes())
    })
}

/// How many spans the records of a run in this directory tell of that are not among the `moved`, and what cannot be read.
pub fn count_unsent(directory: &Path, moved: &HashSet<u64>, config: &Config) -> (u64, Vec<spool::Trouble>) {
    let mut story = Story::new(config);
    let mut troubles = spool::old_records(directory, |frame| story.feed(frame));
    troubles.extend(story.malformed(directory));
    (story.end(moved).iter().map(crate::export::Batch::spans).sum(), troubles)
}
