//! Which spans get a row of their own when there are too many, and how the others are put together.

use super::analysis::Analysis;
use super::model::Trace;
use super::options::{Sort, ViewOptions};
use std::cmp::Reverse;

/// What a row shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// One span, and so many descendants that have no row.
    Span {
        /// Its index.
        at: usize,
        /// Descendants without a row.
        inside: usize,
    },
    /// Several siblings without rows of their own, with all that is below them.
    Group {
        /// Their indices, by start; at least two.
        members: Vec<usize>,
        /// Their descendants.
        inside: usize,
    },
}

/// One row of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it shows.
    pub content: Content,
    /// How many ancestors have a row above it.
    pub depth: usize,
    /// Bit 0: a sibling follows; bit 1: a sibling of the parent follows; and so on.
    pub followed: u64,
}

/// So few siblings, if they take no more than this share of their parent's time, are only counted.
const NEGLIGIBLE: (usize, f64) = (3, 0.1);
/// A child that fills this share of its parent mostly repeats it.
const REPEATS_PARENT: f64 = 0.8;
/// Groups under one parent, before the smaller ones become one.
const GROUPS: usize = 3;

/// The rows for a trace: in order, at most as many as the options allow if that is possible.
pub fn rows(trace: &Trace, analysis: &Analysis, options: &ViewOptions) -> Vec<Row> {
    let fits = trace.spans.len() <= options.limit;
    // Room that is left must not be filled with what is too short to matter.
    let too_short = if options.all || fits { 0 } else { trace.duration() / (4 * options.limit as u64).max(1) };
    let order = by_importance(trace, analysis, options.min_duration.max(too_short));
    if order.len() == trace.spans.len() && (options.all || fits) {
        return rows_of(trace, analysis, options, &vec![true; trace.spans.len()], false);
    }
    let rows_for = |count: usize, spread: bool| {
        let mut shown = vec![false; trace.spans.len()];
        for &at in &order[..count] {
            let mut next = Some(at);
            while let Some(here) = next.filter(|&here| !shown[here]) {
                shown[here] = true;
                next = trace.parents[here];
            }
        }
        rows_of(trace, analysis, options, &shown, spread)
    };
    if options.all {
        return rows_for(order.len(), true);
    }
    // The more spans are shown, the more rows there are, give or take a few groups.
    let (mut fits, mut too_many) = (1, order.len() + 1);
    while too_many - fits > 1 {
        let middle = fits.midpoint(too_many);
        if rows_for(middle, false).len() <= options.limit { fits = middle } else { too_many = middle }
    }
    let spread = rows_for(fits, true);
    if spread.len() <= options.limit { spread } else { rows_for(fits, false) }
}

/// The spans that may have a row, the most important first; never empty for a trace that is not.
fn by_importance(trace: &Trace, analysis: &Analysis, shortest: u64) -> Vec<usize> {
    let weight = |at: usize| {
        let duration = trace.spans[at].duration();
        let repeats = trace.parents[at].is_some_and(|parent| {
            let parent = trace.spans[parent].duration();
            duration as f64 >= parent as f64 * REPEATS_PARENT
        });
        let weight = duration.saturating_add(analysis.critical_ns[at]);
        if repeats { weight / 4 } else { weight }
    };
    let mut order: Vec<usize> = (0..trace.spans.len())
        .filter(|&at| analysis.alarming(trace, at) || trace.spans[at].duration() >= shortest)
        .collect();
    if order.is_empty() {
        order.extend(trace.roots.iter().copied().max_by_key(|&root| trace.spans[root].duration()));
    }
    order
        .sort_by_cached_key(|&at| Reverse((analysis.fatal[at], analysis.alarming(trace, at), weight(at), Reverse(at))));
    order
}

/// With `spread`, most of the trace is not hidden behind the one span that started it.
fn rows_of(trace: &Trace, analysis: &Analysis, options: &ViewOptions, shown: &[bool], spread: bool) -> Vec<Row> {
    let below = |parent: Option<usize>| contents_below(trace, analysis, options, (shown, spread), parent);
    let mut rows = Vec::new();
    let mut stack: Vec<Row> = Vec::new();
    let push = |stack: &mut Vec<Row>, contents: Vec<Content>, depth: usize, followed: u64| {
        let last = contents.len().saturating_sub(1);
        stack.extend(contents.into_iter().enumerate().rev().map(|(number, content)| Row {
            content,
            depth,
            followed: followed << 1 | u64::from(number < last),
        }));
    };
    push(&mut stack, below(None).0, 0, 0);
    while let Some(mut row) = stack.pop() {
        if let Content::Span { at, inside } = &mut row.content {
            let (contents, counted) = below(Some(*at));
            *inside = counted;
            push(&mut stack, contents, row.depth + 1, row.followed);
        }
        rows.push(row);
    }
    rows
}

/// The rows directly below a span (or the roots), and how many of its descendants are only counted.
fn contents_below(
    trace: &Trace,
    analysis: &Analysis,
    options: &ViewOptions,
    (shown, spread): (&[bool], bool),
    parent: Option<usize>,
) -> (Vec<Content>, usize) {
    let children = parent.map_or(&trace.roots, |parent| &trace.children[parent]);
    let (visible, hidden): (Vec<usize>, Vec<usize>) = children.iter().partition(|&&child| shown[child]);
    let size = |members: &[usize]| members.iter().map(|&at| 1 + analysis.descendants[at]).sum::<usize>();

    let mut contents: Vec<Content> = visible.iter().map(|&at| Content::Span { at, inside: 0 }).collect();
    let negligible = parent.is_some_and(|parent| {
        let together: u64 = hidden.iter().map(|&at| trace.spans[at].duration()).fold(0, u64::saturating_add);
        let share = trace.spans[parent].duration() as f64 * NEGLIGIBLE.1;
        let small = hidden.len() <= NEGLIGIBLE.0 && together as f64 <= share;
        let count_all = visible.is_empty() && !(spread && analysis.descendants[parent] * 2 > trace.spans.len());
        count_all || small && !hidden.iter().any(|&at| trace.spans[at].failed)
    });
    if negligible {
        order(trace, options, &mut contents);
        return (contents, size(&hidden));
    }
    contents.extend(groups(trace, &hidden).into_iter().map(|members| match members[..] {
        [at] => Content::Span { at, inside: 0 },
        _ => Content::Group { inside: size(&members) - members.len(), members },
    }));
    order(trace, options, &mut contents);
    (contents, 0)
}

/// Siblings of one name and end together; with many names the smaller groups become one.
fn groups(trace: &Trace, hidden: &[usize]) -> Vec<Vec<usize>> {
    let mut by_kind: Vec<Vec<usize>> = Vec::new();
    let mut index = std::collections::HashMap::new();
    for &at in hidden {
        let span = &trace.spans[at];
        let group = *index.entry((span.name.as_str(), span.end())).or_insert_with(|| {
            by_kind.push(Vec::new());
            by_kind.len() - 1
        });
        by_kind[group].push(at);
    }
    let duration = |group: &Vec<usize>| group.iter().map(|&at| trace.spans[at].duration()).fold(0, u64::saturating_add);
    by_kind.sort_by_cached_key(|group| Reverse(duration(group)));
    let (failed, fine): (Vec<_>, Vec<_>) = by_kind.into_iter().partition(|group| trace.spans[group[0]].failed);
    [fine, failed].into_iter().flat_map(merge_small).collect()
}

fn merge_small(mut groups: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
    if groups.len() > GROUPS {
        let mut others: Vec<usize> = groups.split_off(GROUPS - 1).concat();
        others.sort_unstable();
        groups.push(others);
    }
    groups
}

fn order(trace: &Trace, options: &ViewOptions, contents: &mut [Content]) {
    let first = |content: &Content| match content {
        Content::Span { at, .. } => *at,
        Content::Group { members, .. } => members[0],
    };
    match options.sort {
        // Spans are numbered by their start.
        Sort::Start => contents.sort_by_key(first),
        Sort::Duration => contents.sort_by_key(|content| match content {
            Content::Span { at, .. } => (false, Reverse(trace.spans[*at].duration()), *at),
            Content::Group { members, .. } => (true, Reverse(members.len() as u64), members[0]),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::fixture::{span, trace};
    use crate::view::model::ViewSpan;

    fn named(name: &str, id: u64, parent: u64, start: u64, end: u64) -> ViewSpan {
        ViewSpan { name: name.into(), ..span(id, parent, start, end) }
    }

    fn texts(spans: Vec<ViewSpan>, options: &ViewOptions) -> Vec<String> {
        let trace = trace(spans);
        let name = |at: usize| trace.spans[at].name.clone();
        rows(&trace, &Analysis::of(&trace), options)
            .into_iter()
            .map(|row| match row.content {
                Content::Span { at, inside: 0 } => format!("{}{}", " ".repeat(row.depth), name(at)),
                Content::Span { at, inside } => format!("{}{} +{inside}", " ".repeat(row.depth), name(at)),
                Content::Group { members, inside } => {
                    format!("{}x{}{} +{inside}", " ".repeat(row.depth), members.len(), name(members[0]))
                }
            })
            .collect()
    }

    fn limit(limit: usize) -> ViewOptions {
        ViewOptions { limit, ..ViewOptions::default() }
    }

    /// `make`, twenty short `sh`, and a `cc` with its `cc1`.
    fn build() -> Vec<ViewSpan> {
        let mut spans = vec![named("make", 1, 0, 0, 1000), named("cc", 2, 1, 300, 900), named("cc1", 3, 2, 301, 890)];
        spans.extend((0..20).map(|n| named("sh", 10 + n, 1, 10 + 10 * n, 15 + 10 * n)));
        spans
    }

    #[test]
    fn like_siblings_are_folded_and_the_long_ones_stay() {
        assert_eq!(texts(build(), &limit(4)), ["make", " x20sh +0", " cc", "  cc1"]);
        assert_eq!(texts(build(), &limit(3)), ["make", " x20sh +0", " cc +1"]);
        assert_eq!(texts(build(), &limit(1)), ["make +22"]);
        let shells = |spans: Vec<ViewSpan>| spans.into_iter().filter(|span| span.name != "cc" && span.name != "cc1");
        assert_eq!(texts(shells(build()).collect(), &limit(4)), ["make", " x20sh +0"]);
    }

    #[test]
    fn nothing_is_folded_when_asked_for_all_or_when_it_fits() {
        assert_eq!(texts(build(), &limit(23)).len(), 23);
        assert_eq!(texts(build(), &ViewOptions { all: true, ..limit(1) }).len(), 23);
    }

    #[test]
    fn a_failure_keeps_its_row() {
        let mut spans = build();
        spans[10].failed = true;
        let shown = texts(spans, &limit(5));
        assert_eq!(shown.iter().filter(|row| row.as_str() == " sh").count(), 1, "{shown:?}");
        assert!(shown.contains(&" x19sh +0".to_owned()), "{shown:?}");
    }

    #[test]
    fn routine_failures_are_folded_apart_from_successes() {
        let mut spans = build();
        for span in &mut spans[3..15] {
            span.failed = true;
        }
        assert_eq!(texts(spans, &limit(5)), ["make", " x12sh +0", " x8sh +0", " cc", "  cc1"]);
    }

    #[test]
    fn short_spans_go_when_asked_to() {
        let options = ViewOptions { min_duration: 6, all: true, ..ViewOptions::default() };
        assert_eq!(texts(build(), &options), ["make", " x20sh +0", " cc", "  cc1"]);
        let none = ViewOptions { min_duration: 5000, ..ViewOptions::default() };
        assert_eq!(texts(build(), &none), ["make", " x20sh +0", " cc +1"]);
    }

    #[test]
    fn negligible_siblings_are_only_counted() {
        let mut spans = build();
        spans.push(named("as", 4, 2, 891, 895));
        assert_eq!(texts(spans, &limit(4)), ["make", " x20sh +0", " cc +1", "  cc1"]);
    }

    #[test]
    fn many_kinds_become_one_group_and_many_roots_are_folded_too() {
        let spans = (1..=30).map(|n| named(&format!("tool{n}"), n, 0, n * 10, n * 10 + 5)).collect();
        let shown = texts(spans, &limit(6));
        assert!(shown.len() <= 6 && shown.iter().any(|row| row.starts_with('x')), "{shown:?}");
    }

    #[test]
    fn siblings_can_be_sorted_by_duration() {
        let options = ViewOptions { sort: Sort::Duration, ..limit(4) };
        assert_eq!(texts(build(), &options), ["make", " cc", "  cc1", " x20sh +0"]);
    }
}
