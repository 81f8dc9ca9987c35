//! The span of one process, put together from what it, its parent and the kernel said.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ddtrace::ids::{SpanId, TraceId};
use ddtrace::record::{ChildExit, FieldValue, Open, ROLE_SELF, Record};
use ddtrace::semconv::{self, Key};
use ddtrace::span::{Attribute, Link, Span, SpanKind, Status, Value};
use nix::sys::signal::Signal;

use super::death::Death;
use super::recorded_span::{read_link, set};

/// Datadog's operation name and type for a command that was run.
const OPERATION_NAME: &str = "command_execution";
const SPAN_TYPE: &str = "system";

/// Names a process's span: after its program, and by Datadog's convention for a command that was run.
pub fn operation(span: &mut Span, program: impl Into<String>) {
    span.name = Cow::Owned(program.into());
    span.operation_name = Some(Cow::Borrowed(OPERATION_NAME));
    span.span_type = Some(Cow::Borrowed(SPAN_TYPE));
    span.kind = SpanKind::Internal;
}

/// The signal that a process was killed by, if it was; `status` is as `wait(2)` gives it.
pub fn signal_name(status: u32) -> Option<String> {
    let number = (status & 0x7f) as i32;
    (number != 0).then(|| Signal::try_from(number).map_or_else(|_| format!("SIG{number}"), |signal| signal.to_string()))
}

/// Beyond so many bytes of records about one process, attributes and links are not taken in any more.
const MOST_BYTES: usize = 256 << 10;

/// A process that is running, or whose end is not wholly known yet.
#[derive(Clone, Debug)]
pub struct ProcessSpan {
    span_id: SpanId,
    open: Open,
    /// In whose ring it was first heard of.
    producer: u64,
    /// Bytes of the records that told of it.
    bytes: usize,
    /// The process has spoken for itself: what it says is better than what others say of it.
    described_itself: bool,
    execs: u32,
    executable: Vec<u8>,
    arguments: Vec<Vec<u8>>,
    arguments_count: Option<i64>,
    directory: Vec<u8>,
    untraceable: Vec<u8>,
    trace_state: String,
    links: Vec<Link>,
    /// What is said of it beyond that.
    further: Vec<Attribute>,
    cpu_user: Option<f64>,
    cpu_system: Option<f64>,
    memory_peak: Option<i64>,
    exit_code: Option<i64>,
    closed_ns: Option<u64>,
    exit: Option<ChildExit>,
    death: Option<Death>,
}

impl ProcessSpan {
    /// A process that was heard of for the first time.
    pub fn new(span_id: SpanId, open: &Open, producer: u64) -> Self {
        ProcessSpan {
            span_id,
            open: *open,
            producer,
            bytes: 0,
            described_itself: open.role == ROLE_SELF,
            execs: 0,
            executable: Vec::new(),
            arguments: Vec::new(),
            arguments_count: None,
            directory: Vec::new(),
            untraceable: Vec::new(),
            trace_state: String::new(),
            links: Vec::new(),
            further: Vec::new(),
            cpu_user: None,
            cpu_system: None,
            memory_peak: None,
            exit_code: None,
            closed_ns: None,
            exit: None,
            death: None,
        }
    }

    /// In whose ring it was first heard of.
    pub fn producer(&self) -> u64 {
        self.producer
    }

    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        size_of::<ProcessSpan>() + 2 * self.bytes
    }

    /// When it began, `CLOCK_MONOTONIC` nanoseconds.
    pub fn start_ns(&self) -> u64 {
        self.open.start_ns
    }

    /// The trace it belongs to.
    pub fn trace_id(&self) -> TraceId {
        self.open.trace_id
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.open.pid
    }

    /// Its `tracestate`, or empty.
    pub fn trace_state(&self) -> &str {
        &self.trace_state
    }

    /// Takes over its parent's `tracestate`, where it has none of its own.
    pub fn carry(&mut self, state: &str) {
        if self.trace_state.is_empty() {
            state.clone_into(&mut self.trace_state);
        }
    }

    /// Takes over what a forked child shares with its parent.
    pub fn inherit(&mut self, parent: &ProcessSpan) {
        self.executable.clone_from(&parent.executable);
        self.arguments.clone_from(&parent.arguments);
        self.arguments_count = parent.arguments_count;
        self.directory.clone_from(&parent.directory);
        self.trace_state.clone_from(&parent.trace_state);
        self.bytes = parent.bytes.min(MOST_BYTES / 2);
    }

    /// The same process was heard of again: from its parent, or from the next program that runs in it.
    pub fn opened_again(&mut self, open: &Open) {
        self.open.start_ns = self.open.start_ns.min(open.start_ns);
        if self.open.pid == 0 || open.role == ROLE_SELF {
            self.open.pid = open.pid;
            self.open.ppid = open.ppid;
        }
        if open.role == ROLE_SELF {
            if self.described_itself {
                self.execs += 1;
            }
            self.described_itself = true;
            self.untraceable.clear();
            // A process that has gone on with another program has not ended with the last one.
            self.closed_ns = None;
            self.exit_code = None;
        }
    }

    /// Takes in the fields of a record.
    pub fn amend(&mut self, record: &Record<'_>) {
        self.bytes = self.bytes.saturating_add(record.as_bytes().len());
        let is_full = self.bytes > MOST_BYTES;
        for field in record.fields() {
            match (field.key, field.value) {
                (Key::Attribute | Key::Link, _) if is_full => {}
                (Key::ExecutablePath, FieldValue::Text(path)) => self.executable = path.to_vec(),
                (Key::WorkingDirectory, FieldValue::Text(path)) => self.directory = path.to_vec(),
                (Key::CommandArgs, FieldValue::TextList(items)) => {
                    self.arguments = items.into_iter().map(<[u8]>::to_vec).collect();
                }
                (Key::ArgsCount, FieldValue::Integer(count)) => self.arguments_count = Some(count),
                (Key::Untraceable, FieldValue::Text(reason)) => self.untraceable = reason.to_vec(),
                (Key::TraceState, FieldValue::Text(state)) => self.trace_state = lossy(state),
                (Key::Attribute, value) => set(&mut self.further, field.name, value),
                (Key::Link, FieldValue::Link(link)) => self.links.push(read_link(link)),
                (Key::ExitCode, FieldValue::Integer(code)) => self.exit_code = Some(code),
                (Key::CpuUser, FieldValue::Float(seconds)) => self.cpu_user = Some(seconds),
                (Key::CpuSystem, FieldValue::Float(seconds)) => self.cpu_system = Some(seconds),
                (Key::MemoryPeak, FieldValue::Integer(bytes)) => self.memory_peak = Some(bytes),
                _ => {}
            }
        }
    }

    /// The process says that it is about to end.
    pub fn closed(&mut self, end_ns: u64) {
        self.closed_ns = Some(end_ns);
    }

    /// Its parent waited for it.
    pub fn exited(&mut self, exit: ChildExit) {
        self.exit = Some(exit);
    }

    /// Whether an end at this time can be its.
    pub fn may_exit_at(&self, time_ns: u64) -> bool {
        self.exit.is_none() && time_ns >= self.open.start_ns
    }

    /// The kernel says that it is gone.
    pub fn died(&mut self, death: Death) {
        self.death = Some(death);
    }

    /// Whose child it is.
    pub fn parent_id(&self) -> SpanId {
        self.open.parent_id
    }

    /// Whether it is there, and would tell of the end of a child that it waits for.
    pub fn tells_of_children(&self) -> bool {
        self.described_itself && self.untraceable.is_empty() && self.death.is_none() && self.closed_ns.is_none()
    }

    /// How long its death is known, in nanoseconds; `None` while it lives.
    pub fn dead_for_ns(&self, now_ns: u64) -> Option<u64> {
        Some(now_ns.saturating_sub(self.death?.time_ns))
    }

    /// Whether its parent has told of its end.
    pub fn is_told_of(&self) -> bool {
        self.exit.is_some()
    }

    /// How it ended, as `wait(2)` gives it, where anybody has told.
    pub fn status(&self) -> Option<u32> {
        self.exit.map(|exit| exit.status).or(self.death.and_then(|death| death.status))
    }

    /// The exit code as shells give it, and the signal that killed the process.
    fn outcome(&self) -> (Option<i64>, Option<String>) {
        match self.status() {
            Some(status) if status & 0x7f == 0 => (Some(i64::from((status >> 8) & 0xff)), None),
            Some(status) => (Some(i64::from(128 + (status & 0x7f))), signal_name(status)),
            None => (self.exit_code, None),
        }
    }

    /// When it ended, as far as that is known.
    pub fn end_ns(&self, now_ns: u64) -> u64 {
        // Each is at or after the end: the process's own word is the nearest, if it was its last.
        let witnesses = [self.closed_ns, self.exit.map(|exit| exit.time_ns), self.death.map(|death| death.time_ns)];
        witnesses.into_iter().flatten().min().unwrap_or(now_ns).max(self.open.start_ns)
    }

    /// The finished span. `clock_offset` leads from the records' clock to the Unix epoch.
    pub fn finish(self, now_ns: u64, clock_offset: i128) -> Span {
        let unix = |ns: u64| u64::try_from(i128::from(ns) + clock_offset).unwrap_or_default();
        let (exit_code, signal) = self.outcome();
        let still_running = self.death.is_none() && self.exit.is_none() && self.closed_ns.is_none();
        let name = self.name();
        let mut attributes: Vec<Attribute> = Vec::with_capacity(16);
        let mut put = |key: &'static str, value: Value| attributes.push((Cow::Borrowed(key), value));
        put(semconv::PROCESS_EXECUTABLE_NAME, Value::String(Cow::Owned(name.clone())));
        if !self.executable.is_empty() {
            put(semconv::PROCESS_EXECUTABLE_PATH, lossy(&self.executable).into());
        }
        put(semconv::PROCESS_PID, Value::I64(i64::from(self.open.pid)));
        if self.open.ppid != 0 {
            put(semconv::PROCESS_PARENT_PID, Value::I64(i64::from(self.open.ppid)));
        }
        if !self.arguments.is_empty() {
            let items = self.arguments.iter().map(|item| lossy(item).into()).collect();
            put(semconv::PROCESS_COMMAND_ARGS, Value::Array(items));
        }
        if let Some(count) = self.arguments_count {
            put(semconv::PROCESS_ARGS_COUNT, Value::I64(count));
        }
        if !self.directory.is_empty() {
            put(semconv::PROCESS_WORKING_DIRECTORY, lossy(&self.directory).into());
        }
        if let Some(code) = exit_code {
            put(semconv::PROCESS_EXIT_CODE, Value::I64(code));
        }
        let usage = self.exit.and_then(|exit| exit.usage).or(self.death.and_then(|death| death.usage));
        let cpu_user = self.cpu_user.or(usage.map(|usage| usage.user_ns as f64 / 1e9));
        let cpu_system = self.cpu_system.or(usage.map(|usage| usage.system_ns as f64 / 1e9));
        let memory_peak = self.memory_peak.or(usage.map(|usage| usage.max_rss as i64).filter(|bytes| *bytes > 0));
        for (key, value) in [
            (semconv::PROCESS_CPU_TIME_USER, cpu_user.map(Value::F64)),
            (semconv::PROCESS_CPU_TIME_SYSTEM, cpu_system.map(Value::F64)),
            (semconv::PROCESS_MEMORY_PEAK, memory_peak.map(Value::I64)),
        ] {
            if let Some(value) = value {
                put(key, value);
            }
        }
        if self.execs > 0 {
            put(semconv::PROCESS_EXEC_COUNT, Value::I64(i64::from(self.execs)));
        }
        if !self.untraceable.is_empty() {
            put(semconv::PROCESS_UNTRACEABLE, lossy(&self.untraceable).into());
        }
        if still_running {
            // Not an error: nobody knows how it will end.
            put(semconv::PROCESS_UNFINISHED, Value::Bool(true));
        }
        let error = match (&signal, exit_code) {
            (Some(signal), _) => Some(signal.clone()),
            (None, Some(code)) if code != 0 => Some(code.to_string()),
            _ => None,
        };
        let status = match error {
            Some(kind) => {
                let message = match &signal {
                    Some(signal) => Cow::Owned(format!("killed by {signal}")),
                    None => Cow::Borrowed(""),
                };
                put(semconv::ERROR_TYPE, kind.into());
                Status::Error(message)
            }
            None => Status::Unset,
        };
        let end_unix_nano = unix(self.end_ns(now_ns));
        attributes.extend(self.further);
        let mut span = Span {
            trace_id: self.open.trace_id,
            span_id: self.span_id,
            parent_id: self.open.parent_id,
            parent_is_remote: self.open.remote_parent,
            trace_state: self.trace_state.clone(),
            flags: self.open.trace_flags,
            start_unix_nano: unix(self.open.start_ns),
            end_unix_nano,
            attributes,
            links: self.links,
            status,
            ..Span::default()
        };
        operation(&mut span, name);
        span
    }

    /// The executable's base name; a process of which nothing is known is called so.
    fn name(&self) -> String {
        let path = Path::new(std::ffi::OsStr::from_bytes(&self.executable));
        match path.file_name() {
            Some(name) => lossy(name.as_bytes()),
            None => match self.arguments.first() {
                Some(first) if !first.is_empty() => lossy(first),
                _ => "unknown".to_owned(),
            },
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process() -> ProcessSpan {
        let open = Open {
            trace_id: TraceId(1),
            parent_id: SpanId(0),
            start_ns: 10,
            pid: 42,
            ppid: 1,
            trace_flags: 1,
            role: ROLE_SELF,
            remote_parent: false,
        };
        ProcessSpan::new(SpanId(2), &open, 1)
    }

    #[test]
    fn what_still_runs_is_unfinished_and_has_not_failed() {
        let span = process().finish(50, 1_000);
        assert_eq!(span.attribute(semconv::PROCESS_UNFINISHED), Some(&Value::Bool(true)));
        assert_eq!((span.attribute(semconv::ERROR_TYPE), &span.status), (None, &Status::Unset));
        assert_eq!((span.start_unix_nano, span.end_unix_nano), (1_010, 1_050), "it ends where it was last seen");
    }

    #[test]
    fn what_has_ended_is_not_unfinished_however_little_is_known_of_it() {
        let mut gone = process();
        gone.closed(40);
        let span = gone.finish(50, 0);
        assert_eq!((span.attribute(semconv::PROCESS_UNFINISHED), span.end_unix_nano), (None, 40));
    }
}
