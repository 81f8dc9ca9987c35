//! Values as text, and how long text may be.

use crate::span::Value;
use serde::ser::{Serialize, SerializeSeq, Serializer};
use std::borrow::Cow;
use std::format;
use std::string::{String, ToString};

/// The longest text that is sent whole, in characters.
pub(super) const MAX_CHARS: usize = 25_000;
/// How many characters of a longer text are kept.
const KEPT_CHARS: usize = 2_486;
/// Tells that text was cut.
const CUT_MARK: &str = "<truncated>...";

/// Cuts text that Datadog's tracers would cut.
pub(super) fn shortened(text: Cow<'_, str>) -> Cow<'_, str> {
    // Bytes are never fewer than characters, so that almost every text needs no counting.
    if text.len() <= MAX_CHARS || text.chars().nth(MAX_CHARS).is_none() {
        return text;
    }
    Cow::Owned(cut(&text))
}

/// The beginning of a text and the mark that more was there.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(KEPT_CHARS) {
        Some((end, _)) => format!("{}{CUT_MARK}", text.get(..end).unwrap_or_default()),
        None => text.to_string(),
    }
}

/// The text of a value: lists as JSON, the rest as it is commonly written.
pub(super) fn value_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::I64(number) => Cow::Owned(number.to_string()),
        Value::F64(number) => Cow::Owned(number.to_string()),
        Value::Array(_) => Cow::Owned(to_json(&Json(value))),
    }
}

/// JSON of something whose keys are all text: nothing that serde_json could refuse.
pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A value in JSON, types kept; numbers that JSON cannot write become text.
pub(super) struct Json<'a>(pub &'a Value);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) => serializer.serialize_str(text),
            Value::Bool(truth) => serializer.serialize_bool(*truth),
            Value::I64(number) => serializer.serialize_i64(*number),
            Value::F64(number) if number.is_finite() => serializer.serialize_f64(*number),
            Value::F64(number) => serializer.collect_str(number),
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Json(item))?;
                }
                list.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn only_text_over_the_limit_is_cut() {
        let fits = "é".repeat(MAX_CHARS);
        assert_eq!(shortened(Cow::Borrowed(&fits)), fits);
        let cut = shortened(Cow::Owned("é".repeat(MAX_CHARS + 1))).into_owned();
        assert_eq!(cut, "é".repeat(2_486) + "<truncated>...");
    }

    #[test]
    fn lists_are_json_and_truth_is_lower_case() {
        let list = Value::Array(vec![
            Value::from("a\"b"),
            Value::I64(-1),
            Value::F64(f64::NAN),
            Value::F64(0.5),
            Value::Array(vec![Value::Bool(true)]),
        ]);
        assert_eq!(value_text(&list), r#"["a\"b",-1,"NaN",0.5,[true]]"#);
        assert_eq!(value_text(&Value::Bool(true)), "true");
        assert_eq!(value_text(&Value::F64(3.0)), "3");
    }
}
