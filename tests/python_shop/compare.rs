//! Holds what others show against what we show. What differs on purpose is listed for users, and read from there.

use super::Seen;
use ddtrace_test_support::repository;
use ddtrace_test_support::spans::Attributes;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A line of a table of `docs/python-integrations.md`.
struct Line {
    is_of_spans: bool,
    is_of_clients: bool,
    theirs: Vec<String>,
    ours: String,
}

impl Line {
    /// What it may be called with us, and whether its value is the same; nothing where we have nothing.
    fn renamed(&self) -> Option<(Vec<&str>, bool)> {
        let names = || self.ours.split('`').skip(1).step_by(2);
        let only_names = self.ours.split('`').step_by(2).all(|between| matches!(between, "" | ", "));
        self.ours.starts_with('`').then(|| (names().collect(), only_names))
    }

    fn is_about(&self, name: &str) -> Option<&String> {
        self.theirs.iter().find(|one| one.strip_suffix('*').map_or(*one == name, |begin| name.starts_with(begin)))
    }
}

/// What is listed as different.
pub struct Others {
    lines: Vec<Line>,
    used: RefCell<BTreeSet<String>>,
}

impl Others {
    /// Reads the table below a headline: names of theirs, and what we have in place of these or why we have nothing.
    pub fn listed(headline: &str) -> Others {
        let page =
            std::fs::read_to_string(repository().join("docs/python-integrations.md")).expect("the page is there");
        let (_, below) = page.split_once(&format!("### {headline}\n")).expect("the headline is there");
        let table = below.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        let line = |line: &str| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [theirs, ours] = cells[..] else { panic!("two columns are expected: {line}") };
            let is_of_spans = theirs.split('`').next().is_some_and(|begin| begin.contains("span"));
            Line {
                is_of_spans,
                is_of_clients: theirs.contains("of clients"),
                theirs: theirs.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
                ours: ours.to_owned(),
            }
        };
        Others { lines: table.skip(2).map(line).collect(), used: RefCell::default() }
    }

    fn line(&self, name: &str, may_be: impl Fn(&Line) -> bool) -> Option<&Line> {
        self.lines.iter().filter(|line| may_be(line)).find(|line| {
            let found = line.is_about(name);
            self.used.borrow_mut().extend(found.cloned());
            found.is_some()
        })
    }

    /// What is listed of an attribute.
    fn attribute(&self, name: &str, kind: &str) -> Option<&Line> {
        self.line(name, |line| !line.is_of_spans && (!line.is_of_clients || kind == "client"))
    }

    /// Whether a span is one of those that we do not have.
    fn has_span(&self, seen: &Seen) -> bool {
        // Behind the route of a name is what the span is about.
        let behind = seen.span.name.rsplit_once("} ").map(|(_, end)| end);
        [Some(seen.operation.as_str()), Some(seen.span.name.as_str()), behind]
            .into_iter()
            .flatten()
            .any(|name| self.line(name, |line| line.is_of_spans).is_some())
    }

    fn unused(&self) -> Vec<&String> {
        let used = self.used.borrow();
        self.lines.iter().flat_map(|line| &line.theirs).filter(|name| !used.contains(*name)).collect()
    }
}

/// Every span of theirs is one of ours, in the same place, with all that is told of it.
#[track_caller]
pub fn assert_nothing_is_missing(theirs: &[Seen], ours: &[Seen], listed: &Others) {
    let (theirs, mut ours) = (placed(theirs, &|seen| listed.has_span(seen)), placed(ours, &|_| false));
    let mut missing = BTreeSet::new();
    for (place, spans) in theirs {
        for span in spans {
            match ours.get_mut(&place).and_then(VecDeque::pop_front) {
                Some(same) => missing.extend(lacks(span, same, listed)),
                None => drop(missing.insert(format!("the span {place}"))),
            }
        }
    }
    assert!(missing.is_empty(), "missing, and not listed: {missing:#?}");
    assert!(listed.unused().is_empty(), "listed, but not so: {:?}", listed.unused());
}

/// The spans by what they and those above them mean, in the order of time; some are passed over.
fn placed<'a>(seen: &'a [Seen], passed: &dyn Fn(&Seen) -> bool) -> BTreeMap<String, VecDeque<&'a Seen>> {
    let mut placed: BTreeMap<String, VecDeque<&Seen>> = BTreeMap::new();
    for one in seen.iter().filter(|one| !passed(one)) {
        let (mut place, mut lowest) = (meaning(one), one);
        while let Some(above) = seen.iter().find(|other| lowest.has_parent(other)) {
            if !passed(above) {
                place = format!("{place} < {}", meaning(above));
            }
            lowest = above;
        }
        placed.entry(place).or_default().push_back(one);
    }
    placed
}

fn meaning(seen: &Seen) -> String {
    let span = &seen.span;
    let text = |names: [&str; 2]| names.into_iter().find_map(|name| span.text(name));
    let (what, verb) = match (text(["db.system.name", "db.system"]), text(["url.full", "http.url"])) {
        (Some(system), _) => (system, span.name.split(' ').next()),
        (None, Some(url)) if span.kind == "client" => {
            let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
            (path.split('?').next().unwrap_or_default(), text(["http.request.method", "http.method"]))
        }
        _ => (span.name.as_str(), None),
    };
    let service = span.text("_dd.base_service").or_else(|| span.resource["service.name"].as_str());
    let failed = if span.failed { " !" } else { "" };
    format!(
        "{} {} {}{what}{failed}",
        service.unwrap_or_default(),
        span.kind,
        verb.map_or(String::new(), |v| v.to_owned() + " ")
    )
}

/// What is told of one span and not of the other.
fn lacks(theirs: &Seen, ours: &Seen, listed: &Others) -> Vec<String> {
    let (all, ours_all) = (told(theirs), told(ours));
    let lacks = |(name, value): (&String, &Value)| {
        if ours_all.get(name).is_some_and(|ours| is_same(name, value, ours)) {
            return None;
        }
        let is_there = match listed.attribute(name, &theirs.span.kind).map(Line::renamed) {
            Some(None) => true,
            Some(Some((renamed, same))) => renamed
                .into_iter()
                .filter_map(|renamed| ours_all.get(renamed))
                .any(|ours| !same || is_same(name, value, ours)),
            None => false,
        };
        (!is_there).then(|| format!("{name}={value} of {}, ours: {:?}", theirs.text, ours_all.get(name)))
    };
    let events = theirs.span.events.iter().filter(|event| !ours.span.events.contains(event));
    all.iter().filter_map(lacks).chain(events.map(|event| format!("the event {event} of {}", theirs.text))).collect()
}

/// Attributes, and the names that it has.
fn told(seen: &Seen) -> Attributes {
    let mut told = seen.span.attributes.clone();
    told.insert("name".into(), seen.operation.as_str().into());
    if seen.operation != seen.span.name {
        told.insert("resource".into(), seen.span.name.as_str().into());
    }
    told.insert("service".into(), seen.span.resource["service.name"].clone());
    told
}

/// Whether values are the same, as texts or numbers. From which port a client has asked is another one on each day, as are
/// processes.
fn is_same(name: &str, theirs: &Value, ours: &Value) -> bool {
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
    let changes = ["net.peer.port", "network.peer.port", "process_id", "runtime-id"].contains(&name);
    changes || theirs == ours || number(theirs).is_some_and(|theirs| Some(theirs) == number(ours))
}
