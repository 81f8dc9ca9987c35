//! What a reader would otherwise have to find out from the tree: what to make faster, and what broke.

use super::analysis::Analysis;
use super::duration::{self, human};
use super::label::{outcome, title};
use super::model::Trace;
use super::style::{Ink, Line, Style};
use super::text::{self, clean, cut, prefix};
use std::cmp::Reverse;
use std::collections::HashMap;

/// Entries of a list.
const ENTRIES: usize = 5;
/// Smaller traces are seen whole in the tree.
const FEW_SPANS: usize = 6;
/// Lines that the command line of a failure that mattered may take.
const COMMAND_LINES: usize = 3;

/// Writes the sections that have something to say, each after an empty line.
pub fn write(trace: &Trace, analysis: &Analysis, style: &Style, out: &mut String) {
    let insight = Insight { trace, analysis, style };
    if trace.spans.len() > FEW_SPANS && trace.duration() > 0 {
        insight.critical_path(out);
        insight.slowest(out);
    }
    if trace.spans.len() > 1 {
        insight.failures(out);
    }
}

/// How many of the intervals lie over each other at most.
pub fn most_at_once(intervals: &[(u64, u64)]) -> usize {
    let mut edges: Vec<(u64, i64)> =
        intervals.iter().filter(|(start, end)| start < end).flat_map(|&(start, end)| [(start, 1), (end, -1)]).collect();
    // At one moment ends come before starts: back to back is not at once.
    edges.sort_unstable();
    let mut now = 0i64;
    let most = edges.iter().map(|(_, change)| {
        now += change;
        now
    });
    usize::try_from(most.max().unwrap_or(0)).unwrap_or(0)
}

struct Insight<'a> {
    trace: &'a Trace,
    analysis: &'a Analysis,
    style: &'a Style,
}

impl Insight<'_> {
    fn heading(&self, ink: Ink, name: &str, explanation: &str, out: &mut String) {
        out.push('\n');
        let mut line = Line::new(self.style);
        line.push(ink, name);
        if 2 + text::width(explanation) <= line.room() {
            line.push(Ink::Plain, "  ").push(Ink::Faint, explanation);
        }
        line.finish(out);
    }

    /// The programs whose own time delayed the end, and by how much.
    fn critical_path(&self, out: &mut String) {
        let mut by_name: HashMap<&str, (u64, usize)> = HashMap::new();
        for (span, &time) in self.trace.spans.iter().zip(&self.analysis.critical_ns).filter(|(_, time)| **time > 0) {
            let entry = by_name.entry(&span.name).or_default();
            *entry = (entry.0.saturating_add(time), entry.1 + 1);
        }
        let mut entries: Vec<(&str, u64, usize)> = by_name.into_iter().map(|(name, (t, n))| (name, t, n)).collect();
        entries.sort_by_key(|&(name, time, _)| (Reverse(time), name));
        let Some(&(_, most, _)) = entries.first() else { return };

        self.heading(Ink::Strong, "Critical path", "what the total time was made of", out);
        let shown = if entries.len() == ENTRIES + 1 { ENTRIES + 1 } else { ENTRIES };
        let names: Vec<String> = entries.iter().map(|(name, ..)| clean(name, self.style.unicode)).collect();
        let widest = names.iter().take(shown).map(|name| text::width(name)).max().unwrap_or(0);
        let name_width = widest.clamp(8, self.style.width / 4);
        for ((_, time, count), name) in entries.iter().zip(&names).take(shown) {
            let mut line = Line::new(self.style);
            let glyphs = self.style.glyphs();
            let share = *time as f64 * 100.0 / self.trace.duration() as f64;
            line.push(Ink::Plain, "  ").push(Ink::Strong, &text::pad(name, name_width, glyphs.ellipsis));
            line.push(Ink::Faint, &text::right(&format!("{} {count}", glyphs.times), 7));
            line.push(Ink::Plain, &text::right(&human(*time, self.style.unicode), duration::WIDTH + 2));
            line.push(Ink::Plain, &format!("{share:>4.0} %  "));
            let columns = line.room().min(40) as f64 * *time as f64 / most as f64;
            line.push(Ink::Critical, &meter(columns, self.style.unicode));
            line.finish(out);
        }
        if entries.len() > shown {
            let rest = entries[shown..].iter().map(|(_, time, _)| *time).fold(0, u64::saturating_add);
            let mut line = Line::new(self.style);
            let others = text::count(entries.len() - shown, "other", "others");
            line.push(Ink::Plain, "  ");
            line.push(Ink::Faint, &text::pad(&others, name_width + 7, self.style.glyphs().ellipsis));
            line.push(Ink::Faint, &text::right(&human(rest, self.style.unicode), duration::WIDTH + 2));
            line.finish(out);
        }
    }

    /// The spans that took longest themselves, their children's time not counted.
    fn slowest(&self, out: &mut String) {
        let own = |at: usize| self.analysis.own_ns[at];
        let mut order: Vec<usize> = (0..self.trace.spans.len()).filter(|&at| own(at) > 0).collect();
        order.sort_by_key(|&at| (Reverse(own(at)), at));
        order.truncate(ENTRIES);
        if order.is_empty() {
            return;
        }
        self.heading(Ink::Strong, "Slowest", "by own time, without that of children", out);
        let unicode = self.style.unicode;
        let details: Vec<String> = order
            .iter()
            .map(|&at| {
                let span = &self.trace.spans[at];
                let cpu = span.cpu_ns.map(|cpu| format!("CPU {}", human(cpu, unicode)));
                let memory = span.max_rss_bytes.map(duration::bytes);
                [cpu.map(|cpu| text::right(&cpu, 4 + duration::WIDTH)), memory.map(|memory| text::right(&memory, 8))]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join("  ")
            })
            .collect();
        let detail_width = details.iter().map(|detail| text::width(detail)).max().unwrap_or(0);
        for (&at, detail) in order.iter().zip(&details) {
            let span = &self.trace.spans[at];
            let mut line = Line::new(self.style);
            line.push(Ink::Plain, &text::right(&human(own(at), unicode), duration::WIDTH + 2)).push(Ink::Plain, "  ");
            if detail_width > 0 && line.room() > detail_width + 24 {
                line.push(Ink::Faint, &text::right(detail, detail_width)).push(Ink::Plain, "  ");
            }
            let ink = if span.failed { Ink::Failed } else { Ink::Plain };
            let room = line.room();
            line.push(ink, &title(span, room, self.style));
            line.finish(out);
        }
    }

    /// Where failures began, with the whole command line, and what failed because of them.
    fn failures(&self, out: &mut String) {
        let causes = self.analysis.causes(self.trace);
        if causes.is_empty() || causes == [0] {
            return;
        }
        let explanation = match causes.len() {
            1 => String::new(),
            many => format!("{many} times"),
        };
        self.heading(Ink::FailedStrong, "Failed", &explanation, out);
        let entries = self.alike(&causes);
        let shown = if entries.len() == ENTRIES + 1 { ENTRIES + 1 } else { ENTRIES };
        for (at, count) in entries.iter().take(shown) {
            self.failure(*at, *count, out);
        }
        if entries.len() > shown {
            let mut line = Line::new(self.style);
            let more: usize = entries[shown..].iter().map(|(_, count)| count).sum();
            line.push(Ink::Faint, &format!("  and {more} more"));
            line.finish(out);
        }
    }

    /// Routine failures of one kind as the first of them and their number, others one by one.
    fn alike(&self, causes: &[usize]) -> Vec<(usize, usize)> {
        let mut entries: Vec<(usize, usize)> = Vec::new();
        let mut routine: HashMap<_, usize> = HashMap::new();
        for &at in causes {
            let span = &self.trace.spans[at];
            if self.analysis.routine[at] {
                let entry = *routine.entry((&span.name, span.exit_code)).or_insert(entries.len());
                if entry < entries.len() {
                    entries[entry].1 += 1;
                    continue;
                }
            }
            entries.push((at, 1));
        }
        entries
    }

    fn failure(&self, at: usize, count: usize, out: &mut String) {
        let (span, glyphs) = (&self.trace.spans[at], self.style.glyphs());
        let outcome_of =
            |at: usize| outcome(&self.trace.spans[at], self.style).map_or_else(String::new, |(_, text)| text);
        let full = match span.args.is_empty() {
            true => title(span, usize::MAX, self.style),
            false => super::command::shorten(&span.args, usize::MAX, self.style.unicode, glyphs.ellipsis),
        };
        let mut line = Line::new(self.style);
        let outcome = cut(&outcome_of(at), self.style.width / 2, glyphs.ellipsis);
        let outcome = if count > 1 { format!("{outcome} {} {count}", glyphs.times) } else { outcome };
        line.push(Ink::Failed, &format!("  {} {outcome}  ", glyphs.cross));
        let mut rest = full.as_str();
        let lines = if self.analysis.fatal[at] { COMMAND_LINES } else { 1 };
        for number in 1..=lines {
            if number > 1 {
                line = Line::new(self.style);
                line.push(Ink::Plain, "      ");
            }
            let part = match number {
                last if last == lines => rest,
                _ => break_before(rest, line.room()),
            };
            line.push(Ink::Plain, part);
            line.finish(out);
            rest = rest[part.len()..].trim_start();
            if rest.is_empty() {
                break;
            }
            line = Line::new(self.style);
        }

        let mut chain = String::new();
        let passed_to = |at: usize| self.trace.parents[at].filter(|_| self.analysis.passed_on[at]);
        let mut next = passed_to(at);
        while let Some(above) = next {
            let name = clean(&self.trace.spans[above].name, self.style.unicode);
            chain.push_str(&format!("{}{name} {}", glyphs.arrow, outcome_of(above)));
            next = passed_to(above);
        }
        let mut facts = Vec::new();
        if !chain.is_empty() {
            facts.push(chain.trim_start().to_owned());
        } else if self.trace.parents[at].is_some() {
            facts.push("the parent went on".to_owned());
        }
        if let Some(directory) = &span.working_directory {
            facts.push(format!("in {}", clean(directory, self.style.unicode)));
        }
        if let Some(pid) = span.pid.filter(|_| count == 1) {
            facts.push(format!("pid {pid}"));
        }
        if !facts.is_empty() {
            let mut line = Line::new(self.style);
            line.push(Ink::Plain, "      ").push(Ink::Faint, &facts.join(glyphs.dot));
            line.finish(out);
        }
    }
}

/// The beginning of `text` that fits, up to a blank if there is one late enough.
fn break_before(text: &str, columns: usize) -> &str {
    let head = prefix(text, columns);
    if head.len() == text.len() {
        return text;
    }
    match head.rfind(' ') {
        Some(blank) if blank > head.len() / 2 => &head[..blank],
        _ => head,
    }
}

/// A bar from the left, in eighths of a column.
fn meter(columns: f64, unicode: bool) -> String {
    let eighths = (columns * 8.0).round().max(1.0) as usize;
    if !unicode {
        return "#".repeat((eighths / 8).max(1));
    }
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    format!("{}{part}", "█".repeat(eighths / 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_to_back_is_not_at_once() {
        assert_eq!(most_at_once(&[(0, 10), (10, 20), (5, 10), (3, 3)]), 2);
        assert_eq!(most_at_once(&[]), 0);
    }

    #[test]
    fn lines_break_at_blanks() {
        assert_eq!(break_before("alpha beta gamma", 12), "alpha beta");
        assert_eq!(break_before("alpha", 12), "alpha");
        assert_eq!(break_before("a verylongwordindeed", 12), "a verylongwo");
    }

    #[test]
    fn meters_are_drawn_in_eighths() {
        assert_eq!(meter(2.5, true), "██▌");
        assert_eq!(meter(0.0, true), "▏");
        assert_eq!(meter(2.5, false), "##");
    }
}
