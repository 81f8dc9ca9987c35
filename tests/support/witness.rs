//! The processes of a run as `strace` saw them: a witness that knows nothing of this project.

use crate::outcome::Outcome;
use crate::process::{End, Process};
use crate::sandbox::Sandbox;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What was seen of one process.
#[derive(Clone, Debug, Default)]
struct Seen {
    parent: Option<u32>,
    /// How often the creator had executed a program when it created this process.
    parents_execs: usize,
    /// The paths it executed, one after the other.
    execs: Vec<PathBuf>,
    end: Option<End>,
}

/// The account that `strace` gave of a run.
#[derive(Debug)]
pub struct Witness {
    root: u32,
    seen: BTreeMap<u32, Seen>,
    /// What relative paths are relative to.
    directory: PathBuf,
}

/// Runs a command of the sandbox below `strace`.
///
/// # Panics
/// When `strace` cannot be run.
pub fn watch(sandbox: &Sandbox, command: &Command) -> (Outcome, Witness) {
    let log = sandbox.path().join("strace.log");
    let mut argv: Vec<OsString> = ["strace", "-f", "-y", "-e", "trace=process", "-o"].map(Into::into).into();
    argv.push(log.clone().into());
    argv.push(command.get_program().to_owned());
    argv.extend(command.get_args().map(ToOwned::to_owned));
    let mut under = sandbox.bare(&argv);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => under.env(name, value),
            None => under.env_remove(name),
        };
    }
    let directory = command.get_current_dir().map_or_else(|| sandbox.work(), Path::to_owned);
    under.current_dir(&directory);
    let outcome = Outcome::of(&mut under);
    let text = fs::read_to_string(&log).unwrap_or_else(|error| panic!("strace left no log ({error}): {outcome:?}"));
    (outcome, Witness::parse(&text, &directory))
}

impl Witness {
    /// Reads what `strace -f -y -e trace=process -o FILE` wrote.
    ///
    /// # Panics
    /// When there is not even a first process in it.
    #[must_use]
    pub fn parse(log: &str, directory: &Path) -> Witness {
        let calls = join_interrupted(log);
        let root = calls.first().expect("strace saw a process").thread;
        let mut reader = Reader { seen: BTreeMap::from([(root, Seen::default())]), threads: BTreeMap::new() };
        // A new process may be heard of before the call that made it returns.
        for call in &calls {
            reader.note_creation(call);
        }
        for call in &calls {
            reader.note_deed(call);
        }
        Witness { root, seen: reader.seen, directory: directory.to_owned() }
    }

    /// All processes.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        self.below(&BTreeSet::from([self.root]), |_, _| true)
    }

    /// The processes of the program that a watched `ddtrace-run` became: those that the launcher itself made before
    /// it executed the program are left out.
    #[must_use]
    pub fn processes_of_target(&self) -> Vec<Process> {
        self.below(&BTreeSet::from([self.root]), |_, seen| seen.parent != Some(self.root) || seen.parents_execs > 1)
    }

    fn below(&self, roots: &BTreeSet<u32>, wanted: impl Fn(u32, &Seen) -> bool) -> Vec<Process> {
        let mut kept = roots.clone();
        loop {
            let more: Vec<u32> = self
                .seen
                .iter()
                .filter(|(pid, seen)| !kept.contains(pid) && seen.parent.is_some_and(|parent| kept.contains(&parent)))
                .filter(|(pid, seen)| wanted(**pid, seen))
                .map(|(pid, _)| *pid)
                .collect();
            if more.is_empty() {
                break;
            }
            kept.extend(more);
        }
        kept.iter().map(|pid| self.process(*pid)).collect()
    }

    fn process(&self, pid: u32) -> Process {
        let seen = &self.seen[&pid];
        Process { pid, parent: seen.parent, program: self.program(pid), end: seen.end.clone().unwrap_or(End::Unknown) }
    }

    /// What the process runs: its own last program, or what its creator ran at that time.
    fn program(&self, pid: u32) -> String {
        let (mut seen, mut count) = (&self.seen[&pid], self.seen[&pid].execs.len());
        while count == 0 {
            let Some(parent) = seen.parent.and_then(|parent| self.seen.get(&parent)) else { return String::new() };
            (count, seen) = (seen.parents_execs, parent);
        }
        base_name(&self.directory.join(&seen.execs[count - 1]))
    }
}

/// The name of what the kernel runs for a path: links followed, and for a script its interpreter.
fn base_name(path: &Path) -> String {
    let mut path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    // The kernel follows at most four interpreters.
    for _ in 0..4 {
        let content = fs::read(&path).unwrap_or_default();
        let line = content.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let Some(interpreter) = line.strip_prefix(b"#!") else { break };
        let text = String::from_utf8_lossy(interpreter);
        let Some(word) = text.split_whitespace().next() else { break };
        path = Path::new(word).canonicalize().unwrap_or_else(|_| word.into());
    }
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A system call or an end, on one line.
#[derive(Debug)]
struct Call {
    thread: u32,
    text: String,
}

/// Puts calls that were interrupted by the output of others together again.
fn join_interrupted(log: &str) -> Vec<Call> {
    let mut waiting: BTreeMap<u32, String> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let Some((thread, text)) = line.trim_start().split_once(' ') else { continue };
        let (Ok(thread), text) = (thread.parse::<u32>(), text.trim_start()) else { continue };
        if let Some(start) = text.strip_suffix("<unfinished ...>") {
            waiting.insert(thread, start.trim_end().to_owned());
        } else if let Some((start, process)) = taken_over(text) {
            waiting.insert(process, start.to_owned());
        } else if let Some((_, rest)) = text.strip_prefix("<... ").and_then(|text| text.split_once(" resumed>")) {
            let start = waiting.remove(&thread).unwrap_or_default();
            calls.push(Call { thread, text: format!("{start}{rest}") });
        } else {
            // As `taken_over`, in the words used when another thread's line came in between.
            if let Some(other) = text.strip_prefix("+++ superseded by execve in pid ") {
                let other = other.trim_end_matches(" +++").parse().ok();
                if let Some(start) = other.and_then(|other: u32| waiting.remove(&other)) {
                    waiting.insert(thread, start);
                }
            }
            calls.push(Call { thread, text: text.to_owned() });
        }
    }
    calls
}

/// A thread that executes a program takes the place of the first one, and its call returns there.
fn taken_over(text: &str) -> Option<(&str, u32)> {
    let (start, process) = text.strip_suffix(" ...>")?.rsplit_once("<pid changed to ")?;
    Some((start.trim_end(), process.parse().ok()?))
}

#[derive(Debug)]
struct Reader {
    seen: BTreeMap<u32, Seen>,
    /// The process of each thread that is not a first one.
    threads: BTreeMap<u32, u32>,
}

impl Reader {
    fn process_of(&self, thread: u32) -> u32 {
        self.threads.get(&thread).copied().unwrap_or(thread)
    }

    fn note_creation(&mut self, call: &Call) {
        let creates = ["clone(", "clone3(", "fork(", "vfork("].iter().any(|name| call.text.starts_with(name));
        let Some(new) = creates.then(|| result(&call.text)).flatten().and_then(|id| u32::try_from(id).ok()) else {
            return;
        };
        if call.text.contains("CLONE_THREAD") {
            self.threads.insert(new, self.process_of(call.thread));
        } else {
            self.seen.insert(new, Seen::default());
        }
    }

    fn note_deed(&mut self, call: &Call) {
        let process = self.process_of(call.thread);
        if let Some(path) = executed(&call.text) {
            self.seen.entry(process).or_default().execs.push(path);
        } else if let Some(end) = ended(&call.text) {
            // Threads end, too; the first one stands for the process.
            if process == call.thread {
                self.seen.entry(process).or_default().end = Some(end);
            }
        } else if let Some(new) = result(&call.text).and_then(|id| u32::try_from(id).ok())
            && ["clone", "fork", "vfork"].iter().any(|name| call.text.starts_with(name))
            && !self.threads.contains_key(&new)
        {
            let parents_execs = self.seen.entry(process).or_default().execs.len();
            let child = self.seen.entry(new).or_default();
            (child.parent, child.parents_execs) = (Some(process), parents_execs);
        }
    }
}

fn result(call: &str) -> Option<i64> {
    let (_, after) = call.rsplit_once(" = ")?;
    after.split(' ').next()?.split('<').next()?.parse().ok()
}

fn ended(text: &str) -> Option<End> {
    if let Some(code) = text.strip_prefix("+++ exited with ") {
        return code.split(' ').next()?.parse().ok().map(End::Exit);
    }
    let signal = text.strip_prefix("+++ killed by ")?.split(' ').next()?;
    Some(End::Signal(signal.to_owned()))
}

/// The path of a program that was executed successfully.
fn executed(call: &str) -> Option<PathBuf> {
    let at = call.starts_with("execveat(");
    if !(at || call.starts_with("execve(")) || result(call) != Some(0) {
        return None;
    }
    let (before, rest) = call.split_once('"')?;
    let path = unquote(rest);
    let directory = before.split_once('<').and_then(|(_, named)| named.rsplit_once('>')).map(|(name, _)| name);
    match directory {
        // A descriptor, and no path besides, is the program itself.
        Some(file) if at && path.is_empty() => Some(file.trim_end_matches("(deleted)").into()),
        Some(directory) if at => Some(Path::new(directory).join(path)),
        _ => Some(path.into()),
    }
}

/// A C string literal up to its closing quote.
fn unquote(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => match bytes.next() {
                Some(first @ b'0'..=b'7') => {
                    let mut value = u32::from(first - b'0');
                    for _ in 0..2 {
                        let Some(digit) = bytes.next_if(|byte| (b'0'..=b'7').contains(byte)) else { break };
                        value = value * 8 + u32::from(digit - b'0');
                    }
                    out.push(value as u8);
                }
                Some(b'n') => out.push(b'\n'),
                Some(b't') => out.push(b'\t'),
                Some(other) => out.push(other),
                None => break,
            },
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
#[path = "witness_tests.rs"]
mod tests;
