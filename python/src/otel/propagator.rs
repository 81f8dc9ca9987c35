//! The propagator of OpenTelemetry's API: headers in every style that the configuration names.

use super::baggage;
use super::binding::parent;
use super::tracer::bound;
use crate::context::Context;
use crate::engine::engine;
use crate::headers;
use crate::shared::Members;
use crate::shown::shown;
use crate::store::Active;
use ddtrace::context::TraceContext;
use ddtrace::propagation::{BaggageSource, Carrier, CarrierMut, Outgoing};
use pyo3::intern;
use pyo3::prelude::*;
use std::cell::RefCell;

/// A carrier that a getter of the API reads.
struct Read<'a, 'py> {
    carrier: &'a Bound<'py, PyAny>,
    getter: &'a Bound<'py, PyAny>,
    error: RefCell<Option<PyErr>>,
}

impl Read<'_, '_> {
    /// Nothing more is asked once something has been raised: whatever that would raise could not come out.
    fn has_failed(&self) -> bool {
        self.error.borrow().is_some()
    }

    fn get(&self, name: &str) -> PyResult<Vec<Vec<u8>>> {
        if self.has_failed() {
            return Ok(Vec::new());
        }
        let py = self.carrier.py();
        let values = self.getter.call_method1(intern!(py, "get"), (self.carrier, name))?;
        if values.is_none() {
            return Ok(Vec::new());
        }
        values.try_iter()?.map(|value| Ok(shown(&value?)?.into_bytes())).collect()
    }

    fn keys(&self) -> PyResult<Vec<String>> {
        if self.has_failed() {
            return Ok(Vec::new());
        }
        let py = self.carrier.py();
        let keys = self.getter.call_method1(intern!(py, "keys"), (self.carrier,))?;
        keys.try_iter()?.map(|key| shown(&key?)).collect()
    }

    fn or_keep<T: Default>(&self, result: PyResult<T>) -> T {
        result.unwrap_or_else(|error| {
            self.error.borrow_mut().get_or_insert(error);
            T::default()
        })
    }
}

impl Carrier for Read<'_, '_> {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.or_keep(self.get(name)).iter().for_each(|value| each(value));
    }

    fn with_prefix(&self, prefix: &str, each: &mut dyn FnMut(&[u8], &[u8])) {
        for key in self.or_keep(self.keys()) {
            let (Some(start), Some(rest)) = (key.get(..prefix.len()), key.get(prefix.len()..)) else { continue };
            if start.eq_ignore_ascii_case(prefix) {
                for value in self.or_keep(self.get(&key)) {
                    each(rest.as_bytes(), &value);
                }
            }
        }
    }
}

/// Reads a context from a carrier into a context of the API.
#[pyfunction]
pub(crate) fn otel_extract<'py>(
    carrier: &Bound<'py, PyAny>,
    context: Option<Bound<'py, PyAny>>,
    getter: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = carrier.py();
    let binding = bound(py)?;
    let read = Read { carrier, getter, error: RefCell::new(None) };
    let mut items = Members::default();
    let extracted = engine().tracer.settings().propagation.extract(&read, &mut items);
    if let Some(error) = read.error.into_inner() {
        return Err(error);
    }
    let found = extracted.context.is_some() || extracted.links.iter().any(Option::is_some);
    let current = match context {
        Some(context) => Some(context),
        None => binding.current(py)?,
    };
    // Baggage alone is shown by the first span, too: if there is none yet.
    let nothing_active = |current: &Bound<'py, PyAny>| {
        binding.active_in(current).map(|active| matches!(active, None | Some(Active::Nothing)))
    };
    let begins = extracted.has_baggage && current.as_ref().map(nothing_active).transpose()?.unwrap_or(true);
    if !found && !begins {
        return baggage::added(binding, py, current.as_ref(), items.0);
    }
    let incoming = Bound::new(py, Context::carried(extracted, items.0))?;
    binding.with_incoming(py, current.as_ref(), &incoming)
}

/// Writes the context of a context of the API into a carrier.
#[pyfunction]
pub(crate) fn otel_inject(
    carrier: &Bound<'_, PyAny>,
    context: Option<Bound<'_, PyAny>>,
    setter: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = carrier.py();
    let binding = bound(py)?;
    let parent = parent(py, binding, context.as_ref())?;
    let current = match context {
        Some(context) => Some(context),
        None => binding.current(py)?,
    };
    let incoming = current.as_ref().map(|current| binding.incoming(current)).transpose()?.flatten();
    let is_known = |context: &Bound<'_, Context>| {
        context.get().trace().is_some() || incoming.as_ref().is_some_and(|incoming| incoming.is(context))
    };
    let items = Members(match &parent {
        Active::Span(span) => baggage::within(binding, current.as_ref(), span.get().shared.all_baggage())?,
        Active::Context(context) if is_known(context) || current.is_none() => {
            baggage::within(binding, current.as_ref(), context.get().shared.all_baggage())?
        }
        // Another tracer's span, or none, has no baggage of ours: what is there is what is meant, wherever it is from.
        Active::Context(_) | Active::Nothing => baggage::of_context(binding, current.as_ref())?,
    });
    let set = |name: &str, value: &str| setter.call_method1(intern!(py, "set"), (carrier, name, value)).map(drop);
    headers::set_each(|out| write(&parent, &items, out), set)
}

fn write(parent: &Active<'_>, items: &dyn BaggageSource, out: &mut dyn CarrierMut) {
    let propagation = &engine().tracer.settings().propagation;
    let (trace, id) = match parent {
        Active::Span(span) => (span.get().trace(), span.get().id()),
        Active::Context(context) => match context.get().trace() {
            Some(local) => local,
            None => {
                let carried = context.get().extracted().and_then(|extracted| extracted.context).unwrap_or_default();
                let is_local = !carried.is_remote;
                let outgoing = Outgoing { span: carried.span, is_local, trace: &carried, baggage: items };
                // There is no span of ours that could tell of what was left out.
                let _ = propagation.inject(&outgoing, out);
                return;
            }
        },
        Active::Nothing => {
            let nothing = TraceContext::default();
            let outgoing = Outgoing { span: nothing.span, is_local: false, trace: &nothing, baggage: items };
            let _ = propagation.inject(&outgoing, out);
            return;
        }
    };
    trace.inject(id, items, out);
}

/// The names of the headers that are read and written.
#[pyfunction]
pub(crate) fn otel_fields() -> Vec<String> {
    let mut fields = Vec::new();
    engine().tracer.settings().propagation.fields(&mut |name| fields.push(String::from(name)));
    fields
}
