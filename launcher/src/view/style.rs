//! What the terminal can show: its width, its colours, its characters; and how a line is painted.

use super::text;
use crate::cli::ColourChoice;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::AsFd;

/// How a waterfall is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns that a line may take.
    pub width: usize,
    /// Whether ANSI colours are written.
    pub colour: bool,
    /// Whether characters outside of ASCII are written.
    pub unicode: bool,
}

/// The widths that the layout is made for; what is outside is drawn at the nearest of them.
pub const WIDTHS: std::ops::RangeInclusive<usize> = 40..=300;
const DEFAULT_WIDTH: usize = 100;

impl Style {
    /// What `stream`, on which the waterfall will be written, and the environment allow.
    pub fn detect(stream: &(impl IsTerminal + AsFd), choice: ColourChoice) -> Self {
        let columns = terminal_size::terminal_size_of(stream).map(|(width, _)| usize::from(width.0));
        Self::resolve(|name| std::env::var_os(name), stream.is_terminal(), columns, choice)
    }

    /// The rules, apart from where the facts come from. `columns` is the terminal's own answer.
    fn resolve(
        env: impl Fn(&str) -> Option<OsString>,
        is_terminal: bool,
        columns: Option<usize>,
        choice: ColourChoice,
    ) -> Self {
        let text = |name: &str| env(name).filter(|v| !v.is_empty()).map(|v| v.to_string_lossy().into_owned());
        // A terminal that does not know its size answers 0.
        let columns = columns.filter(|&c| c > 0).or_else(|| text("COLUMNS")?.trim().parse().ok().filter(|&c| c > 0));
        let colour = choice.applies_with(is_terminal, &env);
        // POSIX, "Internationalization Variables": the first that is set and not empty; none is the C locale.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(text).unwrap_or_default().to_lowercase();
        Self {
            width: columns.unwrap_or(DEFAULT_WIDTH).clamp(*WIDTHS.start(), *WIDTHS.end()),
            colour,
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    /// The characters to draw with.
    pub fn glyphs(&self) -> &'static Glyphs {
        if self.unicode { &UNICODE } else { &ASCII }
    }
}

/// The characters that a waterfall is made of, besides those of the bars.
pub struct Glyphs {
    /// In place of what was cut off.
    pub ellipsis: &'static str,
    /// Between facts on one line.
    pub dot: &'static str,
    /// Before a number of like things.
    pub times: &'static str,
    /// From a cause to its consequence.
    pub arrow: &'static str,
    /// A failure.
    pub cross: &'static str,
    /// Success.
    pub check: &'static str,
    /// A mark on the time axis.
    pub tick: &'static str,
    /// What a bar is made of where a span worked, and where it waited.
    pub work_and_wait: [&'static str; 2],
    /// Guides of the tree, three columns each: a child, the last child, past a child, past the last child.
    pub guides: [&'static str; 4],
    /// In place of guides that do not fit.
    pub deeper: &'static str,
}

const UNICODE: Glyphs = Glyphs {
    ellipsis: "…",
    dot: " · ",
    times: "×",
    arrow: " → ",
    cross: "✗",
    check: "✓",
    tick: "╷",
    work_and_wait: ["█", "━"],
    guides: ["├─ ", "└─ ", "│  ", "   "],
    deeper: "⋯ ",
};

const ASCII: Glyphs = Glyphs {
    ellipsis: "..",
    dot: " | ",
    times: "x",
    arrow: " -> ",
    cross: "x",
    check: "ok",
    tick: "|",
    work_and_wait: ["#", "-"],
    guides: ["|- ", "`- ", "|  ", "   "],
    deeper: "~ ",
};

/// What a piece of text means, and so how it looks. Sixteen colours only: the user's own palette applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// The terminal's own colour.
    Plain,
    /// Titles.
    Strong,
    /// What frames the facts.
    Faint,
    /// Time that delays the end of the whole.
    Critical,
    /// Time spent beside the critical path.
    Ordinary,
    /// A failure.
    Failed,
    /// A failure's title.
    FailedStrong,
    /// Was cut short: interrupted, or seen while it still ran.
    CutShort,
    /// Success.
    Good,
}

impl Ink {
    fn sgr(self) -> &'static str {
        match self {
            Ink::Plain => "",
            Ink::Strong => "1",
            Ink::Faint => "2",
            Ink::Critical => "96",
            Ink::Ordinary => "34",
            Ink::Failed => "31",
            Ink::FailedStrong => "1;31",
            Ink::CutShort => "33",
            Ink::Good => "32",
        }
    }
}

/// One line under construction; it never gets wider than the style allows.
pub struct Line<'a> {
    style: &'a Style,
    painted: String,
    width: usize,
    /// How long `painted` is up to its last visible character.
    visible: usize,
}

impl<'a> Line<'a> {
    /// An empty line.
    pub fn new(style: &'a Style) -> Self {
        Self { style, painted: String::new(), width: 0, visible: 0 }
    }

    /// Columns still free.
    pub fn room(&self) -> usize {
        self.style.width.saturating_sub(self.width)
    }

    /// Adds text, which must be [clean](text::clean); what does not fit is cut.
    pub fn push(&mut self, ink: Ink, text: &str) -> &mut Self {
        self.paint(ink, text, false)
    }

    /// Adds text with foreground and background exchanged, where there are colours.
    pub fn push_reversed(&mut self, ink: Ink, text: &str) -> &mut Self {
        self.paint(ink, text, true)
    }

    fn paint(&mut self, ink: Ink, text: &str, reversed: bool) -> &mut Self {
        let text = text::cut(text, self.room(), self.style.glyphs().ellipsis);
        self.width += text::width(&text);
        let blank = text.trim_end().is_empty() && !reversed;
        let codes = match (ink.sgr(), reversed) {
            (codes, false) => codes.to_owned(),
            ("", true) => "7".to_owned(),
            (codes, true) => format!("{codes};7"),
        };
        if self.style.colour && !codes.is_empty() && !blank {
            self.painted.extend(["\x1b[", &codes, "m", &text, "\x1b[0m"]);
            self.visible = self.painted.len();
        } else {
            self.painted.push_str(&text);
            self.visible = self.visible.max(self.painted.trim_end().len());
        }
        self
    }

    /// Ends the line, without blanks at its end, and adds it to `out`.
    pub fn finish(mut self, out: &mut String) {
        self.painted.truncate(self.visible);
        out.push_str(&self.painted);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(env: &[(&str, &str)], is_terminal: bool, columns: Option<usize>) -> Style {
        let get = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        Style::resolve(get, is_terminal, columns, ColourChoice::Auto)
    }

    #[test]
    fn colours_follow_the_conventions() {
        let colour = |env: &[(&str, &str)], is_terminal| resolve(env, is_terminal, None).colour;
        assert!(colour(&[("TERM", "xterm")], true));
        assert!(!colour(&[("TERM", "xterm")], false));
        assert!(!colour(&[], true), "no TERM: an unknown kind of terminal");
        assert!(!colour(&[("TERM", "dumb")], true));
        assert!(!colour(&[("TERM", "xterm"), ("NO_COLOR", "0")], true));
        assert!(colour(&[("TERM", "xterm"), ("NO_COLOR", "")], true));
        assert!(!colour(&[("TERM", "xterm"), ("CLICOLOR", "0")], true));
        assert!(colour(&[("CLICOLOR_FORCE", "1")], false));
        assert!(!colour(&[("CLICOLOR_FORCE", "0")], false));
        assert!(!colour(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], true));
    }

    #[test]
    fn the_command_line_wins_over_the_environment() {
        let env = |name: &str| (name == "NO_COLOR").then(|| OsString::from("1"));
        assert!(Style::resolve(env, false, None, ColourChoice::Always).colour);
        let env = |name: &str| (name == "CLICOLOR_FORCE").then(|| OsString::from("1"));
        assert!(!Style::resolve(env, true, None, ColourChoice::Never).colour);
    }

    #[test]
    fn the_locale_decides_about_the_characters() {
        let unicode = |env: &[(&str, &str)]| resolve(env, true, None).unicode;
        assert!(unicode(&[("LANG", "de_DE.UTF-8")]));
        assert!(unicode(&[("LANG", "C.utf8")]));
        assert!(!unicode(&[]));
        assert!(!unicode(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(unicode(&[("LC_ALL", ""), ("LC_CTYPE", "en_US.UTF-8"), ("LANG", "C")]));
    }

    #[test]
    fn the_terminal_then_columns_then_a_default_give_the_width() {
        assert_eq!(resolve(&[("COLUMNS", "80")], true, Some(132)).width, 132);
        assert_eq!(resolve(&[("COLUMNS", "80")], true, Some(0)).width, 80);
        assert_eq!(resolve(&[("COLUMNS", "eighty")], true, None).width, 100);
        assert_eq!(resolve(&[("COLUMNS", "7")], true, None).width, 40);
        assert_eq!(resolve(&[], true, Some(5000)).width, 300);
    }

    #[test]
    fn a_line_is_cut_at_the_width_and_ends_without_blanks() {
        let style = Style { width: 40, colour: true, unicode: true };
        let mut out = String::new();
        let mut line = Line::new(&style);
        line.push(Ink::Failed, "red").push(Ink::Faint, "   ").push(Ink::Plain, "  ");
        line.finish(&mut out);
        assert_eq!(out, "\x1b[31mred\x1b[0m\n");
        let mut line = Line::new(&style);
        line.push(Ink::Plain, &"x".repeat(39)).push(Ink::Plain, "yz").push(Ink::Plain, "never");
        out.clear();
        line.finish(&mut out);
        assert_eq!(out, format!("{}…\n", "x".repeat(39)));
    }
}
