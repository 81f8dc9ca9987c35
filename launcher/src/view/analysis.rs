//! What a trace tells beyond its spans: who worked when, what delayed the end, which failures mattered.

use super::bar::union;
use super::model::Trace;
use std::collections::HashMap;

/// Facts about each span of a trace, by its index.
pub struct Analysis {
    /// When the span ran while none of its children did, sorted.
    pub own: Vec<Vec<(u64, u64)>>,
    /// How long that was, in nanoseconds.
    pub own_ns: Vec<u64>,
    /// How much of the span's own time lies on the critical path, in nanoseconds.
    pub critical_ns: Vec<u64>,
    /// Whether the critical path goes through the span or one of its descendants.
    pub on_path: Vec<bool>,
    /// How many descendants the span has.
    pub descendants: Vec<usize>,
    /// Whether the span failed and its failure went on: it has no parent, or that failed too and did nothing in between.
    pub passed_on: Vec<bool>,
    /// Whether the failure was passed on all the way up.
    pub fatal: Vec<bool>,
    /// Whether the span failed, somebody above did not mind, and many ended alike: how scripts ask questions.
    pub routine: Vec<bool>,
}

/// More failures of one kind that somebody tolerates are routine.
const FEW_ALIKE: usize = 3;

impl Analysis {
    /// Takes time proportional to the number of spans (and its logarithm).
    pub fn of(trace: &Trace) -> Self {
        let own: Vec<_> = (0..trace.spans.len()).map(|at| own_intervals(trace, at)).collect();
        let own_ns = own.iter().map(|own| own.iter().map(|(start, end)| end - start).sum()).collect();
        let order = trace.preorder();
        let mut descendants = vec![0; trace.spans.len()];
        for &at in order.iter().rev() {
            if let Some(parent) = trace.parents[at] {
                descendants[parent] += 1 + descendants[at];
            }
        }
        let passed_on: Vec<bool> = (0..trace.spans.len()).map(|at| passed_on(trace, at)).collect();
        let mut fatal = passed_on.clone();
        let mut all_above_failed: Vec<bool> = trace.spans.iter().map(|span| span.failed).collect();
        for &at in &order {
            if let Some(parent) = trace.parents[at] {
                fatal[at] &= fatal[parent];
                all_above_failed[at] &= all_above_failed[parent];
            }
        }
        let routine = routine(trace, &all_above_failed);
        let (critical_ns, on_path) = critical_path(trace);
        Self { own, own_ns, critical_ns, on_path, descendants, passed_on, fatal, routine }
    }

    /// Whether the span failed in a way that a reader should know of.
    pub fn alarming(&self, trace: &Trace, at: usize) -> bool {
        trace.spans[at].failed && !self.routine[at]
    }

    /// The failed spans in which failures began: those that mattered first, routine last, by start.
    pub fn causes(&self, trace: &Trace) -> Vec<usize> {
        let failed_child = |at: usize| trace.children[at].iter().any(|&child| trace.spans[child].failed);
        let mut causes: Vec<usize> =
            (0..trace.spans.len()).filter(|&at| trace.spans[at].failed && !failed_child(at)).collect();
        causes.sort_by_key(|&at| (!self.fatal[at], self.routine[at], at));
        causes
    }
}

/// A parent that starts something else after the failure goes on; if it fails in the end, it is for another reason.
fn passed_on(trace: &Trace, at: usize) -> bool {
    let span = &trace.spans[at];
    let by = |parent: usize| {
        let last_start = trace.children[parent].last().map_or(0, |&last| trace.spans[last].start_ns);
        trace.spans[parent].failed && last_start <= span.end_ns
    };
    span.failed && trace.parents[at].is_none_or(by)
}

/// A death by signal is never routine.
fn routine(trace: &Trace, all_above_failed: &[bool]) -> Vec<bool> {
    let kind = |at: usize| {
        let span = &trace.spans[at];
        let tolerated = span.failed && !all_above_failed[at] && span.error.is_none();
        tolerated.then_some((span.name.as_str(), span.exit_code))
    };
    let mut alike: HashMap<_, usize> = HashMap::new();
    for kind in (0..trace.spans.len()).filter_map(kind) {
        *alike.entry(kind).or_default() += 1;
    }
    (0..trace.spans.len()).map(|at| kind(at).is_some_and(|kind| alike[&kind] > FEW_ALIKE)).collect()
}

fn own_intervals(trace: &Trace, at: usize) -> Vec<(u64, u64)> {
    let span = &trace.spans[at];
    let children: Vec<_> = trace.children[at]
        .iter()
        .map(|&child| (trace.spans[child].start_ns, trace.spans[child].end_ns.min(span.end_ns)))
        .filter(|(start, end)| start < end)
        .collect();
    let mut own = Vec::with_capacity(children.len() + 1);
    let mut from = span.start_ns;
    for (start, end) in union(&children) {
        if start > from {
            own.push((from, start));
        }
        from = from.max(end);
    }
    if from < span.end_ns || own.is_empty() && children.is_empty() {
        own.push((from, span.end_ns));
    }
    own
}

/// Walks from the end of the trace to its start, at each moment in the span that everything else waited for.
///
/// Inside a span that is its child that ended last before that moment; before this child started, the one that
/// ended last before that; and so on. The time between belongs to the span itself.
fn critical_path(trace: &Trace) -> (Vec<u64>, Vec<bool>) {
    /// A span on the way, the moment reached in it, and its children that are still to be looked at.
    struct Step {
        span: Option<usize>,
        moment: u64,
        /// Where it ends: the start of the span, or of the one above if that is later.
        floor: u64,
        by_end: Vec<usize>,
    }
    let by_end = |children: &[usize]| {
        let mut sorted = children.to_vec();
        sorted.sort_by_key(|&child| (trace.spans[child].end_ns, trace.spans[child].start_ns));
        sorted
    };
    let mut critical = vec![0u64; trace.spans.len()];
    let mut on_path = vec![false; trace.spans.len()];
    let mut stack =
        vec![Step { span: None, moment: trace.end_ns, floor: trace.start_ns, by_end: by_end(&trace.roots) }];
    while let Some(step) = stack.last_mut() {
        let Some(child) = step.by_end.pop() else {
            if let Some(at) = step.span {
                critical[at] += step.moment - step.floor;
            }
            stack.pop();
            continue;
        };
        let span = &trace.spans[child];
        // An end is seen by others a little sooner or later than the parent saw it.
        let tolerance = (span.duration() / 20).min(5_000_000);
        if span.end_ns.saturating_sub(tolerance) > step.moment
            || span.start_ns >= step.moment
            || span.end_ns <= step.floor
        {
            continue;
        }
        let end = span.end_ns.min(step.moment);
        if let Some(at) = step.span {
            critical[at] += step.moment - end;
        }
        step.moment = span.start_ns.max(step.floor);
        let floor = step.moment;
        on_path[child] = true;
        stack.push(Step { span: Some(child), moment: end, floor, by_end: by_end(&trace.children[child]) });
    }
    (critical, on_path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::fixture::{ORIGIN, span, trace};
    use crate::view::model::ViewSpan;

    #[test]
    fn own_time_is_what_no_child_covers() {
        let trace = trace([span(1, 0, 0, 100), span(2, 1, 10, 30), span(3, 1, 20, 50), span(4, 1, 90, 120)]);
        let analysis = Analysis::of(&trace);
        assert_eq!(analysis.own[0], [(0, 10), (50, 90)].map(|(from, to)| (ORIGIN + from, ORIGIN + to)));
        assert_eq!(analysis.own_ns, [50, 20, 30, 30]);
        assert_eq!(analysis.descendants, [3, 0, 0, 0]);
    }

    #[test]
    fn the_critical_path_jumps_from_job_to_job() {
        // Two jobs at a time: 2 then 4 on one side, 3 on the other.
        let trace = trace([span(1, 0, 0, 100), span(2, 1, 1, 40), span(3, 1, 2, 60), span(4, 1, 41, 95)]);
        let analysis = Analysis::of(&trace);
        assert_eq!(analysis.on_path, [true, true, false, true]);
        assert_eq!(analysis.critical_ns, [1 + 1 + 5, 39, 0, 54]);
    }

    #[test]
    fn a_child_that_outlives_its_parent_is_not_waited_for() {
        let trace = trace([span(1, 0, 0, 100), span(2, 1, 10, 400), span(3, 0, 350, 500)]);
        let analysis = Analysis::of(&trace);
        assert_eq!(analysis.on_path, [true, false, true]);
        assert_eq!(analysis.critical_ns.iter().sum::<u64>(), 250);
    }

    #[test]
    fn failures_begin_where_no_child_failed_and_matter_when_passed_on() {
        let mut spans = [span(1, 0, 0, 100), span(2, 1, 1, 5), span(3, 1, 6, 90), span(4, 3, 7, 80), span(5, 3, 8, 9)];
        for failed in [0, 2, 3] {
            spans[failed].failed = true;
        }
        let mut quiet = span(6, 7, 10, 20);
        quiet.failed = true;
        let trace = trace(spans.into_iter().chain([quiet, span(7, 1, 9, 30)]));
        let analysis = Analysis::of(&trace);
        let ids: Vec<_> = analysis.causes(&trace).into_iter().map(|at| trace.spans[at].span_id.0).collect();
        assert_eq!(ids, [4, 6]);
    }

    #[test]
    fn a_parent_that_starts_something_else_has_gone_on() {
        let mut spans =
            [span(1, 0, 0, 100), span(2, 1, 1, 5), span(3, 1, 6, 90), span(4, 3, 7, 80), span(5, 3, 81, 89)];
        for failed in [0, 1, 2, 3] {
            spans[failed].failed = true;
        }
        let analysis = Analysis::of(&trace(spans));
        assert_eq!(analysis.passed_on, [true, false, true, false, false]);
        assert_eq!(analysis.fatal, [true, false, true, false, false]);
    }

    #[test]
    fn what_fails_below_a_tolerated_failure_is_not_fatal() {
        let mut spans = [span(1, 0, 0, 100), span(2, 1, 1, 50), span(3, 2, 6, 40), span(4, 1, 60, 70)];
        for failed in [1, 2] {
            spans[failed].failed = true;
        }
        let analysis = Analysis::of(&trace(spans));
        assert_eq!(analysis.passed_on, [false, false, true, false]);
        assert_eq!(analysis.fatal, [false; 4]);
    }

    #[test]
    fn many_failures_alike_that_nobody_minds_are_routine() {
        let failed = |id: u64, name: &str| {
            let times = span(id, 1, id, id + 1);
            ViewSpan { name: name.into(), failed: true, exit_code: Some(1), ..times }
        };
        let mut spans = vec![span(1, 0, 0, 100), failed(2, "grep")];
        spans.extend((3..=6).map(|id| failed(id, "test")));
        spans.push(ViewSpan { error: Some("SIGSEGV".into()), ..failed(7, "test") });
        let analysis = Analysis::of(&trace(spans.clone()));
        assert_eq!(analysis.routine, [false, false, true, true, true, true, false]);
        spans[0].failed = true;
        assert_eq!(Analysis::of(&trace(spans)).routine, [false; 7], "the parent failed as well");
    }
}
