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

use pyo3::prelude::*;

#[pymodule(name = "_native")]
mod native {
    #[pymodule_export]
    use crate::context::Context;
    #[pymodule_export]
    use crate::headers::{http_extract, http_inject};
    #[pymodule_export]
    use crate::span::Span;
    #[pymodule_export]
    use crate::tracer::{ContextProvider, Tracer};
    #[pymodule_export]
    use crate::why_not;
    use crate::{ffi, span, tracer};
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
        ffi::add_method(&class, c"start_span", c"Starts a span under `child_of`.", tracer::start_span)
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
