//! What the launcher says to people: on stderr, in one line each, and only where it cannot be mistaken for the
//! program's own words.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use nix::sys::signal::Signal;

use crate::unnoticed;

/// Says that the launcher itself has failed.
pub fn error(text: &dyn Display) {
    // Nobody is left to tell where stderr is closed, or where nobody reads it: that ends whoever writes there, but the
    // program may never do so.
    let _ = unnoticed::without(Signal::SIGPIPE, || writeln!(std::io::stderr(), "ddtrace-run: {text}"));
}

/// Remarks about the run. A program's stderr is its own: they are said at once on a terminal or with `--debug`, else
/// they go into the sidecar's log.
pub struct Messages {
    aloud: bool,
    debug: bool,
    kept: Vec<String>,
}

impl Messages {
    /// Messages of a run with or without `--debug`.
    pub fn new(debug: bool) -> Self {
        Messages { aloud: debug || std::io::stderr().is_terminal(), debug, kept: Vec::new() }
    }

    /// Debugging was switched on by the configuration.
    pub fn set_debug(&mut self) {
        self.aloud = true;
        self.debug = true;
    }

    /// Something the user should know.
    pub fn note(&mut self, text: impl Display) {
        let text = text.to_string();
        if self.aloud {
            error(&text);
        }
        self.kept.push(text);
    }

    /// What was asked for and cannot be had, or is wrong in the configuration: whoever asked is told, wherever stderr goes.
    pub fn complain(&mut self, text: impl Display) {
        let text = text.to_string();
        error(&text);
        self.kept.push(text);
    }

    /// Whether `--debug` was given.
    pub fn is_debug(&self) -> bool {
        self.debug
    }

    /// Something to be known only with `--debug`.
    pub fn debug(&mut self, text: impl Display) {
        if self.debug {
            error(&text);
        }
    }

    /// What is to be logged.
    pub fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.kept)
    }
}
