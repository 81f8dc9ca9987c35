//! The words of a row: its place in the tree, what ran, and how it ended.

use super::command::shorten;
use super::fold::{Content, Row};
use super::model::{End, Trace, ViewSpan};
use super::style::{Ink, Line, Style};
use super::text::{self, clean, cut};
use std::collections::HashMap;

/// Columns of one level of guides.
const GUIDE: usize = 3;

/// What a span is called: its command line, or its name and what tells it from others.
pub fn title(span: &ViewSpan, columns: usize, style: &Style) -> String {
    let mark = style.glyphs().ellipsis;
    if !span.args.is_empty() {
        return shorten(&span.args, columns, style.unicode, mark);
    }
    let name = if span.name.is_empty() { "(no name)" } else { &span.name };
    let detail = if span.detail.is_empty() { String::new() } else { format!(" {}", span.detail) };
    cut(&clean(&format!("{name}{detail}"), style.unicode), columns, mark)
}

/// How a span ended, if there is something to say.
pub fn outcome(span: &ViewSpan, style: &Style) -> Option<(Ink, String)> {
    let text = match (&span.error, span.exit_code) {
        (Some(signal), _) if signal.starts_with("SIG") => signal.clone(),
        (_, Some(code)) if code != 0 => format!("exit {code}"),
        (Some(error), _) => error.clone(),
        _ => "failed".to_owned(),
    };
    match span.end() {
        End::Fine => None,
        End::Failed => Some((Ink::Failed, clean(&text, style.unicode))),
        End::Interrupted => Some((Ink::CutShort, clean(&text, style.unicode))),
        End::Running => Some((Ink::CutShort, "running".to_owned())),
        End::Unknown => Some((Ink::Faint, "?".to_owned())),
    }
}

/// How the spans of a row ended, if there is something to say that is true of all of them.
pub fn common_outcome(trace: &Trace, members: &[usize], style: &Style) -> Option<(Ink, String)> {
    let mut outcomes = members.iter().map(|&at| outcome(&trace.spans[at], style));
    let first = outcomes.next()??;
    let others: Vec<_> = outcomes.collect();
    if others.iter().all(|other| other.as_ref() == Some(&first)) {
        Some(first)
    } else if first.0 == Ink::Failed
        && others.iter().flatten().filter(|(ink, _)| *ink == Ink::Failed).count() == others.len()
    {
        Some((Ink::Failed, "failed".to_owned()))
    } else {
        None
    }
}

/// The colour of a span's bar.
pub fn ink(span: &ViewSpan, on_path: bool) -> Ink {
    match span.end() {
        End::Failed => Ink::Failed,
        End::Running => Ink::CutShort,
        // Who presses Ctrl-C wants to know what took so long.
        End::Fine | End::Interrupted | End::Unknown if on_path => Ink::Critical,
        End::Fine | End::Interrupted | End::Unknown => Ink::Ordinary,
    }
}

/// What is special about a process, as far as it explains its row: `static`, `2 execs`.
pub fn marks(span: &ViewSpan, style: &Style) -> Vec<String> {
    let execs = match span.execs {
        0 => None,
        1 => Some("exec".to_owned()),
        many => Some(format!("{many} execs")),
    };
    span.untraceable.as_ref().map(|reason| clean(reason, style.unicode)).into_iter().chain(execs).collect()
}

/// The label of one row, in parts that are put together when the width is known.
pub struct Label<'a> {
    trace: &'a Trace,
    style: &'a Style,
    row: &'a Row,
}

impl<'a> Label<'a> {
    /// The label of this row.
    pub fn new(trace: &'a Trace, style: &'a Style, row: &'a Row) -> Self {
        Self { trace, style, row }
    }

    /// The columns it would like to have, at most `limit`.
    pub fn wish(&self, limit: usize) -> usize {
        let text = match &self.row.content {
            Content::Span { at, .. } => {
                text::width(&self.service(*at)) + text::width(&title(&self.trace.spans[*at], limit, self.style))
            }
            Content::Group { members, .. } => text::width(&self.group(members)),
        };
        (self.row.depth * GUIDE + text + text::width(&self.suffix())).min(limit)
    }

    /// Writes it, filled to exactly `columns`.
    pub fn write(&self, line: &mut Line<'_>, columns: usize) {
        let end = line.room().saturating_sub(columns);
        line.push(Ink::Faint, &self.guides(columns / 2));
        let suffix = self.suffix();
        // A suffix on its own would say nothing.
        let suffix = if text::width(&suffix) + 8 > line.room() - end { String::new() } else { suffix };
        match &self.row.content {
            Content::Span { at, .. } => {
                let span = &self.trace.spans[*at];
                let room = |line: &Line<'_>| (line.room() - end).saturating_sub(text::width(&suffix));
                line.push(Ink::Faint, &cut(&self.service(*at), room(line) / 2, self.style.glyphs().ellipsis));
                let title = title(span, room(line), self.style);
                let (program, arguments) = title.split_at(title.find(' ').unwrap_or(title.len()));
                line.push(if span.failed { Ink::FailedStrong } else { Ink::Strong }, program);
                line.push(if span.failed { Ink::Failed } else { Ink::Plain }, arguments);
            }
            Content::Group { members, .. } => {
                let failed = self.trace.spans[members[0]].failed;
                let ink = if failed { Ink::Failed } else { Ink::Plain };
                let room = (line.room() - end).saturating_sub(text::width(&suffix));
                line.push(ink, &cut(&self.group(members), room, self.style.glyphs().ellipsis));
            }
        }
        line.push(Ink::Faint, &suffix);
        let fill = line.room().saturating_sub(end);
        line.push(Ink::Plain, &" ".repeat(fill));
    }

    /// The tree to the left of the text; where it is too deep, its innermost levels.
    fn guides(&self, columns: usize) -> String {
        let glyphs = self.style.glyphs();
        let [child, last, past, gap] = glyphs.guides;
        let levels = (columns / GUIDE).clamp(1, 63);
        let drawn = self.row.depth.min(levels);
        let mut out = String::new();
        for level in (0..drawn).rev() {
            let followed = self.row.followed >> level & 1 == 1;
            out.push_str(match (level, followed) {
                (0, true) => child,
                (0, false) => last,
                (_, true) => past,
                (_, false) => gap,
            });
        }
        if drawn < self.row.depth {
            format!("{}{}", glyphs.deeper, out.chars().skip(text::width(glyphs.deeper)).collect::<String>())
        } else {
            out
        }
    }

    /// The service, where it is another one than the parent's.
    fn service(&self, at: usize) -> String {
        let span = &self.trace.spans[at];
        let above = match self.trace.parents[at] {
            Some(parent) => Some(&self.trace.spans[parent]),
            None => self.trace.main_root(),
        };
        if span.service.is_empty() || above.is_none_or(|above| above.service == span.service) {
            String::new()
        } else {
            format!("[{}] ", clean(&span.service, self.style.unicode))
        }
    }

    /// `× 214 sh`, `× 12 rm, sed, 3 others`.
    fn group(&self, members: &[usize]) -> String {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for &at in members {
            *counts.entry(&self.trace.spans[at].name).or_default() += 1;
        }
        let mut names: Vec<(&str, usize)> = counts.into_iter().collect();
        names.sort_by_key(|&(name, count)| (std::cmp::Reverse(count), name));
        let others = names.len().saturating_sub(3);
        let mut text = names.iter().take(3).map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        if others > 0 {
            text.push_str(&format!(", {}", text::count(others, "other", "others")));
        }
        format!("{} {} {}", self.style.glyphs().times, members.len(), clean(&text, self.style.unicode))
    }

    fn suffix(&self) -> String {
        let (marks, inside) = match self.row.content {
            Content::Span { at, inside } => (marks(&self.trace.spans[at], self.style), inside),
            Content::Group { inside, .. } => (Vec::new(), inside),
        };
        let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
        if inside > 0 { format!("{marks} +{inside}") } else { marks }
    }
}
