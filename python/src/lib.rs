//! The Python provider: the APIs of `ddtrace`, `ddtrace_api` and OpenTelemetry over the core.
//!
//! The module is `ddtrace_run._native`. Everything that a span does is here; what is rare, or is done once, is Python.
//!
//! All of it runs attached to the interpreter. No lock is held, and nothing borrowed, while Python can run code of the
//! program's: a value's `__str__`, a finalizer or a signal's handler may come back here.

mod context;
mod engine;
mod errors;
mod ffi;
mod headers;
mod otel;
mod processors;
mod shared;
mod span;
mod store;
mod tracer;
mod values;
mod variable;

use ddtrace::config::OtelProvider;
use pyo3::prelude::*;

#[pymodule(name = "_native")]
mod native {
    #[pymodule_export]
    use crate::context::Context;
    #[pymodule_export]
    use crate::headers::{http_extract, http_inject};
    #[pymodule_export]
    use crate::otel::binding::{bind_otel, is_otel_bound};
    #[pymodule_export]
    use crate::otel::processors::{add_span_processor, span_processors};
    #[pymodule_export]
    use crate::otel::propagator::{otel_extract, otel_fields, otel_inject};
    #[pymodule_export]
    use crate::otel::scope::Scope;
    #[pymodule_export]
    use crate::otel::span::OtelSpan;
    #[pymodule_export]
    use crate::otel::tracer::OtelTracer;
    #[pymodule_export]
    use crate::span::Span;
    #[pymodule_export]
    use crate::tracer::{ContextProvider, Tracer};
    use crate::{ffi, otel, span, tracer};
    #[pymodule_export]
    use crate::{otel_mode, resource_attributes, why_not};
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        let class = py.get_type::<Span>();
        ffi::add_method(&class, c"set_tag", c"Sets a tag: text, a number, or what `str` makes of it.", span::set_tag)?;
        ffi::add_method(&class, c"__enter__", c"The span.", span::enter)?;
        ffi::add_method(&class, c"__exit__", c"Finishes it, as failed by the exception, if there is one.", span::exit)?;
        ffi::add_method(&class, c"finish", c"Finishes it, now or at a time in seconds.", span::finish)?;
        let class = py.get_type::<Tracer>();
        ffi::add_method(&class, c"trace", c"Starts a span under the active one, and makes it active.", tracer::trace)?;
        ffi::add_method(&class, c"start_span", c"Starts a span under `child_of`.", tracer::start_span)?;
        let class = py.get_type::<OtelTracer>();
        ffi::add_method(&class, c"start_span", c"Starts a span.", otel::tracer::start_span)?;
        let doc = c"A context manager, or a decorator, that starts a span and makes it the current one.";
        ffi::add_method(&class, c"start_as_current_span", doc, otel::tracer::start_as_current_span)?;
        let class = py.get_type::<Scope>();
        ffi::add_method(&class, c"__enter__", c"Starts the span.", otel::scope::enter)?;
        ffi::add_method(&class, c"__exit__", c"Ends the span.", otel::scope::exit)?;
        let class = py.get_type::<OtelSpan>();
        ffi::add_method(&class, c"set_attribute", c"Sets an attribute.", otel::span::set_attribute)?;
        ffi::add_method(&class, c"end", c"Ends it, now or at a time in nanoseconds.", otel::span::end)?;
        ffi::add_method(&class, c"is_recording", c"Whether it can still be changed.", otel::span::is_recording)?;
        ffi::add_method(&class, c"get_span_context", c"Its context.", otel::span::get_span_context)?;
        ffi::add_method(&class, c"__enter__", c"The span.", otel::span::enter)?;
        ffi::add_method(&class, c"__exit__", c"Ends it, as failed by the exception, if there is one.", otel::span::exit)
    }
}

/// Why nothing is recorded; None where it is.
#[pyfunction]
fn why_not() -> Option<String> {
    let engine = engine::engine();
    if !engine.resolution.config.enabled {
        return Some(String::from("tracing is switched off"));
    }
    engine.absent.map(|absent| absent.to_string())
}

/// Who carries the OpenTelemetry API out: `auto`, `true` or `false`.
#[pyfunction]
fn otel_mode() -> &'static str {
    let config = &engine::engine().resolution.config;
    match config.otel_provider {
        _ if !config.enabled => "false",
        OtelProvider::Auto => "auto",
        OtelProvider::On => "true",
        OtelProvider::Off => "false",
    }
}

/// What records, as far as the configuration names it.
#[pyfunction]
fn resource_attributes(py: Python<'_>) -> PyResult<Bound<'_, pyo3::types::PyDict>> {
    let settings = engine::engine().tracer.settings();
    let attributes = pyo3::types::PyDict::new(py);
    attributes.set_item("telemetry.sdk.language", settings.language)?;
    attributes.set_item("telemetry.sdk.name", "ddtrace-run")?;
    attributes.set_item("telemetry.sdk.version", env!("CARGO_PKG_VERSION"))?;
    attributes.set_item("service.name", settings.service.as_deref().unwrap_or("unknown_service"))?;
    for (name, value) in &settings.resource.attributes {
        if let ddtrace::span::Value::String(value) = value {
            attributes.set_item(name.as_ref(), value.as_ref())?;
        }
    }
    Ok(attributes)
}
