//! The report for people.

use super::{Place, Report};
use ddtrace::config::table::GROUPS;
use std::borrow::Cow;
use std::fmt::Write;

/// How a piece of text looks where there are colours.
#[derive(Clone, Copy)]
enum Look {
    Title,
    Good,
    Bad,
    Doubtful,
    Faint,
}

impl Look {
    const fn code(self) -> &'static str {
        match self {
            Self::Title => "\x1b[1m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Doubtful => "\x1b[33m",
            Self::Faint => "\x1b[2m",
        }
    }
}

/// Renders all of it, each line ended.
pub(super) fn render(report: &Report, colours: bool) -> String {
    let mut page = Page { out: String::new(), colours };
    page.line(&format!("ddtrace-run {}", report.version));
    page.overview(report);
    page.destinations(report);
    page.settings(report);
    page.files(report);
    page.handed_on(report);
    page.summary(report);
    page.out
}

struct Page {
    out: String,
    colours: bool,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    fn title(&mut self, title: &str) {
        let title = self.with(Look::Title, title);
        self.out.push('\n');
        self.line(&title);
    }

    fn with<'a>(&self, look: Look, text: &'a str) -> Cow<'a, str> {
        if self.colours { Cow::Owned(format!("{}{text}\x1b[0m", look.code())) } else { Cow::Borrowed(text) }
    }

    fn overview(&mut self, report: &Report) {
        self.title("Tracer");
        let yes_no = |truth| if truth { "yes" } else { "no" };
        self.pair("Tracer enabled", yes_no(report.enabled));
        let target: Vec<String> = report
            .destinations
            .iter()
            .filter(|destination| destination.used)
            .map(|destination| format!("{} ({})", destination.exporter, destination.address))
            .collect();
        self.pair("Writing traces to", if target.is_empty() { "nowhere".into() } else { target.join(", ") }.as_str());
        let spans = &report.process_spans;
        self.pair("Process spans", &format!("{}: {}", yes_no(spans.on), spans.reason));
        self.place("Preload library", &report.preload, "found");
        self.place("Python package", &report.python, "found");
        self.place("State directory", &report.state_dir, "writable");
        self.place("Sidecar's log", &report.log_file, "writable");
    }

    fn pair(&mut self, name: &str, value: &str) {
        self.line(&format!("  {name:<18} {}", printable(value)));
    }

    fn place(&mut self, name: &str, place: &Place, fine: &str) {
        let state = match &place.problem {
            None => self.with(Look::Good, fine),
            Some(problem) => self.with(Look::Bad, problem),
        };
        let line = format!("  {name:<18} {} ({state})", printable(&place.path.display().to_string()));
        self.line(&line);
    }

    fn destinations(&mut self, report: &Report) {
        self.title("Destinations");
        for destination in &report.destinations {
            let mark = if destination.used { "*" } else { " " };
            let state = match destination.reachable {
                Some(true) => format!("{}, {}", self.with(Look::Good, "reachable"), printable(&destination.detail)),
                Some(false) => {
                    let look = if destination.used { Look::Bad } else { Look::Faint };
                    format!("{}, {}", self.with(look, "not reachable"), printable(&destination.detail))
                }
                None => destination.detail.clone(),
            };
            let origin = self.origin(&destination.origin);
            self.line(&format!(
                "{mark} {:<8} {} {origin}: {state}",
                destination.exporter,
                printable(&destination.address)
            ));
        }
    }

    fn origin(&self, origin: &str) -> String {
        self.with(Look::Faint, &format!("[{}]", printable(origin))).into_owned()
    }

    fn settings(&mut self, report: &Report) {
        let width = report.settings.iter().map(|setting| setting.key.len()).max().unwrap_or(0);
        for group in &GROUPS {
            self.title(group.title);
            for declared in group.settings {
                if let Some(setting) = report.settings.iter().find(|setting| setting.key == declared.key) {
                    let origin = self.origin(&setting.origin);
                    let value = match setting.value.as_ref().or(setting.otherwise.as_ref()) {
                        Some(value) if !value.is_empty() => printable(value),
                        _ => "\"\"".into(),
                    };
                    self.line(&format!("  {:<width$} {value} {origin}", setting.key));
                }
            }
        }
    }

    fn files(&mut self, report: &Report) {
        self.title("Files, strongest first");
        for file in &report.files {
            let state = match (file.state, &file.problem) {
                (_, Some(problem)) => self.with(Look::Bad, &printable(problem)).into_owned(),
                ("missing", None) => self.with(Look::Faint, "not there").into_owned(),
                (state, None) => self.with(Look::Good, state).into_owned(),
            };
            self.line(&format!("  {:<13} {}: {state}", file.role, printable(&file.path.display().to_string())));
        }
    }

    fn handed_on(&mut self, report: &Report) {
        if report.handed_on.is_empty() {
            return;
        }
        self.title("Added to the program's environment");
        for (name, value) in &report.handed_on {
            self.line(&format!("  {name}={}", printable(value)));
        }
    }

    fn summary(&mut self, report: &Report) {
        self.title("Summary");
        let kinds = [
            (Look::Bad, "ERROR", &report.errors),
            (Look::Doubtful, "WARNING", &report.warnings),
            (Look::Doubtful, "HINT", &report.hints),
        ];
        let mut nothing = true;
        for (look, word, messages) in kinds {
            for message in messages {
                nothing = false;
                let word = self.with(look, word);
                let mut line = String::new();
                // Writing into a String cannot fail.
                let _ = write!(line, "  {word}: {}", printable(message));
                self.line(&line);
            }
        }
        if nothing {
            let fine = self.with(Look::Good, "all is well");
            self.line(&format!("  {fine}"));
        }
    }
}

/// Control characters from the environment must not reach the terminal.
fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        Cow::Owned(
            text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.into() }).collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}
