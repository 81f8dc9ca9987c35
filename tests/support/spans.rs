//! Spans as each receiver hands them out, brought into one form.

use crate::process::{End, Process};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Attributes by name; lists are JSON lists, numbers are JSON numbers.
pub type Attributes = BTreeMap<String, Value>;

/// A span, whichever way it came.
#[derive(Clone, Debug)]
pub struct Span {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// 16 hexadecimal digits, none for a root.
    pub parent_id: Option<String>,
    /// `server`, `client`, …; empty where it is not told.
    pub kind: String,
    /// The name; Datadog calls it the resource.
    pub name: String,
    /// W3C `tracestate` (OTLP only).
    pub trace_state: String,
    /// Flags of the OTLP span, among them whether the parent is remote (OTLP only).
    pub flags: u64,
    /// Nanoseconds since the Unix epoch.
    pub start: u64,
    /// Nanoseconds since the Unix epoch.
    pub end: u64,
    /// Whether the span counts as failed.
    pub failed: bool,
    /// Its attributes; Datadog's `meta` and `metrics`.
    pub attributes: Attributes,
    /// Attributes of its resource; for Datadog the service under the name `service.name`.
    pub resource: Attributes,
    /// The names of its events.
    pub events: Vec<String>,
    /// Its links: trace id and span id, and attributes.
    pub links: Vec<(String, String, Attributes)>,
}

impl Span {
    /// An attribute as text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.attributes.get(key)?.as_str()
    }

    /// An attribute as a whole number, however it was written.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<i64> {
        match self.attributes.get(key)? {
            Value::String(text) => text.parse().ok(),
            // Datadog has floating-point numbers only.
            number => number.as_i64().or_else(|| Some(number.as_f64()? as i64)),
        }
    }

    /// `process.pid`.
    ///
    /// # Panics
    /// When the span has none.
    #[must_use]
    pub fn pid(&self) -> u32 {
        let pid = self.number("process.pid").and_then(|pid| u32::try_from(pid).ok());
        pid.unwrap_or_else(|| panic!("a span without process.pid: {self:#?}"))
    }

    /// `process.exit.code`.
    #[must_use]
    pub fn exit_code(&self) -> Option<i64> {
        self.number("process.exit.code")
    }

    /// `error.type`.
    #[must_use]
    pub fn error_type(&self) -> Option<&str> {
        self.text("error.type")
    }

    /// `process.command_args`: a list, or as Datadog's text-only attributes have it, JSON or one key for each item.
    #[must_use]
    pub fn command_args(&self) -> Vec<String> {
        let words = |list: &[Value]| list.iter().filter_map(|word| Some(word.as_str()?.to_owned())).collect();
        match self.attributes.get("process.command_args") {
            Some(Value::Array(list)) => words(list),
            Some(Value::String(text)) => {
                serde_json::from_str::<Vec<Value>>(text).map_or_else(|_| vec![text.clone()], |list| words(&list))
            }
            _ => (0..).map_while(|i| Some(self.text(&format!("process.command_args.{i}"))?.to_owned())).collect(),
        }
    }

    /// How the process ended: a signal is named by `error.type`, and the exit code is then 128 and its number.
    #[must_use]
    pub fn end_of_process(&self) -> End {
        match (self.error_type(), self.exit_code()) {
            (Some(name), _) if name.starts_with("SIG") => End::Signal(name.to_owned()),
            (_, Some(code)) => i32::try_from(code).map_or(End::Unknown, End::Exit),
            _ => End::Unknown,
        }
    }
}

/// The processes that the spans tell of, each below the process of its parent span.
///
/// # Panics
/// When a span is no process.
#[must_use]
pub fn processes(spans: &[Span]) -> Vec<Process> {
    let by_id: BTreeMap<&str, u32> = spans.iter().map(|span| (span.span_id.as_str(), span.pid())).collect();
    let of = |span: &Span| Process {
        pid: span.pid(),
        parent: span.parent_id.as_deref().and_then(|id| by_id.get(id).copied()),
        program: span.text("process.executable.name").unwrap_or_default().to_owned(),
        end: span.end_of_process(),
    };
    spans.iter().map(of).collect()
}

/// The spans of a program that is known by its name.
///
/// # Panics
/// When it is not exactly one.
#[track_caller]
#[must_use]
pub fn only<'a>(spans: &'a [Span], program: &str) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| span.text("process.executable.name") == Some(program)).collect();
    let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
    assert_eq!(found.len(), 1, "wanted one span of {program}, there are {names:?}");
    found[0]
}

/// Reads a file of OTLP JSON lines; none is there when nothing was stored.
///
/// # Panics
/// When a line is not such a thing, or the last one is not finished.
#[must_use]
pub fn read_lines(path: &Path) -> Vec<Span> {
    let text = fs::read_to_string(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "{} ends within a line", path.display());
    let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().flat_map(|line| from_otlp(&parse(line))).collect()
}

/// Reads one OTLP request in JSON, in the specification's form or as Python's protobuf library writes it
/// (names with underscores, ids in base64).
#[must_use]
pub fn from_otlp(request: &Value) -> Vec<Span> {
    let mut spans = Vec::new();
    for group in list(request, "resourceSpans") {
        let resource = field(group, "resource").map(attributes).unwrap_or_default();
        for scope in list(group, "scopeSpans") {
            spans.extend(list(scope, "spans").iter().map(|span| from_otlp_span(span, &resource)));
        }
    }
    spans
}

fn from_otlp_span(span: &Value, resource: &Attributes) -> Span {
    let id = |key| field(span, key).and_then(Value::as_str).map(hex_id).filter(|id| !id.is_empty());
    let text = |key| field(span, key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let status = field(span, "status").and_then(|status| field(status, "code"));
    Span {
        trace_id: id("traceId").unwrap_or_default(),
        span_id: id("spanId").unwrap_or_default(),
        parent_id: id("parentSpanId"),
        kind: field(span, "kind").map(kind_of).unwrap_or_default(),
        name: text("name"),
        trace_state: text("traceState"),
        flags: field(span, "flags").and_then(unsigned).unwrap_or(0),
        start: field(span, "startTimeUnixNano").and_then(unsigned).unwrap_or(0),
        end: field(span, "endTimeUnixNano").and_then(unsigned).unwrap_or(0),
        failed: status.is_some_and(|code| code.as_u64() == Some(2) || code.as_str() == Some("STATUS_CODE_ERROR")),
        attributes: attributes(span),
        resource: resource.clone(),
        events: list(span, "events").iter().map(name_of).collect(),
        links: list(span, "links").iter().map(otlp_link).collect(),
    }
}

/// OTLP's number for it, or its name.
fn kind_of(kind: &Value) -> String {
    let names = ["", "internal", "server", "client", "producer", "consumer"];
    let by_number = kind.as_u64().and_then(|number| names.get(usize::try_from(number).ok()?));
    let named = || kind.as_str()?.strip_prefix("SPAN_KIND_").map(str::to_lowercase);
    by_number.map(|name| (*name).to_owned()).or_else(named).unwrap_or_default()
}

fn name_of(event: &Value) -> String {
    event["name"].as_str().unwrap_or_default().to_owned()
}

fn otlp_link(link: &Value) -> (String, String, Attributes) {
    let id = |key| field(link, key).and_then(Value::as_str).map(hex_id).unwrap_or_default();
    (id("traceId"), id("spanId"), attributes(link))
}

/// Reads the traces of a Datadog Agent: a list of lists of spans.
#[must_use]
pub fn from_datadog(traces: &Value) -> Vec<Span> {
    let chunks = traces.as_array().map(Vec::as_slice).unwrap_or_default();
    chunks
        .iter()
        .flat_map(|chunk| from_datadog_chunk(chunk.as_array().map(Vec::as_slice).unwrap_or_default()))
        .collect()
}

fn from_datadog_chunk(chunk: &[Value]) -> Vec<Span> {
    // The high half of the trace id is told once for each chunk.
    let high = chunk.iter().find_map(|span| span["meta"]["_dd.p.tid"].as_str()).unwrap_or("0000000000000000");
    let of = |span: &Value| {
        let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| span[key].as_u64().unwrap_or(0);
        let parts = ["meta", "metrics"].iter().filter_map(|part| span[part].as_object()).flatten();
        Span {
            trace_id: format!("{high}{:016x}", number("trace_id")),
            span_id: format!("{:016x}", number("span_id")),
            parent_id: Some(number("parent_id")).filter(|id| *id != 0).map(|id| format!("{id:016x}")),
            kind: span["meta"]["span.kind"].as_str().unwrap_or_default().to_owned(),
            name: text("resource"),
            trace_state: String::new(),
            flags: 0,
            start: number("start"),
            end: number("start") + number("duration"),
            failed: number("error") != 0,
            attributes: parts.map(|(key, value)| (key.clone(), value.clone())).collect(),
            resource: Attributes::from([("service.name".to_owned(), Value::String(text("service")))]),
            events: datadog_events(span),
            links: span["span_links"].as_array().into_iter().flatten().map(datadog_link).collect(),
        }
    };
    chunk.iter().map(of).collect()
}

/// A field of their own, or JSON in a tag.
fn datadog_events(span: &Value) -> Vec<String> {
    let in_tag = span["meta"]["events"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let events = span["span_events"].as_array().cloned().or_else(|| in_tag?.as_array().cloned());
    events.unwrap_or_default().iter().map(name_of).collect()
}

fn datadog_link(link: &Value) -> (String, String, Attributes) {
    let number = |key: &str| link[key].as_u64().unwrap_or(0);
    let attributes = link["attributes"].as_object().cloned().unwrap_or_default().into_iter().collect();
    let trace = format!("{:016x}{:016x}", number("trace_id_high"), number("trace_id"));
    (trace, format!("{:016x}", number("span_id")), attributes)
}

fn attributes(holder: &Value) -> Attributes {
    let pair = |item: &Value| Some((item["key"].as_str()?.to_owned(), any_value(&item["value"])));
    list(holder, "attributes").iter().filter_map(pair).collect()
}

fn any_value(value: &Value) -> Value {
    if let Some(number) = field(value, "intValue") {
        return number.as_str().and_then(|text| text.parse::<i64>().ok()).map_or_else(|| number.clone(), Value::from);
    }
    if let Some(array) = field(value, "arrayValue") {
        return list(array, "values").iter().map(any_value).collect();
    }
    ["stringValue", "boolValue", "doubleValue"].iter().find_map(|key| field(value, key)).cloned().unwrap_or_default()
}

/// A field by its JSON name or by its name in the `.proto` file.
fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        let mut original = String::new();
        for c in name.chars() {
            if c.is_ascii_uppercase() {
                original.push('_');
            }
            original.push(c.to_ascii_lowercase());
        }
        object.get(original)
    })
}

fn list<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    field(object, name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn unsigned(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn hex_id(text: &str) -> String {
    if matches!(text.len(), 16 | 32) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return text.to_owned();
    }
    let bytes = STANDARD.decode(text).unwrap_or_else(|error| panic!("{text:?} is no id: {error}"));
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{from_datadog, from_otlp};
    use crate::process::End;
    use serde_json::json;

    #[test]
    fn both_spellings_of_otlp_json_are_one_span() {
        let canonical = json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "s"}}]},
            "scopeSpans": [{"spans": [{
                "traceId": "000102030405060708090a0b0c0d0e0f", "spanId": "0001020304050607", "parentSpanId": "",
                "name": "n", "flags": 769, "startTimeUnixNano": "5", "endTimeUnixNano": "6", "status": {"code": 2},
                "attributes": [
                    {"key": "process.pid", "value": {"intValue": "12"}},
                    {"key": "process.command_args", "value": {"arrayValue": {"values": [{"stringValue": "a"}]}}},
                    {"key": "process.exit.code", "value": {"intValue": "137"}},
                    {"key": "error.type", "value": {"stringValue": "SIGKILL"}}]}]}]}]});
        let python = json!({"resource_spans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"string_value": "s"}}]},
            "scope_spans": [{"spans": [{
                "trace_id": "AAECAwQFBgcICQoLDA0ODw==", "span_id": "AAECAwQFBgc=", "name": "n", "flags": 769,
                "start_time_unix_nano": "5", "end_time_unix_nano": "6", "status": {"code": "STATUS_CODE_ERROR"},
                "attributes": [
                    {"key": "process.pid", "value": {"int_value": "12"}},
                    {"key": "process.command_args", "value": {"array_value": {"values": [{"string_value": "a"}]}}},
                    {"key": "process.exit.code", "value": {"int_value": "137"}},
                    {"key": "error.type", "value": {"string_value": "SIGKILL"}}]}]}]}]});
        let (left, right) = (from_otlp(&canonical), from_otlp(&python));
        assert_eq!(format!("{left:?}"), format!("{right:?}"));
        let span = &left[0];
        assert_eq!(span.trace_id, "000102030405060708090a0b0c0d0e0f");
        assert_eq!((span.pid(), span.command_args(), span.parent_id.as_ref()), (12, vec!["a".to_owned()], None));
        assert_eq!(span.end_of_process(), End::Signal("SIGKILL".into()));
        assert!(span.failed);
    }

    #[test]
    fn datadogs_spans_get_their_whole_trace_id() {
        let traces = json!([[
            {"service": "s", "resource": "r", "trace_id": 1, "span_id": 2, "parent_id": 0, "start": 3, "duration": 4,
             "error": 0, "meta": {"_dd.p.tid": "65f1b5e000000000"}, "metrics": {"process.pid": 7.0}},
            {"service": "s", "resource": "c", "trace_id": 1, "span_id": 3, "parent_id": 2, "start": 3, "duration": 4,
             "error": 1, "meta": {"process.exit.code": "3"}, "metrics": {"process.pid": 8.0}}]]);
        let spans = from_datadog(&traces);
        assert_eq!(spans[1].trace_id, "65f1b5e0000000000000000000000001");
        assert_eq!(spans[1].parent_id.as_deref(), Some("0000000000000002"));
        assert_eq!((spans[0].pid(), spans[1].exit_code(), spans[1].failed), (7, Some(3), true));
    }
}
