//! A recorder for tests: what is recorded stays in this process.

use super::process::{Facts, Process, Processes};
use super::{Outlet, Recorder};
use crate::ids::{SpanId, TraceId};
use crate::interface::{CurrentSpan, DecidedInfo, RequestInfo};
use crate::record::RecordWriter;
use crate::ring::layout::MAX_RECORD;
use crate::sys;
use core::ptr::NonNull;
use std::sync::{Arc, Mutex};
use std::vec;
use std::vec::Vec;

/// What a process has recorded, what native code has active, and what an Agent has told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) bytes: Arc<Mutex<Vec<u8>>>,
    pub(crate) native: Arc<Mutex<Option<CurrentSpan>>>,
    pub(crate) native_headers: Arc<Mutex<Vec<(&'static str, &'static str)>>>,
    pub(crate) rate: Arc<Mutex<Option<f64>>>,
    /// The request that can be taken over.
    pub(crate) request: Arc<Mutex<Option<RequestInfo>>>,
    /// What native code was told of decisions, and by which handle.
    pub(crate) decided: Arc<Mutex<Vec<(u64, DecidedInfo)>>>,
    /// Not 0: native code has decided, for good.
    pub(crate) is_final_there: Arc<Mutex<u32>>,
}

/// The span of the process that the tests are in.
pub(crate) const PROCESS: (TraceId, SpanId) = (TraceId(0x11), SpanId(0x22));

impl Memory {
    /// A recorder into it. `is_span`: whether the process's own span is sent.
    pub(crate) fn recorder(&self, is_span: bool) -> Recorder {
        let facts = Facts { pid: sys::getpid(), trace_id: PROCESS.0, span_id: PROCESS.1, trace_flags: 1, is_span };
        let processes = Processes::new(Process::new(facts)).expect("a page");
        Recorder { outlet: Outlet::Memory(self.clone()), processes }
    }

    pub(super) fn record(&self, build: impl FnOnce(&mut RecordWriter)) -> bool {
        let mut buffer = vec![0u8; MAX_RECORD];
        let start = NonNull::new(buffer.as_mut_ptr()).expect("memory");
        // SAFETY: the vector's bytes, which nobody else uses meanwhile.
        let mut writer = unsafe { RecordWriter::new(start, MAX_RECORD) };
        build(&mut writer);
        let Some(length) = writer.finish() else { return false };
        self.bytes.lock().unwrap().extend(&buffer[..length as usize]);
        true
    }
}

pub(super) fn forked(before: &Process) -> Process {
    Process::untold(before)
}

impl Recorder {
    /// What the kernel and the id do when a process is forked: from here on it is another one.
    pub(crate) fn fork(&self) {
        self.processes.fork();
    }
}
