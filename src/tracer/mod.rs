//! The engine of every tracer that runs inside a program: spans are started, filled and ended, and recorded into the
//! memory shared with the sidecar.
//!
//! It knows no language and no API; the providers of those (`otel` for Rust, the Python package) are thin layers over it.
//! [`Tracer`] is one program's; [`ActiveTrace`] is what the spans of one trace share in one process, above all whether the
//! trace is kept; [`LiveSpan`] is a span until it ends.
//!
//! - A span's fields are encoded as they are set, in the form of its record: ending it is one copy.
//! - The first span of a trace in the process (its local root) is recorded when it starts as well: it is in the trace even
//!   if the process is killed. All others are recorded when they end.
//! - Whether a trace is kept is decided once, by the local root, as late as possible, and never changed after it has left
//!   the process: see [`ActiveTrace`].
//! - Nothing is flushed or shut down.

mod data;
mod live;
mod native;
mod program;
mod registry;
mod remembered;
mod resource;
mod settings;
mod start;
mod trace;
mod value;
mod verdict;
mod view;
mod write;

#[cfg(test)]
mod tests;

pub use data::SpanData;
pub use live::LiveSpan;
pub use native::{NativeRequest, peer};
pub use settings::Settings;
pub use start::{Parent, Start};
pub use trace::ActiveTrace;
pub use value::AttributeValue;

use crate::context::TraceContext;
use crate::ids::{SpanId, TraceId};
use crate::interface::{MOST_PLACES, Place};
use crate::propagation::Carrier;
use crate::propagation::baggage::Baggage;
use crate::recorder::{Process, Recorder};
use core::net::SocketAddr;
use registry::Registry;
pub(crate) use remembered::Remembered;
#[cfg(feature = "direct")]
pub(crate) use remembered::{Decided, Known};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A program's tracer.
#[derive(Debug)]
pub struct Tracer {
    recorder: Recorder,
    settings: Settings,
    registry: Registry,
    remembered: Remembered,
    /// What the program was started in.
    started_in: Option<TraceContext>,
    /// The baggage that it was started with: everything below the process's span carries it on.
    started_with: Option<Arc<Baggage>>,
    /// The zero of the clock that limits are kept by.
    epoch: Instant,
}

impl Tracer {
    /// A tracer that records through `recorder`. `started_in` is the context of the program's environment, if it has one.
    #[must_use]
    pub fn new(recorder: Recorder, settings: Settings, started_in: Option<TraceContext>) -> Arc<Tracer> {
        Tracer::with(recorder, settings, started_in, Baggage::default())
    }

    /// As [`new`](Tracer::new), started in the context and with the baggage that the environment carries.
    #[must_use]
    pub fn started_in(recorder: Recorder, settings: Settings, environment: &dyn Carrier) -> Arc<Tracer> {
        let mut baggage = Baggage::default();
        let started_in = settings.propagation.of_process().extract(environment, &mut baggage).context;
        Tracer::with(recorder, settings, started_in, baggage)
    }

    fn with(recorder: Recorder, settings: Settings, started_in: Option<TraceContext>, baggage: Baggage) -> Arc<Tracer> {
        Arc::new(Tracer {
            recorder,
            settings,
            registry: Registry::default(),
            remembered: Remembered::default(),
            started_in,
            started_with: (!baggage.is_empty()).then(|| Arc::new(baggage)),
            epoch: Instant::now(),
        })
    }

    /// What it goes by.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The trace with this id, while a span of it lives in this process.
    #[must_use]
    pub fn active(&self, trace_id: TraceId) -> Option<Arc<ActiveTrace>> {
        self.find(trace_id, |_| true)
    }

    /// The trace that a span is of, while a span of it lives in this process. A trace can have come in several times, with
    /// different decisions or different things to hand on, and each time is another one here: `told` gives what the span was
    /// told of it.
    #[must_use]
    pub fn active_of(
        &self,
        trace_id: TraceId,
        span_id: SpanId,
        told: impl FnOnce() -> TraceContext,
    ) -> Option<Arc<ActiveTrace>> {
        let (newest, others) = self.registry.get(trace_id);
        let process = self.recorder.process();
        let newest = newest.filter(|trace| trace.is_of(process));
        if others.is_empty() {
            return newest;
        }
        let told = told();
        let all = || newest.iter().chain(others.iter().rev()).filter(|trace| trace.is_of(process));
        let found = all().find(|trace| trace.root_id() == span_id);
        let found = found.or_else(|| all().find(|trace| trace.was_told(&told) && trace.carries_the_same(&told)));
        let found = found.or_else(|| all().find(|trace| trace.was_told(&told)));
        found.or(newest.as_ref()).cloned()
    }

    /// Makes a span that was [lent](ActiveTrace::lend) the active one of this thread for native code; 0 is none.
    pub fn activate_natively(&self, lent: u64) {
        self.recorder.activate_native(lent);
    }

    /// Has native code look into this list for what is active in the place in which the calling thread is, until it is told of
    /// another one.
    ///
    /// # Safety
    ///
    /// The list stays where it is until then, and its last place is empty. What its places point to stays for as long as it
    /// is in there.
    pub unsafe fn tell_places(&self, places: Option<&[Place; MOST_PLACES]>) {
        // SAFETY: the caller's promise.
        unsafe { self.recorder.native_places(places) };
    }

    /// The handle of what native code has active on this thread, or of the request that this serves; 0 for none.
    #[must_use]
    pub fn served_natively(&self) -> u64 {
        self.recorder.native_surroundings()
    }

    /// The handle of the request that native code has seen come in from there, and that is not answered; 0 for none.
    #[must_use]
    pub fn request_from(&self, peer: SocketAddr) -> u64 {
        self.recorder.native_request_from(peer)
    }

    /// Native code is to tell nothing more of this, as this tracer does or nobody is to: `LEFT_…` of
    /// [`Interface::leave`](crate::interface::Interface::leave).
    pub fn leave_natively(&self, what: u32) {
        self.recorder.leave_natively(what);
    }

    /// Whether a span of native code is open.
    #[must_use]
    pub fn is_open_natively(&self, number: u64) -> bool {
        number != 0 && self.recorder.describe_native(number).is_some()
    }

    /// Whether native code of this process knows of spans, and can be told of those of this tracer.
    #[must_use]
    pub fn has_native(&self) -> bool {
        self.recorder.is_preload()
    }

    fn find(&self, trace_id: TraceId, fits: impl Fn(&ActiveTrace) -> bool) -> Option<Arc<ActiveTrace>> {
        let (newest, others) = self.registry.get(trace_id);
        let process = self.recorder.process();
        newest.into_iter().chain(others).find(|trace| trace.is_of(process) && fits(trace))
    }

    fn process(&self) -> &'static Process {
        let process = self.recorder.process();
        if process.introduce() {
            self.recorder.record(|record| resource::write(record, process, &self.settings));
        }
        process
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Nanoseconds since the Unix epoch.
#[must_use]
pub fn now_unix_ns() -> u64 {
    unix_ns(SystemTime::now())
}

/// Nanoseconds since the Unix epoch; 0 for what was before, and the largest number for what is too far ahead.
#[must_use]
pub fn unix_ns(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
