//! Python's values as attributes, by the rules of either API, and back.

use crate::ffi::text;
use ddtrace::record::FieldValue;
use ddtrace::tracer::AttributeValue;
use pyo3::exceptions::PyException;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PySequence, PyString, PyTuple};
use std::borrow::Cow;

/// A value on its way into a span: nothing of it is Python's any more but a text's bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Text(Cow<'a, str>),
    Bool(bool),
    Integer(i64),
    Float(f64),
    Texts(Vec<String>),
    Bools(Vec<bool>),
    Integers(Vec<i64>),
    Floats(Vec<f64>),
}

impl Value<'_> {
    /// As the engine takes it.
    pub(crate) fn attribute(&self) -> AttributeValue<'_> {
        match self {
            Value::Text(text) => AttributeValue::Text(text),
            Value::Bool(truth) => AttributeValue::Bool(*truth),
            Value::Integer(number) => AttributeValue::Integer(*number),
            Value::Float(number) => AttributeValue::Float(*number),
            Value::Texts(texts) => AttributeValue::Texts(texts.iter().map(String::as_str).collect()),
            Value::Bools(list) => AttributeValue::Bools(list),
            Value::Integers(list) => AttributeValue::Integers(list),
            Value::Floats(list) => AttributeValue::Floats(list),
        }
    }

    /// Without anything borrowed.
    pub(crate) fn into_owned(self) -> Value<'static> {
        match self {
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::Bool(truth) => Value::Bool(truth),
            Value::Integer(number) => Value::Integer(number),
            Value::Float(number) => Value::Float(number),
            Value::Texts(list) => Value::Texts(list),
            Value::Bools(list) => Value::Bools(list),
            Value::Integers(list) => Value::Integers(list),
            Value::Floats(list) => Value::Floats(list),
        }
    }

    /// What a record has, read back; `None` for what is no attribute.
    pub(crate) fn read(value: &FieldValue<'_>) -> Option<Value<'static>> {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(match value {
            FieldValue::Text(bytes) => Value::Text(Cow::Owned(lossy(bytes))),
            FieldValue::Integer(number) => Value::Integer(*number),
            FieldValue::Float(number) => Value::Float(*number),
            FieldValue::Bool(truth) => Value::Bool(*truth),
            FieldValue::TextList(items) => Value::Texts(items.iter().map(|item| lossy(item)).collect()),
            FieldValue::IntegerList(items) => Value::Integers(items.clone()),
            FieldValue::FloatList(items) => Value::Floats(items.clone()),
            FieldValue::BoolList(items) => Value::Bools(items.clone()),
            _ => return None,
        })
    }

    /// With so many characters of each text at most.
    pub(crate) fn cut(mut self, most: Option<usize>) -> Self {
        let Some(most) = most else { return self };
        let end = |text: &str| text.char_indices().nth(most).map(|(end, _)| end);
        match &mut self {
            Value::Text(text) => {
                if let Some(end) = end(text) {
                    text.to_mut().truncate(end);
                }
            }
            Value::Texts(texts) => texts.iter_mut().for_each(|text| text.truncate(end(text).unwrap_or(text.len()))),
            _ => {}
        }
        self
    }

    /// As Python has it; lists are tuples.
    pub(crate) fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self {
            Value::Text(text) => PyString::new(py, text).into_any(),
            Value::Bool(truth) => PyBool::new(py, *truth).to_owned().into_any(),
            Value::Integer(number) => number.into_pyobject(py)?.into_any(),
            Value::Float(number) => PyFloat::new(py, *number).into_any(),
            Value::Texts(list) => PyTuple::new(py, list)?.into_any(),
            Value::Bools(list) => PyTuple::new(py, list)?.into_any(),
            Value::Integers(list) => PyTuple::new(py, list)?.into_any(),
            Value::Floats(list) => PyTuple::new(py, list)?.into_any(),
        })
    }
}

/// `str(value)`; what cannot be shown is said to be so, as nothing of the program's may fail for a tag.
pub(crate) fn shown(value: &Bound<'_, PyAny>) -> String {
    match value.str() {
        Ok(string) => text(&string).into_owned(),
        Err(_) => format!("<{} that cannot be shown>", type_name(value)),
    }
}

/// The name of a value's type, without its module.
pub(crate) fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map(|name| text(&name).into_owned()).unwrap_or_default()
}

/// The key of a tag or an attribute: a text, or bytes that are one.
pub(crate) fn key<'a>(key: &'a Bound<'_, PyAny>) -> Option<Cow<'a, str>> {
    if let Ok(string) = key.cast::<PyString>() {
        return Some(text(string));
    }
    let bytes = key.cast::<PyBytes>().ok()?;
    Some(String::from_utf8_lossy(bytes.as_bytes()))
}

/// A whole number that 64 bits have room for.
fn integer(number: &Bound<'_, PyInt>) -> Option<i64> {
    let mut overflow = 0;
    // SAFETY: it is an int, for which this can fail by being too large alone.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(number.as_ptr(), &raw mut overflow) };
    (overflow == 0).then_some(value)
}

/// A value of Datadog's API: truth values, and whatever is neither a number nor a text, as Python shows it. `None` for
/// numbers that are none.
pub(crate) fn tag<'a>(value: &'a Bound<'_, PyAny>) -> Option<Value<'a>> {
    if let Ok(string) = value.cast::<PyString>() {
        return Some(Value::Text(text(string)));
    }
    if let Ok(truth) = value.cast::<PyBool>() {
        return Some(Value::Text(Cow::Borrowed(if truth.is_true() { "True" } else { "False" })));
    }
    number(value).unwrap_or_else(|| Some(Value::Text(Cow::Owned(shown(value)))))
}

/// A metric of Datadog's API: a number, or a text that is one.
pub(crate) fn metric(value: &Bound<'_, PyAny>) -> Option<Value<'static>> {
    if let Ok(string) = value.cast::<PyString>() {
        let text = text(string);
        let text = text.trim();
        return match text.parse::<i64>() {
            Ok(number) => Some(Value::Integer(number)),
            Err(_) => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float),
        };
    }
    if let Ok(truth) = value.cast::<PyBool>() {
        return Some(Value::Integer(truth.is_true().into()));
    }
    match number(value) {
        Some(number) => number,
        // Numbers of other libraries.
        None => value.extract().ok().filter(|number: &f64| number.is_finite()).map(Value::Float),
    }
}

/// `None` for what is no `int` and no `float`; `Some(None)` for numbers that are none.
fn number(value: &Bound<'_, PyAny>) -> Option<Option<Value<'static>>> {
    if let Ok(number) = value.cast::<PyInt>() {
        let fits = integer(number).map(Value::Integer);
        return Some(Some(fits.unwrap_or_else(|| Value::Text(Cow::Owned(shown(value))))));
    }
    let number = value.cast::<PyFloat>().ok()?.value();
    Some(number.is_finite().then_some(Value::Float(number)))
}

/// A value of OpenTelemetry's API; `None` is left out. What records have no form for is text: mappings and lists whose items
/// are not of one type as JSON, bytes as the text that they are, all else as Python shows it.
pub(crate) fn attribute<'a>(value: &'a Bound<'_, PyAny>) -> Option<Value<'a>> {
    if let Some(plain) = plain(value) {
        return Some(plain);
    }
    if value.is_none() {
        return None;
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Some(Value::Text(String::from_utf8_lossy(bytes.as_bytes())));
    }
    let text = match value.cast::<PyMapping>() {
        Ok(mapping) => json(mapping),
        Err(_) => match items(value) {
            Some(items) => match list(&items) {
                Some(list) => return Some(list),
                None => json(value),
            },
            None => shown(value),
        },
    };
    Some(Value::Text(Cow::Owned(text)))
}

/// A text, a truth value or a number.
fn plain<'a>(value: &'a Bound<'_, PyAny>) -> Option<Value<'a>> {
    if let Ok(string) = value.cast::<PyString>() {
        return Some(Value::Text(text(string)));
    }
    if let Ok(truth) = value.cast::<PyBool>() {
        return Some(Value::Bool(truth.is_true()));
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Some(Value::Float(number.value()));
    }
    let number = value.cast::<PyInt>().ok()?;
    Some(integer(number).map_or_else(|| Value::Text(Cow::Owned(shown(value))), Value::Integer))
}

/// The items of a sequence.
fn items<'py>(value: &Bound<'py, PyAny>) -> Option<Vec<Bound<'py, PyAny>>> {
    Some(if let Ok(list) = value.cast::<PyList>() {
        list.iter().collect()
    } else if let Ok(tuple) = value.cast::<PyTuple>() {
        tuple.iter().collect()
    } else {
        value.cast::<PySequence>().ok()?.to_list().ok()?.iter().collect()
    })
}

/// A list, if all its items are of one type.
fn list(items: &[Bound<'_, PyAny>]) -> Option<Value<'static>> {
    let values = items.iter().map(|item| attribute(item).map(Value::into_owned)).collect::<Option<Vec<_>>>()?;
    macro_rules! all {
        ($kind:ident, $list:ident) => {
            if values.iter().all(|value| matches!(value, Value::$kind(_))) {
                let items = values.into_iter();
                return Some(Value::$list(
                    items
                        .filter_map(|value| if let Value::$kind(value) = value { Some(value.into()) } else { None })
                        .collect(),
                ));
            }
        };
    }
    all!(Text, Texts);
    all!(Bool, Bools);
    all!(Integer, Integers);
    all!(Float, Floats);
    None
}

/// A mapping or a list as JSON; what has no form there is what Python shows.
fn json(value: &Bound<'_, PyAny>) -> String {
    let py = value.py();
    let written = || {
        let options = PyDict::new(py);
        options.set_item("default", py.get_type::<PyString>())?;
        options.set_item("ensure_ascii", false)?;
        options.set_item("separators", (",", ":"))?;
        options.set_item("skipkeys", true)?;
        let plain = match value.cast::<PyMapping>() {
            Ok(mapping) if !value.is_instance_of::<PyDict>() => {
                PyDict::from_sequence(mapping.items()?.as_any())?.into_any()
            }
            _ => value.clone(),
        };
        py.import("json")?.call_method("dumps", (plain,), Some(&options))?.extract()
    };
    written().unwrap_or_else(|_: PyErr| shown(value))
}

/// The pairs of a mapping of OpenTelemetry's API; keys that are no text or empty are left out. What is no mapping has none.
pub(crate) fn attributes(mapping: &Bound<'_, PyAny>) -> PyResult<Vec<(String, Value<'static>)>> {
    spared(mapping.py(), pairs(mapping, attribute))
}

/// What of a program's fails while it is read is nothing: the program runs with the API alone, which reads nothing. What is
/// raised to end a program is raised.
pub(crate) fn spared<T: Default>(py: Python<'_>, read: PyResult<T>) -> PyResult<T> {
    match read {
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(T::default()),
        read => read,
    }
}

/// A time of OpenTelemetry's API, in nanoseconds since the Unix epoch, whole or not. `None` for what is none, where it is now.
pub(crate) fn time(value: Option<&Bound<'_, PyAny>>) -> Option<u64> {
    const LAST: u64 = i64::MAX as u64;
    let value = value.filter(|value| !value.is_none())?;
    let whole = match value.extract::<u64>() {
        Ok(whole) => whole,
        Err(_) => {
            let time = value.extract::<f64>().ok().filter(|time| (0.0..LAST as f64).contains(time))?;
            time as u64
        }
    };
    (whole <= LAST).then_some(whole)
}

/// The attributes of a link of Datadog's API, where lists whose items are not of one type are an attribute for each item.
pub(crate) fn link_attributes(mapping: &Bound<'_, PyAny>) -> PyResult<Vec<(String, Value<'static>)>> {
    /// Deeper than that a list is shown: it may have itself in it.
    const DEPTH: usize = 8;
    fn flatten(key: String, value: &Bound<'_, PyAny>, depth: usize, flat: &mut Vec<(String, Value<'static>)>) {
        let is_plain = value.is_instance_of::<PyString>() || value.is_instance_of::<PyBytes>();
        let is_mapping = value.cast::<PyMapping>().is_ok();
        let items = if is_plain || is_mapping { None } else { items(value) };
        match items.filter(|items| list(items).is_none()) {
            Some(items) if depth < DEPTH => {
                for (index, item) in items.iter().enumerate() {
                    flatten(format!("{key}.{index}"), item, depth + 1, flat);
                }
            }
            Some(_) => flat.push((key, Value::Text(Cow::Owned(shown(value))))),
            None if is_mapping => flat.push((key, Value::Text(Cow::Owned(shown(value))))),
            None => {
                let value = attribute(value).map_or_else(|| Value::Text(Cow::Owned(shown(value))), Value::into_owned);
                flat.push((key, value));
            }
        }
    }
    let mut flat = Vec::new();
    let read = each_pair(mapping, |key, value| flatten(key, value, 0, &mut flat));
    spared(mapping.py(), read)?;
    Ok(flat)
}

/// The pairs of a mapping, its values read by `read`.
pub(crate) fn pairs(
    mapping: &Bound<'_, PyAny>,
    read: impl for<'a, 'py> Fn(&'a Bound<'py, PyAny>) -> Option<Value<'a>>,
) -> PyResult<Vec<(String, Value<'static>)>> {
    let mut pairs = Vec::new();
    each_pair(mapping, |key, value| pairs.extend(read(value).map(|value| (key, value.into_owned()))))?;
    Ok(pairs)
}

/// Calls `take` with each pair of a mapping whose key is a text and not empty.
fn each_pair(mapping: &Bound<'_, PyAny>, mut take: impl FnMut(String, &Bound<'_, PyAny>)) -> PyResult<()> {
    let mut take = |key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>| {
        if let Some(key) = self::key(key).filter(|key| !key.is_empty()) {
            take(key.into_owned(), value);
        }
    };
    if let Ok(dict) = mapping.cast::<PyDict>() {
        // A copy, as reading a value may run code that changes it.
        dict.copy()?.iter().for_each(|(key, value)| take(&key, &value));
        return Ok(());
    }
    for pair in mapping.call_method0("items")?.try_iter()? {
        let pair = pair?;
        take(&pair.get_item(0)?, &pair.get_item(1)?);
    }
    Ok(())
}
