//! What other sidecars left behind: the first one that reaches a receiver again delivers it.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use ddtrace::config::Config;
use ddtrace::span::TraceChunk;
use ddtrace::sys::monotonic_ns;

use super::assemble::{Assembler, Policy};
use super::groups::{self, Pending};
use super::judge::Judge;
use super::memory::Budget;
use super::origin::Origin;
use super::queues::{Queues, Target};
use crate::export::Preparation;
use crate::spool::{
    self, Account, Counter, Discarded, FrameKind, Outbox, Parcel, RunDirectory, Totals, Trouble, counted,
};

/// So many runs are worked on at the same time.
const AT_ONCE: usize = 8;

/// Records are put together in steps of so many bytes.
const STEP: usize = 256 * 1024;

/// A run of which something is being delivered.
struct Adopted {
    directory: RunDirectory,
    outbox: Outbox,
    account: Arc<Account>,
    parcels: Vec<Rc<Parcel>>,
    /// Before this sidecar came.
    before: Done,
    /// All that is in it could be opened. Else it is not for us to delete.
    is_whole: bool,
}

/// What became of spans of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// What every receiver has that is sent it.
    pub delivered: u64,
    /// What no receiver is sent, as it was not sampled.
    pub sampled_out: u64,
    /// What no receiver will take.
    pub dropped: u64,
}

impl Done {
    fn of(account: &Account) -> Done {
        let [delivered, sampled_out, dropped] =
            [Counter::Delivered, Counter::SampledOut, Counter::Dropped].map(|counter| account.get(counter));
        Done { delivered, sampled_out, dropped }
    }

    /// Whether there is none.
    pub fn is_nothing(&self) -> bool {
        *self == Done::default()
    }
}

/// For people.
impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "delivered {}", counted(self.delivered, "span"))?;
        if self.sampled_out > 0 {
            write!(f, ", {} not sampled", counted(self.sampled_out, "span"))?;
        }
        if self.dropped > 0 {
            write!(f, ", dropped {}", counted(self.dropped, "span"))?;
        }
        Ok(())
    }
}

/// The runs that were left behind, as far as this sidecar has to do with them.
pub struct Leftovers {
    /// Not looked at yet.
    paths: VecDeque<PathBuf>,
    adopted: Vec<Adopted>,
    /// Somebody is at work on them.
    busy: Vec<PathBuf>,
    /// All that were looked at, and are not busy.
    seen: HashSet<PathBuf>,
    ended: Ended,
}

/// What became of what earlier runs have left.
#[derive(Debug, Default)]
pub struct Ended {
    /// Of spans.
    pub done: Done,
    /// How many were dropped of each run.
    pub dropped: HashMap<PathBuf, u64>,
    /// What could not be read, or is lost, for people.
    pub complaints: Vec<String>,
}

impl Ended {
    /// Lets go of a run, and counts what became of it.
    fn count(&mut self, run: Adopted) {
        let done = run.done();
        self.done.delivered += done.delivered;
        self.done.sampled_out += done.sampled_out;
        self.done.dropped += done.dropped;
        *self.dropped.entry(run.directory.path().to_owned()).or_default() += done.dropped;
        run.finish();
    }

    fn tell(&mut self, troubles: &[Trouble]) {
        for line in spool::told(troubles) {
            tracing::error!("{line}");
            self.complaints.push(line);
        }
    }

    /// Something is lost that no error tells of.
    fn complain(&mut self, line: String) {
        tracing::warn!("{line}");
        self.complaints.push(line);
    }
}

impl Leftovers {
    /// All that is in the spool but for the run in `own`.
    pub fn find(spool: Option<&Path>, own: Option<&Path>) -> Leftovers {
        let mut ended = Ended::default();
        let paths = spool.map(|spool| {
            spool::runs(spool).unwrap_or_else(|error| {
                ended.tell(&Vec::from_iter(Trouble::of(spool, &error)));
                Vec::new()
            })
        });
        let paths = paths.unwrap_or_default().into_iter().filter(|path| Some(path.as_path()) != own).collect();
        Leftovers { paths, adopted: Vec::new(), busy: Vec::new(), seen: HashSet::new(), ended }
    }

    /// Lets go of the runs that are done, and takes over the next ones.
    pub async fn work(&mut self, queues: &Queues, config: &Config) {
        let (done, adopted): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.adopted).into_iter().partition(Adopted::is_done);
        self.adopted = adopted;
        done.into_iter().for_each(|run| self.ended.count(run));
        while self.adopted.len() < AT_ONCE
            && let Some(path) = self.paths.pop_front()
        {
            let adopted = RunDirectory::adopt(&path);
            if adopted.as_ref().err().is_none_or(|error| error.kind() != io::ErrorKind::WouldBlock) {
                self.seen.insert(path.clone());
            }
            match adopted {
                Ok(directory) => {
                    let run = Adopted::open(directory, &path, queues, config, &mut self.ended).await;
                    self.adopted.extend(run);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.busy.push(path),
                Err(error) => self.ended.tell(&Vec::from_iter(Trouble::of(&path, &error))),
            }
        }
    }

    /// Goes back to the runs that somebody was at work on, and to those that have come to the spool meanwhile; gives whether
    /// there are any but for those that `goes_on` tells of.
    pub fn look_again(&mut self, spool: &Path, mut goes_on: impl FnMut(&Path) -> bool) -> bool {
        self.busy.clear();
        // What cannot be read was told at the first look.
        let there = spool::runs(spool).unwrap_or_default();
        self.paths = there.into_iter().filter(|path| !self.seen.contains(path)).collect();
        // All are looked at, whatever comes of the first.
        self.paths.iter().filter(|path| !goes_on(path)).count() > 0
    }

    /// Whether nothing is left that could be done.
    pub fn is_idle(&self) -> bool {
        self.paths.is_empty() && self.adopted.iter().all(Adopted::is_done)
    }

    /// Leaves what could not be delivered to the next sidecar.
    pub fn end(mut self) -> Ended {
        for run in std::mem::take(&mut self.adopted) {
            self.ended.count(run);
        }
        self.ended
    }
}

impl Adopted {
    /// Takes a run over, if anything in it can be sent; hands that to the queues.
    ///
    /// What cannot be opened or is of another release may be read another time, by somebody else: then only the payloads
    /// that can be read are sent, each of which is settled in its place. Of its records spans would be sent twice, or
    /// in part.
    async fn open(
        directory: RunDirectory,
        path: &Path,
        queues: &Queues,
        config: &Config,
        ended: &mut Ended,
    ) -> Option<Adopted> {
        let account = match Account::open(path) {
            Ok(Some(account)) => Arc::new(account),
            Ok(None) => Arc::new(Account::begin(Some(path)).ok()?),
            Err(error) => {
                ended.tell(&Vec::from_iter(Trouble::of(&path.join(spool::ACCOUNT), &error)));
                return None;
            }
        };
        let bound = super::flush::spool_bound(config);
        let found = Outbox::adopt(path, bound, queues.destinations(), Arc::clone(&account));
        let before = Done::of(&account);
        let mut troubles = found.troubles;
        // Looked at before, as none of it is to be sent if not all of it can be read.
        troubles.extend(spool::old_records(path, |_| {}));
        ended.tell(&troubles);
        let is_whole = troubles.iter().all(Trouble::is_damage);
        let (outbox, parcels) = (found.outbox, found.waiting);
        let mut run = Adopted { directory, outbox, account, parcels, before, is_whole };
        let places: Vec<Option<usize>> =
            run.outbox.destinations().0.iter().map(|(format, name)| queues.for_earlier(*format, name)).collect();
        let targets: Vec<Target> = run
            .outbox
            .destinations()
            .0
            .iter()
            .zip(&places)
            .map(|((format, _), place)| place.and_then(|p| queues.target(p)).unwrap_or(Target::unknown(*format)))
            .collect();
        if targets.is_empty() {
            return None;
        }
        if is_whole {
            if run.account.get(Counter::SidecarPid) != 0 {
                ended.complain(format!(
                    "the sidecar of an earlier run was ended from outside; what its processes recorded after that is lost ({})",
                    path.display()
                ));
            }
            ended.tell(&run.put_together(path, &found.moved, &targets, config));
        }
        tokio::task::yield_now().await;
        let mut sent = 0;
        for parcel in &run.parcels {
            if let Some(place) = places.get(parcel.destination).copied().flatten() {
                queues.push(place, Rc::clone(parcel));
                sent += 1;
            }
        }
        if sent == 0 && (!run.parcels.is_empty() || !run.is_whole) {
            ended.count(run);
            return None;
        }
        let waiting = counted(run.account.waiting(), "span");
        tracing::info!("delivering what waits in {}: {waiting}", path.display());
        run.parcels
            .retain(|parcel| !parcel.is_settled() && places.get(parcel.destination).copied().flatten().is_some());
        Some(run)
    }

    /// Puts together what its records tell of spans that are not among the `moved`, and keeps it as payloads. Gives what
    /// can be opened no longer.
    fn put_together(&mut self, path: &Path, moved: &HashSet<u64>, targets: &[Target], config: &Config) -> Vec<Trouble> {
        let mut recorded = self.account.done().saturating_add(spool::spans_of(&self.parcels));
        let was_killed = self.account.get(Counter::SidecarPid) != 0;
        self.account.set(Counter::SidecarPid, 0);
        let mut story = Story::new(config);
        let mut step = 0;
        let mut batches = Vec::new();
        // Moved spans are known, so that it does not matter which step they come in.
        let mut troubles = spool::old_records(path, |frame| {
            step += frame.payload.len();
            story.feed(frame);
            if step >= STEP {
                step = 0;
                batches.extend(story.collect(moved, false));
                batches.extend(story.make_room(moved, &self.account));
            }
            for batch in batches.drain(..) {
                recorded = recorded.saturating_add(crate::export::Batch::spans(&batch));
                let none = BTreeSet::new();
                self.parcels.extend(groups::keep(&mut self.outbox, batch, targets, &none, &self.account));
            }
        });
        for batch in story.end(moved) {
            recorded = recorded.saturating_add(batch.spans());
            let none = BTreeSet::new();
            self.parcels.extend(groups::keep(&mut self.outbox, batch, targets, &none, &self.account));
        }
        // It was looked at before, and is not again what it was.
        troubles.retain(|trouble| !trouble.is_damage());
        self.is_whole = troubles.is_empty();
        if !self.is_whole {
            return troubles;
        }
        troubles.extend(story.malformed(path));
        // What its sidecar had no time to count.
        let given_up = story.given_up().saturating_sub(self.account.get(Counter::GivenUp));
        self.account.add(Counter::Dropped, given_up);
        self.account.add(Counter::GivenUp, given_up);
        recorded = recorded.saturating_add(given_up);
        if was_killed {
            // Else the sidecar itself has counted them.
            self.account.add(Counter::LostInSpool, story.malformed_records());
        }
        let lost = self.account.get(Counter::Recorded).saturating_sub(recorded);
        if lost > 0 {
            let what = format!("{lost} spans that were recorded cannot be found any more; they are dropped");
            troubles.push(Trouble::damage(path, what));
            self.account.add(Counter::Dropped, lost);
        }
        // What was counted last before the sidecar's death may not have been counted everywhere.
        self.account.set(Counter::Recorded, recorded + lost);
        troubles
    }

    /// Whether all is settled that there is a receiver for.
    fn is_done(&self) -> bool {
        self.parcels.iter().all(|parcel| parcel.is_settled())
    }

    /// What became of its spans since it was taken over.
    fn done(&self) -> Done {
        let now = Done::of(&self.account);
        Done {
            delivered: now.delivered.wrapping_sub(self.before.delivered),
            sampled_out: now.sampled_out.wrapping_sub(self.before.sampled_out),
            dropped: now.dropped.wrapping_sub(self.before.dropped),
        }
    }

    fn finish(mut self) {
        if self.is_whole && self.account.waiting() == 0 {
            Totals::take_in(self.directory, &self.account.counts());
        } else {
            if !self.outbox.store(true) && self.is_whole {
                // All that its records tell of is in the outbox, also what of it is delivered by now.
                spool::let_old_records_go(self.directory.path());
                if !self.outbox.store(false) {
                    let lost = self.outbox.drop_homeless();
                    tracing::error!("{} that find no room on disk are dropped", counted(lost, "span"));
                }
            }
            self.outbox.leave();
        }
    }
}

/// What the records of an earlier run tell.
pub struct Story<'a> {
    config: &'a Config,
    budget: Budget,
    assembler: Option<Assembler>,
    preparation: Preparation,
    pending: Pending,
}

impl<'a> Story<'a> {
    /// Nothing yet. Traces that nobody has decided about are decided by the configuration.
    pub fn new(config: &'a Config) -> Story<'a> {
        Story {
            config,
            budget: Budget::of(config.memory_max_bytes),
            assembler: None,
            preparation: Preparation::new(config),
            pending: Pending::default(),
        }
    }

    /// Takes in a frame.
    pub fn feed(&mut self, frame: spool::Frame<'_>) {
        match (&mut self.assembler, frame.kind) {
            (Some(assembler), _) => {
                assembler.feed(frame);
            }
            (none, FrameKind::Origin) => {
                if let Some(origin) = Origin::parse(frame.payload) {
                    let policy = Policy { partial_flush: None, hold_processes: false };
                    let judge = Judge::new(&self.config.sampling, Rc::default());
                    *none = Some(Assembler::new(policy, origin.clock_offset, Arc::new(origin.resource), judge));
                }
            }
            (None, _) => {}
        }
    }

    /// What is finished by now, but for spans that are delivered already or wait among the payloads.
    fn collect(&mut self, moved: &HashSet<u64>, is_end: bool) -> Vec<crate::export::Batch> {
        let Some(assembler) = &mut self.assembler else { return Vec::new() };
        let chunks = if is_end { assembler.end() } else { assembler.collect(monotonic_ns()) };
        self.put(chunks, moved);
        std::iter::from_fn(|| self.pending.take(is_end)).collect()
    }

    /// Where memory is short: what is finished, and what is open for longest, an eighth at a time.
    fn make_room(&mut self, moved: &HashSet<u64>, account: &Account) -> Vec<crate::export::Batch> {
        let Some(assembler) = self.assembler.as_mut().filter(|_| self.budget.is_exceeded()) else { return Vec::new() };
        let cut = assembler.cut_oldest(monotonic_ns()).unwrap_or(0);
        account.add(Counter::CutShort, cut);
        let chunks = assembler.hand_on_finished(monotonic_ns());
        self.put(chunks, moved);
        std::iter::from_fn(|| self.pending.take(true)).collect()
    }

    fn put(&mut self, chunks: Vec<TraceChunk>, moved: &HashSet<u64>) {
        for mut chunk in chunks {
            chunk.spans.retain(|span| !moved.contains(&span.span_id.0));
            self.preparation.apply(&mut chunk);
            if !chunk.spans.is_empty() {
                self.pending.push(chunk);
            }
        }
    }

    /// How many spans were given up in it, as processes were no spans any more.
    fn given_up(&mut self) -> u64 {
        self.assembler.as_mut().and_then(Assembler::take_given_up).map_or(0, |(_, count)| count)
    }

    fn malformed_records(&self) -> u64 {
        self.assembler.as_ref().map_or(0, |assembler| assembler.malformed)
    }

    /// What there is to say of records that could not be read, if any.
    pub fn malformed(&self, path: &Path) -> Option<Trouble> {
        let malformed = self.malformed_records();
        let records = if malformed == 1 { "1 record".to_owned() } else { format!("{malformed} records") };
        (malformed > 0).then(|| Trouble::damage(path, format!("{records} in it cannot be read")))
    }

    /// All that is left.
    pub fn end(&mut self, moved: &HashSet<u64>) -> Vec<crate::export::Batch> {
        self.collect(moved, true)
    }
}

/// Deletes the oldest runs until the others take at most `bound` bytes.
pub fn keep_within(spool: &Path, bound: u64) {
    let mut kept = 0;
    for path in spool::runs(spool).unwrap_or_default().into_iter().rev() {
        // One that a sidecar is at work on is that sidecar's to bound.
        let Ok(run) = RunDirectory::adopt(&path) else { continue };
        kept += taken(&path);
        if kept > bound {
            let counts = Account::open(&path).ok().flatten().map(|account| account.counts());
            let waiting = counts.map(|counts| counts.waiting());
            tracing::error!(
                "the spool is full: {} spans that no receiver took are dropped with {}",
                waiting.map_or("an unknown number of".to_owned(), |waiting| waiting.to_string()),
                path.display()
            );
            if let Err(error) = Discarded::add(spool, waiting.unwrap_or_default()) {
                tracing::warn!("`ddtrace-run status` will not count them: {}: {error}", spool.display());
            }
            match counts {
                Some(counts) => Totals::take_in(run, &counts.given_up()),
                None => run.remove(),
            }
        }
    }
}

/// Bytes of disk that the files of a run take. They may be far longer: a sidecar that was killed had no time to cut them.
fn taken(run: &Path) -> u64 {
    let files = std::fs::read_dir(run).into_iter().flatten().flatten();
    files.filter_map(|file| Some(file.metadata().ok()?.blocks() * 512)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_of_the_disk_that_is_taken() {
        let spool = tempfile::tempdir().unwrap();
        for name in ["1-1", "2-1", "3-1"] {
            let run = spool.path().join(name);
            std::fs::create_dir(&run).unwrap();
            let file = std::fs::File::create(run.join("records-00000001.seg")).unwrap();
            std::io::Write::write_all(&mut &file, &[1; 100_000]).unwrap();
            file.set_len(64 << 20).unwrap();
        }
        keep_within(spool.path(), 1 << 20);
        assert_eq!(spool::runs(spool.path()).unwrap().len(), 3);
        let account = Account::begin(Some(&spool.path().join("1-1"))).unwrap();
        account.add(Counter::Recorded, 7);
        account.add(Counter::Delivered, 2);
        keep_within(spool.path(), 250_000);
        assert_eq!(spool::runs(spool.path()).unwrap(), [spool.path().join("2-1"), spool.path().join("3-1")]);
        assert_eq!(Discarded::of(spool.path()).unwrap(), Discarded { runs: 1, spans: 5 });
        let status = spool::Status::of(spool.path(), |_, _| (0, Vec::new()));
        assert!(status.text().contains("5 spans of the oldest run so far were dropped"), "{}", status.text());
        assert!(status.metrics().contains("\nddtrace_run_spool_spans_discarded_total 5\n"), "{}", status.metrics());
    }
}
