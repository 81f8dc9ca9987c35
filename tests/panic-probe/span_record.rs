//! Records of spans that are no processes.

use crate::{any, bytes, probes, used};
use core::ptr::NonNull;
use ddtrace::context::{PropagationError, TraceContext};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::propagation::Extracted;
use ddtrace::record::{EndBody, Name, RecordWriter, SpanBody, SpanFields};
use ddtrace::sampling::Sampler;
use ddtrace::semconv::Key;

/// An attribute of each type.
fn attributes(to: &mut impl SpanFields) {
    let name = Name(bytes());
    to.attribute_text(name, bytes());
    to.attribute_text_continued(name, bytes());
    to.attribute_pieces(name, any(&[bytes()][..]));
    to.attribute_integer(name, any(0));
    to.attribute_float(name, any(0.0));
    to.attribute_bool(name, any(false));
    to.attribute_texts(name, any(&[bytes()][..]).iter().copied());
    to.attribute_integers(name, any(&[0][..]));
    to.attribute_floats(name, any(&[0.0][..]));
    to.attribute_bools(name, any(&[false][..]));
    to.attribute_removed(name);
}

probes! {
    span_record {
        // SAFETY: never run. The writer believes any capacity that it is told.
        let mut record = unsafe { RecordWriter::new(any(NonNull::dangling()), any(0)) };
        let span = any(SpanId(0));
        let body = SpanBody {
            trace_id: any(TraceId(0)),
            parent_id: any(SpanId(0)),
            start_unix_ns: any(0),
            kind: any(0),
            trace_flags: any(0),
            flags: any(0),
        };
        let end = EndBody { end_unix_ns: any(0), status: any(0) };
        record.span_start(span, &body);
        record.span_end(span, &end);
        record.span(span, &body, &end);
        record.resource(span);
        record.boolean(any(Key::Measured), any(false));
        attributes(&mut record);
        record.event(any(0), Name(bytes()), |event| {
            attributes(event);
            used(event.room());
            event.dropped_attributes(any(0));
        });
        RecordWriter::link(&mut record, any(TraceId(0)), span, any(0), bytes(), |link| attributes(link));
        used(record.finish());
    }

    trace_record {
        // SAFETY: as above.
        let mut record = unsafe { RecordWriter::new(any(NonNull::dangling()), any(0)) };
        let context = any(TraceContext::default());
        record.verdict(&context, any(Some(Sampler::manual(any(true)))).as_ref());
        record.incoming(&context);
        record.trace_state(&context);
        record.terminated_links(&any(Extracted::default()));
        record.propagation_error(any(PropagationError::Decoding));
        used(record.finish());
    }
}
