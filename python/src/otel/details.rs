//! Events and links: on their way into a span, and read back.

use super::binding::Binding;
use crate::spared::spared;
use crate::values::{self, Value};
use ddtrace::context::link_flags;
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::record::{Field, FieldValue};
use ddtrace::semconv::Key;
use ddtrace::span::SpanLimits;
use ddtrace::tracer::SpanData;
use pyo3::intern;
use pyo3::prelude::*;

/// A link that is to be added.
pub(super) struct LinkTo {
    to: (TraceId, SpanId),
    flags: u16,
    state: String,
    attributes: Vec<(String, Value<'static>)>,
}

impl LinkTo {
    pub(super) fn add(&self, data: &mut SpanData) {
        let attributes = self.attributes.iter().map(|(name, value)| (name.as_str(), value.attribute()));
        data.add_link(self.to, self.flags, &self.state, attributes);
    }
}

/// A `Link` of the API's; `None` for one that leads nowhere and says nothing.
pub(super) fn link(binding: &Binding, link: &Bound<'_, PyAny>) -> PyResult<Option<LinkTo>> {
    let py = link.py();
    let read = || {
        let attributes = link.getattr(intern!(py, "attributes"))?;
        link_to(binding, &link.getattr(intern!(py, "context"))?, Some(&attributes))
    };
    spared(py, read())
}

pub(super) fn link_to(
    binding: &Binding,
    context: &Bound<'_, PyAny>,
    attributes: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<LinkTo>> {
    if context.is_none() {
        return Ok(None);
    }
    let attributes =
        attributes.filter(|given| !given.is_none()).map(values::attributes).transpose()?.unwrap_or_default();
    let told = binding.read(context)?;
    let py = context.py();
    let state = context.getattr(intern!(py, "trace_state"))?;
    let state: String = match state.is_truthy()? {
        true => state.call_method0(intern!(py, "to_header"))?.extract()?,
        false => String::new(),
    };
    let span = told.span;
    let leads_nowhere = span.trace_id.0 == 0 || span.span_id.0 == 0;
    if leads_nowhere && attributes.is_empty() && state.is_empty() {
        return Ok(None);
    }
    Ok(Some(LinkTo {
        to: (span.trace_id, span.span_id),
        flags: link_flags(span.flags, told.is_remote),
        state,
        attributes,
    }))
}

pub(super) type Pairs = Vec<(String, Value<'static>)>;

pub(super) fn python_pairs<'py>(py: Python<'py>, pairs: &Pairs) -> PyResult<Vec<(String, Bound<'py, PyAny>)>> {
    pairs.iter().map(|(name, value)| Ok((name.clone(), value.to_python(py)?))).collect()
}

/// An event or a link read back, with nothing borrowed.
pub(super) enum Detail {
    Event(String, u64, Pairs, u32),
    Link((TraceId, SpanId), u16, String, Pairs, u32),
}

/// How many attributes of an event or a link found no room.
fn left_out<'a>(fields: impl Iterator<Item = Field<'a>>) -> u32 {
    let mut fields = fields.filter(|field| field.key == Key::DroppedAttributes);
    fields.next().map_or(0, |field| if let FieldValue::Integer(count) = field.value { count as u32 } else { 0 })
}

impl Detail {
    pub(super) fn read(value: &FieldValue<'_>, limits: &SpanLimits) -> Option<Detail> {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let read = |value: &FieldValue<'_>| Some(Value::read(value)?.cut(limits.nested_attribute_length));
        match value {
            FieldValue::Event(event) => {
                let pairs = event.fields().filter_map(|field| Some((lossy(field.name), read(&field.value)?)));
                let pairs = pairs.filter(|(name, _)| !name.is_empty()).collect();
                Some(Detail::Event(lossy(event.name), event.time_unix_ns, pairs, left_out(event.fields())))
            }
            FieldValue::Link(link) => {
                let pairs = link.fields().filter_map(|field| Some((lossy(field.name), read(&field.value)?)));
                let pairs = pairs.filter(|(name, _)| !name.is_empty()).collect();
                let to = (link.trace_id, link.span_id);
                Some(Detail::Link(to, link.flags, lossy(link.trace_state), pairs, left_out(link.fields())))
            }
            _ => None,
        }
    }
}
