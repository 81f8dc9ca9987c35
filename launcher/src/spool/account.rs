//! The account of a run: a page of counters that outlives its sidecar, and that others may look at.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use memmap2::{MmapOptions, MmapRaw};

use super::directory::is_at;
use super::trouble;

const MAGIC: u64 = 0x7463_615f_6474_6464;
/// 2 since what was not sampled is counted apart: a release that does not know of it would take it for lost.
const VERSION: u64 = 2;
/// What is written since then is zero in it.
const OLDEST_VERSION: u64 = 1;
const SIZE: usize = 4096;
/// The name of its file in the run's directory.
pub const FILE_NAME: &str = "account";

/// What is counted. The number is part of the format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Counter {
    /// Spans that came to be.
    Recorded = 0,
    /// Spans that every receiver has that is sent them.
    Delivered = 1,
    /// Spans that were given up, with a reason in the log.
    Dropped = 2,
    /// Records that processes could not write.
    LostInProcesses = 3,
    /// Records that could not be kept, or not be read.
    LostInSpool = 4,
    /// Requests that were sent to receivers.
    Requests = 5,
    /// Those of them that are to be tried again.
    Retries = 6,
    /// Bytes of payloads that were sent, before compression.
    SentBytes = 7,
    /// Processes that have connected.
    Processes = 8,
    /// Bytes of records that were read from processes.
    RecordBytes = 9,
    /// The sidecar's process id, 0 after its end.
    SidecarPid = 10,
    /// Spans that were handed on before their end, as memory was short.
    CutShort = 11,
    /// Spans that their programs have taken back.
    Withdrawn = 12,
    /// Spans that no receiver is sent, since their trace was decided against.
    SampledOut = 13,
    /// Those of the dropped ones that are processes of what has proved to be a service.
    GivenUp = 14,
    /// 1 while the sidecar knows of no process that lives: what is left is to be delivered, if none comes.
    Over = 15,
    /// When the sidecar last began to look at what has happened, and has seen all of that, `CLOCK_MONOTONIC` nanoseconds.
    Looked = 16,
    /// 1 when the command's first process is gone.
    CommandOver = 17,
    /// Those of the waiting spans that have not ended.
    Open = 18,
}

impl Counter {
    /// All for metrics, with their names and what they mean.
    pub const METRICS: [(Counter, &'static str, &'static str); 14] = [
        (Counter::Recorded, "spans_recorded", "Spans that came to be"),
        (Counter::Delivered, "spans_delivered", "Spans that every receiver has that is sent them"),
        (Counter::SampledOut, "spans_sampled_out", "Spans that no receiver is sent, as their trace was not sampled"),
        (Counter::Dropped, "spans_dropped", "Spans that were given up"),
        (
            Counter::GivenUp,
            "spans_given_up",
            "Those of the dropped ones that are processes of what proved to be a service",
        ),
        (Counter::Withdrawn, "spans_withdrawn", "Spans that their programs have taken back"),
        (Counter::LostInProcesses, "records_lost_in_processes", "Records that processes could not write"),
        (Counter::LostInSpool, "records_lost_in_spool", "Records that could not be kept or read"),
        (Counter::CutShort, "spans_cut_short", "Spans that were handed on before their end, as memory was short"),
        (Counter::Requests, "requests", "Requests sent to receivers"),
        (Counter::Retries, "retries", "Requests that are to be tried again"),
        (Counter::SentBytes, "sent_bytes", "Bytes of payloads sent, before compression"),
        (Counter::Processes, "processes", "Processes that have connected"),
        (Counter::RecordBytes, "record_bytes", "Bytes of records read from processes"),
    ];
}

/// There is room for so many.
const COUNTERS: usize = 24;

#[repr(C)]
struct Page {
    magic: AtomicU64,
    version: AtomicU64,
    counters: [AtomicU64; COUNTERS],
}

/// The counters of one run. Every span that was recorded is delivered, not sampled, dropped, withdrawn, or still
/// waiting.
pub struct Account {
    place: RwLock<Place>,
}

/// Where they are.
struct Place {
    map: MmapRaw,
    /// The file's, when it was made.
    file: Option<Metadata>,
}

impl Place {
    fn in_memory() -> io::Result<Place> {
        Ok(Place { map: memmap2::MmapMut::map_anon(SIZE)?.into(), file: None })
    }

    /// All zero, in a file. Where there is no room for it, none is left: it would say that there is nothing to be counted.
    fn on_disk(directory: &Path) -> io::Result<Place> {
        let path = directory.join(FILE_NAME);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        // Written rather than stretched: a full disk is an error here, not SIGBUS later.
        let written = io::Write::write_all(&mut &file, &[0u8; SIZE]);
        let made = written.and_then(|()| Place::of(&file));
        if made.is_err() {
            let _ = std::fs::remove_file(&path);
        }
        made
    }

    fn of(file: &File) -> io::Result<Place> {
        Ok(Place { map: MmapOptions::new().len(SIZE).map_raw(file)?, file: Some(file.metadata()?) })
    }

    fn page(&self) -> &Page {
        // SAFETY: the mapping is a whole, aligned page, and the struct is made of atomics only.
        unsafe { &*self.map.as_ptr().cast::<Page>() }
    }

    /// What was counted before is in it.
    fn begin(&self) {
        self.page().version.store(VERSION, Ordering::Relaxed);
        self.page().magic.store(MAGIC, Ordering::Release);
    }
}

impl Account {
    /// Begins one in the run's directory, or in memory.
    pub fn begin(directory: Option<&Path>) -> io::Result<Account> {
        let place = match directory.map(Place::on_disk) {
            Some(Ok(place)) => place,
            _ => Place::in_memory()?,
        };
        place.begin();
        Ok(Account { place: RwLock::new(place) })
    }

    /// Whether it was made in a file.
    pub fn is_on_disk(&self) -> bool {
        self.place().file.is_some()
    }

    /// Sees to it that it is in the run's directory, with all that was counted by now: there may have been no room for it,
    /// or somebody has deleted it.
    ///
    /// # Errors
    /// It cannot be made there; it goes on where it is.
    pub fn keep_in(&self, directory: &Path) -> io::Result<()> {
        let path = directory.join(FILE_NAME);
        if self.place().file.as_ref().is_some_and(|file| is_at(&path, file)) {
            return Ok(());
        }
        let place = Place::on_disk(directory)?;
        // Nobody counts meanwhile.
        let mut current = self.place.write().unwrap_or_else(PoisonError::into_inner);
        for (counter, new) in current.page().counters.iter().zip(&place.page().counters) {
            new.store(counter.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        place.begin();
        *current = place;
        Ok(())
    }

    /// Opens that of a run, to go on with it; `None` where there is none, or it was not begun or is damaged.
    ///
    /// # Errors
    /// There is one that cannot be opened, or it is of another release: it is not to be written over.
    pub fn open(directory: &Path) -> io::Result<Option<Account>> {
        let file = match OpenOptions::new().read(true).write(true).open(directory.join(FILE_NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        if file.metadata()?.len() < SIZE as u64 {
            return Ok(None);
        }
        let place = Place::of(&file)?;
        let page = place.page();
        match (page.magic.load(Ordering::Acquire), page.version.load(Ordering::Relaxed)) {
            (MAGIC, OLDEST_VERSION..=VERSION) => Ok(Some(Account { place: RwLock::new(place) })),
            (MAGIC, _) => Err(trouble::of_another_version()),
            _ => Ok(None),
        }
    }

    fn place(&self) -> RwLockReadGuard<'_, Place> {
        self.place.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a counter says.
    pub fn get(&self, counter: Counter) -> u64 {
        self.place().page().counters[counter as usize].load(Ordering::Relaxed)
    }

    /// Counts.
    pub fn add(&self, counter: Counter, count: u64) {
        self.place().page().counters[counter as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// Sets what a counter says.
    pub fn set(&self, counter: Counter, value: u64) {
        self.place().page().counters[counter as usize].store(value, Ordering::Relaxed);
    }

    /// All of them at one moment.
    pub fn counts(&self) -> Counts {
        let (mut counts, place) = ([0; COUNTERS], self.place());
        let all = place.page().counters.iter().zip(&mut counts).enumerate();
        for (_, (counter, count)) in all.filter(|(index, _)| *index != Counter::Recorded as usize) {
            *count = counter.load(Ordering::Acquire);
        }
        // The last one, as each span is recorded before something becomes of it: so there are at least as many.
        counts[Counter::Recorded as usize] = place.page().counters[Counter::Recorded as usize].load(Ordering::Relaxed);
        Counts(counts)
    }

    /// Spans that wait for a receiver.
    pub fn waiting(&self) -> u64 {
        self.counts().waiting()
    }

    /// Spans of which it is known what became of them.
    pub fn done(&self) -> u64 {
        self.counts().done()
    }

    /// What became of all that was recorded, for people. `wait_for` is what there is to say of those that wait.
    pub fn told(&self, wait_for: &str) -> String {
        self.counts().told(wait_for)
    }
}

/// What an account says at one moment: it adds up, whatever the sidecar does meanwhile.
#[derive(Clone, Copy)]
pub struct Counts([u64; COUNTERS]);

impl Counts {
    /// What a counter says.
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// Spans that wait for a receiver.
    pub fn waiting(&self) -> u64 {
        self.get(Counter::Recorded).saturating_sub(self.done())
    }

    /// Whether the run was going on at a time, `CLOCK_MONOTONIC` nanoseconds: a process of it, and its sidecar. `None` where
    /// the sidecar has not looked since then.
    pub fn went_on_at(&self, time_ns: u64) -> Option<bool> {
        match (self.get(Counter::SidecarPid), self.get(Counter::Over)) {
            (0, _) | (_, 1..) => Some(false),
            _ => (self.get(Counter::Looked) > time_ns).then_some(true),
        }
    }

    /// Whether a run that goes on does so without its command, as something was left behind.
    pub fn is_left_behind(&self) -> bool {
        self.get(Counter::CommandOver) != 0
    }

    /// Spans that wait for a receiver, and not for their end.
    pub fn waiting_ended(&self) -> u64 {
        self.waiting().saturating_sub(self.get(Counter::Open))
    }

    /// Spans that were dropped though somebody wanted them: processes of what has proved to be a service are no loss.
    pub fn lost(&self) -> u64 {
        self.get(Counter::Dropped).saturating_sub(self.get(Counter::GivenUp))
    }

    /// What a run has counted that is dropped as it is.
    pub fn given_up(mut self) -> Counts {
        self.0[Counter::Dropped as usize] = self.get(Counter::Dropped).saturating_add(self.waiting());
        self
    }

    /// What a run of which so many spans are left, and no sidecar, has recorded: what was counted last before its sidecar's
    /// death need not have been counted everywhere.
    pub fn put_right(&mut self, left: u64) {
        self.0[Counter::Recorded as usize] = self.done().saturating_add(left);
    }

    /// Spans of which it is known what became of them. A disk may have put anything into the counters.
    pub fn done(&self) -> u64 {
        let done = [Counter::Delivered, Counter::SampledOut, Counter::Dropped, Counter::Withdrawn];
        done.into_iter().map(|counter| self.get(counter)).fold(0, u64::saturating_add)
    }

    /// What became of all that was recorded, for people. `wait_for` is what there is to say of those that wait.
    pub fn told(&self, wait_for: &str) -> String {
        let some = |counter, what| match self.get(counter) {
            0 => String::new(),
            count => format!(", {count} {what}"),
        };
        format!(
            "recorded {}: {} delivered{}{}, {} dropped, {} waiting{wait_for}; records lost in processes {}, in the spool {}",
            counted(self.get(Counter::Recorded), "span"),
            self.get(Counter::Delivered),
            some(Counter::SampledOut, "not sampled"),
            some(Counter::Withdrawn, "taken back"),
            self.get(Counter::Dropped),
            self.waiting(),
            self.get(Counter::LostInProcesses),
            self.get(Counter::LostInSpool),
        )
    }
}

/// A number of things with their name, for people.
pub fn counted(count: u64, name: &str) -> String {
    if count == 1 { format!("1 {name}") } else { format!("{count} {name}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_seen_by_others_and_outlives_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Account::open(directory.path()).unwrap().is_none());
        let account = Account::begin(Some(directory.path())).unwrap();
        account.add(Counter::Recorded, 5);
        account.add(Counter::Delivered, 2);
        account.add(Counter::Dropped, 1);
        let other = Account::open(directory.path()).unwrap().unwrap();
        assert_eq!(other.waiting(), 2);
        drop(account);
        let again = Account::open(directory.path()).unwrap().unwrap();
        assert_eq!(again.get(Counter::Recorded), 5);
        again.place().page().version.store(OLDEST_VERSION, Ordering::Relaxed);
        let old = Account::open(directory.path()).unwrap().unwrap();
        assert_eq!((old.waiting(), old.get(Counter::SampledOut)), (2, 0), "one of the release before is read");
        again.place().page().version.store(VERSION + 1, Ordering::Relaxed);
        assert!(Account::open(directory.path()).is_err());
        std::fs::write(directory.path().join(FILE_NAME), [1; 100]).unwrap();
        assert!(Account::open(directory.path()).unwrap().is_none());
    }

    #[test]
    fn the_account_that_is_told_adds_up() {
        let account = Account::begin(None).unwrap();
        account.add(Counter::Recorded, 1);
        let lost = "records lost in processes 0, in the spool 0";
        assert_eq!(account.told(" (x)"), format!("recorded 1 span: 0 delivered, 0 dropped, 1 waiting (x); {lost}"));
        account.add(Counter::Recorded, 14);
        let counters = [Counter::Delivered, Counter::SampledOut, Counter::Withdrawn, Counter::Dropped];
        counters.into_iter().zip([1, 2, 3, 4]).for_each(|(counter, count)| account.add(counter, count));
        let told = "1 delivered, 2 not sampled, 3 taken back, 4 dropped, 5 waiting";
        assert_eq!(account.told(""), format!("recorded 15 spans: {told}; {lost}"));
    }

    #[test]
    fn without_a_directory_memory_serves() {
        let account = Account::begin(Some(Path::new("/proc/nowhere"))).unwrap();
        account.add(Counter::Recorded, 1);
        assert_eq!(account.waiting(), 1);
    }

    #[test]
    fn what_was_counted_in_memory_or_in_a_deleted_file_comes_to_disk_when_there_is_room() {
        let directory = tempfile::tempdir().unwrap();
        let account = Account::begin(None).unwrap();
        account.keep_in(&directory.path().join("gone")).unwrap_err();
        for round in 1..4 {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| (0..1000).for_each(|_| account.add(Counter::Recorded, 1)));
                }
                account.keep_in(directory.path()).unwrap();
            });
            account.keep_in(directory.path()).unwrap();
            let other = Account::open(directory.path()).unwrap().unwrap();
            assert_eq!(other.waiting(), 4000 * round);
            std::fs::remove_file(directory.path().join(FILE_NAME)).unwrap();
        }
    }

    #[test]
    fn where_the_account_finds_no_room_no_empty_file_is_left() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", directory.path().join(FILE_NAME)).unwrap();
        let account = Account::begin(Some(directory.path())).unwrap();
        account.add(Counter::Recorded, 1);
        assert!(!account.is_on_disk());
        assert!(!directory.path().join(FILE_NAME).is_symlink());
        account.keep_in(directory.path()).unwrap();
        assert_eq!(Account::open(directory.path()).unwrap().unwrap().waiting(), 1);
    }
}
