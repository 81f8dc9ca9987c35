//! What the spool of a user holds, for whoever asks.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::account::{self, Account, Counter, Counts, counted};
use super::directory::{RunDirectory, runs};
use super::discarded::Discarded;
use super::outbox_reading;
use super::totals::Totals;
use super::trouble::{Trouble, told};

/// Metrics are called so, with the counter's name behind it.
const PREFIX: &str = "ddtrace_run_sidecar_";
/// The same, of the spool as a whole.
const SPOOL_PREFIX: &str = "ddtrace_run_spool_";

/// One run of which something is there.
struct Run {
    path: PathBuf,
    /// A sidecar is at work on it.
    is_running: bool,
    counts: Option<Counts>,
    /// Spans that wait, of whatever kind.
    waiting: u64,
    /// Receivers, and the spans that wait for each.
    destinations: Vec<(String, u64)>,
    /// What cannot be read of it.
    troubles: Vec<Trouble>,
    /// Spans of its account that cannot be found any more.
    lost: u64,
}

/// What the account of a run says; `None` where it has none, also as it is about to begin, or to be deleted.
pub fn counts(run: &Path) -> Option<Counts> {
    Some(Account::open(run).ok().flatten()?.counts())
}

/// When a run began, by its name.
pub fn begun(run: &Path) -> Option<SystemTime> {
    let micros = run.file_name()?.to_str()?.split_once('-')?.0.parse().ok()?;
    UNIX_EPOCH.checked_add(Duration::from_micros(micros))
}

/// Whether somebody has just begun to make the directory of a run, or to delete it: it has no account for an instant. One
/// whose account found no room stays without.
fn is_passing(path: &Path) -> bool {
    let has_account = || path.join(account::FILE_NAME).exists();
    for _ in 0..10 {
        if has_account() || !RunDirectory::is_taken(path).unwrap_or(false) {
            return !path.exists();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// What is in the spool.
pub struct Status {
    spool: PathBuf,
    runs: Vec<Run>,
    /// What cannot be read of the spool itself.
    troubles: Vec<Trouble>,
    /// What was dropped to make room.
    discarded: Discarded,
    /// What the runs have done that are gone.
    totals: Totals,
}

impl Status {
    /// Looks into the spool. `count_unsent` counts the spans in the records of a run that are not among those given, and
    /// gives what it cannot read of them.
    pub fn of(spool: &Path, count_unsent: impl Fn(&Path, &HashSet<u64>) -> (u64, Vec<Trouble>)) -> Status {
        let mut troubles = Vec::new();
        let totals = Totals::of(spool).unwrap_or_else(|error| {
            troubles.extend(Trouble::of(spool, &error));
            None
        });
        let (totals, held) = totals.unzip();
        let paths = runs(spool).unwrap_or_else(|error| {
            troubles.extend(Trouble::of(spool, &error));
            Vec::new()
        });
        let looked = paths.into_iter().filter_map(|path| {
            if is_passing(&path) {
                return None;
            }
            let is_running = match RunDirectory::is_taken(&path) {
                Ok(is_running) => is_running,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                // The files tell why it cannot be read.
                Err(_) => false,
            };
            let payloads = outbox_reading::look(&path);
            let mut troubles = payloads.troubles;
            let account = Account::open(&path).unwrap_or_else(|error| {
                troubles.extend(Trouble::of(&path.join(account::FILE_NAME), &error));
                None
            });
            let mut counts = account.map(|account| account.counts());
            if counts.is_none() && is_passing(&path) {
                return None;
            }
            let mut lost = 0;
            let waiting = match &counts {
                // Of one at work the account knows what is only begun yet.
                Some(counts) if is_running => counts.waiting(),
                _ => {
                    let (unsent, more) = count_unsent(&path, &payloads.moved);
                    troubles.extend(more);
                    let seen = payloads.spans + unsent;
                    // What is seen of what cannot all be read is too little, or the same spans twice.
                    let is_whole = troubles.iter().all(Trouble::is_damage);
                    let known = counts.as_ref().map_or(seen, Counts::waiting);
                    if is_whole {
                        lost = known.saturating_sub(seen);
                    }
                    if is_whole { seen } else { known }
                }
            };
            if let Some(counts) = counts.as_mut().filter(|_| !is_running) {
                counts.put_right(waiting + lost);
            }
            let destinations = payloads.destinations.into_iter().map(|(_, name, waiting)| (name, waiting));
            let destinations = destinations.filter(|(_, waiting)| *waiting > 0).collect();
            Some(Run { path, is_running, counts, waiting, destinations, troubles, lost })
        });
        let runs = looked.collect();
        drop(held);
        let discarded = Discarded::of(spool).unwrap_or_else(|error| {
            troubles.extend(Trouble::of(spool, &error));
            Discarded::default()
        });
        Status { spool: spool.to_owned(), runs, troubles, discarded, totals: totals.unwrap_or_default() }
    }

    /// Whether anything is left that cannot be read now, and may be later.
    pub fn leaves_unread(&self) -> bool {
        self.troubles.iter().chain(self.left().flat_map(|run| &run.troubles)).any(|trouble| !trouble.is_damage())
    }

    /// Spans that wait of runs that are over.
    pub fn left_behind(&self) -> u64 {
        self.left().map(|run| run.waiting).sum()
    }

    /// Spans that wait of runs that were over at a time, `CLOCK_MONOTONIC` nanoseconds, also where somebody is at work on them.
    pub fn of_the_past(&self, time_ns: u64) -> u64 {
        self.past(time_ns).map(|run| run.waiting).sum()
    }

    fn past(&self, time_ns: u64) -> impl Iterator<Item = &Run> {
        let went_on = move |run: &&Run| run.counts.as_ref().and_then(|counts| counts.went_on_at(time_ns)) == Some(true);
        self.runs.iter().filter(move |run| !run.is_running || !went_on(run))
    }

    /// The receivers that these wait for, and those that what waits of some other runs is for.
    pub fn wait_for(&self, time_ns: u64, others: &[PathBuf]) -> BTreeSet<String> {
        let others = self.runs.iter().filter(|run| others.contains(&run.path));
        self.past(time_ns).chain(others).flat_map(|run| &run.destinations).map(|(name, _)| name.clone()).collect()
    }

    fn left(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| !run.is_running)
    }

    /// Whether somebody is at work on any.
    pub fn has_running(&self) -> bool {
        self.runs.iter().any(|run| run.is_running)
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let left: Vec<&Run> = self
            .left()
            .filter(|run| run.waiting + run.lost > 0 || run.was_killed() || !run.troubles.is_empty())
            .collect();
        for line in told(&self.troubles) {
            let _ = writeln!(text, "{line}");
        }
        if self.left_behind() == 0 && !self.leaves_unread() {
            let _ = writeln!(text, "nothing waits in {}", self.spool.display());
        } else {
            let wait = if self.left_behind() == 1 { "waits" } else { "wait" };
            let _ = writeln!(text, "{} {wait} in {}:", spans(self.left_behind()), self.spool.display());
        }
        for run in left {
            let since = run.begun().map(|time| format!(" of a run that began at {time}")).unwrap_or_default();
            let _ = writeln!(text, "  {}{since}{}", spans(run.waiting), run.wait_for());
            if run.was_killed() {
                let _ =
                    writeln!(text, "    its sidecar was killed: what its processes have recorded since then is lost");
            }
            for line in told(&run.troubles) {
                let _ = writeln!(text, "    {line}");
            }
            let dropped = run.counts.as_ref().map_or(0, Counts::lost);
            if dropped > 0 {
                let _ =
                    writeln!(text, "    {} more that it had recorded were dropped; the log says why", spans(dropped));
            }
            if run.lost > 0 {
                let _ = writeln!(text, "    {} more that it had recorded cannot be found any more", spans(run.lost));
            }
        }
        if self.discarded != Discarded::default() {
            let Discarded { runs, spans: dropped } = self.discarded;
            let of = if runs == 1 { "the oldest run".to_owned() } else { format!("the {runs} oldest runs") };
            let were = if dropped == 1 { "was" } else { "were" };
            let _ = writeln!(text, "{} of {of} so far {were} dropped, as the spool was full", spans(dropped));
        }
        let dropped = self.totals.lost().saturating_sub(self.discarded.spans);
        if dropped > 0 {
            let _ = writeln!(text, "{} of runs that are over so far were dropped; the log says why", spans(dropped));
        }
        for run in self.runs.iter().filter(|run| run.is_running) {
            let Some(counts) = &run.counts else {
                let waiting = spans(run.waiting);
                let _ =
                    writeln!(text, "a sidecar without room for its account on disk: {waiting} seen{}", run.wait_for());
                continue;
            };
            let who = match counts.get(Counter::SidecarPid) {
                0 => "a run that is being delivered".to_owned(),
                pid => format!("sidecar {pid}"),
            };
            let _ = writeln!(text, "{who}: {}", counts.told(&run.wait_for()));
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> String {
        let runs = self.runs.iter().map(|run| {
            let counters = run.counts.as_ref().map(|counts| {
                let named = Counter::METRICS.iter().map(|(counter, name, _)| ((*name).to_owned(), counts.get(*counter).into()));
                serde_json::Value::Object(named.collect())
            });
            json!({
                "directory": run.path.display().to_string(),
                "running": run.is_running,
                "sidecar_killed": run.was_killed(),
                "sidecar_pid": run.counts.as_ref().map(|counts| counts.get(Counter::SidecarPid)).filter(|pid| *pid != 0),
                "spans_waiting": run.waiting,
                "spans_lost": run.lost,
                "unreadable": told(&run.troubles),
                "destinations": run.destinations.iter()
                    .map(|(name, waiting)| json!({"name": name, "spans_waiting": waiting})).collect::<Vec<_>>(),
                "counters": counters,
            })
        });
        let status = json!({
            "spool": self.spool.display().to_string(),
            "spans_waiting": self.left_behind(),
            "spans_discarded": self.discarded.spans,
            "runs_discarded": self.discarded.runs,
            "runs": runs.collect::<Vec<_>>(),
            "of_runs_gone": Counter::METRICS.iter()
                .map(|(counter, name, _)| ((*name).to_owned(), self.totals.get(*counter).into()))
                .collect::<serde_json::Map<_, _>>(),
        });
        let mut text = serde_json::to_string_pretty(&status).unwrap_or_default();
        text.push('\n');
        text
    }

    /// As Prometheus reads it: the counters of each run that is there and those of all that are gone, which add up to what
    /// never becomes less; and what waits.
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        let known = || self.runs.iter().filter_map(|run| Some((run, run.counts.as_ref()?)));
        for (counter, name, help) in Counter::METRICS {
            let _ = writeln!(text, "# HELP {PREFIX}{name}_total {help}.\n# TYPE {PREFIX}{name}_total counter");
            for (run, counts) in known() {
                let _ = writeln!(text, "{PREFIX}{name}_total{{run=\"{}\"}} {}", run.name(), counts.get(counter));
            }
            let _ = writeln!(text, "{PREFIX}{name}_total{{run=\"gone\"}} {}", self.totals.get(counter));
        }
        let _ = writeln!(text, "# HELP {PREFIX}spans_waiting Spans that wait for a receiver.");
        let _ = writeln!(text, "# TYPE {PREFIX}spans_waiting gauge");
        // Of one at work that has no account on disk nobody knows how many wait.
        for run in self.runs.iter().filter(|run| !run.is_running || run.counts.is_some()) {
            let _ = writeln!(text, "{PREFIX}spans_waiting{{run=\"{}\"}} {}", run.name(), run.waiting);
        }
        let help = "Spans that were dropped with the oldest runs, as the spool was full.";
        let _ = writeln!(text, "# HELP {SPOOL_PREFIX}spans_discarded_total {help}");
        let _ = writeln!(text, "# TYPE {SPOOL_PREFIX}spans_discarded_total counter");
        let _ = writeln!(text, "{SPOOL_PREFIX}spans_discarded_total {}", self.discarded.spans);
        text
    }
}

impl Run {
    /// Whether its sidecar had no time to leave.
    fn was_killed(&self) -> bool {
        !self.is_running && self.counts.as_ref().is_some_and(|counts| counts.get(Counter::SidecarPid) != 0)
    }

    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().replace(['"', '\\', '\n'], "_")
    }

    fn begun(&self) -> Option<String> {
        begun(&self.path).map(httpdate::fmt_http_date)
    }

    fn wait_for(&self) -> String {
        let names: Vec<String> =
            self.destinations.iter().map(|(name, spans)| format!("{spans} for the {name}")).collect();
        if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
    }
}

fn spans(count: u64) -> String {
    counted(count, "span")
}

#[cfg(test)]
mod tests {
    use super::super::{Destinations, Outbox};
    use super::*;
    use crate::export::Format;
    use std::sync::Arc;

    #[test]
    fn what_waits_and_what_runs_are_told_apart() {
        let spool = tempfile::tempdir().unwrap();
        assert!(Status::of(spool.path(), |_, _| (0, Vec::new())).text().starts_with("nothing waits in "));
        let destinations = Destinations(vec![(Format::Datadog, "Datadog Agent at x".to_owned())]);
        let make = |recorded: u64| {
            let run = RunDirectory::create(spool.path()).unwrap();
            let account = Arc::new(Account::begin(Some(run.path())).unwrap());
            account.add(Counter::Recorded, recorded);
            let mut outbox = Outbox::new(
                Some(run.path()),
                crate::spool::Bound { on_disk: 16 << 20, in_memory: 16 << 20 },
                destinations.clone(),
                Arc::clone(&account),
            );
            outbox.push(&[1, 2], &[(0, b"x".to_vec())], &BTreeSet::new()).unwrap();
            (run, account)
        };
        let (left, _) = make(3);
        drop(left);
        let (_running, account) = make(5);
        account.set(Counter::SidecarPid, 4711);
        let status = Status::of(spool.path(), |_, moved| (moved.len() as u64 / 2, Vec::new()));
        assert_eq!(status.left_behind(), 3);
        let text = status.text();
        assert!(text.starts_with("3 spans wait in "), "{text}");
        assert!(text.contains("(2 for the Datadog Agent at x)\n"), "{text}");
        assert!(text.contains("sidecar 4711: recorded 5 spans: 0 delivered, 0 dropped, 5 waiting"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&status.json()).unwrap();
        assert_eq!((&json["spans_waiting"], &json["runs"][1]["counters"]["spans_recorded"]), (&3.into(), &5.into()));
        let metrics = status.metrics();
        assert_eq!(metrics.lines().filter(|line| line.starts_with("ddtrace_run_sidecar_spans_waiting{")).count(), 2);
        assert!(metrics.contains("ddtrace_run_sidecar_spans_recorded_total{run=\""), "{metrics}");
    }
}
