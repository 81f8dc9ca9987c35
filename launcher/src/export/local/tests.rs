use super::*;
use crate::export::otlp::trace_request;
use crate::export::testing::{SendBatch, batch, span_ids};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use std::os::unix::fs::PermissionsExt;

const DELIVERED: Outcome = Outcome::Delivered { rejected: 0, message: None };

fn span_ids_in(file: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(file).unwrap();
    let spans = text.lines().filter_map(|line| serde_json::from_str::<ExportTraceServiceRequest>(line).ok());
    spans
        .flat_map(|request| request.resource_spans)
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans)
        .map(|span| u64::from_be_bytes(span.span_id.try_into().unwrap()))
        .collect()
}

#[tokio::test]
async fn each_batch_is_a_line_that_only_its_owner_can_read() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("a/b");
    let mut store = LocalStore::new(&directory, 1 << 20);
    for ids in [&[1, 2][..], &[3]] {
        assert_eq!(store.send_batch(&batch(ids)).await, DELIVERED);
    }
    let file = directory.join(FILE_NAME);
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 2);
    assert_eq!(span_ids_in(&file), [1, 2, 3]);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn the_store_stays_within_its_bound_and_keeps_what_is_newest() {
    let state = tempfile::tempdir().unwrap();
    let max_bytes = 10_000;
    let mut store = LocalStore::new(state.path(), max_bytes);
    for id in 1..=100 {
        assert_eq!(store.send_batch(&batch(&[id])).await, DELIVERED);
        let files = std::fs::read_dir(state.path()).unwrap();
        let size: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(size <= max_bytes, "{size}");
    }
    let mut ids = span_ids_in(&state.path().join(OLDER_FILE_NAME));
    ids.extend(span_ids_in(&state.path().join(FILE_NAME)));
    let newest: Vec<u64> = (101 - ids.len() as u64..=100).collect();
    assert_eq!(ids, newest);
    assert!(ids.len() >= 5, "{}", ids.len());
}

#[tokio::test]
async fn a_line_larger_than_a_file_may_be_is_split() {
    let state = tempfile::tempdir().unwrap();
    let mut store = LocalStore::new(state.path(), 4_000);
    let large: Vec<u64> = (1..=20).collect();
    assert_eq!(store.send_batch(&batch(&large)).await, Outcome::TooLarge);
    assert!(!state.path().join(FILE_NAME).exists());
    assert_eq!(span_ids(&batch(&large)).len(), 20);
}

#[tokio::test]
async fn a_line_left_unfinished_spoils_no_other() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join(FILE_NAME);
    std::fs::write(&file, "{\"resourceSpans\":[{\"reso").unwrap();
    assert_eq!(LocalStore::new(state.path(), 1 << 20).send_batch(&batch(&[7])).await, DELIVERED);
    assert_eq!(span_ids_in(&file), [7]);
}

#[test]
fn writers_at_once_lose_and_mix_nothing() {
    let sample = json::to_json(&trace_request(&batch(&[1])).unwrap());
    // A file takes most of the lines: it is renamed once while all write, and nothing is old enough to be dropped.
    let max_bytes = 2 * 60 * sample.len() as u64;
    let state = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4u64 {
            let directory = state.path();
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                let mut store = LocalStore::new(directory, max_bytes);
                for i in 0..25 {
                    assert_eq!(runtime.block_on(store.send_batch(&batch(&[writer * 100 + i + 1]))), DELIVERED);
                }
            });
        }
    });
    let mut ids = span_ids_in(&state.path().join(FILE_NAME));
    ids.extend(span_ids_in(&state.path().join(OLDER_FILE_NAME)));
    ids.sort_unstable();
    let expected: Vec<u64> = (0..4).flat_map(|writer| (1..=25).map(move |i| writer * 100 + i)).collect();
    assert_eq!(ids, expected);
}

#[tokio::test(start_paused = true)]
async fn a_lock_held_for_ever_is_not_waited_for() {
    let state = tempfile::tempdir().unwrap();
    let held = File::create(state.path().join(FILE_NAME)).unwrap();
    held.lock().unwrap();
    let Outcome::Retry { reason, .. } = LocalStore::new(state.path(), 1 << 20).send_batch(&batch(&[1])).await else {
        panic!("a retry")
    };
    assert!(reason.ends_with("another process has held its lock for a second"), "{reason}");
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let state = tempfile::tempdir().unwrap();
    let blocked = state.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let Outcome::Retry { reason, .. } = LocalStore::new(&blocked, 1 << 20).send_batch(&batch(&[1])).await else {
        panic!("a retry")
    };
    let expected = format!("local store {}: ", blocked.join(FILE_NAME).display());
    assert!(reason.starts_with(&expected), "{reason}");
}
