//! The man page.

use super::flags::{command, word};
use super::help::EXAMPLES;
use super::output;
use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use std::io;

/// What stands behind the flags, for whoever has no documentation at hand.
const DESCRIPTION: &[&str] = &[
    "ddtrace-run starts PROGRAM with its arguments and traces it and every process it starts. The program is not changed: \
     it keeps its process id, its standard streams, its signals and its exit code.",
    "What is recorded goes to where the configuration says; else to a Datadog Agent or to an OTLP receiver that answers on \
     this host; else into a local store, which ddtrace-run view shows.",
    "Flags are recognised only before PROGRAM; all that follows it is its own. The words view, status, flush and \
     completions in its place, and man when nothing follows it, are commands of ddtrace-run: to start a program of such a name write -- \
     before it, or its path.",
];

const EXIT_CODES: &[(&str, &str)] = &[
    ("125", "ddtrace-run itself failed: the command line, for one, was wrong."),
    ("126", "The program was found but cannot be executed."),
    ("127", "The program was not found."),
    ("other", "The program's own exit code; a program ended by a signal ends ddtrace-run by the same signal."),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("DD_*", "Settings, under the names that Datadog's tracers have for them."),
    ("OTEL_*", "Settings, under the names that OpenTelemetry has for them; weaker than DD_*."),
    ("DD_TRACE_CONFIG_FILE", "Read this ddtrace.toml; weaker than --config."),
    ("NO_COLOR", "When set and not empty: no colours, unless --color asks for them."),
];

/// Prints the man page as roff to stdout; returns the code to exit with.
#[must_use]
pub fn print_man() -> i32 {
    let mut page = Vec::new();
    match render(&mut page) {
        Ok(()) => output::print(&page),
        Err(error) => output::failure(&error),
    }
}

fn render(page: &mut Vec<u8>) -> io::Result<()> {
    // The page has no date; an empty one must be written, or what follows it would be taken for it.
    let man = Man::new(command()).title("DDTRACE-RUN").date("\"\"").manual("User Commands");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    let mut description = Roff::new();
    description.control("SH", ["DESCRIPTION"]);
    for paragraph in DESCRIPTION {
        description.control("PP", []).text([roman(*paragraph)]);
    }
    description.to_writer(page)?;
    options(&man, page)?;
    closing_sections().to_writer(page)
}

fn closing_sections() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for subcommand in command().get_subcommands() {
        let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
        entry(&mut roff, subcommand.get_name(), &about);
    }
    roff.control("SH", ["EXIT STATUS"]);
    entries(&mut roff, EXIT_CODES);
    roff.control("SH", ["ENVIRONMENT"]);
    roff.text([roman("ddtrace-run --info shows every setting, its value and where that comes from.")]);
    entries(&mut roff, ENVIRONMENT);
    roff.control("SH", ["EXAMPLES"]);
    entries(&mut roff, EXAMPLES);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("env"), roman("(1), "), italic("https://opentelemetry.io/docs/")]);
    roff
}

/// The flags by their headings, which the generator would make sections of the page; behind them those that only
/// `view` has.
fn options(man: &Man, page: &mut Vec<u8>) -> io::Result<()> {
    let mut sections = Vec::new();
    man.render_options_section(&mut sections)?;
    Man::new(options_of(word::VIEW)).render_options_section(&mut sections)?;
    let sections = String::from_utf8_lossy(&sections).replace("\n.SH ", "\n.SS ");
    page.extend_from_slice(b".SH OPTIONS\n");
    page.extend_from_slice(sections.replacen(".SH ", ".SS ", 1).as_bytes());
    Ok(())
}

/// The arguments of a subcommand that do not stand before it as well.
fn options_of(subcommand: &str) -> Command {
    let command = command();
    let common = |arg: &Arg| command.get_arguments().any(|other| other.get_id() == arg.get_id());
    let own = command.find_subcommand(subcommand).into_iter().flat_map(Command::get_arguments);
    let heading = format!("Behind {subcommand}");
    let own = own.filter(|arg| !common(arg)).map(|arg| arg.clone().help_heading(heading.clone()));
    Command::new("").args(own.collect::<Vec<_>>())
}

fn entries(roff: &mut Roff, entries: &[(&str, &str)]) {
    for (term, text) in entries {
        entry(roff, term, text);
    }
}

fn entry(roff: &mut Roff, term: &str, text: &str) {
    roff.control("TP", []).text([bold(term)]).text([roman(text)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_section_and_every_flag() {
        let mut page = Vec::new();
        render(&mut page).expect("memory can be written");
        let page = String::from_utf8(page).expect("roff is text");
        assert!(page.contains(".TH DDTRACE-RUN 1 \"\" "), "{page}");
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS", "ENVIRONMENT", "EXAMPLES"] {
            assert_eq!(page.matches(&format!("\n.SH {section}\n")).count(), 1, "{section}");
        }
        let sections = page.lines().filter(|line| line.starts_with(".SH ")).count();
        assert_eq!(sections, 9, "the headings of flags are no sections");
        let (command, of_view) = (command(), options_of(word::VIEW));
        let all = command.get_arguments().chain(of_view.get_arguments());
        for flag in all.filter(|arg| !arg.is_hide_set()).filter_map(|arg| arg.get_long()) {
            let flag = format!("\\-\\-{}", flag.replace('-', "\\-"));
            assert!(page.contains(&flag), "{flag}");
        }
    }
}
