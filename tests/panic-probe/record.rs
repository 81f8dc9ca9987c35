//! Records and the process's side of the ring.

use crate::{any, bytes, probes, used};
use core::ptr::NonNull;
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::record::{ChildExitBody, OpenBody, RecordWriter};
use ddtrace::ring::layout::{bytes_of, chunk_offset, initial_free_word};
use ddtrace::ring::{Opening, Ring, ThreadSlot, rate_key};
use ddtrace::sampling::AgentRates;
use ddtrace::semconv::Key;
use ddtrace::sys::Usage;

/// One record of each kind, with a field of each type.
fn write(record: &mut RecordWriter) {
    let span = any(SpanId(0));
    let open = OpenBody {
        trace_id: any(TraceId(0)),
        parent_id: any(SpanId(0)),
        start_ns: any(0),
        pid: any(0),
        ppid: any(0),
        trace_flags: any(0),
        role: any(0),
        remote_parent: any(false),
    };
    record.open(span, &open);
    record.amend(span);
    record.close(span, any(0));
    let usage = any(Some(Usage { user_ns: 0, system_ns: 0, max_rss: 0 }));
    record.child_exit(span, &ChildExitBody { time_ns: any(0), pid: any(0), status: any(0), usage });
    let key = any(Key::Name);
    record.text(key, bytes());
    record.integer(key, any(0));
    record.float(key, any(0.0));
    record.text_list(key, |list| {
        for _ in 0..any(2) {
            used(list.room());
            list.push(bytes());
            list.end_item();
        }
    });
    used(record.room());
    record.copy_of(bytes());
}

probes! {
    record {
        // SAFETY: never run. The writer believes any capacity that it is told.
        let mut record = unsafe { RecordWriter::new(any(NonNull::dangling()), any(0)) };
        write(&mut record);
        used(record.finish());
    }

    ring {
        used((chunk_offset(any(0)), bytes_of(any(0)), initial_free_word(any(0))));
        let base = any(NonNull::dangling());
        // SAFETY: never run. What the mapping holds is as unknown as where it is.
        let (fresh, ring) = unsafe { (Ring::initialise(base, any(0)), Ring::attach(base)) };
        used(ring.keep(any(0)));
        used(fresh.base());
        let slot = any(ThreadSlot::new());
        used(ring.append(&slot, write).is_ok());
        ring.lose(any(1));
        let opening = any(Opening::new());
        used(opening.ring(|| any(None), || any(None)).is_some());
        opening.miss();
        opening.reset();
        used(ring.wants_process_spans());
        used(ring.rates().rate(bytes(), bytes()));
        used(rate_key(bytes(), bytes()));
        slot.reset();
    }
}
