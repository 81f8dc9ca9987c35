//! Processes of a run that have never come to the sidecar.
//!
//! Where processes are no spans, one comes only when it has something to say. A server that has gone into the background
//! may not have had anything yet when the process that started it ends; it is found by the identity that it has written
//! into its environment.

use ddtrace::identity::{Identity, VARIABLE};
use ddtrace::ids::SpanId;

/// The spans that stand for the processes of a run, as far as they can be seen, and their ids.
pub fn processes_of(run: u128) -> Vec<(SpanId, u32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        // A process of somebody else's, or a zombie, has none to read.
        let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
        let identity = identity_in(&environment)?;
        // One that has not written its own over what it inherited is not traced from inside.
        (identity.run == run && identity.is_of(pid, 0)).then_some((identity.span_id, pid))
    })
    .collect()
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
        let found = loop {
            let found = processes_of(run);
            if !found.is_empty() {
                break found;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        };
        assert_eq!(found, [(SpanId(2), own.id())]);
        assert_eq!(processes_of(run + 1), []);
        for child in [&mut own, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
