use super::*;

const BOUND: Bound = Bound { on_disk: 1 << 20, in_memory: 1 << 20 };

#[test]
fn frames_come_out_as_they_went_in() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.seg");
    let (mut writer, reason) = Writer::create(Some(&path), BOUND).unwrap();
    assert_eq!(reason, None);
    let mut reader = Reader::new(Arc::clone(writer.segment()));
    assert!(reader.next_frame().is_none());
    writer.append(FrameKind::Records, 7, b"abc").unwrap();
    writer.append_all(&[(FrameKind::Group, 1, [b"de", b"f"]), (FrameKind::End, 0, [b"", b""])]).unwrap();
    let (frame, _) = reader.next_frame().unwrap();
    assert_eq!((frame.kind, frame.payload), (FrameKind::Records, &b"abc"[..]));
    let (frame, at) = reader.next_frame().unwrap();
    assert_eq!((frame.kind, frame.payload), (FrameKind::Group, &b"def"[..]));
    assert!(at.is_multiple_of(8));
    assert_eq!(reader.next_frame().unwrap().0.kind, FrameKind::End);
    assert!(reader.next_frame().is_none());
    writer.leave();
    let mut kinds = Vec::new();
    look(&path, |frame| kinds.push(frame.kind)).unwrap();
    assert_eq!(kinds, [FrameKind::Records, FrameKind::Group, FrameKind::End]);
    assert!(open(&path).unwrap().is_some());
}

#[test]
fn what_is_no_segment_is_not_taken_for_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.seg");
    let other_version = [&MAGIC.to_le_bytes()[..], &(VERSION + 1).to_le_bytes(), &[0; 10_000]].concat();
    let damaged = Err(io::ErrorKind::InvalidData);
    for (content, expected) in [
        (&b""[..], Ok(())),
        (&[0; 10_000], Ok(())),
        (b"text", damaged),
        (&[7; 10_000], damaged),
        (&other_version, Err(io::ErrorKind::Unsupported)),
    ] {
        std::fs::write(&path, content).unwrap();
        let opened = open(&path).map(|segment| assert!(segment.is_none()));
        let looked = look(&path, |_| panic!("there is no frame"));
        assert_eq!(opened.map_err(|error| error.kind()), expected);
        assert_eq!(looked.map_err(|error| error.kind()), expected);
    }
}

#[test]
fn damage_is_noticed_and_what_is_before_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.seg");
    let (mut writer, _) = Writer::create(Some(&path), BOUND).unwrap();
    for payload in [&[1; 1000], &[2; 1000]] {
        writer.append(FrameKind::Records, 7, payload).unwrap();
    }
    writer.leave();
    let sound = std::fs::read(&path).unwrap();
    let first = HEADER as usize + frame::size(1000);
    let mut scribbled = sound.clone();
    scribbled[first..first + 40].fill(0x5a);
    let mut promising = sound.clone();
    promising[17] ^= 0x80;
    for (content, frames, is_sound) in
        [(&sound[..], 2, true), (&sound[..first + 500], 1, false), (&scribbled, 1, false), (&promising, 2, false)]
    {
        std::fs::write(&path, content).unwrap();
        let mut seen = 0;
        assert_eq!(look(&path, |_| seen += 1).is_ok(), is_sound);
        let mut reader = Reader::new(open(&path).unwrap().unwrap());
        let read = std::iter::from_fn(|| reader.next_frame().map(drop)).count();
        assert_eq!((seen, read, reader.check_end().is_ok()), (frames, frames, is_sound));
    }
}

#[test]
fn where_no_file_can_be_made_memory_serves() {
    let (mut writer, reason) = Writer::create(Some(Path::new("/proc/no/such/place")), BOUND).unwrap();
    assert!(reason.unwrap().contains("/proc/no/such/place"));
    writer.append(FrameKind::Records, 1, &[1; 1000]).unwrap();
    assert_eq!(Reader::new(Arc::clone(writer.segment())).next_frame().unwrap().0.payload.len(), 1000);
}

#[test]
fn the_bound_holds() {
    let (mut writer, _) = Writer::create(None, BOUND).unwrap();
    let mut kept = 0;
    while writer.append(FrameKind::Records, 1, &[0; 4096 - FRAME_HEADER]).is_ok() {
        kept += 1;
    }
    assert_eq!(kept, BOUND.in_memory / 4096 - 1);
}

#[test]
fn disk_and_memory_have_bounds_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let bound = Bound { on_disk: 2 << 20, in_memory: 1 << 20 };
    for (path, room) in [(Some(directory.path().join("a.seg")), bound.on_disk), (None, bound.in_memory)] {
        let (writer, _) = Writer::create(path.as_deref(), bound).unwrap();
        assert_eq!(writer.room() as u64, room - HEADER);
    }
    let large = bound.at_least(3 << 20);
    assert!(Writer::create(None, large).unwrap().0.room() >= 3 << 20);
}
