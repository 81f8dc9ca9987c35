//! A fixed number of slots, taken and given back without a lock.
//!
//! A slot is known by a [`Key`]: its index, and how many times it had been given back before, so that a key of what is
//! gone fits nothing. Whoever uses a slot is counted in the same word that says whether it is open, so that it is given
//! back by the last one, whoever that is. The memory is zeroed at first and never touched before it is needed.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ops::Deref;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Bit of [`Slot::word`]: the slot can be entered by its key. It counts as one user.
const OPEN: u64 = 1 << 31;
/// The users in [`Slot::word`].
const USERS: u64 = OPEN - 1;

/// Slots that hold a `T` each while they are taken. All zero is a pool whose slots are all free.
#[repr(C)]
pub(crate) struct Pool<T, const SLOTS: usize> {
    /// Low half: the free slot that was given back last, as index + 1; 0 is none. High half: counts up with every
    /// change, so that a compare-and-swap notices that the slot was taken and given back meanwhile.
    free: AtomicU64,
    /// How many slots from the first one on have ever been taken.
    touched: AtomicU32,
    slots: [Slot<T>; SLOTS],
}

struct Slot<T> {
    /// High half: how many times the slot was given back. Low half: [`OPEN`] and [`USERS`].
    word: AtomicU64,
    /// The next free slot, as in [`Pool::free`].
    next: AtomicU32,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: a value is written by the one who took the slot, before anybody else can enter it; after that there are only
// shared references until the last user, alone again, drops it, on whichever thread.
unsafe impl<T: Send + Sync, const SLOTS: usize> Sync for Pool<T, SLOTS> {}

/// Which slot, and which of its lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl<T, const SLOTS: usize> Pool<T, SLOTS> {
    /// Takes a free slot, which `fill` must fill; nobody else can use it before it is [opened](Taken::open) or
    /// [shared](Taken::share). `None` where every slot is taken.
    ///
    /// # Safety
    ///
    /// `fill` leaves a valid value behind. It finds zeros, or what an earlier value left in its place when it was dropped.
    pub(crate) unsafe fn take(&'static self, fill: impl FnOnce(&mut MaybeUninit<T>)) -> Option<Taken<T, SLOTS>> {
        let index = self.pop()?;
        let slot = self.slots.get(index as usize)?;
        // SAFETY: a slot that was popped is used by nobody else.
        fill(unsafe { &mut *slot.value.get() });
        Some(Taken { pool: self, slot, index })
    }

    fn pop(&self) -> Option<u32> {
        // Acquire pairs with the release in `push`: what the last user of the slot did is over.
        let mut head = self.free.load(Ordering::Acquire);
        // Lock-free: a round is repeated only when another one has succeeded.
        while let Some(index) = (head as u32).checked_sub(1) {
            let next = self.slots.get(index as usize)?.next.load(Ordering::Relaxed);
            let new = (head >> 32).wrapping_add(1) << 32 | u64::from(next);
            match self.free.compare_exchange_weak(head, new, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Some(index),
                Err(now) => head = now,
            }
        }
        let grow = |touched: u32| (touched < SLOTS as u32).then(|| touched.wrapping_add(1));
        self.touched.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow).ok()
    }

    fn push(&self, slot: &Slot<T>, index: u32) {
        let mut head = self.free.load(Ordering::Relaxed);
        loop {
            slot.next.store(head as u32, Ordering::Relaxed);
            let new = (head >> 32).wrapping_add(1) << 32 | u64::from(index.wrapping_add(1));
            // Release pairs with the acquire in `pop`.
            match self.free.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Uses the slot with this key, which stays valid meanwhile. `None` if it is closed, or another one's by now.
    pub(crate) fn enter(&'static self, key: Key) -> Option<Held<T, SLOTS>> {
        self.change(key, |word| word.wrapping_add(1))
    }

    /// Closes the slot: nobody can enter it any more. It is given back when the last user leaves. Of several who close
    /// it only one gets it.
    pub(crate) fn close(&'static self, key: Key) -> Option<Held<T, SLOTS>> {
        // The user that the open slot was counted for goes over to the caller.
        self.change(key, |word| word & !OPEN)
    }

    /// Uses the slot with this key even if it is closed, as long as somebody else still uses it.
    pub(crate) fn recall(&'static self, key: Key) -> Option<Held<T, SLOTS>> {
        self.change_used(key, USERS, |word| word.wrapping_add(1))
    }

    /// The slots that are open as this is looked at, some of which may not be any more.
    pub(crate) fn open_ones(&'static self) -> impl Iterator<Item = Key> {
        let touched = self.touched.load(Ordering::Relaxed) as usize;
        let slots = self.slots.get(..touched).unwrap_or_default();
        slots.iter().enumerate().filter_map(|(index, slot)| {
            let word = slot.word.load(Ordering::Relaxed);
            (word & OPEN != 0).then_some(Key { index: index as u32, generation: (word >> 32) as u32 })
        })
    }

    fn change(&'static self, key: Key, new: impl Fn(u64) -> u64) -> Option<Held<T, SLOTS>> {
        self.change_used(key, OPEN, new)
    }

    /// Changes the word of a slot that has one of these bits.
    fn change_used(&'static self, key: Key, bits: u64, new: impl Fn(u64) -> u64) -> Option<Held<T, SLOTS>> {
        let slot = self.slots.get(key.index as usize)?;
        let mut word = slot.word.load(Ordering::Relaxed);
        while (word >> 32) as u32 == key.generation && word & bits != 0 {
            // Acquire pairs with the release in `Taken::publish`: the value is there.
            match slot.word.compare_exchange_weak(word, new(word), Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(Held { pool: self, slot, index: key.index }),
                Err(now) => word = now,
            }
        }
        None
    }

    fn give_back(&self, slot: &Slot<T>, index: u32) {
        // SAFETY: the last user is alone with the value, which is dropped once, as the slot has no user any more.
        unsafe { (*slot.value.get()).assume_init_drop() };
        let generation = (slot.word.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        slot.word.store(generation << 32, Ordering::Relaxed);
        self.push(slot, index);
    }
}

/// Keeps the last `KEPT` slots that were handed to it in use, so that what is in them can be [recalled](Pool::recall).
/// All zero keeps none.
pub(crate) struct Recent<const KEPT: usize> {
    next: AtomicU32,
    /// Indexes + 1; 0 is none.
    kept: [AtomicU32; KEPT],
}

impl<const KEPT: usize> Recent<KEPT> {
    /// Keeps a use of a slot, and ends that of the one that was handed over longest ago. All are of the same pool.
    pub(crate) fn keep<T, const SLOTS: usize>(&self, held: Held<T, SLOTS>) {
        let (pool, index) = (held.pool, held.index);
        let place = self.next.fetch_add(1, Ordering::Relaxed) as usize % KEPT;
        let Some(place) = self.kept.get(place) else { return };
        core::mem::forget(held);
        // What was done with the slot is ordered by its own word.
        Self::release(pool, place.swap(index.wrapping_add(1), Ordering::Relaxed));
    }

    /// Keeps none any more.
    pub(crate) fn forget<T, const SLOTS: usize>(&self, pool: &'static Pool<T, SLOTS>) {
        for place in &self.kept {
            Self::release(pool, place.swap(0, Ordering::Relaxed));
        }
    }

    fn release<T, const SLOTS: usize>(pool: &'static Pool<T, SLOTS>, number: u32) {
        if let Some(index) = number.checked_sub(1)
            && let Some(slot) = pool.slots.get(index as usize)
        {
            // The use that was kept here.
            drop(Held { pool, slot, index });
        }
    }
}

/// A slot that only its holder knows of.
pub(crate) struct Taken<T: 'static, const SLOTS: usize> {
    pool: &'static Pool<T, SLOTS>,
    slot: &'static Slot<T>,
    index: u32,
}

impl<T, const SLOTS: usize> Taken<T, SLOTS> {
    /// The value, to be completed.
    pub(crate) fn value(&mut self) -> &mut T {
        // SAFETY: `take` had it filled, and nobody else uses the slot.
        unsafe { (*self.slot.value.get()).assume_init_mut() }
    }

    /// Opens the slot to those who know its key.
    pub(crate) fn open(self) -> Key {
        let generation = self.publish(OPEN | 1);
        Key { index: self.index, generation }
    }

    /// Keeps the slot for users that hand it on to each other.
    pub(crate) fn share(self) -> Held<T, SLOTS> {
        self.publish(1);
        Held { pool: self.pool, slot: self.slot, index: self.index }
    }

    fn publish(&self, state: u64) -> u32 {
        let generation = self.slot.word.load(Ordering::Relaxed) >> 32;
        // Release pairs with the acquire in `Pool::change`: whoever sees the slot open sees its value.
        self.slot.word.store(generation << 32 | state, Ordering::Release);
        generation as u32
    }

    /// Gives the slot back unused.
    pub(crate) fn cancel(self) {
        self.pool.give_back(self.slot, self.index);
    }
}

/// A use of a slot; its end is the end of the use.
pub(crate) struct Held<T: 'static, const SLOTS: usize> {
    pool: &'static Pool<T, SLOTS>,
    slot: &'static Slot<T>,
    index: u32,
}

// SAFETY: it is a shared reference to the value, and may be the one that drops it.
unsafe impl<T: Send + Sync, const SLOTS: usize> Send for Held<T, SLOTS> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync, const SLOTS: usize> Sync for Held<T, SLOTS> {}

impl<T, const SLOTS: usize> Deref for Held<T, SLOTS> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the slot has a user, so its value was filled in and is not dropped; nobody changes it but through
        // what a shared reference allows.
        unsafe { (*self.slot.value.get()).assume_init_ref() }
    }
}

impl<T, const SLOTS: usize> Clone for Held<T, SLOTS> {
    fn clone(&self) -> Self {
        self.slot.word.fetch_add(1, Ordering::Relaxed);
        Held { pool: self.pool, slot: self.slot, index: self.index }
    }
}

impl<T, const SLOTS: usize> Drop for Held<T, SLOTS> {
    fn drop(&mut self) {
        // Release pairs with the fence of the last user: what this one did comes before the slot's next life.
        let before = self.slot.word.fetch_sub(1, Ordering::Release);
        if before & USERS == 1 {
            fence(Ordering::Acquire);
            self.pool.give_back(self.slot, self.index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::{Arc, Barrier};
    use std::thread;

    /// A pool of the test's own, zeroed as a mapping is.
    fn pool<T, const SLOTS: usize>() -> &'static Pool<T, SLOTS> {
        let memory = Box::<Pool<T, SLOTS>>::new_zeroed();
        // SAFETY: all zero is a pool of free slots.
        Box::leak(unsafe { memory.assume_init() })
    }

    fn take<T, const SLOTS: usize>(pool: &'static Pool<T, SLOTS>, value: T) -> Option<Taken<T, SLOTS>> {
        // SAFETY: the value is written.
        unsafe { pool.take(|place| _ = place.write(value)) }
    }

    #[test]
    fn a_key_fits_one_life_of_its_slot() {
        let pool = pool::<u32, 2>();
        let key = take(pool, 7).unwrap().open();
        assert_eq!(pool.enter(key).map(|held| *held), Some(7));
        drop(pool.close(key).unwrap());
        assert!(pool.enter(key).is_none() && pool.close(key).is_none());
        let next = take(pool, 8).unwrap().open();
        assert_eq!((next.index, next.generation), (key.index, key.generation + 1));
        assert!(pool.enter(key).is_none());
        assert_eq!(pool.enter(next).map(|held| *held), Some(8));
        assert!(pool.enter(Key { index: 99, generation: 0 }).is_none());
    }

    #[test]
    fn all_slots_can_be_taken_and_no_more() {
        let pool = pool::<u32, 3>();
        let keys: Vec<Key> = (0..3).map(|number| take(pool, number).unwrap().open()).collect();
        assert!(take(pool, 9).is_none());
        drop(pool.close(keys[1]));
        assert_eq!(take(pool, 10).unwrap().open().index, 1);
        assert!(take(pool, 11).is_none());
        assert!(take(pool, 12).is_none());
        drop(pool.close(keys[0]));
        take(pool, 13).unwrap().cancel();
        assert!(take(pool, 14).is_some(), "a cancelled slot is free again");
    }

    struct Counted(Arc<AtomicUsize>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn the_last_user_drops_the_value() {
        let dropped = Arc::new(AtomicUsize::new(0));
        let pool = pool::<Counted, 1>();
        let key = take(pool, Counted(dropped.clone())).unwrap().open();
        let user = pool.enter(key).unwrap();
        let other = user.clone();
        drop(pool.close(key));
        drop(user);
        assert_eq!(dropped.load(Ordering::SeqCst), 0);
        assert!(pool.enter(key).is_none(), "closed, though it has a user");
        drop(pool.recall(key).expect("it is still used"));
        drop(other);
        assert!(pool.recall(key).is_none());
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        let shared = take(pool, Counted(dropped.clone())).unwrap().share();
        drop(shared);
        assert_eq!(dropped.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn the_last_few_are_kept_in_use() {
        let dropped = Arc::new(AtomicUsize::new(0));
        let pool = pool::<Counted, 4>();
        let recent = Recent::<2> { next: AtomicU32::new(0), kept: [const { AtomicU32::new(0) }; 2] };
        let keys: Vec<Key> = (0..3)
            .map(|_| {
                let key = take(pool, Counted(dropped.clone())).unwrap().open();
                recent.keep(pool.close(key).unwrap());
                key
            })
            .collect();
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        let can_be_recalled: Vec<bool> = keys.iter().map(|key| pool.recall(*key).is_some()).collect();
        assert_eq!(can_be_recalled, [false, true, true]);
        assert!(pool.enter(keys[2]).is_none(), "it is closed all the same");
        recent.forget(pool);
        assert_eq!(dropped.load(Ordering::SeqCst), 3);
        assert!(pool.recall(keys[2]).is_none());
    }

    /// Threads take, enter by keys of each other, and close; the values tell of any mix-up.
    #[test]
    fn threads_never_meet_a_value_of_another_life() {
        const THREADS: u64 = 8;
        const ROUNDS: u64 = 20_000;
        let pool = pool::<[u64; 4], 5>();
        let published: Arc<[AtomicU64; 8]> = Arc::default();
        let barrier = Arc::new(Barrier::new(THREADS as usize));
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (published, barrier) = (published.clone(), barrier.clone());
                thread::spawn(move || {
                    barrier.wait();
                    let mut stale = 0;
                    let mut last: Option<Key> = None;
                    for round in 0..ROUNDS {
                        if let Some(key) = last.take() {
                            // Another thread may have been faster.
                            drop(pool.close(key));
                        }
                        let value = thread << 32 | round;
                        if let Some(taken) = take(pool, [value; 4]) {
                            let key = taken.open();
                            last = Some(key);
                            let word = u64::from(key.generation) << 32 | u64::from(key.index + 1);
                            published[thread as usize].store(word, Ordering::Relaxed);
                            let seen = pool.enter(key).map(|held| *held);
                            assert!(seen.is_none_or(|seen| seen == [value; 4]));
                        }
                        let other = published[((thread + round) % THREADS) as usize].load(Ordering::Relaxed);
                        if other == 0 {
                            continue;
                        }
                        let key = Key { index: other as u32 - 1, generation: (other >> 32) as u32 };
                        match pool.enter(key) {
                            Some(held) => {
                                let value = *held;
                                assert_eq!(value, [value[0]; 4]);
                                thread::yield_now();
                                assert_eq!(*held, value, "it changed under its user");
                                drop(pool.close(key));
                            }
                            None => stale += 1,
                        }
                    }
                    drop(last.and_then(|key| pool.close(key)));
                    stale
                })
            })
            .collect();
        let stale: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(stale > 0, "no key was ever stale");
        let all: Vec<_> = (0..6).map_while(|number| take(pool, [number; 4])).collect();
        assert_eq!(all.len(), 5, "a slot was lost, or one is there twice");
    }
}
