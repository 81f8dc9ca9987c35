//! The environment: what is read from it at the start, and how this process's identity is put into it in place.

use crate::host::c_bytes;
use crate::process;
use crate::settled::{Settled, StaticText};
use core::ffi::CStr;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};
use ddtrace::identity::{Identity, LENGTH};
use ddtrace::propagation::tracecontext::{TRACEPARENT_LENGTH, TraceParent};
use ddtrace::settings::{MAX_LENGTH, PYTHON_BOOTSTRAP};
use ddtrace::sys;

pub(crate) const IDENTITY: &[u8] = b"_DDTRACE_RUN=";
pub(crate) const TRACEPARENT: &[u8] = b"TRACEPARENT=";
pub(crate) const TRACESTATE: &[u8] = b"TRACESTATE=";
pub(crate) const BAGGAGE: &[u8] = b"BAGGAGE=";
pub(crate) const LD_PRELOAD: &[u8] = b"LD_PRELOAD=";
pub(crate) const PYTHON_PATH: &[u8] = b"PYTHONPATH=";
pub(crate) const TRACER: &[u8] = b"_DDTRACE_TRACER=";
pub(crate) const DENYLIST: &[u8] = b"DD_TRACE_DENYLIST=";

/// What the environment held when the program started.
pub(crate) struct Found<'a> {
    /// The value of `_DDTRACE_RUN`, empty where there is none.
    pub(crate) identity: &'a [u8],
    /// The context in `TRACEPARENT`.
    pub(crate) context: Option<TraceParent>,
    /// The user's additions to the list of programs never to be instrumented.
    pub(crate) denylist: &'a [u8],
    tracestate: &'a [u8],
    baggage: &'a [u8],
    tracer: &'a [u8],
    /// The directory in `PYTHONPATH` that is ours.
    python: &'a [u8],
    labels: Labels<'a>,
    identity_place: *mut u8,
    traceparent_place: *mut u8,
}

/// What a program may have been told of itself, in variables that other tracers know as well; empty where it was not.
#[derive(Clone, Copy, Default)]
struct Labels<'a> {
    service: &'a [u8],
    otel_service: &'a [u8],
    env: &'a [u8],
    version: &'a [u8],
}

/// Where this process's identity stands in its initial environment; null where it does not.
static IDENTITY_PLACE: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static TRACEPARENT_PLACE: AtomicPtr<u8> = AtomicPtr::new(null_mut());
/// What was put there last: if something else is there now, the host has use for the place.
static STAMPED: Settled<[u8; LENGTH]> = Settled::new([0; LENGTH]);
static STAMPED_TRACEPARENT: Settled<[u8; TRACEPARENT_LENGTH]> = Settled::new([0; TRACEPARENT_LENGTH]);

/// Variables for children, as whole entries; empty where there is none. What is short and mostly there comes first.
#[repr(C)]
pub(crate) struct Kept {
    /// `LD_PRELOAD=` with this library alone.
    pub(crate) library: StaticText<1024>,
    /// The values of what this program was told of itself.
    pub(crate) service: StaticText<264>,
    pub(crate) env: StaticText<264>,
    pub(crate) version: StaticText<264>,
    pub(crate) denylist: StaticText<1024>,
    /// `PYTHONPATH=` with our directory alone.
    pub(crate) python: StaticText<1024>,
    pub(crate) tracestate: StaticText<640>,
    pub(crate) baggage: StaticText<8320>,
    /// The settings of the tracer inside of the process.
    pub(crate) tracer: StaticText<{ TRACER.len() + MAX_LENGTH + 1 }>,
}

static KEPT: Settled<Kept> = Settled::new(Kept {
    library: StaticText::EMPTY,
    service: StaticText::EMPTY,
    env: StaticText::EMPTY,
    version: StaticText::EMPTY,
    denylist: StaticText::EMPTY,
    python: StaticText::EMPTY,
    tracestate: StaticText::EMPTY,
    baggage: StaticText::EMPTY,
    tracer: StaticText::EMPTY,
});

/// What children need, though the host has overwritten its environment by now.
pub(crate) fn kept() -> &'static Kept {
    KEPT.get()
}

impl<'a> Labels<'a> {
    fn note(&mut self, entry: &'a [u8]) {
        let labels: [(&[u8], &mut &'a [u8]); 4] = [
            (b"DD_SERVICE=", &mut self.service),
            (b"OTEL_SERVICE_NAME=", &mut self.otel_service),
            (b"DD_ENV=", &mut self.env),
            (b"DD_VERSION=", &mut self.version),
        ];
        for (name, value) in labels {
            if let Some(told) = entry.strip_prefix(name) {
                *value = told;
            }
        }
    }
}

/// Reads the environment.
///
/// # Safety
///
/// `envp` is an array of C strings that ends with null and does not change meanwhile.
pub(crate) unsafe fn scan<'a>(envp: *const *const u8) -> Found<'a> {
    let mut found = Found {
        identity: &[],
        context: None,
        denylist: &[],
        tracestate: &[],
        baggage: &[],
        tracer: &[],
        python: &[],
        labels: Labels::default(),
        identity_place: null_mut(),
        traceparent_place: null_mut(),
    };
    let mut entry = envp;
    // SAFETY: the caller's promise; the loop ends at the null.
    while let Some(text) = unsafe { next_entry(&mut entry) } {
        if let Some(value) = text.strip_prefix(IDENTITY) {
            found.identity = value;
            found.identity_place = value.as_ptr().cast_mut();
        } else if let Some(value) = text.strip_prefix(TRACEPARENT) {
            found.context = TraceParent::parse(value);
            if value.len() == TRACEPARENT_LENGTH {
                found.traceparent_place = value.as_ptr().cast_mut();
            }
        } else if let Some(value) = text.strip_prefix(DENYLIST) {
            found.denylist = value;
        } else if text.starts_with(TRACESTATE) {
            found.tracestate = text;
        } else if text.starts_with(BAGGAGE) {
            found.baggage = text;
        } else if text.starts_with(TRACER) {
            found.tracer = text;
        } else if let Some(value) = text.strip_prefix(PYTHON_PATH) {
            let mut items = value.split(|byte| *byte == b':');
            found.python = items.find(|item| item.ends_with(PYTHON_BOOTSTRAP)).unwrap_or_default();
        } else {
            found.labels.note(text);
        }
    }
    found
}

/// # Safety
///
/// `entry` points into an array of C strings that ends with null.
pub(crate) unsafe fn next_entry<'a>(entry: &mut *const *const u8) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    let text = unsafe { **entry };
    if text.is_null() {
        return None;
    }
    *entry = entry.wrapping_add(1);
    // SAFETY: an element of the array.
    Some(unsafe { c_bytes(text) })
}

/// Keeps what children need.
///
/// # Safety
///
/// The process has one thread, and `found` is of its own initial environment.
pub(crate) unsafe fn remember(found: &Found<'_>, library: &[u8], context_is_ours: bool) {
    IDENTITY_PLACE.store(found.identity_place, Ordering::Relaxed);
    if context_is_ours {
        TRACEPARENT_PLACE.store(found.traceparent_place, Ordering::Relaxed);
    }
    // SAFETY: one thread (the caller's promise).
    unsafe {
        KEPT.change(|kept| {
            kept.library.fill(&[LD_PRELOAD, library]);
            kept.tracestate.fill(&[found.tracestate]);
            kept.baggage.fill(&[found.baggage]);
            kept.tracer.fill(&[found.tracer]);
            let labels = &found.labels;
            let service = if labels.service.is_empty() { labels.otel_service } else { labels.service };
            kept.service.fill(&[service]);
            kept.env.fill(&[labels.env]);
            kept.version.fill(&[labels.version]);
            if !found.python.is_empty() {
                kept.python.fill(&[PYTHON_PATH, found.python]);
            }
            if !found.denylist.is_empty() {
                kept.denylist.fill(&[DENYLIST, found.denylist]);
            }
        });
        if let Some(text) = found.identity.first_chunk() {
            STAMPED.set(*text);
        }
        if !found.traceparent_place.is_null() {
            // SAFETY: a value of exactly this length stands there.
            STAMPED_TRACEPARENT.set(*found.traceparent_place.cast::<[u8; TRACEPARENT_LENGTH]>());
        }
    }
}

/// The path of this library.
pub(crate) fn library_path() -> Option<&'static CStr> {
    let text = kept().library.as_bytes_with_nul().strip_prefix(LD_PRELOAD)?;
    CStr::from_bytes_with_nul(text).ok()
}

/// The user's additions to the list of programs never to be instrumented.
pub(crate) fn denylist() -> &'static [u8] {
    kept().denylist.as_bytes().strip_prefix(DENYLIST).unwrap_or_default()
}

/// Puts this process's identity over the inherited one, in place: what is handed on by `environ` is then the truth.
/// Called while the process has one thread.
pub(crate) fn stamp(identity: &Identity) {
    put(&IDENTITY_PLACE, &STAMPED, identity.format());
    put(&TRACEPARENT_PLACE, &STAMPED_TRACEPARENT, traceparent(identity).format());
}

fn put<const N: usize>(place: &AtomicPtr<u8>, stamped: &Settled<[u8; N]>, text: [u8; N]) {
    let pointer = place.load(Ordering::Relaxed).cast::<[u8; N]>();
    if pointer.is_null() {
        return;
    }
    // SAFETY: N bytes of the initial environment on the stack, which is never unmapped; one thread, or (at the entry into
    // a sandbox) others that can at worst copy a text half old and half new, which no process takes for an identity.
    // They are changed only if they still are what was put there last, so that a host that uses the area otherwise keeps it.
    unsafe {
        if *pointer == *stamped.get() {
            *pointer = text;
            stamped.set(text);
        }
    }
}

pub(crate) fn traceparent(identity: &Identity) -> TraceParent {
    TraceParent { trace_id: identity.trace_id, span_id: identity.span_id, flags: identity.trace_flags }
}

/// Whether a context is this process's own, or that of its parent, of which the host has kept a copy.
pub(crate) fn is_own(context: &TraceParent) -> bool {
    let identity = process::identity();
    context.span_id == identity.span_id || context.span_id == identity.parent_id
}

/// The context that the host put into an environment for a child: any that is not this process's own.
///
/// # Safety
///
/// `envp` is null or an array of C strings that ends with null.
pub(crate) unsafe fn host_context(envp: *const *const u8) -> Option<TraceParent> {
    let mut entry = envp;
    if envp.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    while let Some(text) = unsafe { next_entry(&mut entry) } {
        if let Some(value) = text.strip_prefix(TRACEPARENT) {
            return TraceParent::parse(value).filter(|context| !is_own(context));
        }
    }
    None
}

/// Whether an array of C strings can be walked: null, or all of its pointers lead to readable memory.
///
/// What cannot is for the real function to refuse with `EFAULT`.
pub(crate) fn is_walkable(array: *const *const u8) -> bool {
    if array.is_null() {
        return true;
    }
    let mut place = array as usize;
    let mut known_page = usize::MAX;
    loop {
        // The kernel is asked once for each page of pointers.
        if place / 4096 != known_page {
            if !place.is_multiple_of(align_of::<usize>()) || !sys::is_readable(place) {
                return false;
            }
            known_page = place / 4096;
        }
        // SAFETY: aligned, and on a page that has just been read.
        match unsafe { *(place as *const usize) } {
            0 => return true,
            text if !sys::is_readable(text) => return false,
            _ => place = place.wrapping_add(size_of::<usize>()),
        }
    }
}

/// The value of `PATH` in the host's environment.
///
/// # Safety
///
/// As for the exec function that searches it: no other thread changes the environment meanwhile.
pub(crate) unsafe fn path_variable<'a>() -> Option<&'a [u8]> {
    let mut entry = crate::table::environ();
    if entry.is_null() {
        return None;
    }
    // SAFETY: the host's own array.
    while let Some(text) = unsafe { next_entry(&mut entry) } {
        if let Some(value) = text.strip_prefix(b"PATH=") {
            return Some(value);
        }
    }
    None
}
