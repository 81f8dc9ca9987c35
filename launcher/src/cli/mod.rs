//! The command line: what the user asks for, before any configuration is read.
//!
//! Flags are recognised only before the program; from the program's name on, every word is the program's own and comes
//! back byte for byte. `docs/command-line.md` has the rules as the user sees them.

mod colour;
mod completions;
mod error;
mod flags;
mod help;
mod levels;
mod man;
mod output;
mod parse;
mod settings;
mod split;

pub use clap_complete::Shell;
pub use colour::ColourChoice;
pub use completions::print_completions;
pub use error::EXIT_OWN_FAILURE;
pub use man::print_man;
pub use output::print;
pub use parse::parse;
pub use split::is_subcommand;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What `-p`/`--profiling` has to say, once, on stderr.
pub const PROFILING_NOTICE: &str = "--profiling has no effect yet";

/// What the user asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a program.
    Run(Run),
    /// Describe the configuration and run nothing.
    Info {
        /// For programs rather than for people.
        json: bool,
        /// The program to describe as well, with its arguments; may be empty.
        command: Vec<OsString>,
    },
    /// Serve the program that started this one.
    Attach,
    /// Show stored traces.
    View(ViewArgs),
    /// Show what waits for delivery.
    Status(StatusForm),
    /// Deliver what waits from earlier runs, trying for so long.
    Flush(Duration),
    /// Find, and install, the instrumentations that fit a Python's libraries.
    Bootstrap(Bootstrap),
    /// Print the completions for this shell: [`print_completions`].
    Completions(Shell),
    /// Print the man page: [`print_man`].
    Man,
    /// Nothing is left to do but to exit with this code: the help or the version has been printed.
    Done(i32),
}

/// How a program is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The program and its arguments exactly as given; never empty, though the program's name may be.
    pub command: Vec<OsString>,
    /// Show the trace on stderr after the end of the program.
    pub view: bool,
    /// Stay as the program's parent.
    pub supervise: bool,
    /// Profiling was asked for; it has no effect but [`PROFILING_NOTICE`].
    pub profiling: bool,
    /// Trace the program though it is on the list of those never traced.
    pub force: bool,
}

/// The form of what `ddtrace-run status` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusForm {
    /// For people.
    #[default]
    Text,
    /// JSON.
    Json,
    /// Prometheus' text format.
    Metrics,
}

/// What `ddtrace-run bootstrap` does, and for which Python.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bootstrap {
    /// Install what fits, rather than print it.
    pub installs: bool,
    /// Only say what would be done.
    pub is_dry: bool,
    /// The Python, or the directory of its environment.
    pub python: Option<OsString>,
    /// The program whose Python it is, with its arguments; may be empty.
    pub command: Vec<OsString>,
}

/// What `ddtrace-run view` shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ViewArgs {
    /// A file of OTLP JSON lines, `-` for stdin; `None` is the local store.
    pub file: Option<PathBuf>,
    /// What of it is shown.
    pub options: crate::view::ViewOptions,
}

/// The whole command line, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// What to do.
    pub action: Action,
    /// Settings by their key in the table of settings, with the value as written, in the order of the command line: of
    /// equal keys the last one wins, lists and tags add up. Tags are in the grammar of `DD_TAGS`.
    pub settings: Vec<(&'static str, String)>,
    /// The file of `--config`.
    pub config_file: Option<PathBuf>,
    /// Whether our own output is coloured.
    pub colour: ColourChoice,
    /// Whether to say in detail what is done; the setting `debug` is then among the settings, too.
    pub debug: bool,
}
