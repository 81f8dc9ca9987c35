//! The environment: what is read from it at the start, how this process's identity is put into it in place, and how
//! the environments of children are made.

use crate::host::c_bytes;
use crate::process;
use crate::settled::{Settled, StaticText};
use core::ffi::CStr;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};
use ddtrace::identity::{FLAG_INJECT_CLEARED, Identity, LENGTH};
use ddtrace::propagation::tracecontext::{TRACEPARENT_LENGTH, TraceParent};
use ddtrace::sys;

const IDENTITY: &[u8] = b"_DDTRACE_RUN=";
const TRACEPARENT: &[u8] = b"TRACEPARENT=";
const TRACESTATE: &[u8] = b"TRACESTATE=";
const BAGGAGE: &[u8] = b"BAGGAGE=";
const LD_PRELOAD: &[u8] = b"LD_PRELOAD=";
const DENYLIST: &[u8] = b"DD_TRACE_DENYLIST=";

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
    identity_place: *mut u8,
    traceparent_place: *mut u8,
}

/// Where this process's identity stands in its initial environment; null where it does not.
static IDENTITY_PLACE: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static TRACEPARENT_PLACE: AtomicPtr<u8> = AtomicPtr::new(null_mut());
/// What was put there last: if something else is there now, the host has use for the place.
static STAMPED: Settled<[u8; LENGTH]> = Settled::new([0; LENGTH]);
static STAMPED_TRACEPARENT: Settled<[u8; TRACEPARENT_LENGTH]> = Settled::new([0; TRACEPARENT_LENGTH]);

/// `LD_PRELOAD=` with this library alone; the library's path is behind the `=`.
static LIBRARY: Settled<StaticText<1024>> = Settled::new(StaticText::EMPTY);
static KEPT_TRACESTATE: Settled<StaticText<640>> = Settled::new(StaticText::EMPTY);
static KEPT_BAGGAGE: Settled<StaticText<8320>> = Settled::new(StaticText::EMPTY);
static KEPT_DENYLIST: Settled<StaticText<1024>> = Settled::new(StaticText::EMPTY);

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
        }
    }
    found
}

/// # Safety
///
/// `entry` points into an array of C strings that ends with null.
unsafe fn next_entry<'a>(entry: &mut *const *const u8) -> Option<&'a [u8]> {
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
pub(crate) unsafe fn remember(found: &Found<'_>, library: &[u8]) {
    IDENTITY_PLACE.store(found.identity_place, Ordering::Relaxed);
    TRACEPARENT_PLACE.store(found.traceparent_place, Ordering::Relaxed);
    // SAFETY: one thread (the caller's promise).
    unsafe {
        LIBRARY.set(StaticText::of(&[LD_PRELOAD, library]));
        KEPT_TRACESTATE.set(StaticText::of(&[found.tracestate]));
        KEPT_BAGGAGE.set(StaticText::of(&[found.baggage]));
        if !found.denylist.is_empty() {
            KEPT_DENYLIST.set(StaticText::of(&[DENYLIST, found.denylist]));
        }
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
    let text = LIBRARY.get().as_bytes_with_nul().strip_prefix(LD_PRELOAD)?;
    CStr::from_bytes_with_nul(text).ok()
}

/// The user's additions to the list of programs never to be instrumented.
pub(crate) fn denylist() -> &'static [u8] {
    KEPT_DENYLIST.get().as_bytes().strip_prefix(DENYLIST).unwrap_or_default()
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
    // SAFETY: N bytes of the initial environment on the stack, which is never unmapped; one thread. They are changed
    // only if they still are what was put there last, so that a host that uses the area otherwise keeps it.
    unsafe {
        if *pointer == *stamped.get() {
            *pointer = text;
            stamped.set(text);
        }
    }
}

fn traceparent(identity: &Identity) -> TraceParent {
    TraceParent { trace_id: identity.trace_id, span_id: identity.span_id, flags: identity.trace_flags }
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
            let own = process::identity().span_id;
            return TraceParent::parse(value).filter(|context| context.span_id != own);
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

/// What a child's environment is to say.
#[derive(Clone, Copy)]
pub(crate) struct ForChild<'a> {
    /// The identity to hand over.
    pub(crate) identity: &'a Identity,
    /// Whether the child can and may load this library.
    pub(crate) loadable: bool,
    /// Whether a `TRACEPARENT` of the host's stays as it is: where the process only replaces its own program.
    pub(crate) keep_host_context: bool,
    /// Whether memory may be mapped for it: in a vfork child it would stay in the parent.
    pub(crate) may_map: bool,
}

/// So many entries are put together on the stack.
const FEW_ENTRIES: usize = 120;
/// So many on the stack in a function of its own.
const MANY_ENTRIES: usize = 2048;
/// What is added at most, with the null at the end.
const ADDED: usize = 8;
/// The longest `LD_PRELOAD` that is edited.
const PRELOAD_TEXT: usize = 1024;

/// Calls `run` with an environment made from `envp` for a child; `None` where it cannot be made: then `run` is given
/// back.
///
/// # Safety
///
/// `envp` is null or an array of C strings that ends with null.
pub(crate) unsafe fn with_child_environment<R, F: FnOnce(*const *const u8) -> R>(
    envp: *const *const u8,
    child: ForChild<'_>,
    run: F,
) -> Result<R, F> {
    // SAFETY: the caller's promise.
    let (count, ours) = unsafe { count_entries(envp) };
    if !ours && process::identity().flags & FLAG_INJECT_CLEARED == 0 {
        return Err(run);
    }
    // SAFETY: the caller's promise.
    unsafe {
        match count {
            0..=FEW_ENTRIES => with_stack::<{ FEW_ENTRIES + ADDED }, R, F>(envp, child, run),
            _ if count <= MANY_ENTRIES => with_stack::<{ MANY_ENTRIES + ADDED }, R, F>(envp, child, run),
            _ if child.may_map => with_mapping(count.wrapping_add(ADDED), envp, child, run),
            _ => Err(run),
        }
    }
}

/// Never inlined, so that the larger frame is used only where it is needed.
#[inline(never)]
unsafe fn with_stack<const ENTRIES: usize, R, F: FnOnce(*const *const u8) -> R>(
    envp: *const *const u8,
    child: ForChild<'_>,
    run: F,
) -> Result<R, F> {
    let mut entries = [null(); ENTRIES];
    // SAFETY: the caller's promise.
    unsafe { with_array(&mut entries, envp, child, run) }
}

/// For more entries than a stack can be asked to hold. An exec takes the mapping away with all the rest.
unsafe fn with_mapping<R, F: FnOnce(*const *const u8) -> R>(
    room: usize,
    envp: *const *const u8,
    child: ForChild<'_>,
    run: F,
) -> Result<R, F> {
    let bytes = room.wrapping_mul(size_of::<*const u8>());
    let Ok(memory) = sys::map_private(bytes) else { return Err(run) };
    // SAFETY: our own new mapping, zeroed: so many null pointers.
    let entries = unsafe { core::slice::from_raw_parts_mut(memory.as_ptr().cast::<*const u8>(), room) };
    // SAFETY: the caller's promise.
    let result = unsafe { with_array(entries, envp, child, run) };
    // SAFETY: the array is not used any more.
    unsafe { sys::unmap(memory, bytes) };
    result
}

/// How many entries there are, and whether our variable is among them.
unsafe fn count_entries(envp: *const *const u8) -> (usize, bool) {
    let (mut count, mut ours) = (0usize, false);
    let mut entry = envp;
    if envp.is_null() {
        return (0, false);
    }
    // SAFETY: the caller's promise.
    while let Some(text) = unsafe { next_entry(&mut entry) } {
        count = count.wrapping_add(1);
        ours |= text.starts_with(IDENTITY);
    }
    (count, ours)
}

unsafe fn with_array<R, F: FnOnce(*const *const u8) -> R>(
    entries: &mut [*const u8],
    envp: *const *const u8,
    child: ForChild<'_>,
    run: F,
) -> Result<R, F> {
    let identity_text = Text::<{ IDENTITY.len() + LENGTH + 1 }>::of(&[IDENTITY, &child.identity.format()]);
    let context_text = Text::<{ TRACEPARENT.len() + TRACEPARENT_LENGTH + 1 }>::of(&[
        TRACEPARENT,
        &traceparent(child.identity).format(),
    ]);
    let mut preload_text = Text::<PRELOAD_TEXT>::of(&[]);
    let mut array = Array { entries, length: 0 };
    let (mut had_identity, mut had_context, mut had_preload) = (false, false, false);
    let (mut had_state, mut had_baggage, mut had_denylist) = (false, false, false);

    let mut entry = if envp.is_null() { NO_ENTRIES.0.as_ptr() } else { envp };
    // SAFETY: the caller's promise.
    while let Some(text) = unsafe { next_entry(&mut entry) } {
        let mut pointer = text.as_ptr();
        if text.starts_with(IDENTITY) {
            pointer = identity_text.as_ptr();
            had_identity = true;
        } else if let Some(value) = text.strip_prefix(TRACEPARENT) {
            let own = TraceParent::parse(value).is_some_and(|context| context.span_id == process::identity().span_id);
            if own || !child.keep_host_context {
                pointer = context_text.as_ptr();
            }
            had_context = true;
        } else if let Some(value) = text.strip_prefix(LD_PRELOAD).filter(|_| !had_preload) {
            had_preload = true;
            match edit_preload(value, child.loadable, &mut preload_text) {
                Edit::Keep => {}
                Edit::Replace => pointer = preload_text.as_ptr(),
                Edit::Remove => continue,
            }
        } else {
            had_state |= text.starts_with(TRACESTATE);
            had_baggage |= text.starts_with(BAGGAGE);
            had_denylist |= text.starts_with(DENYLIST);
        }
        array.push(pointer);
    }
    if !had_identity {
        array.push(identity_text.as_ptr());
    }
    if !had_preload && child.loadable {
        array.push(LIBRARY.get().as_ptr());
    }
    if !had_denylist {
        array.push(KEPT_DENYLIST.get().as_ptr());
    }
    if !had_context {
        array.push(context_text.as_ptr());
        if !had_state {
            array.push(KEPT_TRACESTATE.get().as_ptr());
        }
        if !had_baggage {
            array.push(KEPT_BAGGAGE.get().as_ptr());
        }
    }
    match array.finish() {
        Some(new) => Ok(run(new)),
        None => Err(run),
    }
}

/// An empty environment, for a null `envp`, which Linux takes as one.
struct NoEntries([*const u8; 1]);
// SAFETY: a constant null, never written.
unsafe impl Sync for NoEntries {}
static NO_ENTRIES: NoEntries = NoEntries([null()]);

struct Array<'a> {
    entries: &'a mut [*const u8],
    length: usize,
}

impl Array<'_> {
    /// Null stands for a text that is not there, and is left out.
    fn push(&mut self, text: *const u8) {
        if text.is_null() {
            return;
        }
        if let Some(entry) = self.entries.get_mut(self.length) {
            *entry = text;
        }
        self.length = self.length.wrapping_add(1);
    }

    fn finish(&mut self) -> Option<*const *const u8> {
        *self.entries.get_mut(self.length)? = null();
        Some(self.entries.as_ptr())
    }
}

/// A C string on the stack.
struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
    overflow: bool,
}

impl<const N: usize> Text<N> {
    fn of(pieces: &[&[u8]]) -> Self {
        let mut text = Text { bytes: [0; N], length: 0, overflow: false };
        for piece in pieces {
            text.push(piece);
        }
        text
    }

    fn push(&mut self, piece: &[u8]) {
        let end = self.length.wrapping_add(piece.len());
        match self.bytes.get_mut(self.length..end) {
            // The last byte stays the NUL.
            Some(place) if end < N => {
                for (to, from) in place.iter_mut().zip(piece) {
                    *to = *from;
                }
                self.length = end;
            }
            _ => self.overflow = true,
        }
    }

    fn as_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }
}

enum Edit {
    Keep,
    Replace,
    Remove,
}

/// Adds this library at the end of an `LD_PRELOAD`, or takes it out where the child cannot load it.
fn edit_preload<const N: usize>(value: &[u8], loadable: bool, text: &mut Text<N>) -> Edit {
    let library = LIBRARY.get().as_bytes().strip_prefix(LD_PRELOAD).unwrap_or_default();
    let items = || value.split(|&byte| byte == b':' || byte == b' ').filter(|item| !item.is_empty());
    let listed = items().any(|item| item == library);
    if library.is_empty() || listed == loadable {
        return Edit::Keep;
    }
    text.push(LD_PRELOAD);
    if loadable {
        text.push(value);
        if !value.is_empty() {
            text.push(b":");
        }
        text.push(library);
    } else {
        let mut others = items().filter(|item| *item != library).peekable();
        if others.peek().is_none() {
            return Edit::Remove;
        }
        for (position, item) in others.enumerate() {
            if position > 0 {
                text.push(b":");
            }
            text.push(item);
        }
    }
    if text.overflow { Edit::Keep } else { Edit::Replace }
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
