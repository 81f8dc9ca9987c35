//! OTLP's JSON encoding of traces, read leniently.
//!
//! The types are our own: those generated from the protocol refuse a whole request over one absent field or one
//! number in another spelling, and a viewer should show what it can. Unknown fields are ignored, as OTLP demands;
//! 64-bit integers may be strings or numbers, ids upper or lower case, and `null` stands for the default.

use ddtrace::ids::{SpanId, TraceId, parse_hex_u64};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

/// Reads one line: an `ExportTraceServiceRequest` or, which is the same, a `TracesData`.
///
/// # Errors
/// What is wrong with the JSON, and at which column.
pub fn read_line(line: &[u8]) -> Result<Vec<ResourceSpans>, serde_json::Error> {
    let request: Request = serde_json::from_slice(line)?;
    Ok(request.resource_spans)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object with resourceSpans")]
struct Request {
    #[serde(default, deserialize_with = "or_default")]
    resource_spans: Vec<ResourceSpans>,
}

/// The spans of one resource.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceSpans {
    #[serde(default, deserialize_with = "or_default")]
    resource: Resource,
    #[serde(default, deserialize_with = "or_default")]
    scope_spans: Vec<ScopeSpans>,
}

impl ResourceSpans {
    /// What all the spans share.
    pub fn resource(&self) -> &Attributes {
        &self.resource.attributes
    }

    /// The spans of all scopes.
    pub fn spans(&self) -> impl Iterator<Item = &Span> {
        self.scope_spans.iter().flat_map(|scope| &scope.spans)
    }
}

#[derive(Deserialize, Default)]
struct Resource {
    #[serde(default, deserialize_with = "or_default")]
    attributes: Attributes,
}

#[derive(Deserialize)]
struct ScopeSpans {
    #[serde(default, deserialize_with = "or_default")]
    spans: Vec<Span>,
}

/// One span, as far as it is shown.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct Span {
    #[serde(deserialize_with = "or_default")]
    trace_id: Scalar,
    #[serde(deserialize_with = "or_default")]
    span_id: Scalar,
    #[serde(deserialize_with = "or_default")]
    parent_span_id: Scalar,
    #[serde(deserialize_with = "or_default")]
    name: Scalar,
    #[serde(deserialize_with = "or_default")]
    start_time_unix_nano: Scalar,
    #[serde(deserialize_with = "or_default")]
    end_time_unix_nano: Scalar,
    /// Its attributes.
    #[serde(deserialize_with = "or_default")]
    pub attributes: Attributes,
    #[serde(deserialize_with = "or_default")]
    status: Status,
}

impl Span {
    /// The trace it belongs to; zero where that cannot be read.
    pub fn trace_id(&self) -> TraceId {
        TraceId::from_hex(self.trace_id.text().to_ascii_lowercase().as_bytes()).unwrap_or_default()
    }

    /// Its own id; zero where that cannot be read.
    pub fn span_id(&self) -> SpanId {
        self.span_id.span_id()
    }

    /// The parent's id; zero for none.
    pub fn parent_id(&self) -> SpanId {
        self.parent_span_id.span_id()
    }

    /// The name.
    pub fn name(&self) -> String {
        self.name.text()
    }

    /// Nanoseconds since the Unix epoch; zero where the start is not known.
    pub fn start_ns(&self) -> u64 {
        self.start_time_unix_nano.nanoseconds()
    }

    /// Nanoseconds since the Unix epoch; zero where the end is not known.
    pub fn end_ns(&self) -> u64 {
        self.end_time_unix_nano.nanoseconds()
    }

    /// The message of a status that is an error; it may be empty.
    pub fn status_error(&self) -> Option<String> {
        // STATUS_CODE_ERROR is 2; the name is not allowed by OTLP, but written by plain protobuf-to-JSON converters.
        let failed = match &self.status.code {
            Scalar::Text(name) if name == "STATUS_CODE_ERROR" => true,
            code => code.integer() == Some(2),
        };
        failed.then(|| self.status.message.text())
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    #[serde(deserialize_with = "or_default")]
    code: Scalar,
    #[serde(deserialize_with = "or_default")]
    message: Scalar,
}

/// Keys and values.
#[derive(Deserialize, Default)]
#[serde(transparent)]
pub struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn value(&self, key: &str) -> Option<&AnyValue> {
        self.0.iter().find(|pair| pair.key == key).map(|pair| &pair.value)
    }

    /// A text that is not empty; an integer counts as one.
    pub fn text(&self, key: &str) -> Option<String> {
        let value = self.value(key)?;
        let scalar = value.string_value.as_ref().or(value.int_value.as_ref())?;
        Some(scalar.text()).filter(|text| !text.is_empty())
    }

    /// A list of texts; a text alone is a list of one.
    pub fn texts(&self, key: &str) -> Vec<String> {
        match self.value(key) {
            Some(AnyValue { array_value: Some(list), .. }) => list.values.iter().map(AnyValue::to_text).collect(),
            Some(AnyValue { string_value: Some(text), .. }) => vec![text.text()],
            _ => Vec::new(),
        }
    }

    /// A whole number.
    pub fn integer(&self, key: &str) -> Option<i64> {
        let value = self.value(key)?;
        let from_float = || Some(value.double_value.as_ref()?.number()? as i64);
        value.int_value.as_ref().and_then(Scalar::integer).or_else(from_float)
    }

    /// A number. What is infinite or not a number at all, which protobuf's JSON writes as text, is none.
    pub fn number(&self, key: &str) -> Option<f64> {
        let value = self.value(key)?;
        value.double_value.as_ref().or(value.int_value.as_ref()).and_then(Scalar::number)
    }

    /// Whether a truth value is there and true.
    pub fn is_true(&self, key: &str) -> bool {
        self.value(key).and_then(|value| value.bool_value.as_ref()).is_some_and(|truth| truth.text() == "true")
    }

    /// Whether there is such a key.
    pub fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct KeyValue {
    #[serde(deserialize_with = "or_default")]
    key: String,
    #[serde(deserialize_with = "or_default")]
    value: AnyValue,
}

/// Bytes and maps are left out: nothing of what is shown has them.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct AnyValue {
    string_value: Option<Scalar>,
    bool_value: Option<Scalar>,
    int_value: Option<Scalar>,
    double_value: Option<Scalar>,
    array_value: Option<List>,
}

impl AnyValue {
    fn to_text(&self) -> String {
        let scalars = [&self.string_value, &self.int_value, &self.double_value, &self.bool_value];
        scalars.into_iter().flatten().next().map_or_else(String::new, Scalar::text)
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct List {
    #[serde(deserialize_with = "or_default")]
    values: Vec<AnyValue>,
}

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// A text, a number or a truth value, whichever the writer chose.
#[derive(Default)]
enum Scalar {
    #[default]
    Absent,
    Text(String),
    Truth(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Scalar;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string, a number or a truth value")
            }
            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(text.to_owned()))
            }
            fn visit_string<E>(self, text: String) -> Result<Scalar, E> {
                Ok(Scalar::Text(text))
            }
            fn visit_bool<E>(self, truth: bool) -> Result<Scalar, E> {
                Ok(Scalar::Truth(truth))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar::Unsigned(number))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar::Signed(number))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
                Ok(Scalar::Float(number))
            }
        }
        from.deserialize_any(Any)
    }
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Scalar::Absent => String::new(),
            Scalar::Text(text) => text.clone(),
            Scalar::Truth(truth) => truth.to_string(),
            Scalar::Unsigned(number) => number.to_string(),
            Scalar::Signed(number) => number.to_string(),
            Scalar::Float(number) => number.to_string(),
        }
    }

    fn nanoseconds(&self) -> u64 {
        match self {
            Scalar::Absent | Scalar::Truth(_) => 0,
            Scalar::Text(text) => text.trim().parse().unwrap_or(0),
            Scalar::Unsigned(number) => *number,
            Scalar::Signed(number) => u64::try_from(*number).unwrap_or(0),
            Scalar::Float(number) => *number as u64,
        }
    }

    fn integer(&self) -> Option<i64> {
        match self {
            Scalar::Absent | Scalar::Truth(_) => None,
            Scalar::Text(text) => text.trim().parse().ok(),
            Scalar::Unsigned(number) => i64::try_from(*number).ok(),
            Scalar::Signed(number) => Some(*number),
            Scalar::Float(number) => Some(*number as i64),
        }
    }

    fn number(&self) -> Option<f64> {
        let number = match self {
            Scalar::Absent | Scalar::Truth(_) => None,
            Scalar::Text(text) => text.trim().parse().ok(),
            Scalar::Unsigned(number) => Some(*number as f64),
            Scalar::Signed(number) => Some(*number as f64),
            Scalar::Float(number) => Some(*number),
        };
        number.filter(|number: &f64| number.is_finite())
    }

    fn span_id(&self) -> SpanId {
        SpanId(parse_hex_u64(self.text().to_ascii_lowercase().as_bytes()).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
