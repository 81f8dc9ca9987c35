use super::*;
use crate::ids::{SpanId, TraceId};
use crate::semconv::Key;
use core::ptr::NonNull;
use proptest::prelude::*;
use std::vec::Vec;
use std::vec;

fn written(capacity: usize, write: impl FnOnce(&mut RecordWriter)) -> Option<Vec<u8>> {
    let mut memory = vec![0xa5u8; capacity];
    // SAFETY: the vector's bytes, used by nobody else until it is read below.
    let mut writer = unsafe { RecordWriter::new(NonNull::new(memory.as_mut_ptr()).unwrap(), capacity) };
    write(&mut writer);
    let length = writer.finish()?;
    memory.truncate(length as usize);
    Some(memory)
}

fn open() -> OpenBody {
    OpenBody {
        trace_id: TraceId(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
        parent_id: SpanId(7),
        start_ns: 123_456_789,
        pid: 42,
        ppid: 41,
        trace_flags: 1,
        role: ROLE_SELF,
        remote_parent: true,
    }
}

#[test]
fn what_is_written_is_read_back() {
    let bytes = written(4096, |record| {
        record.open(SpanId(9), &open());
        record.text(Key::ExecutablePath, b"/bin/sh");
        record.integer(Key::ArgsCount, 3);
        record.text_list(Key::CommandArgs, |list| {
            for arg in [&b"sh"[..], b"-c", b""] {
                list.push(arg);
                list.end_item();
            }
        });
        record.float(Key::CpuUser, 0.25);
    })
    .unwrap();
    assert_eq!(bytes.len() % 8, 0);
    let read: Vec<_> = records(&bytes).collect::<Result<_, _>>().unwrap();
    let [record] = &read[..] else { panic!("one record, not {}", read.len()) };
    assert_eq!(record.span_id, SpanId(9));
    assert_eq!(record.body, RecordBody::Open(open()));
    let fields: Vec<_> = record.fields().map(|field| (field.key, field.value)).collect();
    assert_eq!(
        fields,
        vec![
            (Key::ExecutablePath, FieldValue::Text(b"/bin/sh")),
            (Key::ArgsCount, FieldValue::Integer(3)),
            (Key::CommandArgs, FieldValue::TextList(vec![b"sh", b"-c", b""])),
            (Key::CpuUser, FieldValue::Float(0.25)),
        ]
    );
}

#[test]
fn a_record_that_does_not_fit_is_void() {
    assert_eq!(written(56, |record| record.open(SpanId(1), &open())), None);
    assert!(written(64, |record| record.open(SpanId(1), &open())).is_some());
    assert_eq!(written(8, |record| record.amend(SpanId(1))), None);
}

#[test]
fn several_records_follow_each_other() {
    let usage = crate::sys::Usage { user_ns: 1, system_ns: 2, max_rss: 3 };
    let exit = ChildExitBody { time_ns: 5, pid: 6, status: 256, usage: Some(usage) };
    let mut bytes = written(256, |record| record.close(SpanId(1), 77)).unwrap();
    bytes.extend(written(256, |record| record.child_exit(SpanId(2), &exit)).unwrap());
    bytes.extend(written(256, |record| record.amend(SpanId(3))).unwrap());
    let bodies: Vec<_> = records(&bytes).map(|record| record.unwrap().body).collect();
    assert_eq!(bodies, vec![RecordBody::Close(77), RecordBody::ChildExit(exit), RecordBody::Amend]);
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic_and_always_end(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        for record in records(&bytes).flatten() {
            let _ = record.fields().count();
        }
    }

    #[test]
    fn a_flipped_byte_never_panics(position in 0usize..200, value in any::<u8>()) {
        let mut bytes = written(256, |record| {
            record.open(SpanId(9), &open());
            record.text(Key::ExecutablePath, b"/bin/sh");
            record.text_list(Key::CommandArgs, |list| { list.push(b"x"); list.end_item(); });
        }).unwrap();
        if let Some(byte) = bytes.get_mut(position) { *byte = value; }
        for record in records(&bytes).flatten() {
            let _ = record.fields().count();
        }
    }
}

#[test]
fn a_span_with_everything_is_read_back() {
    let body = SpanBody {
        trace_id: TraceId(1 << 90),
        parent_id: SpanId(3),
        start_unix_ns: 10,
        kind: 2,
        trace_flags: 1,
        flags: SPAN_LOCAL_ROOT,
    };
    let end = EndBody { end_unix_ns: 20, status: 2 };
    let bytes = written(4096, |record| {
        record.span(SpanId(9), &body, &end);
        record.text(Key::Name, b"GET /");
        record.attribute_text(Name(b"http.route"), b"/");
        record.attribute_integer(Name(b"n"), -1);
        record.attribute_texts(Name(b"list"), [&b"a\0b"[..], b""].into_iter());
        record.attribute_bools(Name(b"truths"), &[true, false]);
        record.attribute_removed(Name(b"gone"));
        record.event(15, Name(b"exception"), |event| {
            event.attribute_text(Name(b"exception.type"), b"KeyError");
            event.dropped_attributes(2);
        });
        record.link(TraceId(7), SpanId(8), 1, b"a=1", |link| link.attribute_float(Name(b"f"), 0.5));
    })
    .unwrap();
    let record = records(&bytes).next().unwrap().unwrap();
    assert_eq!(record.body, RecordBody::Span(body, end));
    let fields: Vec<_> = record.fields().collect();
    assert_eq!(fields.len(), 8);
    assert_eq!((fields[1].name, &fields[1].value), (&b"http.route"[..], &FieldValue::Text(b"/")));
    assert_eq!(fields[3].value, FieldValue::TextList(vec![b"a\0b", b""]));
    assert_eq!(fields[4].value, FieldValue::BoolList(vec![true, false]));
    assert_eq!(fields[5].value, FieldValue::Removed);
    let FieldValue::Event(event) = &fields[6].value else { panic!("no event") };
    assert_eq!((event.time_unix_ns, event.name, event.fields().count()), (15, &b"exception"[..], 2));
    let FieldValue::Link(link) = &fields[7].value else { panic!("no link") };
    assert_eq!((link.span_id, link.trace_state, link.fields().count()), (SpanId(8), &b"a=1"[..], 1));
}
