//! The one form in which what the witness saw and what the spans say are compared.

use std::collections::BTreeMap;
use std::fmt;

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// By itself, with this code.
    Exit(i32),
    /// By a signal of this name, such as `SIGKILL`.
    Signal(String),
    /// Nobody said how.
    Unknown,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exit(code) => write!(f, "exit {code}"),
            End::Signal(name) => write!(f, "{name}"),
            End::Unknown => write!(f, "?"),
        }
    }
}

/// A process: what is in the tree of processes, and one span in the trace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// The process that created it, if that one was watched, too.
    pub parent: Option<u32>,
    /// The base name of the file it last executed, symbolic links resolved.
    pub program: String,
    /// How it ended.
    pub end: End,
}

/// Draws the trees that the processes form, one line for each, children in the order of their text: two runs of the
/// same work give the same outline, whatever ids and order of events they had.
#[must_use]
pub fn outline(processes: &[Process]) -> String {
    draw(processes, |process| format!("{} ({})", process.program, process.end))
}

/// As [`outline`], with the ids: for two descriptions of the same run.
#[must_use]
pub fn outline_with_ids(processes: &[Process]) -> String {
    draw(processes, |process| format!("{} {} ({})", process.pid, process.program, process.end))
}

fn draw(processes: &[Process], label: impl Fn(&Process) -> String) -> String {
    let known: BTreeMap<u32, &Process> = processes.iter().map(|process| (process.pid, process)).collect();
    assert_eq!(known.len(), processes.len(), "a process is in the list twice: {processes:#?}");
    let mut children: BTreeMap<Option<u32>, Vec<u32>> = BTreeMap::new();
    for process in processes {
        let parent = process.parent.filter(|parent| known.contains_key(parent));
        children.entry(parent).or_default().push(process.pid);
    }
    let mut lines = trees(None, &children, &known, &label);
    lines.push(String::new());
    lines.join("\n")
}

fn trees(
    parent: Option<u32>,
    children: &BTreeMap<Option<u32>, Vec<u32>>,
    known: &BTreeMap<u32, &Process>,
    label: &impl Fn(&Process) -> String,
) -> Vec<String> {
    let mut drawn: Vec<Vec<String>> = children
        .get(&parent)
        .into_iter()
        .flatten()
        .map(|pid| {
            let below = trees(Some(*pid), children, known, label);
            let indented = below.into_iter().map(|line| format!("  {line}"));
            std::iter::once(label(known[pid])).chain(indented).collect()
        })
        .collect();
    drawn.sort();
    drawn.concat()
}

#[cfg(test)]
mod tests {
    use super::{End, Process, outline};

    fn process(pid: u32, parent: Option<u32>, program: &str, end: End) -> Process {
        Process { pid, parent, program: program.to_owned(), end }
    }

    #[test]
    fn the_outline_does_not_depend_on_ids_or_order() {
        let one = [
            process(1, None, "sh", End::Exit(0)),
            process(2, Some(1), "make", End::Exit(2)),
            process(3, Some(2), "cc", End::Signal("SIGKILL".into())),
            process(4, Some(1), "cat", End::Exit(0)),
        ];
        let other = [
            process(14, Some(11), "make", End::Exit(2)),
            process(12, Some(11), "cat", End::Exit(0)),
            process(11, None, "sh", End::Exit(0)),
            process(13, Some(14), "cc", End::Signal("SIGKILL".into())),
        ];
        assert_eq!(outline(&one), "sh (exit 0)\n  cat (exit 0)\n  make (exit 2)\n    cc (SIGKILL)\n");
        assert_eq!(outline(&one), outline(&other));
    }

    #[test]
    fn another_parent_is_another_outline() {
        let deep = [process(1, None, "a", End::Exit(0)), process(2, Some(1), "b", End::Exit(0))];
        let flat = [process(1, None, "a", End::Exit(0)), process(2, None, "b", End::Exit(0))];
        assert_ne!(outline(&deep), outline(&flat));
    }
}
