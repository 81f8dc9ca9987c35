//! Python's values as attributes, by the rules of either API, and back.

use crate::ffi::text;
use crate::once::Once;
use crate::shown::shown;
use crate::spared::{spared, succeeded};
use ddtrace::record::FieldValue;
use ddtrace::tracer::AttributeValue;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};
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

/// The key of a tag or an attribute: a text, or bytes that are one.
pub(crate) fn key<'a>(key: &'a Bound<'_, PyAny>) -> Option<Cow<'a, str>> {
    if let Ok(string) = key.cast::<PyString>() {
        return Some(text(string));
    }
    let bytes = key.cast::<PyBytes>().ok()?;
    Some(String::from_utf8_lossy(bytes.as_bytes()))
}

/// A whole number that 64 bits have room for.
pub(crate) fn integer(number: &Bound<'_, PyInt>) -> Option<i64> {
    let mut overflow = 0;
    // SAFETY: it is an int, for which this can fail by being too large alone.
    let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(number.as_ptr(), &raw mut overflow) };
    (overflow == 0).then_some(value)
}

/// A value of Datadog's API: truth values, and whatever is neither a number nor a text, as Python shows it. `None` for
/// numbers that are none.
pub(crate) fn tag<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Option<Value<'a>>> {
    if let Ok(string) = value.cast::<PyString>() {
        return Ok(Some(Value::Text(text(string))));
    }
    if let Ok(truth) = value.cast::<PyBool>() {
        return Ok(Some(Value::Text(Cow::Borrowed(if truth.is_true() { "True" } else { "False" }))));
    }
    match number(value)? {
        Some(number) => Ok(number),
        None => Ok(Some(shown_text(value)?)),
    }
}

/// A value as Python shows it.
fn shown_text(value: &Bound<'_, PyAny>) -> PyResult<Value<'static>> {
    Ok(Value::Text(Cow::Owned(shown(value)?)))
}

/// A metric of Datadog's API: a number, or a text that is one.
pub(crate) fn metric<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Option<Value<'a>>> {
    if let Ok(string) = value.cast::<PyString>() {
        let text = text(string);
        let text = text.trim();
        return Ok(match text.parse::<i64>() {
            Ok(number) => Some(Value::Integer(number)),
            Err(_) => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float),
        });
    }
    if let Ok(truth) = value.cast::<PyBool>() {
        return Ok(Some(Value::Integer(truth.is_true().into())));
    }
    if let Some(number) = number(value)? {
        return Ok(number);
    }
    // Numbers of other libraries.
    let number = succeeded(value.py(), value.extract::<f64>())?;
    Ok(number.filter(|number| number.is_finite()).map(Value::Float))
}

/// `None` for what is no `int` and no `float`; `Some(None)` for numbers that are none.
fn number(value: &Bound<'_, PyAny>) -> PyResult<Option<Option<Value<'static>>>> {
    if let Ok(number) = value.cast::<PyInt>() {
        return whole(number).map(|number| Some(Some(number)));
    }
    let Ok(number) = value.cast::<PyFloat>() else { return Ok(None) };
    let number = number.value();
    Ok(Some(number.is_finite().then_some(Value::Float(number))))
}

/// A whole number; as a text, where 64 bits have no room for it.
fn whole(number: &Bound<'_, PyInt>) -> PyResult<Value<'static>> {
    match integer(number) {
        Some(number) => Ok(Value::Integer(number)),
        None => shown_text(number),
    }
}

/// A value of OpenTelemetry's API; `None` is left out. What records have no form for is text: mappings and lists whose items
/// are not of one type as JSON, bytes as the text that they are, all else as Python shows it.
pub(crate) fn attribute<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Option<Value<'a>>> {
    if let Some(plain) = plain(value)? {
        return Ok(Some(plain));
    }
    if value.is_none() {
        return Ok(None);
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Some(Value::Text(String::from_utf8_lossy(bytes.as_bytes()))));
    }
    let text = if is_mapping(value)? {
        json(value, true)?
    } else {
        match items(value)? {
            Some(items) => match list(&items)? {
                Some(list) => return Ok(Some(list)),
                None => json(value, false)?,
            },
            None => shown(value)?,
        }
    };
    Ok(Some(Value::Text(Cow::Owned(text))))
}

/// A text, a truth value or a number.
fn plain<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Option<Value<'a>>> {
    if let Ok(string) = value.cast::<PyString>() {
        return Ok(Some(Value::Text(text(string))));
    }
    if let Ok(truth) = value.cast::<PyBool>() {
        return Ok(Some(Value::Bool(truth.is_true())));
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Ok(Some(Value::Float(number.value())));
    }
    value.cast::<PyInt>().ok().map(whole).transpose()
}

/// Whether a value is a mapping. Asking may run code of the program's, unless it is one that is built in.
fn is_mapping(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    if value.is_instance_of::<PyDict>() {
        return Ok(true);
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        return Ok(false);
    }
    is_one_of(value, &CLASS, "Mapping")
}

/// Whether a value is of a class of `collections.abc`.
fn is_one_of(value: &Bound<'_, PyAny>, class: &PyOnceLock<Py<PyType>>, name: &str) -> PyResult<bool> {
    let py = value.py();
    py.check_signals()?;
    let find = || Ok(py.import("collections.abc")?.getattr(name)?.cast_into::<PyType>()?.unbind());
    spared(py, class.get_or_make(py, find).and_then(|class| value.is_instance(class.bind(py))))
}

/// The items of a sequence.
fn items<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    if let Ok(list) = value.cast::<PyList>() {
        return Ok(Some(list.iter().collect()));
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return Ok(Some(tuple.iter().collect()));
    }
    if !is_one_of(value, &CLASS, "Sequence")? {
        return Ok(None);
    }
    succeeded(value.py(), value.try_iter().and_then(Iterator::collect))
}

/// A list, if all its items are of one type. Lists within it are none: it may have itself in it.
fn list(items: &[Bound<'_, PyAny>]) -> PyResult<Option<Value<'static>>> {
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        if plain(item)?.is_none() && !item.is_instance_of::<PyBytes>() && self::items(item)?.is_some() {
            return Ok(None);
        }
        let Some(value) = attribute(item)? else { return Ok(None) };
        values.push(value.into_owned());
    }
    macro_rules! all {
        ($kind:ident, $list:ident) => {
            if values.iter().all(|value| matches!(value, Value::$kind(_))) {
                let items = values.into_iter();
                return Ok(Some(Value::$list(
                    items
                        .filter_map(|value| if let Value::$kind(value) = value { Some(value.into()) } else { None })
                        .collect(),
                )));
            }
        };
    }
    all!(Text, Texts);
    all!(Bool, Bools);
    all!(Integer, Integers);
    all!(Float, Floats);
    Ok(None)
}

/// A mapping or a list as JSON; what has no form there is what Python shows.
fn json(value: &Bound<'_, PyAny>, is_mapping: bool) -> PyResult<String> {
    let py = value.py();
    let written = || {
        let options = PyDict::new(py);
        options.set_item("default", py.get_type::<PyString>())?;
        options.set_item("ensure_ascii", false)?;
        options.set_item("separators", (",", ":"))?;
        options.set_item("skipkeys", true)?;
        let plain = if is_mapping && !value.is_instance_of::<PyDict>() {
            PyDict::from_sequence(&value.call_method0("items")?)?.into_any()
        } else {
            value.clone()
        };
        py.import("json")?.call_method("dumps", (plain,), Some(&options))?.extract()
    };
    match succeeded(py, written())? {
        Some(json) => Ok(json),
        None => shown(value),
    }
}

/// The pairs of a mapping of OpenTelemetry's API; keys that are no text or empty are left out. What is no mapping has none.
pub(crate) fn attributes(mapping: &Bound<'_, PyAny>) -> PyResult<Vec<(String, Value<'static>)>> {
    spared(mapping.py(), pairs(mapping, attribute))
}

/// A time of OpenTelemetry's API, in nanoseconds since the Unix epoch, whole or not. `None` for what is none, where it is now.
pub(crate) fn time(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<u64>> {
    const LAST: u64 = i64::MAX as u64;
    let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(None) };
    let py = value.py();
    let time = match succeeded(py, value.extract::<u64>())? {
        Some(whole) => Some(whole),
        None => {
            let time = succeeded(py, value.extract::<f64>())?;
            time.filter(|time| (0.0..LAST as f64).contains(time)).map(|time| time as u64)
        }
    };
    Ok(time.filter(|time| *time <= LAST))
}

/// The attributes of a link of Datadog's API, where lists whose items are not of one type are an attribute for each item.
pub(crate) fn link_attributes(mapping: &Bound<'_, PyAny>) -> PyResult<Vec<(String, Value<'static>)>> {
    /// Deeper than that a list is shown: it may have itself in it.
    const DEPTH: usize = 8;
    fn flatten(
        key: String,
        value: &Bound<'_, PyAny>,
        depth: usize,
        flat: &mut Vec<(String, Value<'static>)>,
    ) -> PyResult<()> {
        let is_plain = value.is_instance_of::<PyString>() || value.is_instance_of::<PyBytes>();
        let is_mapping = is_mapping(value)?;
        let mut items = if is_plain || is_mapping { None } else { items(value)? };
        if let Some(found) = &items
            && list(found)?.is_some()
        {
            items = None;
        }
        match items {
            Some(items) if depth < DEPTH => {
                for (index, item) in items.iter().enumerate() {
                    flatten(format!("{key}.{index}"), item, depth + 1, flat)?;
                }
            }
            Some(_) => flat.push((key, shown_text(value)?)),
            None if is_mapping => flat.push((key, shown_text(value)?)),
            None => {
                let value = match attribute(value)? {
                    Some(value) => value.into_owned(),
                    None => shown_text(value)?,
                };
                flat.push((key, value));
            }
        }
        Ok(())
    }
    let mut flat = Vec::new();
    let read = each_pair(mapping, |key, value| flatten(key, value, 0, &mut flat));
    spared(mapping.py(), read)?;
    Ok(flat)
}

/// The pairs of a mapping, its values read by `read`.
pub(crate) fn pairs(
    mapping: &Bound<'_, PyAny>,
    read: impl for<'a, 'py> Fn(&'a Bound<'py, PyAny>) -> PyResult<Option<Value<'a>>>,
) -> PyResult<Vec<(String, Value<'static>)>> {
    let mut pairs = Vec::new();
    each_pair(mapping, |key, value| {
        pairs.extend(read(value)?.map(|value| (key, value.into_owned())));
        Ok(())
    })?;
    Ok(pairs)
}

/// Calls `take` with each pair of a mapping whose key is a text and not empty.
fn each_pair(
    mapping: &Bound<'_, PyAny>,
    mut take: impl FnMut(String, &Bound<'_, PyAny>) -> PyResult<()>,
) -> PyResult<()> {
    let mut take = |key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>| match self::key(key) {
        Some(key) if !key.is_empty() => take(key.into_owned(), value),
        _ => Ok(()),
    };
    if let Ok(dict) = mapping.cast::<PyDict>() {
        // A copy, as reading a value may run code that changes it.
        return dict.copy()?.iter().try_for_each(|(key, value)| take(&key, &value));
    }
    for pair in mapping.call_method0("items")?.try_iter()? {
        let pair = pair?;
        take(&pair.get_item(0)?, &pair.get_item(1)?)?;
    }
    Ok(())
}
