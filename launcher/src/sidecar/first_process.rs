//! The process that the launcher becomes, or starts, and its record, as its parent, the launcher, knows it.

use std::ptr::NonNull;

use ddtrace::context::TraceContext;
use ddtrace::identity::{FLAG_REMOTE_PARENT, Identity};
use ddtrace::propagation::Extracted;
use ddtrace::record::{Name, OpenBody, ROLE_CHILD, RecordWriter, SpanFields};
use ddtrace::ring::layout::MAX_RECORD;
use ddtrace::sampling::Decision;
use ddtrace::scrub::ArgScrubber;
use ddtrace::semconv::Key;

/// The process that the launcher becomes, or starts.
pub struct FirstProcess {
    /// Whose span it is.
    pub identity: Identity,
    /// Path of the program.
    pub executable: Vec<u8>,
    /// Its arguments.
    pub arguments: Vec<Vec<u8>>,
    /// The directory it starts in.
    pub directory: Vec<u8>,
    /// Why it cannot be seen from inside.
    pub untraceable: Option<String>,
    /// The incoming `tracestate`.
    pub trace_state: Vec<u8>,
    /// What its trace carries.
    pub context: TraceContext,
    /// How it was decided whether the trace is kept, where the launcher did.
    pub decision: Option<Decision>,
    /// What was handed in, with the traces that are not continued.
    pub incoming: Extracted,
    /// Tags that show some of the incoming baggage.
    pub baggage_tags: Vec<(String, String)>,
}

impl FirstProcess {
    /// What is recorded of it; `pid` is its id.
    pub fn record(&self, pid: u32) -> Vec<u8> {
        let mut bytes = vec![0u8; MAX_RECORD];
        let start = NonNull::new(bytes.as_mut_ptr()).unwrap_or(NonNull::dangling());
        // SAFETY: the vector's own bytes, used by nobody else until the record is finished.
        let mut record = unsafe { RecordWriter::new(start, bytes.len()) };
        let identity = &self.identity;
        let body = OpenBody {
            trace_id: identity.trace_id,
            parent_id: identity.parent_id,
            start_ns: identity.start_ns,
            pid,
            ppid: 0,
            trace_flags: identity.trace_flags,
            role: ROLE_CHILD,
            remote_parent: identity.flags & FLAG_REMOTE_PARENT != 0,
        };
        record.open(identity.span_id, &body);
        record.text(Key::ExecutablePath, &self.executable);
        record.text(Key::WorkingDirectory, &self.directory);
        if !self.trace_state.is_empty() {
            record.text(Key::TraceState, &self.trace_state);
        }
        if let Some(reason) = &self.untraceable {
            record.text(Key::Untraceable, reason.as_bytes());
        }
        record.verdict(&self.context, self.decision.as_ref());
        record.incoming(&self.context);
        record.terminated_links(&self.incoming);
        for (name, value) in &self.baggage_tags {
            record.attribute_text(Name(name.as_bytes()), value.as_bytes());
        }
        record.integer(Key::ArgsCount, self.arguments.len() as i64);
        record.text_list(Key::CommandArgs, |list| {
            let mut scrubber = ArgScrubber::new();
            for argument in &self.arguments {
                if list.room() < argument.len() + 1024 {
                    break;
                }
                for piece in scrubber.scrub(argument).pieces() {
                    list.push(piece);
                }
                list.end_item();
            }
        });
        let length = record.finish().unwrap_or(0) as usize;
        bytes.truncate(length);
        bytes
    }
}
