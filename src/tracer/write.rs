//! From a span's data to its records.

use super::data::{Phase, SpanData, cut_line};
use crate::record::{EndBody, Part, RecordWriter, SpanBody, parts};
use crate::recorder::Recorder;
use crate::ring::layout::MAX_RECORD;
use crate::semconv::Key;
use crate::span::Status;

/// Bytes of a record that fields can fill, beside its header, its bodies and the padding.
const ROOM: usize = MAX_RECORD - 128;

/// Records that a span has started, with all that is known.
pub(super) fn start(recorder: &Recorder, data: &mut SpanData, trace_flags: u8) {
    add_heading(data);
    let body = body(data, trace_flags);
    let fields = data.fields.as_bytes();
    if fields.len() <= ROOM {
        recorder.record(|record| {
            record.span_start(data.span_id, &body);
            Part::Fields(fields).write(record);
        });
    } else {
        recorder.record(|record| record.span_start(data.span_id, &body));
        let (parts, left_out) = parts(fields, ROOM);
        amend(recorder, data, parts.iter());
        count(data, left_out);
    }
    data.told = data.fields.as_bytes().len();
    data.phase = Phase::Started;
}

/// Records what has been said of a span since it was told of, if anybody knows of it.
pub(super) fn tell(recorder: &Recorder, data: &mut SpanData) {
    if data.phase != Phase::Started {
        return;
    }
    add_heading(data);
    let rest = data.fields.as_bytes().get(data.told..).unwrap_or_default();
    if rest.is_empty() {
        return;
    }
    let (parts, left_out) = parts(rest, ROOM);
    amend(recorder, data, parts.iter());
    count(data, left_out);
    data.told = data.fields.as_bytes().len();
}

/// Records that a span has ended; what nobody was told of before in one record, if it fits.
pub(super) fn end(recorder: &Recorder, data: &mut SpanData, end_ns: u64, trace_flags: u8) {
    add_heading(data);
    add_ending(data);
    let end = EndBody { end_unix_ns: end_ns.max(data.start_ns), status: status_number(&data.status) };
    let rest = data.fields.as_bytes().get(data.told..).unwrap_or_default();
    let fresh = (data.phase == Phase::Fresh).then(|| body(data, trace_flags));
    if rest.len() <= ROOM {
        recorder.record(|record| {
            match &fresh {
                Some(body) => record.span(data.span_id, body, &end),
                None => record.span_end(data.span_id, &end),
            }
            Part::Fields(rest).write(record);
        });
    } else {
        let (parts, left_out) = parts(rest, ROOM);
        if let Some(body) = &fresh {
            recorder.record(|record| record.span_start(data.span_id, body));
        }
        amend(recorder, data, parts.iter());
        recorder.record(|record| {
            record.span_end(data.span_id, &end);
            if left_out > 0 {
                record.integer(Key::DroppedAttributes, left_out as i64 + i64::from(data.dropped[0]));
            }
        });
    }
    data.phase = Phase::Ended;
}

/// Records that nobody is to see a span, if anybody knows of it; `more` is what it says of its trace.
pub(super) fn withdraw(recorder: &Recorder, data: &mut SpanData, more: impl FnOnce(&mut RecordWriter)) {
    if data.phase == Phase::Started {
        let end = EndBody { end_unix_ns: data.start_ns, status: status_number(&Status::Unset) };
        recorder.record(|record| {
            record.span_end(data.span_id, &end);
            record.boolean(Key::Withdrawn, true);
            more(record);
        });
    }
    data.phase = Phase::Ended;
}

fn amend<'a>(recorder: &Recorder, data: &SpanData, parts: impl Iterator<Item = &'a Part<'a>>) {
    for part in parts {
        recorder.record(|record| {
            record.amend(data.span_id);
            part.write(record);
        });
    }
}

fn count(data: &mut SpanData, left_out: usize) {
    data.dropped[0] = data.dropped[0].saturating_add(left_out as u32);
}

fn body(data: &SpanData, trace_flags: u8) -> SpanBody {
    SpanBody {
        trace_id: data.trace_id,
        parent_id: data.parent_id,
        start_unix_ns: data.start_ns,
        kind: data.kind as u8,
        trace_flags,
        flags: data.flags,
    }
}

fn status_number(status: &Status) -> u8 {
    match status {
        Status::Unset => 0,
        Status::Ok => 1,
        Status::Error(_) => 2,
    }
}

/// What every span has.
fn add_heading(data: &mut SpanData) {
    if !data.name_is_told {
        let name = cut_line(&data.name);
        data.fields.append(name.len(), 1, |record| record.text(Key::Name, name.as_bytes()));
        data.name_is_told = true;
    }
    if let Some(scope) = data.scope.take() {
        let (name, version) = (cut_line(&scope.name), cut_line(&scope.version));
        data.fields.append(name.len() + version.len(), 2, |record| {
            record.text(Key::ScopeName, name.as_bytes());
            if !version.is_empty() {
                record.text(Key::ScopeVersion, version.as_bytes());
            }
        });
    }
}

/// What is known only at the end.
fn add_ending(data: &mut SpanData) {
    if let Status::Error(message) = &data.status
        && !message.is_empty()
    {
        let message = cut_line(message);
        data.fields.append(message.len(), 1, |record| record.text(Key::StatusMessage, message.as_bytes()));
    }
    let keys = [Key::DroppedAttributes, Key::DroppedEvents, Key::DroppedLinks];
    for (key, dropped) in keys.into_iter().zip(data.dropped) {
        if dropped > 0 {
            data.fields.append(8, 1, |record| record.integer(key, dropped.into()));
        }
    }
}
