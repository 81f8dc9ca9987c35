//! A span that is no process, put together from the records of the process that made it.

use std::borrow::Cow;
use std::sync::Arc;

use ddtrace::ids::SpanId;
use ddtrace::record::{
    EndBody, Field, FieldValue, ReadEvent, ReadLink, Record, SPAN_DATADOG_TAGS, SPAN_LOCAL_ROOT, SPAN_REMOTE_PARENT,
    SPAN_TAKES_OVER, SpanBody,
};
use ddtrace::semconv::{
    self, DATADOG_NAMES, DATADOG_REQUEST_HEADER, DATADOG_RESPONSE_HEADER, Key, REQUEST_HEADER, RESPONSE_HEADER,
};
use ddtrace::span::{Attribute, Event, Link, Scope, Span, SpanKind, Status, Value};
use foldhash::HashSet;

use super::verdict::Verdict;

/// What is said of a span beyond so many bytes of records is counted and left out: no receiver takes such a span, and one
/// process could fill the memory with it.
const MOST_BYTES: usize = 4 << 20;

/// How many attributes a record has is guessed by its length: what the span itself and what an attribute takes, about, and how
/// much of it counts.
const OF_A_SPAN: usize = 64;
const OF_AN_ATTRIBUTE: usize = 24;
const MOST_AT_ONCE: usize = 512;

/// Why a span ends that its program did not end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CutOff {
    /// The process was killed by the signal of this name.
    Signal(String),
    /// It exited, with this code if that is known.
    Exit(Option<u8>),
    /// It goes on with another program.
    Exec,
    /// The process lives, or nobody knows: it is only not waited for any more.
    Unseen,
}

/// `error.type` of what a process has left open as it exited.
const EXITED: &str = "process_exit";
/// The same where it became another program.
const REPLACED: &str = "process_exec";

/// A span, and what it says of its trace if it is the local root.
#[derive(Debug)]
pub struct RecordedSpan {
    /// The span as far as it is known.
    pub span: Span,
    /// What it says of its trace.
    pub verdict: Verdict,
    /// Whether it is the first span of its trace in its process.
    pub is_local_root: bool,
    /// Whether the program has taken it back: nobody is to see it.
    pub is_withdrawn: bool,
    /// Whether it has taken the place of what a connection told, or is to.
    takes_over: bool,
    /// What a connection said that it is.
    kind_before: SpanKind,
    message: Option<String>,
    scope: Scope,
    has_ended: bool,
    /// Bytes of the records that told of it.
    bytes: usize,
    /// Attributes, events and links that were left out here.
    left_out: [u32; 3],
}

impl RecordedSpan {
    /// A span that has begun.
    pub fn begun(id: SpanId, body: &SpanBody) -> RecordedSpan {
        RecordedSpan {
            span: Span {
                trace_id: body.trace_id,
                span_id: id,
                parent_id: body.parent_id,
                parent_is_remote: body.flags & SPAN_REMOTE_PARENT != 0,
                flags: body.trace_flags,
                has_datadog_tags: body.flags & SPAN_DATADOG_TAGS != 0,
                kind: SpanKind::from_number(body.kind),
                start_unix_nano: body.start_unix_ns,
                end_unix_nano: body.start_unix_ns,
                ..Span::default()
            },
            verdict: Verdict::default(),
            is_local_root: body.flags & SPAN_LOCAL_ROOT != 0,
            is_withdrawn: false,
            takes_over: body.flags & SPAN_TAKES_OVER != 0,
            kind_before: SpanKind::Internal,
            message: None,
            scope: Scope::default(),
            has_ended: false,
            bytes: 0,
            left_out: [0; 3],
        }
    }

    /// Its process says once more that it has begun. Once a tracer of its language tells of a request, that is what it is; of
    /// what a connection has told, in whichever order the two are read, only what the other does not say stays.
    pub fn begun_again(&mut self, record: &Record<'_>, body: &SpanBody) {
        if body.trace_id != self.span.trace_id || self.takes_over == (body.flags & SPAN_TAKES_OVER != 0) {
            return;
        }
        let mut other = RecordedSpan::begun(record.span_id, body);
        if other.takes_over {
            // What is said of the trace is said anew where it has changed.
            std::mem::swap(&mut other.verdict, &mut self.verdict);
        }
        other.amend(record);
        if other.takes_over {
            std::mem::swap(self, &mut other);
        }
        self.keep_of(other);
    }

    fn keep_of(&mut self, connection: RecordedSpan) {
        // Its end may have been read before its beginning, where the thread has begun another chunk in between.
        if connection.has_ended && !self.has_ended {
            self.has_ended = true;
            self.span.end_unix_nano = connection.span.end_unix_nano.max(self.span.start_unix_nano);
            self.span.status = connection.span.status;
            self.message = connection.message;
        }
        self.bytes = self.bytes.saturating_add(connection.bytes);
        self.kind_before = connection.span.kind;
        if self.span.links.is_empty() {
            self.span.links = connection.span.links;
        }
        if self.span.trace_state.is_empty() {
            self.span.trace_state = connection.span.trace_state;
        }
        for (name, value) in connection.span.attributes {
            let tag = if self.span.has_datadog_tags { datadog_name(&name) } else { None };
            let name = tag.unwrap_or(name);
            if self.span.attributes.iter().all(|(known, _)| *known != name) {
                self.span.attributes.push((name, value));
            }
        }
    }

    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        size_of::<RecordedSpan>() + 2 * self.bytes
    }

    /// Takes in the fields of a record.
    pub fn amend(&mut self, record: &Record<'_>) {
        let attributes = &mut self.span.attributes;
        let expected = record.as_bytes().len().min(MOST_AT_ONCE).saturating_sub(OF_A_SPAN) / OF_AN_ATTRIBUTE;
        if attributes.capacity() == 0 && expected > 0 {
            // For what its end adds as well: else the list would grow a few times.
            attributes.reserve_exact(expected + 2);
        }
        self.bytes = self.bytes.saturating_add(record.as_bytes().len());
        for field in record.fields() {
            if self.bytes > MOST_BYTES && !self.is_small(&field) {
                continue;
            }
            self.take(field);
        }
    }

    /// Whether a field takes the place of what was said before; what only adds to it is counted instead.
    fn is_small(&mut self, field: &Field<'_>) -> bool {
        let kind = match (field.key, &field.value) {
            (_, FieldValue::Event(_)) => 1,
            (_, FieldValue::Link(_)) => 2,
            (Key::Attribute, FieldValue::Removed) => return true,
            (Key::Attribute, _) => 0,
            _ => return true,
        };
        self.left_out[kind] = self.left_out[kind].saturating_add(1);
        false
    }

    fn take(&mut self, field: Field<'_>) {
        let span = &mut self.span;
        match (field.key, field.value) {
            (Key::Attribute, FieldValue::Event(_) | FieldValue::Link(_)) => {}
            (Key::Attribute, value) => set(&mut span.attributes, field.name, value),
            (_, FieldValue::Event(event)) => span.events.push(read_event(event)),
            (_, FieldValue::Link(link)) => {
                let link = read_link(link);
                // Datadog's APIs tell links apart by the other span's id, and an earlier one may be in an earlier record.
                let told = span.links.iter().position(|known| span.has_datadog_tags && known.span_id == link.span_id);
                if let Some(place) = told {
                    span.links.remove(place);
                }
                span.links.push(link);
            }
            (Key::Name, FieldValue::Text(name)) => {
                span.name = often_said(name).map_or_else(|| Cow::Owned(text(name)), Cow::Borrowed);
            }
            (Key::TraceState, FieldValue::Text(state)) => span.trace_state = text(state),
            (Key::OperationName, FieldValue::Text(name)) => span.operation_name = Some(Cow::Owned(text(name))),
            (Key::SpanType, FieldValue::Text(kind)) => span.span_type = Some(Cow::Owned(text(kind))),
            (Key::Service, FieldValue::Text(service)) => span.service = Some(text(service)),
            // What Datadog's APIs call the resource is the name as well.
            (Key::ResourceName, FieldValue::Text(_)) if span.has_datadog_tags => {}
            (Key::ResourceName, value @ FieldValue::Text(_)) => {
                set(&mut span.attributes, semconv::RESOURCE_NAME.as_bytes(), value);
            }
            (Key::StatusMessage, FieldValue::Text(message)) => self.message = Some(text(message)),
            (Key::ScopeName, FieldValue::Text(name)) => self.scope.name = text(name),
            (Key::ScopeVersion, FieldValue::Text(version)) => self.scope.version = text(version),
            (Key::DroppedAttributes, FieldValue::Integer(count)) => span.dropped_attributes = small(count),
            (Key::DroppedEvents, FieldValue::Integer(count)) => span.dropped_events = small(count),
            (Key::DroppedLinks, FieldValue::Integer(count)) => span.dropped_links = small(count),
            (Key::Measured, FieldValue::Bool(measured)) => span.measured = Some(measured),
            (Key::TopLevel, FieldValue::Bool(top)) => span.top_level = Some(top),
            (Key::Withdrawn, FieldValue::Bool(withdrawn)) => self.is_withdrawn = withdrawn,
            (Key::StartTime, FieldValue::Integer(time)) => {
                span.start_unix_nano = u64::try_from(time).unwrap_or(0);
                span.end_unix_nano = span.end_unix_nano.max(span.start_unix_nano);
            }
            (key, value) => self.verdict.take(key, &value),
        }
    }

    /// The span has ended by itself.
    pub fn ended(&mut self, end: &EndBody) {
        self.has_ended = true;
        self.span.end_unix_nano = end.end_unix_ns.max(self.span.start_unix_nano);
        self.span.status = match end.status {
            1 => Status::Ok,
            2 => Status::Error(Cow::Borrowed("")),
            _ => Status::Unset,
        };
    }

    /// It ends at that time, since nobody will end it. Nothing new for one that has ended.
    pub fn cut_off(&mut self, end_unix_ns: u64, by: &CutOff) {
        if self.has_ended {
            return;
        }
        self.span.end_unix_nano = end_unix_ns.max(self.span.start_unix_nano);
        let (kind, message) = match by {
            CutOff::Signal(signal) => (signal.as_str(), format!("the process was killed by {signal}")),
            CutOff::Exit(Some(code)) => (EXITED, format!("the process exited with code {code} before the span ended")),
            CutOff::Exit(None) => (EXITED, String::from("the process exited before the span ended")),
            CutOff::Exec => (REPLACED, String::from("another program took the process over before the span ended")),
            CutOff::Unseen => {
                return set(&mut self.span.attributes, semconv::PROCESS_UNFINISHED.as_bytes(), FieldValue::Bool(true));
            }
        };
        self.span.status = Status::Error(Cow::Owned(message));
        set(&mut self.span.attributes, semconv::ERROR_TYPE.as_bytes(), FieldValue::Text(kind.as_bytes()));
    }

    /// The span, complete. Scopes that are there already are shared.
    pub fn finish(mut self, scopes: &mut HashSet<ScopeKey>) -> (Span, Verdict, bool) {
        self.span.take_kind();
        if self.span.kind == SpanKind::Internal {
            self.span.kind = self.kind_before;
        }
        let [attributes, events, links] = self.left_out;
        self.span.dropped_attributes = self.span.dropped_attributes.saturating_add(attributes);
        self.span.dropped_events = self.span.dropped_events.saturating_add(events);
        self.span.dropped_links = self.span.dropped_links.saturating_add(links);
        if let (Status::Error(text), Some(message)) = (&mut self.span.status, self.message)
            && text.is_empty()
        {
            *text = Cow::Owned(message);
        }
        if !self.scope.name.is_empty() {
            let key = ScopeKey(Arc::new(self.scope));
            let shared = scopes.get(&key).cloned();
            let shared = shared.unwrap_or_else(|| {
                scopes.insert(key.clone());
                key
            });
            self.span.scope = Some(shared.0);
        }
        (self.span, self.verdict, self.is_local_root)
    }
}

/// Datadog's name for an attribute of a request, where it has one.
fn datadog_name(attribute: &str) -> Option<Cow<'static, str>> {
    let known = DATADOG_NAMES.iter().find(|(name, _)| *name == attribute);
    let header = || {
        let prefixes = [(REQUEST_HEADER, DATADOG_REQUEST_HEADER), (RESPONSE_HEADER, DATADOG_RESPONSE_HEADER)];
        prefixes.iter().find_map(|(prefix, tag)| Some(format!("{tag}{}", attribute.strip_prefix(prefix)?)))
    };
    known.map(|(_, tag)| Cow::Borrowed(*tag)).or_else(|| header().map(Cow::Owned))
}

/// A scope, compared by its name and version.
#[derive(Clone, Debug)]
pub struct ScopeKey(Arc<Scope>);

impl PartialEq for ScopeKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name && self.0.version == other.0.version
    }
}

impl Eq for ScopeKey {}

impl std::hash::Hash for ScopeKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
        self.0.version.hash(state);
    }
}

/// Takes a field that is an attribute into a list whose keys are unique.
pub fn set(attributes: &mut Vec<Attribute>, name: &[u8], value: FieldValue<'_>) {
    let name = lossy(name);
    let place = attributes.iter().position(|(present, _)| *present == name);
    let value = match value {
        FieldValue::Removed => {
            if let Some(place) = place {
                attributes.remove(place);
            }
            return;
        }
        FieldValue::TextContinued(more) => {
            if let Some((_, Value::String(before))) = place.and_then(|place| attributes.get_mut(place)) {
                before.to_mut().push_str(&lossy(more));
                return;
            }
            text(more).into()
        }
        FieldValue::Text(bytes) => {
            Value::String(often_said(bytes).map_or_else(|| Cow::Owned(text(bytes)), Cow::Borrowed))
        }
        FieldValue::Integer(number) => Value::I64(number),
        FieldValue::Float(number) => Value::F64(number),
        FieldValue::Bool(truth) => Value::Bool(truth),
        FieldValue::TextList(items) => Value::Array(items.into_iter().map(|item| text(item).into()).collect()),
        FieldValue::IntegerList(items) => Value::Array(items.into_iter().map(Value::I64).collect()),
        FieldValue::FloatList(items) => Value::Array(items.into_iter().map(Value::F64).collect()),
        FieldValue::BoolList(items) => Value::Array(items.into_iter().map(Value::Bool).collect()),
        FieldValue::Event(_) | FieldValue::Link(_) => return,
    };
    match place.and_then(|place| attributes.get_mut(place)) {
        Some((_, present)) => *present = value,
        None => {
            let known = semconv::network::known(name.as_bytes());
            attributes.push((known.map_or_else(|| Cow::Owned(name.into_owned()), Cow::Borrowed), value));
        }
    }
}

fn read_event(event: ReadEvent<'_>) -> Event {
    let mut read = Event { time_unix_nano: event.time_unix_ns, name: Cow::Owned(text(event.name)), ..Event::default() };
    read.dropped_attributes = read_details(event.fields(), &mut read.attributes);
    read
}

/// A link as a record has it.
pub fn read_link(link: ReadLink<'_>) -> Link {
    let mut read = Link {
        trace_id: link.trace_id,
        span_id: link.span_id,
        trace_state: text(link.trace_state),
        flags: link.flags,
        ..Link::default()
    };
    read.dropped_attributes = read_details(link.fields(), &mut read.attributes);
    read
}

/// Reads the attributes of an event or a link; gives how many were left out when it was made.
fn read_details<'a>(fields: impl Iterator<Item = Field<'a>>, attributes: &mut Vec<Attribute>) -> u32 {
    let mut dropped = 0;
    for field in fields {
        match (field.key, field.value) {
            (Key::Attribute, value) => set(attributes, field.name, value),
            (Key::DroppedAttributes, FieldValue::Integer(count)) => dropped = small(count),
            _ => {}
        }
    }
    dropped
}

fn small(count: i64) -> u32 {
    count.clamp(0, u32::MAX.into()) as u32
}

fn text(bytes: &[u8]) -> String {
    lossy(bytes).into_owned()
}

/// As [`String::from_utf8_lossy`], which looks at single characters: at once, as nearly all texts are what they should be.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// What is said with most requests need not be kept for each of them.
fn often_said(text: &[u8]) -> Option<&'static str> {
    Some(match text {
        b"/" => "/",
        b"1.1" => "1.1",
        b"GET" => "GET",
        b"POST" => "POST",
        b"PUT" => "PUT",
        b"http" => "http",
        b"https" => "https",
        b"DELETE" => "DELETE",
        b"127.0.0.1" => "127.0.0.1",
        _ => return None,
    })
}
