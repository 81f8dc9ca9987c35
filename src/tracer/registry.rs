//! The traces that have a living span in this process, by their ids: APIs hand over a parent as ids alone.

use super::trace::ActiveTrace;
use crate::ids::TraceId;
use core::hash::{BuildHasher, Hasher};
use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::vec::Vec;

/// So many threads can look at once without waiting for each other, by chance.
const SHARDS: usize = 16;
/// So often is tried to get a shard. Nobody holds one for longer than a look takes, unless the process was forked at that
/// very moment: the child then does without rather than wait for a thread that it does not have.
const TRIES: u32 = 10_000;

type Shard = HashMap<TraceId, Known, Keyed>;

/// The traces with one id: one, unless it came in with different decisions.
#[derive(Debug, Default)]
struct Known {
    newest: Weak<ActiveTrace>,
    others: Vec<Weak<ActiveTrace>>,
}

/// Traces by their ids.
#[derive(Debug)]
pub(super) struct Registry {
    shards: [Mutex<Shard>; SHARDS],
}

impl Default for Registry {
    fn default() -> Self {
        // What the standard library seeds its own tables by.
        let seeds = RandomState::new();
        let keys = Keyed([seeds.hash_one(0), seeds.hash_one(1)]);
        Registry { shards: std::array::from_fn(|_| Mutex::new(HashMap::with_hasher(keys))) }
    }
}

impl Registry {
    /// The traces with that id: the newest, and the others if there are any.
    pub(super) fn get(&self, trace_id: TraceId) -> (Option<Arc<ActiveTrace>>, Vec<Arc<ActiveTrace>>) {
        // What is given out is not dropped under the lock, which its end needs.
        let Some(shard) = self.shard(trace_id) else { return (None, Vec::new()) };
        let Some(known) = shard.get(&trace_id) else { return (None, Vec::new()) };
        (known.newest.upgrade(), known.others.iter().filter_map(Weak::upgrade).collect())
    }

    /// Makes a trace known.
    pub(super) fn insert(&self, trace: &Arc<ActiveTrace>) {
        if let Some(mut shard) = self.shard(trace.trace_id()) {
            let known = shard.entry(trace.trace_id()).or_default();
            let before = core::mem::replace(&mut known.newest, Arc::downgrade(trace));
            if before.strong_count() > 0 {
                known.others.push(before);
            }
        }
    }

    /// A trace is about to go.
    pub(super) fn remove(&self, trace: &ActiveTrace) {
        let Some(mut shard) = self.shard(trace.trace_id()) else { return };
        let Some(known) = shard.get_mut(&trace.trace_id()) else { return };
        let is_it = |known: &Weak<ActiveTrace>| core::ptr::eq(known.as_ptr(), trace);
        if is_it(&known.newest) {
            match known.others.pop() {
                Some(before) => known.newest = before,
                None => _ = shard.remove(&trace.trace_id()),
            }
        } else {
            known.others.retain(|other| !is_it(other));
        }
    }

    fn shard(&self, trace_id: TraceId) -> Option<MutexGuard<'_, Shard>> {
        patiently(&self.shards[trace_id.low() as usize % SHARDS])
    }
}

/// Hashes ids, one multiplication each, with keys that nobody outside knows: ids come from outside, too.
#[derive(Clone, Copy, Debug)]
struct Keyed([u64; 2]);

impl BuildHasher for Keyed {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher { keys: self.0, hash: 0 }
    }
}

struct IdHasher {
    keys: [u64; 2],
    hash: u64,
}

impl Hasher for IdHasher {
    fn write_u128(&mut self, id: u128) {
        let [low, high] = [id as u64 ^ self.keys[0], (id >> 64) as u64 ^ self.keys[1]];
        let product = u128::from(low) * u128::from(high);
        self.hash ^= product as u64 ^ (product >> 64) as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        // An id is one number; this is for whatever else may come.
        bytes.iter().for_each(|byte| self.write_u128(u128::from(self.hash) << 8 | u128::from(*byte)));
    }

    fn finish(&self) -> u64 {
        self.hash
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
