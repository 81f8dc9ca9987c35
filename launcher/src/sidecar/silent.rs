//! Processes of a run that have never come to the sidecar.
//!
//! Where processes are no spans, one comes only when it has something to say. A server that has gone into the background
//! may not have had anything yet when the process that started it ends; it is found by the identity that it has written
//! into its environment.

use ddtrace::identity::{Identity, VARIABLE};
use ddtrace::ids::SpanId;

use super::zombie;

/// A forked child has written its own identity over what it inherited within this time, even where it has to wait for a
/// processor. One that has not by then is not traced from inside.
const YOUNG_MS: u64 = 1000;

/// What is seen of a run's processes.
#[derive(Default, PartialEq, Debug)]
pub struct Seen {
    /// Those that can come, as the spans that stand for them, with their ids.
    pub processes: Vec<(SpanId, u32)>,
    /// There are others that may be about to become such.
    pub are_more_to_be_expected: bool,
}

/// The processes of a run, as far as they can be seen.
pub fn processes_of(run: u128) -> Seen {
    let mut seen = Seen::default();
    let Ok(entries) = std::fs::read_dir("/proc") else { return seen };
    for pid in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        // A process of somebody else's, or a zombie, has none to read.
        let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { continue };
        match identity_in(&environment) {
            Some(identity) if identity.run != run => {}
            Some(identity) if identity.is_of(pid, 0) => seen.processes.push((identity.span_id, pid)),
            Some(_) => seen.are_more_to_be_expected |= zombie::age_ms(pid).is_some_and(|age| age < YOUNG_MS),
            None => {}
        }
    }
    seen
}

fn identity_in(environment: &[u8]) -> Option<Identity> {
    environment
        .split(|byte| *byte == 0)
        .find_map(|entry| Identity::parse(entry.strip_prefix(VARIABLE)?.strip_prefix(b"=")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddtrace::identity::Holder;
    use ddtrace::ids::TraceId;
    use std::process::Command;

    fn identity(run: u128, pid: u32) -> Identity {
        Identity {
            run,
            flags: 0,
            holder: Holder::Process(pid),
            trace_flags: 1,
            trace_id: TraceId(1),
            span_id: SpanId(2),
            parent_id: SpanId(0),
            start_ns: 3,
        }
    }

    #[test]
    fn a_process_is_found_by_the_identity_that_is_its_own() {
        let run = u128::from(std::process::id()) << 64 | 0x5eed;
        let start = |own: bool| {
            // `exec` keeps the id of the shell that knows it.
            let text = String::from_utf8(identity(run, 0).format().to_vec()).unwrap();
            let (before, after) = text.split_at(40);
            let script = format!("export _DDTRACE_RUN={before}$(printf %08x $(($$ + {})))", u32::from(!own));
            let script = format!("{script}{}; exec sleep 60", &after[8..]);
            Command::new("sh").args(["-c", &script]).spawn().unwrap()
        };
        let (mut own, mut other) = (start(true), start(false));
        let wait_for = |is_it: &dyn Fn(&Seen) -> bool| {
            while !is_it(&processes_of(run)) {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        };
        wait_for(&|seen| seen.processes == [(SpanId(2), own.id())]);
        // The other one is expected to have an identity of its own soon, and not any more when it has none after a while.
        wait_for(&|seen| !seen.are_more_to_be_expected && zombie::age_ms(other.id()) >= Some(YOUNG_MS));
        assert_eq!(processes_of(run + 1), Seen::default());
        let young = start(false);
        wait_for(&|seen| seen.are_more_to_be_expected);
        assert_eq!(processes_of(run).processes, [(SpanId(2), own.id())]);
        for child in [&mut own, &mut other, &mut { young }] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
