//! Spans as the waterfall needs them, and the trees they make.

use ddtrace::ids::{SpanId, TraceId};
use std::collections::HashMap;

/// One row's worth of facts about a span.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ViewSpan {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id; zero where the input had none.
    pub span_id: SpanId,
    /// The parent's id; zero for none.
    pub parent_id: SpanId,
    /// The span's name; for a process the name under which it was started.
    pub name: String,
    /// The command line of a process, argv\[0] first; empty where it is not known.
    pub args: Vec<String>,
    /// What tells this span from others of its name: a URL, a statement. Empty for none.
    pub detail: String,
    /// `service.name`.
    pub service: String,
    /// Nanoseconds since the Unix epoch; 0 where the input had none.
    pub start_ns: u64,
    /// Nanoseconds since the Unix epoch; 0 where the input had none.
    pub end_ns: u64,
    /// The exit code of a process that ended by itself.
    pub exit_code: Option<i64>,
    /// What went wrong: a signal's name, a status code, an exception's type.
    pub error: Option<String>,
    /// Whether it failed.
    pub failed: bool,
    /// Whether it was ended on purpose, by the user at the terminal or because nobody read on; `error` is the signal.
    pub interrupted: bool,
    /// CPU time of the process itself, without its children.
    pub cpu_ns: Option<u64>,
    /// The peak of its resident memory.
    pub max_rss_bytes: Option<u64>,
    /// Whether it had not ended when it was recorded.
    pub still_running: bool,
    /// Whether it is the span of a process.
    pub is_process: bool,
    /// Process id.
    pub pid: Option<i64>,
    /// The directory it was started in.
    pub working_directory: Option<String>,
    /// In one word, why nothing inside of the process is seen.
    pub untraceable: Option<String>,
    /// How many times the process went on as another program; what is shown is the last one.
    pub execs: u64,
}

/// How a span ended, as far as its look goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Without anything to say.
    Fine,
    /// It failed.
    Failed,
    /// On purpose: see [`ViewSpan::interrupted`].
    Interrupted,
    /// It had not ended.
    Running,
    /// It is a process, and nobody asked how it ended.
    Unknown,
}

impl ViewSpan {
    /// How it ended. A failure is known even of what goes on.
    pub fn end(&self) -> End {
        match self {
            ViewSpan { failed: true, .. } => End::Failed,
            ViewSpan { interrupted: true, .. } => End::Interrupted,
            ViewSpan { still_running: true, .. } => End::Running,
            ViewSpan { is_process: true, exit_code: None, .. } => End::Unknown,
            _ => End::Fine,
        }
    }

    /// Nanoseconds from start to end.
    pub fn duration(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}

/// One trace: its spans by start, and how they hang together.
///
/// The graph is a forest whatever the input was: spans whose parent is missing are roots, and a cycle is cut at
/// its earliest span.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The trace id.
    pub id: TraceId,
    /// All spans, by start; of two that start together the longer is first. Ends are never before starts.
    pub spans: Vec<ViewSpan>,
    /// The parent of each span.
    pub parents: Vec<Option<usize>>,
    /// The children of each span, by start.
    pub children: Vec<Vec<usize>>,
    /// The spans without parent, by start.
    pub roots: Vec<usize>,
    /// The earliest start.
    pub start_ns: u64,
    /// The latest end.
    pub end_ns: u64,
}

impl Trace {
    /// Sorts spans into traces, the traces by their start.
    pub fn build(spans: impl IntoIterator<Item = ViewSpan>) -> Vec<Trace> {
        let mut by_id: HashMap<TraceId, Vec<ViewSpan>> = HashMap::new();
        for span in spans {
            by_id.entry(span.trace_id).or_default().push(span);
        }
        let mut traces: Vec<Trace> = by_id.into_iter().map(|(id, spans)| Self::of_one(id, spans)).collect();
        traces.sort_by_key(|trace| (trace.start_ns, trace.id));
        traces
    }

    fn of_one(id: TraceId, spans: Vec<ViewSpan>) -> Trace {
        let mut spans = merge_reports(spans);
        let (start_ns, end_ns) = settle_times(&mut spans);
        spans.sort_by_key(|span| (span.start_ns, u64::MAX - span.end_ns, span.span_id));

        let mut index: HashMap<SpanId, usize> = HashMap::with_capacity(spans.len());
        for (at, span) in spans.iter().enumerate().filter(|(_, span)| span.span_id.is_valid()) {
            index.entry(span.span_id).or_insert(at);
        }
        let mut parents: Vec<Option<usize>> = spans
            .iter()
            .enumerate()
            .map(|(at, span)| index.get(&span.parent_id).copied().filter(|&parent| parent != at))
            .collect();
        cut_cycles(&mut parents);

        let mut children = vec![Vec::new(); spans.len()];
        let mut roots = Vec::new();
        for (at, parent) in parents.iter().enumerate() {
            match parent {
                Some(parent) => children[*parent].push(at),
                None => roots.push(at),
            }
        }
        Trace { id, spans, parents, children, roots, start_ns, end_ns }
    }

    /// Nanoseconds from the first start to the last end.
    pub fn duration(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }

    /// The root that stands for the trace: the longest one.
    pub fn main_root(&self) -> Option<&ViewSpan> {
        let longest = self.roots.iter().rev().max_by_key(|&&root| self.spans[root].duration())?;
        Some(&self.spans[*longest])
    }

    /// Every span after its parent. Not recursive: a chain of parents may be as long as the trace.
    pub fn preorder(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.spans.len());
        let mut stack: Vec<usize> = self.roots.iter().rev().copied().collect();
        while let Some(at) = stack.pop() {
            order.push(at);
            stack.extend(self.children[at].iter().rev());
        }
        order
    }
}

/// One span for each id: a span reported when it began, and again when it ended, is one.
///
/// Two spans that have one id by mistake differ in their start, and stay two.
fn merge_reports(spans: Vec<ViewSpan>) -> Vec<ViewSpan> {
    let mut first: HashMap<SpanId, usize> = HashMap::with_capacity(spans.len());
    let mut merged: Vec<ViewSpan> = Vec::with_capacity(spans.len());
    for span in spans {
        let known = first.get(&span.span_id).copied().filter(|_| span.span_id.is_valid());
        match known {
            Some(at) if merged[at].start_ns == span.start_ns => {
                if merged[at].still_running || (!span.still_running && span.end_ns > merged[at].end_ns) {
                    merged[at] = span;
                }
            }
            _ => {
                first.entry(span.span_id).or_insert(merged.len());
                merged.push(span);
            }
        }
    }
    merged
}

/// Gives every span a start and an end in order, and returns the limits of the trace.
fn settle_times(spans: &mut [ViewSpan]) -> (u64, u64) {
    // A single span without start would stretch the axis back to 1970.
    let start = spans.iter().map(|span| span.start_ns).filter(|&start| start > 0).min().unwrap_or(0);
    let end = spans.iter().map(|span| span.end_ns.max(span.start_ns)).max().unwrap_or(0).max(start);
    for span in spans {
        span.start_ns = span.start_ns.max(start);
        span.end_ns = if span.still_running { end } else { span.end_ns.max(span.start_ns) };
    }
    (start, end)
}

/// Makes the first member of each cycle a root.
fn cut_cycles(parents: &mut [Option<usize>]) {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Not,
        OnThisPath,
        Before,
    }
    let mut seen = vec![Seen::Not; parents.len()];
    let mut path = Vec::new();
    for from in 0..parents.len() {
        let mut at = Some(from);
        while let Some(here) = at.filter(|&here| seen[here] == Seen::Not) {
            seen[here] = Seen::OnThisPath;
            path.push(here);
            at = parents[here];
        }
        if let Some(again) = at.filter(|&again| seen[again] == Seen::OnThisPath) {
            let cycle = path.iter().rev().take_while(|&&member| member != again);
            let earliest = cycle.copied().min().map_or(again, |other| other.min(again));
            parents[earliest] = None;
        }
        for done in path.drain(..) {
            seen[done] = Seen::Before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u64, parent: u64, start: u64, end: u64) -> ViewSpan {
        ViewSpan {
            trace_id: TraceId(1),
            span_id: SpanId(id),
            parent_id: SpanId(parent),
            start_ns: start,
            end_ns: end,
            still_running: end == 0,
            ..ViewSpan::default()
        }
    }

    fn one(spans: Vec<ViewSpan>) -> Trace {
        let mut traces = Trace::build(spans);
        assert_eq!(traces.len(), 1);
        traces.remove(0)
    }

    #[test]
    fn children_hang_under_their_parents_by_start() {
        let trace = one(vec![span(3, 1, 30, 40), span(2, 1, 20, 25), span(1, 99, 10, 50), span(4, 2, 20, 22)]);
        assert_eq!(trace.spans.iter().map(|s| s.span_id.0).collect::<Vec<_>>(), [1, 2, 4, 3]);
        assert_eq!(trace.roots, [0], "a missing parent makes a root");
        assert_eq!(trace.children[0], [1, 3]);
        assert_eq!(trace.preorder(), [0, 1, 2, 3]);
        assert_eq!((trace.start_ns, trace.end_ns), (10, 50));
    }

    #[test]
    fn cycles_are_cut_at_their_earliest_span() {
        let trace =
            one(vec![span(1, 3, 30, 40), span(2, 1, 20, 25), span(3, 2, 10, 50), span(4, 1, 35, 36), span(5, 5, 1, 2)]);
        assert_eq!(trace.roots.iter().map(|&r| trace.spans[r].span_id.0).collect::<Vec<_>>(), [5, 3]);
        assert_eq!(trace.preorder().len(), 5);
    }

    #[test]
    fn a_span_reported_at_start_and_at_end_is_one() {
        let trace = one(vec![span(1, 0, 10, 0), span(1, 0, 10, 30), span(1, 0, 10, 0), span(2, 1, 12, 0)]);
        assert_eq!(trace.spans.len(), 2);
        assert!(!trace.spans[0].still_running);
        assert!(trace.spans[1].still_running);
        assert_eq!(trace.spans[1].end_ns, 30, "lasts as long as anything is known");
    }

    #[test]
    fn spans_that_share_an_id_by_mistake_or_have_none_all_stay() {
        let trace = one(vec![span(7, 0, 10, 30), span(7, 0, 11, 12), span(0, 7, 12, 13), span(0, 0, 14, 15)]);
        assert_eq!(trace.spans.len(), 4);
        assert_eq!(trace.children[0], [2]);
    }

    #[test]
    fn impossible_times_are_made_possible() {
        let trace = one(vec![span(1, 0, 100, 90), span(2, 1, 0, 120), span(3, 1, 110, u64::MAX)]);
        assert_eq!(trace.start_ns, 100);
        assert!(trace.spans.iter().all(|s| s.end_ns >= s.start_ns && s.start_ns >= 100));
    }

    #[test]
    fn traces_are_apart_and_by_start() {
        let mut other = span(1, 0, 5, 6);
        other.trace_id = TraceId(2);
        let traces = Trace::build([span(1, 0, 10, 20), other, span(2, 1, 11, 12)]);
        assert_eq!(traces.iter().map(|t| (t.id.0, t.spans.len())).collect::<Vec<_>>(), [(2, 1), (1, 2)]);
    }

    #[test]
    fn a_chain_as_long_as_the_trace_needs_no_stack() {
        let trace = one((1..=200_000).map(|id| span(id, id - 1, id, 1_000_000)).collect());
        assert_eq!(trace.preorder().len(), 200_000);
    }
}
