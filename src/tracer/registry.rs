//! The traces that have a living span in this process, by their ids: APIs hand over a parent as ids alone.

use super::trace::ActiveTrace;
use crate::ids::TraceId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};

/// So many threads can look at once without waiting for each other, by chance.
const SHARDS: usize = 16;
/// So often is tried to get a shard. Nobody holds one for longer than a look takes, unless the process was forked at that
/// very moment: the child then does without rather than wait for a thread that it does not have.
const TRIES: u32 = 10_000;

// The standard hasher, which is seeded: ids come from outside.
type Shard = HashMap<TraceId, Weak<ActiveTrace>>;

/// Traces by their ids.
#[derive(Debug, Default)]
pub(super) struct Registry {
    shards: [Mutex<Shard>; SHARDS],
}

impl Registry {
    pub(super) fn get(&self, trace_id: TraceId) -> Option<Arc<ActiveTrace>> {
        self.shard(trace_id)?.get(&trace_id)?.upgrade()
    }

    /// Makes a trace known, in the place of another one of that id.
    pub(super) fn insert(&self, trace: &Arc<ActiveTrace>) {
        if let Some(mut shard) = self.shard(trace.trace_id()) {
            shard.insert(trace.trace_id(), Arc::downgrade(trace));
        }
    }

    /// A trace is about to go.
    pub(super) fn remove(&self, trace: &ActiveTrace) {
        let Some(mut shard) = self.shard(trace.trace_id()) else { return };
        let is_it = |known: &Weak<ActiveTrace>| core::ptr::eq(known.as_ptr(), trace);
        if shard.get(&trace.trace_id()).is_some_and(is_it) {
            shard.remove(&trace.trace_id());
        }
    }

    fn shard(&self, trace_id: TraceId) -> Option<MutexGuard<'_, Shard>> {
        patiently(&self.shards[trace_id.low() as usize % SHARDS])
    }
}

/// Locks, but waits for nobody who does not come back.
pub(super) fn patiently<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    for attempt in 0..TRIES {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            // A panic elsewhere leaves nothing half done here.
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if attempt < 64 => core::hint::spin_loop(),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    None
}
