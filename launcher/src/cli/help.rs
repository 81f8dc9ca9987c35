//! Help and version.

use super::ColourChoice;
use super::error::EXIT_OWN_FAILURE;
use super::flags::{PROGRAM, command};
use super::output;
use clap::builder::StyledStr;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

/// Complete command lines to learn from, with what each is good for; shown by the help and by the man page.
pub const EXAMPLES: &[(&str, &str)] = &[
    ("ddtrace-run ./myapp", "trace a program and all it starts"),
    ("ddtrace-run --service shop --env prod python app.py", "trace a service under its name"),
    ("ddtrace-run --view make -j8", "show where a build's time went"),
    ("ddtrace-run --otlp-endpoint http://localhost:4318 ./myapp", "send to an OTLP receiver that no variable names"),
    ("ddtrace-run view", "show the traces of earlier runs"),
    ("ddtrace-run status", "see what waits for a receiver that was down; ddtrace-run flush delivers it"),
    ("ddtrace-run --info", "see whether all is set up well"),
    ("ddtrace-run -- \"$@\"", "in a script, start whatever the script was given"),
];

/// Prints the help, of a subcommand if one is named, to stdout; returns the code to exit with.
pub fn print(subcommand: Option<&str>, colour: ColourChoice) -> i32 {
    let help = render(subcommand);
    output::print(text(&help, colour.applies(io::stdout().is_terminal())).as_bytes())
}

/// Prints the help to stderr for a user who has typed nothing but our name; returns the code to exit with.
pub fn print_to_stderr() -> i32 {
    let stderr = io::stderr();
    let help = text(&render(None), ColourChoice::Auto.applies(stderr.is_terminal()));
    // Where the help cannot be written there is nobody to be told so.
    let _ = stderr.lock().write_all(help.as_bytes());
    EXIT_OWN_FAILURE
}

/// Prints the version to stdout; returns the code to exit with.
pub fn print_version() -> i32 {
    output::print(format!("{PROGRAM} {}\n", env!("CARGO_PKG_VERSION")).as_bytes())
}

fn render(subcommand: Option<&str>) -> StyledStr {
    let mut command = command().after_help(after_help());
    command.build();
    match subcommand.and_then(|name| command.find_subcommand_mut(name)) {
        Some(subcommand) => subcommand.render_help(),
        None => command.render_help(),
    }
}

fn text(help: &StyledStr, colours: bool) -> String {
    if colours { help.ansi().to_string() } else { help.to_string() }
}

fn after_help() -> String {
    let mut text = String::from("Examples:\n");
    for (line, purpose) in EXAMPLES {
        let _ = writeln!(text, "  {line}\n      {purpose}");
    }
    text.push_str(
        "\nExit code: the program's own, or\n  125 ddtrace-run itself failed\n  126 the program cannot be executed\n  \
         127 the program was not found",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_has_every_heading_and_fits_the_width() {
        let help = text(&render(None), false);
        for heading in
            ["Launching:", "Where to send:", "What is recorded:", "Looking at traces:", "Other:", "Examples:"]
        {
            assert!(help.lines().any(|line| line == heading), "{heading} is missing");
        }
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "too wide: {line}");
            assert_eq!(line, line.trim_end(), "blanks at the end");
        }
        assert!(!help.contains('\x1b'));
        assert!(text(&render(None), true).contains('\x1b'));
    }

    #[test]
    fn a_subcommand_has_help_of_its_own() {
        let help = text(&render(Some("view")), false);
        assert!(help.contains("Usage: ddtrace-run view"), "{help}");
        assert!(!help.contains("--service"), "{help}");
    }
}
