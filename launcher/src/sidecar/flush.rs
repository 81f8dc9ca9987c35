//! Delivery on demand of what earlier runs have left.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use ddtrace::config::Config;
use ddtrace::sys::monotonic_ns;
use tokio::task::LocalSet;

use super::leftover::{Done, Leftovers, Story};
use super::queues::{Patience, Queues};
use super::zombie;
use crate::cli::is_subcommand;
use crate::spool::{self, Counter};
use crate::state_dir::by_environment;

/// The directory of the spool in the state directory.
pub const SPOOL: &str = "spool";

/// So long it takes at most, whatever the wait, to learn which runs go on: their sidecars look around several times in it.
/// A sidecar of this age has a directory for its run, too, if it ever has one.
const LOOK: Duration = Duration::from_secs(1);

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
    /// Those of them that wait for the end of what commands have left behind.
    pub left_behind: u64,
    /// Spans that others have dropped of runs that were waited for.
    pub dropped_by_others: u64,
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
    let (mut flushed, others) = LocalSet::new().block_on(&runtime, async {
        let patience: Rc<Patience> = Rc::default();
        let queues = Queues::open(config, Some(state_dir), false, &patience, &Rc::new(RefCell::default())).await;
        patience.end_within(wait);
        let mut leftovers = Leftovers::find(Some(&spool), None);
        // What comes while this is at work is no concern of it.
        let (begun, newest) = (Instant::now(), SystemTime::now() + LOOK);
        let (mut left_behind, mut watched) = (LeftBehind::default(), Watched::default());
        let is_unsettled = loop {
            leftovers.work(&queues, config).await;
            let is_idle = leftovers.is_idle();
            let has_looked = begun.elapsed() >= LOOK;
            let others_work = leftovers.look_again(&spool, |run| {
                let is_no_concern = spool::begun(run).is_some_and(|begun| begun > newest)
                    || left_behind.is_no_concern(run, since_ns, begun.elapsed());
                if !is_no_concern {
                    watched.look_at(run);
                }
                is_no_concern
            });
            let is_settled = is_idle && !others_work && (has_looked || !expects_a_run(&spool, begun));
            if is_settled || patience.is_over() && has_looked {
                break others_work;
            }
            queues.moment().await;
        };
        let ended = leftovers.end();
        let complaints = ended.complaints.into_iter().chain(queues.complaints()).collect();
        let (waiting, unfinished, others) = left_behind.waiting();
        let dropped_by_others = watched.dropped(&ended.dropped);
        let done = ended.done;
        (
            Flushed {
                done,
                waiting,
                left_behind: unfinished,
                dropped_by_others,
                complaints,
                is_unsettled,
                ..Flushed::default()
            },
            others,
        )
    });
    let left = spool::Status::of(&spool, |path, moved| count_unsent(path, moved, config));
    flushed.waiting += left.of_the_past(since_ns);
    flushed.wait_for = left.wait_for(since_ns, &others);
    flushed.leaves_unread = left.leaves_unread();
    Ok(flushed)
}

/// Runs whose commands are over, but not all that these have started: a daemon, say. What they had recorded when they were
/// first looked at is waited for.
#[derive(Default)]
struct LeftBehind {
    /// How many spans are to be done.
    wanted: HashMap<PathBuf, u64>,
}

impl LeftBehind {
    /// Within this time it is decided what becomes of the processes that are left behind. What waits for their ends waits longer.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// Whether a run that somebody is at work on goes on with its command, or has done what the command has left, or is not
    /// to be waited for any more.
    fn is_no_concern(&mut self, run: &Path, since_ns: u64, elapsed: Duration) -> bool {
        let Some(counts) = spool::counts(run).filter(|counts| counts.went_on_at(since_ns) == Some(true)) else {
            return false;
        };
        if !counts.is_left_behind() {
            return true;
        }
        let wanted = || counts.done() + counts.waiting_ended();
        // Sidecars have had time to read what there was.
        elapsed >= LOOK && counts.done() >= *self.wanted.entry(run.to_owned()).or_insert_with(wanted)
            || elapsed >= Self::PATIENCE
    }

    /// How many of these spans are not done, how many of those have not ended, and the runs whose others wait for a receiver.
    fn waiting(&self) -> (u64, u64, Vec<PathBuf>) {
        let (mut waiting, mut unfinished, mut runs) = (0, 0, Vec::new());
        for (run, wanted) in &self.wanted {
            if let Some(counts) = spool::counts(run).filter(|counts| counts.went_on_at(0) == Some(true)) {
                let left = wanted.saturating_sub(counts.done());
                let ended = left.min(counts.waiting_ended());
                waiting += left;
                unfinished += left - ended;
                if ended > 0 {
                    runs.push(run.clone());
                }
            }
        }
        (waiting, unfinished, runs)
    }
}

/// Runs that others are at work on and that are waited for: their accounts stay readable when their directories are gone.
#[derive(Default)]
struct Watched {
    /// With how many spans each had dropped that are no concern.
    accounts: HashMap<PathBuf, (spool::Account, u64)>,
}

impl Watched {
    fn look_at(&mut self, run: &Path) {
        if self.accounts.contains_key(run) {
            return;
        }
        if let Ok(Some(account)) = spool::Account::open(run) {
            let is_its_own = account.get(Counter::SidecarPid) != 0;
            // Of what is left of an earlier run it was told before what was dropped by then.
            let before = if is_its_own { 0 } else { account.counts().lost() };
            self.accounts.insert(run.to_owned(), (account, before));
        }
    }

    /// How many spans of these runs were dropped, but for those that were dropped here in the end.
    fn dropped(&self, here: &HashMap<PathBuf, u64>) -> u64 {
        let dropped = |(run, (account, before)): (&PathBuf, &(spool::Account, u64))| {
            account.counts().lost().saturating_sub(*before + here.get(run).copied().unwrap_or_default())
        };
        self.accounts.iter().map(dropped).sum()
    }
}

/// Whether there may be a run that has no directory yet.
pub fn is_a_run_expected(spool: &Path) -> bool {
    expects_a_run(spool, Instant::now())
}

/// Whether a sidecar of this user, or a launcher that is about to start one, is there since before `begun`, and so young that
/// its run may have no directory yet.
fn expects_a_run(spool: &Path, begun: Instant) -> bool {
    let Ok(entries) = std::fs::read_dir("/proc") else { return false };
    // As the kernel names it.
    let spool = spool.canonicalize().unwrap_or_else(|_| spool.to_owned());
    let (own_id, own_user) = (std::process::id(), nix::unistd::geteuid().as_raw());
    let ages = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)..LOOK.as_millis() as u64;
    entries.flatten().any(|entry| {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { return false };
        let is_ours = || entry.metadata().is_ok_and(|metadata| metadata.uid() == own_user);
        let has_no_run = || match std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default().trim_end() {
            "ddtrace-sidecar" => !works_elsewhere(&entry.path(), &spool),
            "ddtrace-run" => !begins_nothing(&entry.path(), &spool),
            _ => false,
        };
        let is_young = || zombie::age_ms(pid).is_some_and(|age| ages.contains(&age));
        pid != own_id && is_ours() && has_no_run() && is_young() && zombie::look(pid).is_none()
    })
}

/// Whether a launcher, by its entry in `/proc`, is about to begin no run in this spool: it tells something, or its environment
/// names another directory.
fn begins_nothing(process: &Path, spool: &Path) -> bool {
    let words = |file: &str| std::fs::read(process.join(file)).unwrap_or_default();
    // Each word ends with a zero.
    let command: Vec<OsString> = words("cmdline")
        .split_inclusive(|byte| *byte == 0)
        .skip(1)
        .map(|word| OsStr::from_bytes(word.strip_suffix(b"\0").unwrap_or(word)).to_owned())
        .collect();
    let environment = words("environ");
    let theirs = |name: &str| {
        let value = environment
            .split(|byte| *byte == 0)
            .find_map(|variable| variable.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")));
        value.map(|value| PathBuf::from(OsStr::from_bytes(value)))
    };
    let spool_of = |directory: PathBuf| {
        let spool = directory.join(SPOOL);
        spool.canonicalize().unwrap_or(spool)
    };
    // Where a file says where this one is, it says the same to others.
    let is_by_environment = spool_of(by_environment(|name| std::env::var_os(name).map(PathBuf::from))) == spool;
    is_subcommand(&command) || is_by_environment && spool_of(by_environment(theirs)) != spool
}

/// Whether a sidecar, by its entry in `/proc`, works in another spool than this one.
fn works_elsewhere(process: &Path, spool: &Path) -> bool {
    let descriptors = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let mut files = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
    files.any(|file| file.parent().and_then(Path::parent).is_some_and(|other| other.ends_with(SPOOL) && other != spool))
}

/// How many spans the records of a run in this directory tell of that are not among the `moved`, and what cannot be read.
pub fn count_unsent(directory: &Path, moved: &HashSet<u64>, config: &Config) -> (u64, Vec<spool::Trouble>) {
    let mut story = Story::new(config);
    let mut troubles = spool::old_records(directory, |frame| story.feed(frame));
    troubles.extend(story.malformed(directory));
    (story.end(moved).iter().map(crate::export::Batch::spans).sum(), troubles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_of_a_run_is_told_once_whoever_drops_it() {
        let spool = tempfile::tempdir().unwrap();
        let run = spool::RunDirectory::create(spool.path()).unwrap();
        let account = spool::Account::begin(Some(run.path())).unwrap();
        account.set(Counter::SidecarPid, 4711);
        account.add(Counter::Recorded, 10);
        account.add(Counter::Dropped, 5);
        let mut watched = Watched::default();
        watched.look_at(run.path());
        assert_eq!(watched.dropped(&HashMap::new()), 5);
        // Its sidecar is gone, and the rest is dropped here.
        account.add(Counter::Dropped, 3);
        assert_eq!(watched.dropped(&HashMap::from([(run.path().to_owned(), 3)])), 5);
    }
}
