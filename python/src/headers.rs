//! Headers of Python's as carriers of a context.

use crate::context::Context;
use crate::engine::engine;
use crate::ffi::text;
use crate::shared::Members;
use crate::shown::shown;
use crate::spared::succeeded;
use crate::values::key;
use ddtrace::http::HeaderFields;
use ddtrace::propagation::{Carrier, CarrierMut};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

/// Names, in lower case, and their values.
#[derive(Default)]
pub(crate) struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// The items of a mapping. Names may also be in the form of WSGI (`HTTP_X_DATADOG_TRACE_ID`).
    pub(crate) fn of(mapping: &Bound<'_, PyAny>) -> PyResult<Headers> {
        let mut headers = Vec::new();
        let mut take = |name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>| {
            if let (Some(name), Some(value)) = (key(name), bytes(value)?) {
                headers.push((normalised(&name), value));
            }
            Ok::<_, PyErr>(())
        };
        if let Ok(dict) = mapping.cast::<PyDict>() {
            dict.copy()?.iter().try_for_each(|(name, value)| take(&name, &value))?;
        } else {
            for pair in mapping.call_method0("items")?.try_iter()? {
                let pair = pair?;
                take(&pair.get_item(0)?, &pair.get_item(1)?)?;
            }
        }
        Ok(Headers(headers))
    }
}

impl Headers {
    /// Those of a request that reaches an application of WSGI.
    pub(crate) fn of_environ(environ: &Bound<'_, PyDict>) -> Headers {
        let mut headers = Vec::new();
        for (name, value) in environ.iter() {
            if let (Ok(name), Ok(value)) = (name.cast::<PyString>(), value.cast::<PyString>())
                && text(name).starts_with("HTTP_")
            {
                headers.push((normalised(&text(name)), of_latin_1(&text(value))));
            }
        }
        Headers(headers)
    }

    /// Pairs of names and values: bytes, or texts that stand for them.
    pub(crate) fn of_pairs(pairs: &Bound<'_, PyAny>) -> PyResult<Headers> {
        let mut headers = Vec::new();
        for pair in pairs.try_iter()? {
            let pair = pair?;
            let (name, value) = (pair.get_item(0)?, pair.get_item(1)?);
            if let (Some(name), Some(value)) = (key(&name), bytes(&value)?) {
                headers.push((name.to_ascii_lowercase(), value));
            }
        }
        Ok(Headers(headers))
    }
}

impl HeaderFields for Headers {
    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        let (_, value) = self.0.iter().find(|(present, _)| present.as_bytes() == name)?;
        Some(value)
    }
}

/// The bytes that a text of WSGI stands for: each character is one.
pub(crate) fn of_latin_1(text: &str) -> Vec<u8> {
    if text.is_ascii() {
        return text.as_bytes().to_vec();
    }
    let bytes: Option<Vec<u8>> = text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect();
    bytes.unwrap_or_else(|| text.as_bytes().to_vec())
}

fn bytes(value: &Bound<'_, PyAny>) -> PyResult<Option<Vec<u8>>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Some(bytes.as_bytes().to_vec()));
    }
    Ok(if value.is_instance_of::<PyString>() { Some(shown(value)?.into_bytes()) } else { None })
}

fn normalised(name: &str) -> String {
    match name.strip_prefix("HTTP_") {
        Some(name) => name.to_ascii_lowercase().replace('_', "-"),
        None => name.to_ascii_lowercase(),
    }
}

impl Carrier for Headers {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.0.iter().filter(|(present, _)| present == name).for_each(|(_, value)| each(value));
    }

    fn with_prefix(&self, prefix: &str, each: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in &self.0 {
            if let Some(rest) = name.strip_prefix(prefix) {
                each(rest.as_bytes(), value);
            }
        }
    }
}

/// Writes headers into a mapping of Python's.
///
/// # Errors
///
/// The first one that the mapping has raised.
pub(crate) fn write(carrier: &Bound<'_, PyAny>, inject: impl FnOnce(&mut dyn CarrierMut)) -> PyResult<()> {
    set_each(inject, |name, value| carrier.set_item(name, value))
}

/// Calls `set` with each header that is written.
pub(crate) fn set_each(
    inject: impl FnOnce(&mut dyn CarrierMut),
    mut set: impl FnMut(&str, &str) -> PyResult<()>,
) -> PyResult<()> {
    struct Collected(Vec<(String, String)>);
    impl CarrierMut for Collected {
        fn set(&mut self, name: &str, value: &[u8]) {
            self.0.push((name.into(), String::from_utf8_lossy(value).into_owned()));
        }
    }
    // The program's own code runs afterwards, when nothing is locked.
    let mut collected = Collected(Vec::new());
    inject(&mut collected);
    collected.0.iter().try_for_each(|(name, value)| set(name, value))
}

/// Reads a context from headers.
pub(crate) fn extract(carrier: &dyn Carrier) -> Context {
    let mut baggage = Members::default();
    let extracted = engine().tracer.settings().propagation.extract(carrier, &mut baggage);
    Context::carried(extracted, baggage.0)
}

/// `HTTPPropagator.inject`: writes the context of a span, or a context, into headers.
#[pyfunction]
#[pyo3(signature = (span_context, headers, non_active_span=None))]
pub(crate) fn http_inject(
    span_context: &Bound<'_, PyAny>,
    headers: &Bound<'_, PyAny>,
    non_active_span: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let from = non_active_span.unwrap_or(span_context);
    if let Ok(span) = from.cast::<crate::span::Span>() {
        let context = crate::span::Span::context(span)?;
        return context.get().inject(headers);
    }
    match from.cast::<Context>() {
        Ok(context) => context.get().inject(headers),
        // Whatever else it is, there is nothing to hand on.
        Err(_) => Ok(()),
    }
}

/// `HTTPPropagator.extract`: the context that headers bring; an empty one where they bring none.
#[pyfunction]
pub(crate) fn http_extract(headers: &Bound<'_, PyAny>) -> PyResult<Context> {
    let headers = succeeded(headers.py(), Headers::of(headers))?;
    Ok(extract(&headers.unwrap_or_default()))
}
