//! The picture as a whole: head, time axis, tree with bars, activity, and what is worth knowing below it.

use super::analysis::Analysis;
use super::axis::Axis;
use super::bar::{Bar, shares};
use super::duration::{self, human};
use super::fold::{self, Content, Row};
use super::insight;
use super::label::{self, Label, common_outcome, outcome, title};
use super::model::{End, Trace, ViewSpan};
use super::options::ViewOptions;
use super::style::{Ink, Line, Style};
use super::text::{self, cut};

/// Draws the traces, one below the other. Every line ends with a line feed and none is wider than the style says.
pub fn render(traces: &[Trace], style: &Style, options: &ViewOptions) -> String {
    let mut out = String::new();
    for trace in traces.iter().filter(|trace| !trace.spans.is_empty()) {
        if !out.is_empty() {
            out.push('\n');
        }
        Waterfall::new(trace, style, options).draw(&mut out);
    }
    if out.is_empty() {
        out.push_str("No spans were recorded.\n");
    }
    out
}

struct Waterfall<'a> {
    trace: &'a Trace,
    style: &'a Style,
    options: &'a ViewOptions,
    analysis: Analysis,
    rows: Vec<Row>,
    columns: Columns,
}

/// The widths of the columns, from left to right; a blank is between each, two before the bars.
struct Columns {
    label: usize,
    outcome: usize,
    bar: usize,
}

/// Columns for a command line, besides the guides of the tree.
const ENOUGH_FOR_WORDS: usize = 44;
/// An outcome that is wider is cut.
const WIDEST_OUTCOME: usize = 14;

impl Columns {
    fn fit(trace: &Trace, style: &Style, rows: &[Row]) -> Self {
        let outcomes = rows.iter().filter_map(|row| row_outcome(trace, row, style));
        let widest = outcomes.map(|(_, text)| text::width(&text)).max().unwrap_or(0);
        let outcome = widest.min(if style.width < 60 { 7 } else { WIDEST_OUTCOME });
        let gaps = if outcome > 0 { 4 } else { 3 };
        let free = style.width.saturating_sub(outcome + duration::WIDTH + gaps);
        // Bars tell more than the options of a compiler do.
        let depth = rows.iter().map(|row| row.depth).max().unwrap_or(0);
        let most = (free * 11 / 20).min(ENOUGH_FOR_WORDS + 3 * depth);
        let wish = rows.iter().map(|row| Label::new(trace, style, row).wish(most)).max().unwrap_or(0);
        // Also the row of the activity has a label.
        let label = wish.clamp(12.min(most), most);
        Self { label, outcome, bar: free - label }
    }

    /// The columns left of the bars.
    fn before_bar(&self) -> usize {
        self.label + duration::WIDTH + if self.outcome > 0 { self.outcome + 4 } else { 3 }
    }
}

/// The span that stands for a row.
fn first(row: &Row) -> usize {
    match &row.content {
        Content::Span { at, .. } => *at,
        Content::Group { members, .. } => members[0],
    }
}

fn row_outcome(trace: &Trace, row: &Row, style: &Style) -> Option<(Ink, String)> {
    match &row.content {
        Content::Span { at, .. } => outcome(&trace.spans[*at], style),
        Content::Group { members, .. } => common_outcome(trace, members, style),
    }
}

impl<'a> Waterfall<'a> {
    fn new(trace: &'a Trace, style: &'a Style, options: &'a ViewOptions) -> Self {
        let analysis = Analysis::of(trace);
        let rows = fold::rows(trace, &analysis, options);
        let columns = Columns::fit(trace, style, &rows);
        Self { trace, style, options, analysis, rows, columns }
    }

    fn draw(&self, out: &mut String) {
        self.head(out);
        self.tree(out);
        self.notes(out);
        insight::write(self.trace, &self.analysis, self.style, out);
    }

    fn head(&self, out: &mut String) {
        let (trace, glyphs) = (self.trace, self.style.glyphs());
        let Some(root) = trace.main_root() else { return };
        let wall = human(root.duration(), self.style.unicode);
        let (ink, end) = match (root.end(), outcome(root, self.style)) {
            (End::Failed, Some((ink, text))) => (ink, format!("{} {text} after {wall}", glyphs.cross)),
            (End::Running, Some((ink, text))) => (ink, format!("{text} for {wall}")),
            (End::Interrupted, Some((ink, text))) => (ink, format!("{text} after {wall}")),
            (End::Unknown, _) => (Ink::Plain, format!("ended after {wall}, unknown how")),
            _ => (Ink::Good, format!("{} {wall}", glyphs.check)),
        };
        let end = cut(&end, self.style.width / 2, glyphs.ellipsis);
        let mut line = Line::new(self.style);
        line.push(Ink::Strong, &title(root, self.style.width - text::width(&end) - 2, self.style));
        line.push(Ink::Plain, "  ").push(ink, &end);
        line.finish(out);

        let mut line = Line::new(self.style);
        for (number, (ink, fact)) in self.facts().into_iter().enumerate() {
            let dot = if number > 0 { glyphs.dot } else { "" };
            if text::width(dot) + text::width(&fact) <= line.room() {
                line.push(Ink::Faint, dot).push(ink, &fact);
            }
        }
        line.finish(out);
        out.push('\n');
    }

    /// What is to be known of the whole, the most important first; what does not fit is left out.
    fn facts(&self) -> Vec<(Ink, String)> {
        let (trace, unicode) = (self.trace, self.style.unicode);
        let processes = trace.spans.iter().filter(|span| span.is_process).count();
        let others = trace.spans.len() - processes;
        let ended = |end: End| trace.spans.iter().filter(|span| span.end() == end).count();
        let mut facts = Vec::new();
        if processes > 0 {
            facts.push((Ink::Plain, text::count(processes, "process", "processes")));
        }
        if others > 0 {
            facts.push((Ink::Plain, text::count(others, "span", "spans")));
        }
        for (end, ink, word) in [
            (End::Failed, Ink::Failed, "failed"),
            (End::Interrupted, Ink::CutShort, "interrupted"),
            (End::Running, Ink::CutShort, "still running"),
        ] {
            // How the root was cut short stands in the head.
            let told = usize::from(end != End::Failed && trace.main_root().is_some_and(|root| root.end() == end));
            if let count @ 1.. = ended(end) - told {
                facts.push((ink, format!("{count} {word}")));
            }
        }
        let main = trace.main_root().map_or(0, ViewSpan::duration);
        if trace.duration() - main > main / 20 {
            facts.push((Ink::Plain, format!("{} in all", human(trace.duration(), unicode))));
        }
        if trace.spans.iter().any(|span| span.cpu_ns.is_some()) {
            let cpu = trace.spans.iter().filter_map(|span| span.cpu_ns).fold(0, u64::saturating_add);
            let cores = cpu as f64 / trace.duration().max(1) as f64;
            let cores = if cores < 0.05 { String::new() } else { format!(" = {cores:.1} cores") };
            facts.push((Ink::Plain, format!("CPU {}{cores}", human(cpu, unicode))));
        }
        if let Some(peak) = trace.spans.iter().filter_map(|span| span.max_rss_bytes).max() {
            facts.push((Ink::Plain, format!("peak memory {}", duration::bytes(peak))));
        }
        facts.push((Ink::Faint, duration::timestamp(trace.start_ns)));
        facts.push((Ink::Faint, format!("trace {}", trace.id)));
        facts
    }

    fn tree(&self, out: &mut String) {
        let axis = Axis::new(self.trace.start_ns, self.trace.end_ns, self.columns.bar);
        let ticks = axis.ticks(self.style.unicode);
        let mut line = Line::new(self.style);
        self.legend(&mut line);
        let mut written = 0;
        for tick in &ticks {
            let label = format!("{}{}", self.style.glyphs().tick, tick.label);
            if tick.column + text::width(&label) <= axis.columns() {
                line.push(Ink::Plain, &" ".repeat(tick.column - written)).push(Ink::Faint, &label);
                written = tick.column + text::width(&label);
            }
        }
        line.finish(out);

        let tick_columns: Vec<usize> = ticks.iter().map(|tick| tick.column).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let children_shown = self.rows.get(number + 1).is_some_and(|next| next.depth > row.depth);
            self.row(row, children_shown, &axis, &tick_columns, out);
        }
        if self.trace.spans.len() > 3 {
            self.activity(&axis, out);
        }
    }

    /// What the bars mean, as far as there is room for it left of the axis.
    fn legend(&self, line: &mut Line<'_>) {
        let [work, wait] = self.style.glyphs().work_and_wait;
        let mut entries = Vec::new();
        if self.style.colour {
            let colours = |wanted: bool| self.rows.iter().any(|row| self.analysis.on_path[first(row)] == wanted);
            if colours(true) && colours(false) {
                entries.extend([(Ink::Critical, work, "critical path"), (Ink::Ordinary, work, "beside it")]);
            }
        } else {
            entries.push((Ink::Plain, work, "works"));
        }
        entries.push((Ink::Plain, wait, "waits for children"));
        let waits = self.rows.windows(2).any(|pair| pair[1].depth > pair[0].depth);
        let end = line.room() - self.columns.before_bar();
        for (ink, glyph, meaning) in entries.into_iter().filter(|_| waits) {
            if line.room() - end > text::width(glyph) + text::width(meaning) + 3 {
                line.push(ink, glyph).push(Ink::Faint, &format!(" {meaning}  "));
            }
        }
        let fill = line.room() - end;
        line.push(Ink::Plain, &" ".repeat(fill));
    }

    fn row(&self, row: &Row, children_shown: bool, axis: &Axis, tick_columns: &[usize], out: &mut String) {
        let (trace, unicode) = (self.trace, self.style.unicode);
        let mut line = Line::new(self.style);
        Label::new(trace, self.style, row).write(&mut line, self.columns.label);
        let span = &trace.spans[first(row)];
        if self.columns.outcome > 0 {
            let (ink, text) = row_outcome(trace, row, self.style).unwrap_or((Ink::Plain, String::new()));
            let text = cut(&text, self.columns.outcome, self.style.glyphs().ellipsis);
            line.push(ink, &text::right(&text, self.columns.outcome + 1));
        }
        let mut bar = Bar::new(axis, self.style, tick_columns);
        let time = match &row.content {
            Content::Span { at, .. } => {
                let ink = label::ink(span, self.analysis.on_path[*at]);
                // A row that stands for all below it works while any of that does.
                let whole = [(span.start_ns, span.end_ns)];
                let own = if children_shown { &self.analysis.own[*at][..] } else { &whole };
                bar.span(span.start_ns, span.end_ns, own, ink, span.still_running);
                human(span.duration(), unicode)
            }
            Content::Group { members, .. } => {
                let on_path = members.iter().any(|&at| self.analysis.on_path[at]);
                let times: Vec<_> =
                    members.iter().map(|&at| (trace.spans[at].start_ns, trace.spans[at].end_ns)).collect();
                bar.group(&times, label::ink(span, on_path));
                human(members.iter().map(|&at| trace.spans[at].duration()).fold(0, u64::saturating_add), unicode)
            }
        };
        line.push(Ink::Plain, &text::right(&time, duration::WIDTH + 1)).push(Ink::Plain, "  ");
        bar.write(&mut line);
        line.finish(out);
    }

    /// How many spans were at work over time, those not counted that only waited for children.
    fn activity(&self, axis: &Axis, out: &mut String) {
        let all: Vec<(u64, u64)> = self.analysis.own.concat();
        let at_work = shares(axis, &all);
        let most = at_work.iter().copied().fold(0.0, f64::max);
        let mut line = Line::new(self.style);
        let label = text::pad("at work", self.columns.label, self.style.glyphs().ellipsis);
        line.push(Ink::Faint, &label);
        let value = text::right(&format!("max {}", insight::most_at_once(&all)), duration::WIDTH + 1);
        let gap = if self.columns.outcome > 0 { self.columns.outcome + 1 } else { 0 };
        line.push(Ink::Plain, &" ".repeat(gap)).push(Ink::Faint, &value).push(Ink::Plain, "  ");
        let mut bar = Bar::new(axis, self.style, &[]);
        bar.levels(&at_work, most, Ink::Good);
        bar.write(&mut line);
        line.finish(out);
    }

    /// What the rows do not say of themselves.
    fn notes(&self, out: &mut String) {
        let shown: Vec<usize> = self
            .rows
            .iter()
            .filter_map(|row| match row.content {
                Content::Span { at, .. } => Some(at),
                Content::Group { .. } => None,
            })
            .collect();
        let folded = self.trace.spans.len() - shown.len();
        if folded > 0 {
            let times = self.style.glyphs().times;
            self.note(
                &[
                    format!("{folded} folded"),
                    format!("{} shows them", self.options.unfold_with(self.trace.id)),
                    "+N: so many inside".to_owned(),
                    format!("{times} N: so many beside each other, their times added up"),
                ],
                out,
            );
        }
        let mut reasons: Vec<&str> =
            shown.iter().filter_map(|&at| self.trace.spans[at].untraceable.as_deref()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        if !reasons.is_empty() {
            let reasons = text::clean(&reasons.join(", "), self.style.unicode);
            self.note(&[format!("({reasons}): seen only from outside")], out);
        }
        if shown.iter().any(|&at| self.trace.spans[at].end() == End::Unknown) {
            self.note(&["?: nobody asked how it ended".to_owned()], out);
        }
        if shown.iter().any(|&at| self.trace.spans[at].execs > 0) {
            self.note(&["(exec): began as another program".to_owned()], out);
        }
    }

    /// As many of the facts on one line as there is room for.
    fn note(&self, facts: &[String], out: &mut String) {
        let mut line = Line::new(self.style);
        for (number, fact) in facts.iter().enumerate() {
            let separator = if number > 0 { self.style.glyphs().dot } else { "" };
            if number == 0 || text::width(separator) + text::width(fact) <= line.room() {
                line.push(Ink::Faint, separator).push(Ink::Faint, fact);
            }
        }
        line.finish(out);
    }
}
