//! What a segment is made of: frames, each with its length before it.

/// Bytes before a frame's payload: length (u32), kind (u8), 3 bytes zero, producer (u64).
pub const FRAME_HEADER: usize = 16;

/// What a frame holds. The number is part of the format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FrameKind {
    /// Records as they were drained from the ring of one process.
    Records = 1,
    /// A process is gone: its span, the time and how.
    Death = 2,
    /// Nothing more will come: time (u64).
    End = 3,
    /// Who records. The first frame of a segment of records.
    Origin = 4,
    /// Where payloads go. The first frame of a segment of payloads.
    Destinations = 5,
    /// The ids of spans that are not needed among the records any more, 8 bytes each. Their payloads follow, so many of
    /// them as the frame's producer says.
    Group = 6,
    /// One request for one of the destinations: whether it is settled (u64), a checksum (u32), its body compressed.
    Payload = 7,
    /// All rings of a process were looked at, after something had been found in them now or the last time.
    Pass = 8,
    /// Spans of processes are given up, and no more are made: which ones (u8), since when (u64). Repeated at the beginning of each segment of
    /// records that comes later.
    ProcessesGivenUp = 9,
}

impl FrameKind {
    fn of(number: u8) -> Option<FrameKind> {
        use FrameKind::*;
        let kinds = [Records, Death, End, Origin, Destinations, Group, Payload, Pass, ProcessesGivenUp];
        kinds.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// A frame, borrowed from its segment.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What it holds.
    pub kind: FrameKind,
    /// Whose it is: of records the collector's number of the process, or 0; of a payload that of its destination.
    pub producer: u64,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// Bytes that a frame with a payload of so many bytes takes.
pub const fn size(payload: usize) -> usize {
    (FRAME_HEADER + payload).next_multiple_of(8)
}

/// The bytes before a payload of so many bytes.
pub fn head(kind: FrameKind, producer: u64, payload: usize) -> [u8; FRAME_HEADER] {
    let mut head = [0u8; FRAME_HEADER];
    head[..4].copy_from_slice(&((FRAME_HEADER + payload) as u32).to_le_bytes());
    head[4] = kind as u8;
    head[8..].copy_from_slice(&producer.to_le_bytes());
    head
}

/// The frame at the start of these bytes, and how many it takes; `None` where they end, or what follows is malformed.
pub fn first(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    let (head, payload) = bytes.get(..length)?.split_first_chunk::<FRAME_HEADER>()?;
    let frame = Frame { kind: FrameKind::of(head[4])?, producer: u64::from_le_bytes(*head.last_chunk()?), payload };
    Some((frame, length.next_multiple_of(8)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_within_their_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some((frame, size)) = first(&bytes) {
                prop_assert!(frame.payload.len() + FRAME_HEADER <= bytes.len());
                prop_assert!(size >= FRAME_HEADER);
            }
        }

        #[test]
        fn a_frame_is_read_back(kind in 1u8..10, producer: u64, payload in proptest::collection::vec(any::<u8>(), 0..99)) {
            let kind = FrameKind::of(kind).unwrap();
            let mut bytes = head(kind, producer, payload.len()).to_vec();
            bytes.extend(&payload);
            bytes.resize(size(payload.len()), 0);
            let (frame, length) = first(&bytes).unwrap();
            prop_assert_eq!((frame.kind, frame.producer, frame.payload), (kind, producer, payload.as_slice()));
            prop_assert_eq!(length, bytes.len());
        }
    }
}
