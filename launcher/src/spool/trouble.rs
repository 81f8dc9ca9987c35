//! What cannot be read of a run: for people, and for whoever decides what becomes of the rest.

use std::io;
use std::path::{Path, PathBuf};

/// A file or directory that cannot be read, or not to its end.
#[derive(Debug)]
pub struct Trouble {
    path: PathBuf,
    what: String,
    is_damage: bool,
}

impl Trouble {
    /// That of an error. What has gone meanwhile is no trouble.
    pub fn of(path: &Path, error: &io::Error) -> Option<Trouble> {
        let is_damage = error.kind() == io::ErrorKind::InvalidData;
        let trouble = Trouble { path: path.to_owned(), what: error.to_string(), is_damage };
        (error.kind() != io::ErrorKind::NotFound).then_some(trouble)
    }

    /// Something of a run is lost.
    pub fn damage(path: &Path, what: String) -> Trouble {
        Trouble { path: path.to_owned(), what, is_damage: true }
    }

    /// Whether nobody will ever read it. What another release, or one with more rights or descriptors, may read is to be
    /// left to that.
    pub fn is_damage(&self) -> bool {
        self.is_damage
    }
}

/// Something is of another release of ours, which may be able to read it.
pub fn of_another_version() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "it was written by another version of ddtrace-run")
}

/// Something is not what was written.
pub fn damage(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// One line for each thing that is wrong, with the first file that it is wrong with.
pub fn told(troubles: &[Trouble]) -> Vec<String> {
    let mut lines: Vec<(&Trouble, usize)> = Vec::new();
    for trouble in troubles {
        match lines.iter_mut().find(|(first, _)| first.what == trouble.what) {
            Some((_, others)) => *others += 1,
            None => lines.push((trouble, 0)),
        }
    }
    let line = |(trouble, others): (&Trouble, usize)| {
        let verb = if trouble.is_damage { "" } else { "; it stays where it is" };
        let others = match others {
            0 => String::new(),
            1 => " (and 1 more file)".to_owned(),
            others => format!(" (and {others} more files)"),
        };
        format!("{}{others}: {}{verb}", trouble.path.display(), trouble.what)
    };
    lines.into_iter().map(line).collect()
}
