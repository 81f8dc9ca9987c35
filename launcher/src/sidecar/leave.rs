//! The last thing the exporting thread does: what waits is to outlive the sidecar.

use std::path::Path;
use std::time::{Duration, Instant};

use super::exporting::{Plan, Shared};
use crate::spool::{Outbox, RecordsReader, RunDirectory};

/// So long the thread that writes the records may take to let go of them.
const LETTING_GO: Duration = Duration::from_secs(1);
const NEXT_LOOK: Duration = Duration::from_millis(2);

/// What has come of it.
#[derive(Default)]
pub struct Left {
    /// Spans that found no room on disk, and are dropped.
    pub lost: u64,
    /// The run's directory, where it had to be made anew.
    pub directory: Option<RunDirectory>,
}

/// Leaves the outbox to whoever takes the run over. Nothing is sent meanwhile: it does not wait for the runtime.
///
/// What memory has taken in for the disk is written there now, beside the records if there is room for both, else instead
/// of them: all that they tell of is in the outbox. Only what then finds no room is dropped.
pub fn leave(mut outbox: Outbox, reader: RecordsReader, plan: &Plan, shared: &Shared) -> Left {
    outbox.leave();
    let mut left = Left::default();
    if plan.account.waiting() == 0 {
        return left;
    }
    if let Some(directory) = &plan.directory {
        if !directory.is_dir() || outbox.has_lost_files() {
            tracing::warn!(
                "files in {} were deleted while the sidecar was at work; what waits is written anew",
                directory.display()
            );
        }
        left.directory = make_again(directory);
        // In the way of nothing that waits: it is a page.
        let _ = plan.account.keep_in(directory);
    }
    let is_all = outbox.store(true);
    // What was dropped is not to be found in the records either.
    if !is_all || outbox.has_ever_dropped() {
        drop(reader);
        if let Some(directory) = plan.directory.as_deref().filter(|_| let_records_go(shared)) {
            let _ = plan.account.keep_in(directory);
            outbox.store(false);
            left.lost = outbox.drop_homeless();
        } else if plan.directory.is_none() {
            left.lost = outbox.drop_homeless();
        }
    }
    outbox.leave();
    left
}

fn make_again(directory: &Path) -> Option<RunDirectory> {
    if directory.is_dir() {
        return None;
    }
    let made = RunDirectory::make_again(directory);
    made.inspect_err(|error| tracing::error!("{} cannot be made anew: {error}", directory.display())).ok()
}

/// Has the records deleted; gives whether they are. Where they are not, they still tell of what finds no room.
fn let_records_go(shared: &Shared) -> bool {
    let deadline = Instant::now() + LETTING_GO;
    shared.ask_for_room();
    while !shared.has_room() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(NEXT_LOOK);
    }
    true
}
