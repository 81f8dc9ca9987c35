//! Templates that are rendered.

use super::describe::Told;
use super::{Call, Integration};
use crate::store::{self, Active};
use ddtrace::http::Attributes;
use ddtrace::span::SpanKind;
use pyo3::prelude::*;

/// Begins the span of a template that is rendered for what is active. Where nothing is, there is none: what renders pages for
/// their own sake would make each of them a trace.
pub(super) fn begin(integration: &Integration, py: Python<'_>, template: &str) -> PyResult<Option<Call>> {
    if !integration.is_on() || !integration.records() {
        return Ok(None);
    }
    let before = store::active(py)?;
    if !matches!(before, Active::Span(_)) {
        return Ok(None);
    }
    // As the instrumentation of OpenTelemetry has it; there are no conventions.
    let span = integration.begin(py, "jinja2.render", SpanKind::Internal, before.clone(), |data| {
        Told(data).text(b"jinja2.template_name", template.as_bytes());
    })?;
    Ok(Some(Call::new(span, SpanKind::Internal, &before)))
}
