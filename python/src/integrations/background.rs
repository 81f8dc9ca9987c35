//! What a framework does behind an answer.

use super::describe::Told;
use super::{Call, Integration};
use crate::store;
use ddtrace::http::Attributes;
use ddtrace::semconv::BACKGROUND_TASK;
use ddtrace::span::SpanKind;
use pyo3::prelude::*;

/// Begins the span of a function that is called behind an answer, by its name and by where it is.
pub(super) fn begin(integration: &Integration, py: Python<'_>, name: &str, function: &str) -> PyResult<Option<Call>> {
    if !integration.is_on() || !integration.records() {
        return Ok(None);
    }
    let before = store::active(py)?;
    let name = format!("{BACKGROUND_TASK}{name}");
    let span = integration.begin(py, &name, SpanKind::Internal, before.clone(), |data| {
        Told(data).text(b"code.function.name", function.as_bytes());
    })?;
    Ok(Some(Call::new(span, SpanKind::Internal, &before)))
}
