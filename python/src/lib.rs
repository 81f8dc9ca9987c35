//! The Python provider: the APIs of `ddtrace`, `ddtrace_api` and OpenTelemetry over the core.
//!
//! The module is `ddtrace_run._native`. Everything that a span does is here; what is rare, or is done once, is Python.
//!
//! All of it runs attached to the interpreter. No lock is held, and nothing borrowed, while Python can run code of the
//! program's: a value's `__str__`, a finalizer or a signal's handler may come back here.

mod context;
mod defaults;
mod engine;
mod errors;
mod ffi;
mod garbage;
mod greenlets;
mod headers;
mod integrations;
mod once;
mod orphans;
mod otel;
mod places;
mod pools;
mod processors;
mod published;
mod shared;
mod shown;
mod span;
mod spared;
mod store;
mod tasks;
#[cfg(all(target_env = "gnu", target_pointer_width = "64"))]
mod thread_exit;
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
    use crate::defaults::set_default;
    #[pymodule_export]
    use crate::greenlets::hand_on_to_greenlets;
    #[pymodule_export]
    use crate::headers::{http_extract, http_inject};
    #[pymodule_export]
    use crate::integrations::arriving::arrives;
    #[pymodule_export]
    use crate::integrations::asgi::Sending;
    #[pymodule_export]
    use crate::integrations::derived::derived;
    #[pymodule_export]
    use crate::integrations::reading::{Reading, Rest, reads_body, wait_for_body};
    #[pymodule_export]
    use crate::integrations::wrapped::{Wrapped, call_of, guarded};
    #[pymodule_export]
    use crate::integrations::{Call, Integration, stop_integrations};
    #[pymodule_export]
    use crate::orphans::adopt_orphans;
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
    use crate::pools::{carried, hand_on};
    #[pymodule_export]
    use crate::published::{leave, telling_runtime};
    #[pymodule_export]
    use crate::span::Span;
    use crate::store::decide_before_fork;
    #[pymodule_export]
    use crate::tasks::hand_on_to_tasks;
    #[pymodule_export]
    use crate::tracer::{ContextProvider, Tracer};
    use crate::{ffi, otel, span, tracer};
    #[pymodule_export]
    use crate::{is_absent, otel_mode, resource_attributes, why_not};
    use pyo3::prelude::*;
    use pyo3::types::IntoPyDict;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        crate::errors::load(py)?;
        crate::greenlets::look_for_gevent(py)?;
        crate::integrations::wrapped::hide_class(py)?;
        // musl ends a thread without unwinding it.
        #[cfg(all(target_env = "gnu", target_pointer_width = "64"))]
        crate::thread_exit::keep_threads_in_our_code(py);
        // Each text begins with the signature, which `inspect` reads.
        let span = py.get_type::<Span>();
        let doc = c"set_tag($self, key, value=None)\n--\n\nSets a tag: text, a number, or what `str` makes of it.";
        ffi::add_method(&span, c"set_tag", doc, span::set_tag)?;
        let doc = c"finish($self, finish_time=None)\n--\n\nFinishes it, now or at a time in seconds.";
        ffi::add_method(&span, c"finish", doc, span::finish)?;
        ffi::add_method(&span, c"__enter__", c"__enter__($self)\n--\n\nThe span.", span::enter)?;
        let doc = c"__exit__($self, exc_type, exc_val, exc_tb)\n--\n\nFinishes it, as failed by the exception, if there is one.";
        ffi::add_method(&span, c"__exit__", doc, span::exit)?;

        let tracer = py.get_type::<Tracer>();
        let doc = c"trace($self, name, service=None, resource=None, span_type=None, span_api='datadog')\n--\n\n\
            Starts a span under the active one, and makes it active.";
        ffi::add_method(&tracer, c"trace", doc, tracer::trace)?;
        let doc =
            c"start_span($self, name, child_of=None, service=None, resource=None, span_type=None, activate=False, \
            span_api='datadog')\n--\n\nStarts a span under `child_of`.";
        ffi::add_method(&tracer, c"start_span", doc, tracer::start_span)?;

        let tracer = py.get_type::<OtelTracer>();
        let doc = c"start_span($self, name, context=None, kind=None, attributes=None, links=None, start_time=None, \
            record_exception=True, set_status_on_exception=True)\n--\n\nStarts a span.";
        ffi::add_method(&tracer, c"start_span", doc, otel::tracer::start_span)?;
        let doc = c"start_as_current_span($self, name, context=None, kind=None, attributes=None, links=None, \
            start_time=None, record_exception=True, set_status_on_exception=True, end_on_exit=True)\n--\n\n\
            A context manager, or a decorator, that starts a span and makes it the current one.";
        ffi::add_method(&tracer, c"start_as_current_span", doc, otel::tracer::start_as_current_span)?;

        let scope = py.get_type::<Scope>();
        ffi::add_method(&scope, c"__enter__", c"__enter__($self)\n--\n\nStarts the span.", otel::scope::enter)?;
        let doc = c"__exit__($self, exc_type, exc_val, exc_tb)\n--\n\nEnds the span.";
        ffi::add_method(&scope, c"__exit__", doc, otel::scope::exit)?;

        let span = py.get_type::<OtelSpan>();
        let doc = c"set_attribute($self, key, value)\n--\n\nSets an attribute.";
        ffi::add_method(&span, c"set_attribute", doc, otel::span::set_attribute)?;
        let doc = c"end($self, end_time=None)\n--\n\nEnds it, now or at a time in nanoseconds.";
        ffi::add_method(&span, c"end", doc, otel::span::end)?;
        let doc = c"is_recording($self)\n--\n\nWhether it can still be changed.";
        ffi::add_method(&span, c"is_recording", doc, otel::span::is_recording)?;
        let doc = c"get_span_context($self)\n--\n\nIts context.";
        ffi::add_method(&span, c"get_span_context", doc, otel::span::get_span_context)?;
        ffi::add_method(&span, c"__enter__", c"__enter__($self)\n--\n\nThe span.", otel::span::enter)?;
        let doc =
            c"__exit__($self, exc_type, exc_val, exc_tb)\n--\n\nEnds it, as failed by the exception, if there is one.";
        ffi::add_method(&span, c"__exit__", doc, otel::span::exit)?;

        // One that is just being imported is told of when it is ready.
        crate::tasks::take_part(py)?;
        let before = [("before", wrap_pyfunction!(decide_before_fork, module)?)].into_py_dict(py)?;
        py.import("os")?.call_method("register_at_fork", (), Some(&before)).map(drop)
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

/// Whether nothing can be recorded though tracing is on: there is nobody to record for.
#[pyfunction]
fn is_absent() -> bool {
    engine::engine().absent.is_some()
}

/// Who carries the OpenTelemetry API out: `auto`, `true` or `false`; `disabled` where nothing is recorded at all.
#[pyfunction]
fn otel_mode() -> &'static str {
    let config = &engine::engine().resolution.config;
    match config.otel_provider {
        _ if !config.enabled => "disabled",
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
