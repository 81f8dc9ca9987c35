//! The layout of the shared memory, for both sides.
//!
//! The first page is the header, then come the chunks. What the process writes and what the sidecar writes lie on
//! different cache lines. Every field is self-describing enough for a reader of another release to refuse: magic,
//! version and sizes stand first and never move.

use crate::sync::{AtomicU32, AtomicU64, Watched};

pub use size::{
    CHUNK_COUNT, CHUNK_HEADER_SIZE, CHUNK_SIZE, FEW_CHUNKS, HEADER_SIZE, LANES, MAX_RATES, MAX_RECORD, MOST_HELD,
    MOST_IDLE_MS, MOST_SPINS, MOST_WAIT_MS, WAKE_FROM,
};

/// Marks a ring. Stored inverted in the memory, so that a scan of a binary does not find it.
pub const MAGIC: u64 = 0x676e_6972_5f64_6464;
/// Changes whenever either side would misread the other.
pub const VERSION: u32 = 5;

#[cfg(not(feature = "loom"))]
mod size {
    /// Bytes of the header.
    pub const HEADER_SIZE: usize = 4096;
    /// Bytes of a chunk, its own header included.
    pub const CHUNK_SIZE: usize = 32 * 1024;
    /// Bytes of a chunk's header: one cache line.
    pub const CHUNK_HEADER_SIZE: usize = 64;
    /// How many chunks there are.
    pub const CHUNK_COUNT: usize = 1023;
    /// How many a process uses that keeps all its memory in place: two and a half megabytes. Enough to wake the sidecar.
    pub const FEW_CHUNKS: usize = 80;
    /// How many threads have a chunk to themselves at most: half of what there is. The others share lanes.
    pub const MOST_HELD: u32 = CHUNK_COUNT as u32 / 2;
    /// How many lanes there are.
    pub const LANES: usize = 16;
    /// How often a thread looks for another one to leave its lane: some microseconds.
    pub const MOST_SPINS: u32 = 200;
    /// The longest record. Longer ones are cut by those who write them.
    pub const MAX_RECORD: usize = 16 * 1024;
    /// How many of the Agent's sampling rates find room in the header.
    pub const MAX_RATES: usize = 200;
    /// The sidecar is woken when a chunk from here on is taken: two megabytes wait for it.
    pub const WAKE_FROM: u32 = 64;
    /// For how many milliseconds a thread that finds no chunk free waits before it loses a record.
    pub const MOST_WAIT_MS: u32 = 2000;
    /// The same where no other thread finds one in the meantime either.
    pub const MOST_IDLE_MS: u32 = 500;
}

/// As little as goes through every step: loom's atomics are larger, and each multiplies what there is to try.
#[cfg(feature = "loom")]
#[allow(missing_docs, reason = "the constants are described above")]
mod size {
    pub const HEADER_SIZE: usize = 64 * 1024;
    pub const CHUNK_HEADER_SIZE: usize = 4096;
    /// Room for two of the shortest records.
    pub const CHUNK_SIZE: usize = CHUNK_HEADER_SIZE + MAX_RECORD + 24;
    pub const CHUNK_COUNT: usize = 2;
    pub const FEW_CHUNKS: usize = 1;
    pub const MOST_HELD: u32 = 2;
    pub const LANES: usize = 1;
    pub const MOST_SPINS: u32 = 1;
    pub const MAX_RECORD: usize = 192;
    pub const MAX_RATES: usize = 2;
    pub const WAKE_FROM: u32 = u32::MAX;
    pub const MOST_WAIT_MS: u32 = 0;
    pub const MOST_IDLE_MS: u32 = 0;
}

/// Bytes of a chunk that records can fill.
pub const CHUNK_CAPACITY: usize = CHUNK_SIZE - CHUNK_HEADER_SIZE;
/// Words of the free bitmap.
pub const BITMAP_WORDS: usize = CHUNK_COUNT.div_ceil(64);
/// Bytes of the whole mapping: just under 32 MiB of address space, of which little is ever touched.
pub const RING_SIZE: usize = HEADER_SIZE + CHUNK_COUNT * CHUNK_SIZE;
/// Bytes that are allocated before the first record, so that they cannot fault.
pub const FIRST_ALLOCATION: usize = HEADER_SIZE + CHUNK_SIZE;

/// The chunk is free, or was taken a moment ago.
pub const STATE_FREE: u32 = 0;
/// A thread appends to the chunk.
pub const STATE_OWNED: u32 = 1;
/// Nothing will be appended any more.
pub const STATE_COMPLETE: u32 = 2;
/// The chunk of a lane: its threads append to it, one after the other.
pub const STATE_SHARED: u32 = 3;

/// Bit of [`Header::lanes`]: a thread writes there just now.
pub const LANE_TAKEN: u32 = 1 << 31;
/// In the place of a lane's chunk: a thread takes one for it.
pub const LANE_WAITS: u32 = LANE_TAKEN | 1 << 30;

/// Bit of [`Header::control`]: record nothing any more.
pub const CONTROL_STOP: u32 = 1;
/// Bit of [`Header::control`]: processes are no spans any more; everything else is still recorded.
pub const CONTROL_STOP_PROCESS_SPANS: u32 = 2;

/// One of the Agent's sampling rates.
#[repr(C)]
pub struct RateEntry {
    /// [`rate_key`](super::rate_key) of the service and the environment.
    pub key: AtomicU64,
    /// The bits of the rate, an `f64` from 0 to 1.
    pub rate: AtomicU64,
}

/// The first page of the ring.
#[repr(C)]
pub struct Header {
    /// `!MAGIC`.
    pub magic: AtomicU64,
    /// [`VERSION`].
    pub version: AtomicU32,
    /// [`HEADER_SIZE`].
    pub header_size: AtomicU32,
    /// [`CHUNK_SIZE`].
    pub chunk_size: AtomicU32,
    /// [`CHUNK_COUNT`].
    pub chunk_count: AtomicU32,
    reserved: [u8; 40],

    /// Written by the process: records lost because no chunk was free.
    pub lost_full: AtomicU64,
    /// Written by the process: records lost because memory could not be had.
    pub lost_memory: AtomicU64,
    /// Written by the process: records lost because they did not fit into [`MAX_RECORD`].
    pub lost_large: AtomicU64,
    /// Written by the process: how many times a chunk was taken.
    pub taken: AtomicU64,
    /// Written by the process: how many chunks from the start on are backed by memory.
    pub backed: AtomicU32,
    /// Written by the process: not zero while no chunk is free and nobody waits for one any more.
    pub gave_up: AtomicU32,
    /// Written by the process: how many chunks from the start on it uses; the others are not there any more.
    pub usable: AtomicU32,
    /// Written by the process: how many of its threads look at chunks that they have not taken.
    pub looking: AtomicU32,
    /// Written by the process: how many chunks threads have to themselves.
    pub held: AtomicU32,
    /// Written by the process: how many they may have.
    pub most_held: AtomicU32,
    /// Written by the process: the thread that looks for chunks of threads that have ended; 0 is none.
    pub sweeper: AtomicU32,
    /// Written by the process: how many threads have come to a lane for the first time.
    pub joined: AtomicU32,

    /// Written by the sidecar: see `CONTROL_*`.
    pub control: AtomicU32,
    /// Not zero while the sidecar sleeps. Set by the sidecar; the process takes it away when it wakes the sidecar, which
    /// waits on this word (futex).
    pub asleep: AtomicU32,
    reserved_sidecar: [u8; 56],

    /// One bit a chunk, set where it is free. Cleared by the process, set by the sidecar.
    pub free: [AtomicU64; BITMAP_WORDS],
    reserved_rates: [u8; 64],

    /// Written by the sidecar: odd while it writes the rates, and another number afterwards.
    pub rates_sequence: AtomicU32,
    /// Written by the sidecar: how many of the rates there are.
    pub rates_count: AtomicU32,
    reserved_entries: [u8; 56],
    /// Written by the sidecar.
    pub rates: [RateEntry; MAX_RATES],

    /// Written by the process: index of each lane's chunk plus one, and [`LANE_TAKEN`]; or [`LANE_WAITS`]. 0 is none.
    pub lanes: [AtomicU32; LANES],
    /// Written by the process: how many threads pause as no chunk is free.
    pub waiting: AtomicU32,
}

/// The first bytes of a chunk.
#[repr(C)]
pub struct ChunkHeader {
    /// How many bytes of records may be read.
    pub committed: AtomicU32,
    /// `STATE_*`.
    pub state: AtomicU32,
    /// The thread id of the owner.
    pub owner: AtomicU32,
    reserved: [u8; 4],
    /// [`Header::taken`] when the chunk was taken: says in which order chunks are to be read.
    pub sequence: AtomicU64,
    pub(crate) bytes: Watched,
}

#[cfg(feature = "loom")]
impl Header {
    /// Zeros, for loom, whose atomics cannot be had from zeroed memory.
    #[must_use]
    pub fn zeroed() -> Header {
        let (word, half) = (|| AtomicU64::new(0), || AtomicU32::new(0));
        Header {
            magic: word(),
            version: half(),
            header_size: half(),
            chunk_size: half(),
            chunk_count: half(),
            reserved: [0; 40],
            lost_full: word(),
            lost_memory: word(),
            lost_large: word(),
            taken: word(),
            backed: half(),
            gave_up: half(),
            usable: half(),
            looking: half(),
            held: half(),
            most_held: half(),
            sweeper: half(),
            joined: half(),
            control: half(),
            asleep: half(),
            reserved_sidecar: [0; 56],
            free: core::array::from_fn(|_| word()),
            reserved_rates: [0; 64],
            rates_sequence: half(),
            rates_count: half(),
            reserved_entries: [0; 56],
            rates: core::array::from_fn(|_| RateEntry { key: word(), rate: word() }),
            lanes: core::array::from_fn(|_| half()),
            waiting: half(),
        }
    }
}

#[cfg(feature = "loom")]
impl ChunkHeader {
    /// Zeros, as for [`Header::zeroed`].
    #[must_use]
    pub fn zeroed() -> ChunkHeader {
        ChunkHeader {
            committed: AtomicU32::new(0),
            state: AtomicU32::new(0),
            owner: AtomicU32::new(0),
            reserved: [0; 4],
            sequence: AtomicU64::new(0),
            bytes: Watched::new(),
        }
    }
}

const _: () = assert!(size_of::<Header>() <= HEADER_SIZE);
#[cfg(not(feature = "loom"))]
const _: () = {
    assert!(core::mem::offset_of!(Header, lost_full) == 64);
    assert!(core::mem::offset_of!(Header, control) == 128);
    assert!(core::mem::offset_of!(Header, free) == 192);
    assert!(core::mem::offset_of!(Header, rates_sequence) == 384);
    assert!(core::mem::offset_of!(Header, rates) == 448);
    assert!(core::mem::offset_of!(Header, lanes).is_multiple_of(64));
};
const _: () = assert!(size_of::<ChunkHeader>() <= CHUNK_HEADER_SIZE);
const _: () = assert!(MAX_RECORD < CHUNK_CAPACITY);

/// Where [`Header::asleep`] is.
pub const ASLEEP_OFFSET: usize = core::mem::offset_of!(Header, asleep);

/// Where chunk `index` begins.
#[must_use]
pub fn chunk_offset(index: u32) -> usize {
    HEADER_SIZE + index as usize * CHUNK_SIZE
}

/// How many bytes so many chunks take, with the header.
#[must_use]
pub fn bytes_of(chunks: usize) -> usize {
    HEADER_SIZE + chunks.min(CHUNK_COUNT) * CHUNK_SIZE
}

/// The bitmap of a new ring: every chunk free, no bit beyond the last one.
#[must_use]
pub fn initial_free_word(word: usize) -> u64 {
    let chunks_before = word * 64;
    match CHUNK_COUNT.saturating_sub(chunks_before) {
        0 => 0,
        left @ 1..=63 => (1u64 << left) - 1,
        _ => u64::MAX,
    }
}
