//! What an outbox has left: read to go on with, or only looked at.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use super::account::Account;
use super::directory::segments;
use super::frame::{Frame, FrameKind};
use super::outbox::{Destinations, SERIES};
use super::parcel::{DROPPED, Group, Parcel, SETTLED, WORD, part};
use super::segment::{self, Reader, Segment};
use super::trouble::Trouble;
use crate::export::Format;

/// What was read from a segment.
pub(super) struct Read {
    pub(super) destinations: Option<Destinations>,
    pub(super) waiting: Vec<Rc<Parcel>>,
    pub(super) moved: Vec<u64>,
    /// Whether that is all of it.
    pub(super) is_sound: io::Result<()>,
}

/// The ids of a group, until all of its payloads were seen: a machine that fails may have kept the one and not the others,
/// and then the records have to serve again.
#[derive(Default)]
struct Moving {
    ids: Vec<u64>,
    payloads: u64,
}

impl Moving {
    fn of(frame: &Frame<'_>) -> Moving {
        let (ids, _) = frame.payload.as_chunks::<8>();
        Moving { ids: ids.iter().map(|id| u64::from_le_bytes(*id)).collect(), payloads: frame.producer }
    }

    fn payload_seen(&mut self) {
        self.payloads = self.payloads.saturating_sub(1);
    }

    /// Those that are not needed among the records any more.
    fn take(&mut self) -> Vec<u64> {
        if self.payloads == 0 { std::mem::take(&mut self.ids) } else { Vec::new() }
    }
}

pub(super) fn read(segment: &Arc<Segment>, account: &Arc<Account>) -> Read {
    let mut read = Read { destinations: None, waiting: Vec::new(), moved: Vec::new(), is_sound: Ok(()) };
    let mut reader = Reader::new(Arc::clone(segment));
    let mut group: Option<Rc<Group>> = None;
    let mut moving = Moving::default();
    while let Some((frame, at)) = reader.next_frame() {
        match frame.kind {
            FrameKind::Destinations => read.destinations = Destinations::parse(frame.payload),
            FrameKind::Group => {
                moving = Moving::of(&frame);
                group = Some(Group::new(moving.ids.len(), 0, account));
            }
            FrameKind::Payload => {
                let Some(group) = &group else { continue };
                let Some(word) = frame.payload.first_chunk().map(|word| u64::from_le_bytes(*word)) else { continue };
                moving.payload_seen();
                if word & SETTLED != 0 {
                    group.dropped.set(group.dropped.get().max((word & DROPPED).min(group.spans)));
                } else {
                    group.open.set(group.open.get() + 1);
                    read.waiting.push(Rc::new(Parcel {
                        segment: Arc::clone(segment),
                        word: at,
                        kept: at + WORD..at + frame.payload.len(),
                        destination: frame.producer as usize,
                        group: Rc::clone(group),
                    }));
                }
            }
            _ => {}
        }
        read.moved.extend(moving.take());
    }
    read.is_sound = reader.check_end();
    read
}

/// How many spans wait in these parcels; those of one group are the same.
pub fn spans_of(parcels: &[Rc<Parcel>]) -> u64 {
    let mut groups = HashSet::new();
    parcels.iter().filter(|parcel| groups.insert(Rc::as_ptr(&parcel.group))).map(|parcel| parcel.spans()).sum()
}

/// What waits in the payloads of a run, only looked at.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Where to, with the spans that wait for it.
    pub destinations: Vec<(Format, String, u64)>,
    /// Spans of which any destination waits.
    pub spans: u64,
    /// The spans whose records are not needed any more.
    pub moved: HashSet<u64>,
    /// What cannot be read of them.
    pub troubles: Vec<Trouble>,
}

/// Looks at the payloads of a run.
pub fn look(directory: &Path) -> Waiting {
    let mut waiting = Waiting::default();
    let paths = segments(directory, SERIES).unwrap_or_else(|error| {
        waiting.troubles.extend(Trouble::of(directory, &error));
        Vec::new()
    });
    for (_, path) in paths {
        let (mut spans, mut is_counted, mut moving) = (0, false, Moving::default());
        let looked = segment::look(&path, |frame| {
            match frame.kind {
                FrameKind::Destinations if waiting.destinations.is_empty() => {
                    let found = Destinations::parse(frame.payload).unwrap_or_default().0;
                    waiting.destinations = found.into_iter().map(|(format, name)| (format, name, 0)).collect();
                }
                FrameKind::Group => {
                    moving = Moving::of(&frame);
                    (spans, is_counted) = (moving.ids.len() as u64, false);
                }
                FrameKind::Payload => {
                    moving.payload_seen();
                    let word = frame.payload.first_chunk().map_or(SETTLED, |word| u64::from_le_bytes(*word));
                    if word & SETTLED == 0 {
                        if let Some((_, _, count)) = waiting.destinations.get_mut(frame.producer as usize) {
                            *count += spans.saturating_sub(part(word).0);
                        }
                        if !std::mem::replace(&mut is_counted, true) {
                            waiting.spans += spans;
                        }
                    }
                }
                _ => {}
            }
            waiting.moved.extend(moving.take());
        });
        if let Err(error) = looked {
            waiting.troubles.extend(Trouble::of(&path, &error));
        }
    }
    waiting
}

#[cfg(test)]
mod tests {
    use super::super::account::Counter;
    use super::super::directory::segment_path;
    use super::super::records::old_records;
    use super::super::segment::{Bound, Writer};
    use super::*;
    use proptest::prelude::*;

    /// Frames as they are written, or with any bytes in them.
    fn frames() -> impl Strategy<Value = Vec<(FrameKind, u64, Vec<u8>)>> {
        use FrameKind::*;
        let kind = proptest::sample::select(vec![Records, Origin, Destinations, Group, Payload, Payload, End]);
        let frame = (kind, prop_oneof![0..4u64, any::<u64>()], proptest::collection::vec(any::<u8>(), 0..60));
        proptest::collection::vec(frame, 0..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_is_on_disk_is_read_and_settled_within_its_bounds(
            frames in frames(),
            scribbles in proptest::collection::vec((0..2000usize, any::<u8>()), 0..6),
            cut in proptest::option::of(0..6000usize),
        ) {
            let directory = tempfile::tempdir().unwrap();
            let path = segment_path(directory.path(), SERIES, 1);
            let bound = Bound { on_disk: 1 << 20, in_memory: 1 << 20 };
            let (mut writer, _) = Writer::create(Some(&path), bound).unwrap();
            for (kind, producer, payload) in &frames {
                writer.append(*kind, *producer, payload).unwrap();
            }
            writer.leave();
            let mut bytes = std::fs::read(&path).unwrap();
            // In what is behind the magic number and the version, most of it in the frames.
            for (place, byte) in scribbles {
                let place = if place < 16 { 16 + place } else { 4096 + place };
                if let Some(there) = bytes.get_mut(place) {
                    *there = byte;
                }
            }
            bytes.truncate(cut.unwrap_or(bytes.len()));
            std::fs::write(&path, bytes).unwrap();
            std::fs::copy(&path, segment_path(directory.path(), "records", 1)).unwrap();

            let waiting = look(directory.path());
            prop_assert!(waiting.troubles.iter().all(Trouble::is_damage));
            old_records(directory.path(), |frame| assert!(frame.payload.len() < 1 << 20));
            let account = Arc::new(Account::begin(None).unwrap());
            if let Ok(Some(segment)) = segment::open(&path) {
                let read = read(&segment, &account);
                let spans = spans_of(&read.waiting);
                for parcel in &read.waiting {
                    let _ = (parcel.body(), parcel.progress());
                    parcel.settle_part(1, 1);
                    parcel.give_up();
                    prop_assert!(parcel.is_settled());
                }
                prop_assert_eq!(account.get(Counter::Delivered) + account.get(Counter::Dropped), spans);
            }
        }
    }
}
