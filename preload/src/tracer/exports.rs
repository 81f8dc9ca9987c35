//! The table behind the one symbol that others look up. Each function reads its arguments and leaves the rest to the
//! [tracer](super).

use super::carriers::{HostHeaders, HostHeadersMut, bytes};
use super::span::{SpanRef, Start, Subject};
use super::write::{NamedValue, Value};
use super::{Tracer, existing_tracer, tracer, tracer_of_this_process};
use crate::net;
use crate::process;
use crate::thread;
use core::ffi::{c_char, c_void};
use core::sync::atomic::Ordering;
use ddtrace::interface::{
    CURRENT_IS_CONTEXT, CURRENT_IS_LENT, CurrentSpan, DecidedInfo, ErrorInfo, GetHeader, Header, Interface, LentSpan,
    PROCESS_IS_SPAN, Part, Place, ProcessInfo, RequestInfo, SetHeader, StartOptions, Tag, TagType, TagValue, Text,
    UNDECIDED, VERSION,
};
use ddtrace::propagation::HeaderList;
use ddtrace::record::RECORD_HEADER;
use ddtrace::ring::layout::MAX_RECORD;
use ddtrace::sampling::{self, AgentRates};

/// What [`ddtrace::interface::SYMBOL`] leads to.
#[cfg_attr(preload_so, unsafe(no_mangle))]
#[allow(non_upper_case_globals, reason = "it is a symbol of C")]
pub(crate) static ddtrace_run_interface: Interface = Interface {
    size: size_of::<Interface>() as u32,
    version: VERSION,
    record,
    process: process_info,
    current,
    start,
    finish,
    set,
    tag,
    event,
    error,
    activate,
    active,
    inject,
    extract,
    release,
    keep,
    describe,
    rate,
    hand_over,
    extract_all,
    surroundings,
    request,
    take_over,
    lend,
    give_back,
    decide,
    request_from,
    places,
    leave,
};

const DONE: i32 = 0;
const NOTHING: i32 = -1;
/// What [`Interface::rate`] gives where no Agent has told any.
const NO_RATE: f64 = -1.0;

unsafe extern "C" fn record(records: *const u8, length: usize) -> i32 {
    if !process::is_recorded() {
        return NOTHING;
    }
    // SAFETY: the caller's own bytes (contract of the table).
    let mut rest = unsafe { bytes(records.cast(), length) };
    while let Some(head) = rest.first_chunk::<4>() {
        let length = u32::from_le_bytes(*head) as usize;
        let is_sound = (RECORD_HEADER..=MAX_RECORD).contains(&length) && length.is_multiple_of(8);
        let Some((record, after)) = rest.split_at_checked(length).filter(|_| is_sound) else { return NOTHING };
        process::record_span(|writer| writer.copy_of(record));
        rest = after;
    }
    if rest.is_empty() { DONE } else { NOTHING }
}

unsafe extern "C" fn process_info(out: *mut ProcessInfo) -> i32 {
    // Asked for when a process is new: then it has to be known for certain which one it is.
    if process::caller().is_none() {
        return NOTHING;
    }
    let identity = process::identity();
    let info = ProcessInfo {
        size: size_of::<ProcessInfo>() as u32,
        pid: process::pid(),
        trace_id_high: identity.trace_id.high(),
        trace_id_low: identity.trace_id.low(),
        span_id: identity.span_id.0,
        trace_flags: identity.trace_flags.into(),
        flags: if identity.is_parent() { PROCESS_IS_SPAN } else { 0 },
    };
    // SAFETY: the caller's own structure, which begins with its size (contract of the table).
    unsafe { fill(out, info, |info| &mut info.size) }
}

unsafe extern "C" fn current(out: *mut CurrentSpan) -> i32 {
    let Some((tracer, subject)) = subject(0) else { return NOTHING };
    let _ = tracer.settle(&subject.trace, subject.local_root.unwrap_or_default());
    // SAFETY: as for `describe`.
    unsafe { tell(&subject, out) }
}

unsafe extern "C" fn describe(span: u64, out: *mut CurrentSpan) -> i32 {
    let Some((_, subject)) = subject(span) else { return NOTHING };
    // SAFETY: the caller's own structure, which begins with its size (contract of the table).
    unsafe { tell(&subject, out) }
}

unsafe extern "C" fn rate(service: *const c_char, service_length: usize, env: *const c_char, env_length: usize) -> f64 {
    if !process::is_recorded() {
        return NO_RATE;
    }
    // SAFETY: the caller's own texts (contract of the table).
    let (service, env) = unsafe { (bytes(service, service_length), bytes(env, env_length)) };
    process::ring().and_then(|ring| ring.rates().rate(service, env)).unwrap_or(NO_RATE)
}

/// # Safety
///
/// As for [`fill`].
unsafe fn tell(subject: &Subject, out: *mut CurrentSpan) -> i32 {
    let context = subject.trace.span_context(subject.span_id);
    let current = CurrentSpan {
        size: size_of::<CurrentSpan>() as u32,
        trace_flags: context.trace_flags().into(),
        trace_id_high: context.trace_id.high(),
        trace_id_low: context.trace_id.low(),
        span_id: subject.span_id.0,
        priority: context.priority.map_or(UNDECIDED, |priority| priority.0),
        flags: match subject.local_root {
            None => CURRENT_IS_CONTEXT,
            Some(_) if subject.is_lent => CURRENT_IS_LENT,
            Some(_) => 0,
        },
    };
    // SAFETY: the caller's promise.
    unsafe { fill(out, current, |current| &mut current.size) }
}

unsafe extern "C" fn start(name: *const c_char, name_length: usize, options: *const StartOptions) -> u64 {
    let Some(tracer) = tracer_of_this_process() else {
        process::miss_span();
        return 0;
    };
    // SAFETY: null, or the caller's own structure, which begins with its size; texts are the caller's own (contract of
    // the table). Numbers and pointers, for which zero is a value.
    let start = unsafe {
        let options: StartOptions = known_part_of(options);
        let text = |text: Text| bytes(text.bytes, text.length);
        Start {
            name: bytes(name, name_length),
            kind: match options.kind {
                kind @ 1..=5 => kind as u8,
                _ => 1,
            },
            parent: options.parent,
            context: options.context,
            start_unix_ns: options.start_unix_ns,
            service: text(options.service),
            resource: text(options.resource),
            span_type: text(options.kind_of_work),
        }
    };
    tracer.remembering().start(&start).unwrap_or(0)
}

unsafe extern "C" fn finish(span: u64, end_unix_ns: u64) {
    // What is lent is for its own tracer to finish.
    if let Some(tracer) = tracer()
        && tracer.span(span).is_some_and(|span| !span.is_lent())
    {
        tracer.finish(span, end_unix_ns);
    }
}

unsafe extern "C" fn set(span: u64, part: u32, text: *const c_char, length: usize) {
    let part = match part {
        1 => Part::Name,
        2 => Part::Resource,
        3 => Part::Service,
        4 => Part::Type,
        5 => Part::Kind,
        _ => return,
    };
    if let Some((tracer, span)) = lent_or_open_span(span) {
        // SAFETY: the caller's own text (contract of the table).
        tracer.set(&span, part, unsafe { bytes(text, length) });
    }
}

unsafe extern "C" fn tag(span: u64, name: *const c_char, name_length: usize, value: *const TagValue) {
    let Some((tracer, span)) = open_span(span) else { return };
    // SAFETY: null or the caller's own value (contract of the table).
    let Some(value) = (unsafe { value.as_ref().and_then(|value| value_of(value)) }) else { return };
    // SAFETY: the caller's own text.
    let name = unsafe { bytes(name, name_length) };
    if !name.is_empty() {
        tracer.tag(&span, &NamedValue { name, value });
    }
}

unsafe extern "C" fn event(
    span: u64,
    name: *const c_char,
    name_length: usize,
    time_unix_ns: u64,
    tags: *const Tag,
    count: usize,
) {
    let Some((tracer, span)) = open_span(span) else { return };
    let count = if tags.is_null() { 0 } else { count };
    let tags = (0..count).filter_map(|index| {
        // SAFETY: the caller's array of `count` tags, with texts of its own (contract of the table).
        unsafe {
            let tag = &*tags.add(index);
            Some(NamedValue { name: bytes(tag.name.bytes, tag.name.length), value: value_of(&tag.value)? })
        }
    });
    // SAFETY: the caller's own text.
    tracer.event(&span, unsafe { bytes(name, name_length) }, time_unix_ns, tags);
}

unsafe extern "C" fn error(span: u64, error: *const ErrorInfo) {
    let Some((tracer, span)) = open_span(span) else { return };
    // SAFETY: null or the caller's own structure, with texts of its own (contract of the table).
    let [kind, message, stack] = unsafe {
        let Some(error) = error.as_ref() else { return };
        [error.kind, error.message, error.stack].map(|text| bytes(text.bytes, text.length))
    };
    tracer.error(&span, kind, message, stack);
}

unsafe extern "C" fn activate(span: u64) -> u64 {
    tracer().map_or(0, |tracer| tracer.remembering().activate(span))
}

unsafe extern "C" fn active() -> u64 {
    tracer().map_or(0, |tracer| tracer.remembering().active())
}

unsafe extern "C" fn inject(span: u64, set: Option<SetHeader>, argument: *mut c_void) -> i32 {
    let (Some(tracer), Some(set)) = (tracer(), set) else { return NOTHING };
    if tracer.inject(span, &mut HostHeadersMut { set, argument }) { DONE } else { NOTHING }
}

unsafe extern "C" fn extract(get: Option<GetHeader>, argument: *mut c_void) -> u64 {
    let (Some(tracer), Some(get)) = (tracer_of_this_process(), get) else { return 0 };
    tracer.extract(&HostHeaders { get, argument }).unwrap_or(0)
}

/// What is lent is for its own tracer to decide about: it is shown as it is.
unsafe extern "C" fn hand_over(span: u64, set: Option<SetHeader>, argument: *mut c_void) -> i32 {
    let (Some(tracer), Some(set)) = (tracer(), set) else { return NOTHING };
    if tracer.hand_over(span, &mut HostHeadersMut { set, argument }) { DONE } else { NOTHING }
}

unsafe extern "C" fn extract_all(headers: *const Header, count: usize) -> u64 {
    let Some(tracer) = tracer_of_this_process() else { return 0 };
    if headers.is_null() || count > isize::MAX as usize / size_of::<Header>() {
        return 0;
    }
    // SAFETY: the caller's own array of `count` headers, with texts of its own (contract of the table).
    let headers = unsafe { core::slice::from_raw_parts(headers, count) };
    let texts = headers.iter().map(|Header { name, value }| {
        // SAFETY: as above.
        unsafe { (bytes(name.bytes, name.length), bytes(value.bytes, value.length)) }
    });
    tracer.extract(&HeaderList(texts)).unwrap_or(0)
}

unsafe extern "C" fn surroundings() -> u64 {
    tracer().map_or(0, |tracer| tracer.remembering().native_surroundings())
}

unsafe extern "C" fn request(span: u64, out: *mut RequestInfo) -> i32 {
    let Some(info) = existing_tracer().and_then(|tracer| tracer.remembering().request_info(span)) else {
        return NOTHING;
    };
    // SAFETY: the caller's own structure, which begins with its size (contract of the table).
    unsafe { fill(out, info, |info| &mut info.size) }
}

unsafe extern "C" fn request_from(address: *const u8, port: u32) -> u64 {
    let Ok(port) = u16::try_from(port) else { return 0 };
    if address.is_null() {
        return 0;
    }
    // SAFETY: the caller's own 16 bytes (contract of the table), of any alignment.
    let address = unsafe { address.cast::<[u8; 16]>().read_unaligned() };
    if let Some(tracer) = existing_tracer() {
        tracer.remembering();
    }
    net::request_from(&address, port)
}

unsafe extern "C" fn places(places: *const Place) {
    thread::current().places.store(places.cast_mut(), Ordering::Release);
}

unsafe extern "C" fn leave(what: u32) {
    net::leave(what);
}

unsafe extern "C" fn take_over(span: u64) -> u64 {
    tracer_of_this_process().and_then(|tracer| tracer.remembering().take_over(span)).unwrap_or(0)
}

unsafe extern "C" fn lend(span: *const LentSpan) -> u64 {
    // Not asked for the process: no runtime of a language runs in a vfork child, and this is called for each span.
    let Some(tracer) = tracer() else { return 0 };
    // SAFETY: null, or the caller's own structure, which begins with its size (contract of the table). Numbers and a
    // pointer, for which zero is a value.
    let lent: LentSpan = unsafe { known_part_of(span) };
    let has_headers = !lent.headers.is_null() && lent.count <= isize::MAX as usize / size_of::<Header>();
    let headers = if has_headers {
        // SAFETY: the caller's own array of `count` headers (contract of the table).
        unsafe { core::slice::from_raw_parts(lent.headers, lent.count) }
    } else {
        &[]
    };
    let texts = headers.iter().map(|Header { name, value }| {
        // SAFETY: texts of the caller's own.
        unsafe { (bytes(name.bytes, name.length), bytes(value.bytes, value.length)) }
    });
    tracer.remembering().lend(&lent, &HeaderList(texts)).unwrap_or(0)
}

unsafe extern "C" fn give_back(span: u64) {
    if let Some(tracer) = existing_tracer() {
        tracer.give_back(span);
    }
}

unsafe extern "C" fn decide(span: u64, decided: *const DecidedInfo) -> i32 {
    let Some(tracer) = existing_tracer() else { return DONE };
    // SAFETY: null, or the caller's own structure, which begins with its size (contract of the table). Numbers, for which
    // zero is a value.
    let decided = (!decided.is_null()).then(|| unsafe { known_part_of::<DecidedInfo>(decided) });
    if tracer.take_decision(span, decided.as_ref()) { DONE } else { NOTHING }
}

unsafe extern "C" fn release(context: u64) {
    if let Some(tracer) = tracer() {
        tracer.release(context);
    }
}

unsafe extern "C" fn keep(span: u64, keep: i32) -> i32 {
    match open_span(span) {
        Some((tracer, span)) if tracer.keep(&span, keep != 0) => DONE,
        _ => NOTHING,
    }
}

/// One that is for others to tell of than its own tracer.
fn open_span(number: u64) -> Option<(&'static Tracer, SpanRef)> {
    lent_or_open_span(number).filter(|(_, span)| !span.is_lent())
}

fn lent_or_open_span(number: u64) -> Option<(&'static Tracer, SpanRef)> {
    // Most calls without a span are those of a program that has none.
    if number == 0 {
        return None;
    }
    let tracer = tracer()?;
    Some((tracer, tracer.span(number)?))
}

fn subject(number: u64) -> Option<(&'static Tracer, Subject)> {
    let tracer = tracer()?;
    Some((tracer, tracer.subject(number)?))
}

/// As much of a structure as its size says; the rest is zero.
///
/// # Safety
///
/// `given` is null, or leads to as many bytes as its first word says. All zero is a value of the type.
unsafe fn known_part_of<T: Copy>(given: *const T) -> T {
    // SAFETY: the caller's promise.
    let mut own: T = unsafe { core::mem::zeroed() };
    if !given.is_null() {
        // SAFETY: the caller's promise; not more than both have.
        unsafe {
            let size = ((*given.cast::<u32>()) as usize).min(size_of::<T>());
            core::ptr::copy_nonoverlapping(given.cast::<u8>(), (&raw mut own).cast(), size);
        }
    }
    own
}

/// Fills in as much of a structure as the caller's `size`, its first word, says, and sets that to what was filled in.
///
/// # Safety
///
/// `out` is null, or leads to as many writable bytes as its first word says.
unsafe fn fill<T: Copy>(out: *mut T, mut value: T, size_of_value: impl Fn(&mut T) -> &mut u32) -> i32 {
    if out.is_null() {
        return NOTHING;
    }
    // SAFETY: the caller's promise; not more than both have.
    unsafe {
        let size = ((*out.cast::<u32>()) as usize).min(size_of::<T>());
        if size < size_of::<u32>() {
            return NOTHING;
        }
        *size_of_value(&mut value) = size as u32;
        core::ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), out.cast(), size);
    }
    DONE
}

/// # Safety
///
/// The payload is that of the value's type, its text the caller's own.
unsafe fn value_of<'a>(value: &TagValue) -> Option<Value<'a>> {
    const TEXT: u32 = TagType::Text as u32;
    const INTEGER: u32 = TagType::Integer as u32;
    const DOUBLE: u32 = TagType::Double as u32;
    const BOOL: u32 = TagType::Bool as u32;
    const REMOVED: u32 = TagType::Removed as u32;
    // SAFETY: the caller's promise.
    Some(unsafe {
        match value.kind {
            TEXT => Value::Some(sampling::TagValue::Text(bytes(value.payload.text.bytes, value.payload.text.length))),
            INTEGER => Value::Some(sampling::TagValue::Integer(value.payload.integer)),
            DOUBLE => Value::Some(sampling::TagValue::Float(value.payload.double)),
            BOOL => Value::Some(sampling::TagValue::Bool(value.payload.integer != 0)),
            REMOVED => Value::Removed,
            _ => return None,
        }
    })
}
