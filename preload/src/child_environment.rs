//! The environments of children: the host's own, with the identity that the child is to have.
//!
//! The host's array and strings are never changed. What is put instead lives on the stack, or in memory of our own.

use crate::environment::{
    BAGGAGE, DENYLIST, IDENTITY, LD_PRELOAD, PYTHON_PATH, TRACEPARENT, TRACER, TRACESTATE, is_own, kept, next_entry,
    traceparent,
};
use crate::process;
use core::ptr::null;
use ddtrace::identity::{FLAG_INJECT_CLEARED, FLAG_PROCESS_SPANS, Identity, LENGTH};
use ddtrace::propagation::tracecontext::{TRACEPARENT_LENGTH, TraceParent};
use ddtrace::sys;

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
const ADDED: usize = 9;
/// The longest `LD_PRELOAD` that is edited.
const PRELOAD_TEXT: usize = 1024;
/// The longest `PYTHONPATH` that is edited.
const PYTHON_TEXT: usize = 2048;

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
    let mut python_text = Text::<PYTHON_TEXT>::of(&[]);
    let mut array = Array { entries, length: 0 };
    let library = kept().library.as_bytes().strip_prefix(LD_PRELOAD).unwrap_or_default();
    let (mut had_identity, mut had_context, mut had_preload) = (false, false, false);
    let (mut had_state, mut had_baggage, mut had_denylist, mut had_tracer) = (false, false, false, false);
    let mut had_python = false;
    // Where processes are no spans, a context is the host's or that of those who started it all.
    let gives_context = child.identity.flags & FLAG_PROCESS_SPANS != 0;

    let mut entry = if envp.is_null() { NO_ENTRIES.0.as_ptr() } else { envp };
    // SAFETY: the caller's promise.
    while let Some(text) = unsafe { next_entry(&mut entry) } {
        let mut pointer = text.as_ptr();
        if text.starts_with(IDENTITY) {
            pointer = identity_text.as_ptr();
            had_identity = true;
        } else if let Some(value) = text.strip_prefix(TRACEPARENT) {
            let own = TraceParent::parse(value).is_some_and(|context| is_own(&context));
            if gives_context && (own || !child.keep_host_context) {
                pointer = context_text.as_ptr();
            }
            had_context = true;
        } else if let Some(value) = text.strip_prefix(LD_PRELOAD).filter(|_| !had_preload) {
            had_preload = true;
            match edit_preload(value, library, child.loadable, &mut preload_text) {
                Edit::Keep => {}
                Edit::Replace => pointer = preload_text.as_ptr(),
                Edit::Remove => continue,
            }
        } else if let Some(value) = text.strip_prefix(PYTHON_PATH).filter(|_| !had_python) {
            had_python = true;
            if lead(value, kept().python.as_bytes(), &mut python_text) {
                pointer = python_text.as_ptr();
            }
        } else {
            had_state |= text.starts_with(TRACESTATE);
            had_baggage |= text.starts_with(BAGGAGE);
            had_denylist |= text.starts_with(DENYLIST);
            had_tracer |= text.starts_with(TRACER);
        }
        array.push(pointer);
    }
    if !had_identity {
        array.push(identity_text.as_ptr());
    }
    if !had_preload && child.loadable {
        array.push(kept().library.as_ptr());
    }
    if !had_python {
        array.push(kept().python.as_ptr());
    }
    if !had_denylist {
        array.push(kept().denylist.as_ptr());
    }
    if !had_tracer {
        array.push(kept().tracer.as_ptr());
    }
    if !had_context && gives_context {
        array.push(context_text.as_ptr());
        if !had_state {
            array.push(kept().tracestate.as_ptr());
        }
        if !had_baggage {
            array.push(kept().baggage.as_ptr());
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
fn edit_preload<const N: usize>(value: &[u8], library: &[u8], loadable: bool, text: &mut Text<N>) -> Edit {
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

/// Writes a `PYTHONPATH` that begins with our own entry, once. Gives false where that is so already, or cannot be.
fn lead<const N: usize>(value: &[u8], own: &[u8], text: &mut Text<N>) -> bool {
    let Some(directory) = own.strip_prefix(PYTHON_PATH) else { return false };
    let items = || value.split(|&byte| byte == b':');
    if items().next() == Some(directory) {
        return false;
    }
    text.push(own);
    if !value.is_empty() {
        for item in items().filter(|item| *item != directory) {
            text.push(b":");
            text.push(item);
        }
    }
    !text.overflow
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(value: &str, loadable: bool) -> Option<String> {
        let mut text = Text::<64>::of(&[]);
        match edit_preload(value.as_bytes(), b"/lib/ours.so", loadable, &mut text) {
            Edit::Keep => Some(value.to_owned()),
            Edit::Remove => None,
            Edit::Replace => {
                let whole = String::from_utf8(text.bytes.iter().copied().take(text.length).collect()).unwrap();
                Some(whole.strip_prefix("LD_PRELOAD=").unwrap().to_owned())
            }
        }
    }

    #[test]
    fn the_library_is_added_last_and_once() {
        assert_eq!(edited("", true).as_deref(), Some("/lib/ours.so"));
        assert_eq!(edited("/a.so", true).as_deref(), Some("/a.so:/lib/ours.so"));
        assert_eq!(edited("/a.so /lib/ours.so", true).as_deref(), Some("/a.so /lib/ours.so"));
    }

    #[test]
    fn it_is_taken_out_for_those_who_cannot_load_it() {
        assert_eq!(edited("/lib/ours.so", false), None);
        assert_eq!(edited("/a.so:/lib/ours.so /b.so", false).as_deref(), Some("/a.so:/b.so"));
        assert_eq!(edited("/a.so", false).as_deref(), Some("/a.so"));
    }

    fn led(value: &str) -> Option<String> {
        let mut text = Text::<64>::of(&[]);
        lead(value.as_bytes(), b"PYTHONPATH=/x", &mut text).then(|| {
            let whole = String::from_utf8(text.bytes.iter().copied().take(text.length).collect()).unwrap();
            whole.strip_prefix("PYTHONPATH=").unwrap().to_owned()
        })
    }

    #[test]
    fn our_directory_leads_the_python_path() {
        assert_eq!(led("/x"), None);
        assert_eq!(led("/x:/a"), None);
        assert_eq!(led("").as_deref(), Some("/x"));
        assert_eq!(led("/a:/x:").as_deref(), Some("/x:/a:"));
        assert_eq!(led("/a::/b").as_deref(), Some("/x:/a::/b"));
        assert_eq!(led(&"/".repeat(60)), None);
        assert!(!lead(b"/a", b"", &mut Text::<64>::of(&[])), "there is none of ours");
    }

    #[test]
    fn what_is_too_long_is_kept_as_it_is() {
        let long = "/".repeat(60);
        assert_eq!(edited(&long, true), Some(long));
    }

    fn strings(array: *const *const u8) -> Vec<String> {
        let mut entry = array;
        // SAFETY: the arrays of these tests end with null.
        std::iter::from_fn(|| unsafe { next_entry(&mut entry) })
            .map(|text| String::from_utf8(text.to_vec()).unwrap())
            .collect()
    }

    fn environment_for(entries: &[&std::ffi::CStr], may_map: bool) -> Option<Vec<String>> {
        let mut array: Vec<*const u8> = entries.iter().map(|entry| entry.as_ptr().cast()).collect();
        array.push(null());
        let identity = Identity::parse(
            b"1.00000000000000000000000000000001.p010000000001.00000000000000000000000000000002.0000000000000003.\
              0000000000000004.0000000000000005",
        )
        .unwrap();
        let child = ForChild { identity: &identity, loadable: true, keep_host_context: false, may_map };
        // SAFETY: an array of C strings that ends with null.
        unsafe { with_child_environment(array.as_ptr(), child, strings) }.ok()
    }

    #[test]
    fn only_our_variables_change_and_the_order_stays() {
        let made =
            environment_for(&[c"A=1", c"_DDTRACE_RUN=old", c"B=2", c"A=3", c"TRACEPARENT=old", c"noequals"], true);
        let made = made.unwrap();
        assert_eq!(made.len(), 6, "{made:?}");
        assert_eq!((made[0].as_str(), made[2].as_str(), made[3].as_str()), ("A=1", "B=2", "A=3"));
        assert!(made[1].starts_with("_DDTRACE_RUN=1."));
        assert_eq!(made[4], "TRACEPARENT=00-00000000000000000000000000000002-0000000000000003-00");
        assert_eq!(made[5], "noequals");
    }

    #[test]
    fn an_emptied_environment_stays_so_unless_asked() {
        // The identity of the test process has no flags.
        assert_eq!(environment_for(&[c"A=1"], true), None);
    }

    #[test]
    fn thousands_of_entries_need_memory_of_their_own() {
        let mut entries = vec![c"X=1"; 5000];
        entries.push(c"_DDTRACE_RUN=old");
        assert_eq!(environment_for(&entries, true).map(|made| made.len()), Some(5002));
        assert_eq!(environment_for(&entries, false), None);
    }
}
