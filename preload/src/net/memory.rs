//! The memory for connections: one private mapping, made at the first one and never given back. Pages that nobody needs are
//! never touched.

use super::connection::Connection;
use super::session::Sessions;
use crate::process;
use crate::tracer::pool::{self, Pool};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};
use ddtrace::sys;

/// How many connections can be known at the same time; others are not seen.
pub(super) const CONNECTIONS: usize = 4096;
/// How many pieces of heads, and heads that are being sent, there can be at the same time.
const ROOMS: usize = 256;
pub(super) const ROOM: usize = 16 * 1024;

pub(super) type Held<T> = pool::Held<T, CONNECTIONS>;

/// All zero is: nothing taken.
pub(super) struct Memory {
    pub(super) connections: Pool<Connection, CONNECTIONS>,
    rooms: Pool<RoomBytes, ROOMS>,
    pub(super) sessions: Sessions,
}

/// Behind a cell, as whoever holds the room writes there. It can hold buffers of a call as well.
#[repr(align(8))]
struct RoomBytes(core::cell::UnsafeCell<[u8; ROOM]>);

// SAFETY: the bytes are only reached through the one `RoomRef` of the slot.
unsafe impl Sync for RoomBytes {}

/// A room of one's own, given back when it is dropped.
pub(super) struct RoomRef(pool::Held<RoomBytes, ROOMS>);

impl RoomRef {
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: a room has one holder, which is never cloned, and whose borrow this is.
        unsafe { &mut *self.0.0.get() }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        // SAFETY: as above.
        unsafe { &*self.0.0.get() }
    }
}

impl Memory {
    pub(super) fn take_room(&'static self) -> Option<RoomRef> {
        // SAFETY: bytes are a valid room as they are: zeros, or what the holder before left there.
        Some(RoomRef(unsafe { self.rooms.take(|_| {}) }?.share()))
    }
}

static MEMORY: AtomicPtr<Memory> = AtomicPtr::new(null_mut());

/// The memory, if it was made.
pub(super) fn memory() -> Option<&'static Memory> {
    // SAFETY: null, or a mapping that is never given back (acquire pairs with the release in `make`). A forked child has
    // its own copy.
    unsafe { MEMORY.load(Ordering::Acquire).as_ref() }
}

/// The memory, made if need be.
pub(super) fn make() -> Option<&'static Memory> {
    if let Some(memory) = memory() {
        return Some(memory);
    }
    let mapping = process::map(size_of::<Memory>())?;
    let new = mapping.cast::<Memory>().as_ptr();
    if MEMORY.compare_exchange(null_mut(), new, Ordering::AcqRel, Ordering::Acquire).is_err() {
        // SAFETY: another thread was faster, and nobody has seen ours.
        unsafe { sys::unmap(mapping, size_of::<Memory>()) };
    }
    memory()
}
