//! What sends: a thread of the SDK, and a runtime for the requests. A forked child has neither; it gets its own with the
//! first of its spans that ends.

use super::lost::{Counting, Lost};
use super::scrub::Scrubbing;
use super::{exporter, resource};
use crate::config::{OtlpConfig, OtlpProtocol};
use crate::otel::{InitError, NotDelivered};
use crate::recorder::{Process, Recorder};
use crate::span::SpanLimits;
use crate::span::scrub::Rules;
use core::sync::atomic::{AtomicPtr, Ordering};
use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanProcessor};
use std::boxed::Box;
use std::string::{String, ToString};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;

/// Where to, and how.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) otlp: OtlpConfig,
    pub(super) flush_interval: Duration,
    pub(super) rules: Rules,
    pub(super) limits: SpanLimits,
}

/// The spans of this process on their way, and of those that it was before it was forked.
#[derive(Debug)]
pub(super) struct Sending {
    recorder: Arc<Recorder>,
    terms: Terms,
    /// The first process.
    first: &'static Process,
    /// Of which this is the resource.
    resource: Resource,
    /// Is only ever replaced in a forked child, which leaves its parent's alone.
    current: AtomicPtr<Sender>,
}

/// What sends in one process.
#[derive(Debug)]
struct Sender {
    process: &'static Process,
    /// Where a child could not make one, the reason.
    processor: Result<BatchSpanProcessor, String>,
    /// Sends the requests: the SDK's thread has no runtime, and that of the program, if it has one, may be blocked.
    runtime: Mutex<Option<Runtime>>,
    lost: Arc<Lost>,
}

impl Sending {
    pub(super) fn start(recorder: Arc<Recorder>, terms: Terms, resource: Resource) -> Result<Sending, InitError> {
        let first = recorder.process();
        let sender = Box::into_raw(Box::new(Sender::start(first, &terms, &resource)?));
        Ok(Sending { recorder, terms, first, resource, current: AtomicPtr::new(sender) })
    }

    /// What sends in this process, or else in one that it was before it was forked.
    fn latest(&self) -> &Sender {
        // Acquire pairs with the release in `become_child`.
        // SAFETY: a leaked box that is given back with `self` alone.
        unsafe { &*self.current.load(Ordering::Acquire) }
    }

    /// What sends in this process; `None` in a forked child that has sent nothing yet.
    fn existing(&self) -> Option<&Sender> {
        let latest = self.latest();
        core::ptr::eq(latest.process, self.recorder.process()).then_some(latest)
    }

    /// What sends in this process.
    fn of_this_process(&self) -> &Sender {
        let (latest, process) = (self.latest(), self.recorder.process());
        if core::ptr::eq(latest.process, process) { latest } else { self.become_child(latest, process) }
    }

    /// Threads of the child that come here at the same time agree on one.
    #[cold]
    fn become_child(&self, before: &Sender, process: &'static Process) -> &Sender {
        let before = core::ptr::from_ref(before).cast_mut();
        let resource = resource::of_child(&self.resource, self.first.pid());
        let made = Sender::start(process, &self.terms, &resource).unwrap_or_else(|error| Sender::none(process, &error));
        let made = Box::into_raw(Box::new(made));
        // What the parent sends with is not dropped: that would wait for threads that are not there.
        let now = match self.current.compare_exchange(before, made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => made,
            Err(others) => {
                // SAFETY: made above, and published to nobody.
                drop(unsafe { Box::from_raw(made) });
                others
            }
        };
        // SAFETY: as in `latest`.
        unsafe { &*now }
    }

    /// What was lost since this was last asked; else what the SDK says.
    pub(super) fn lost_or(&self, said: OTelSdkResult) -> Result<(), NotDelivered> {
        match self.existing() {
            Some(sender) => sender.lost.or(said),
            None => Ok(said?),
        }
    }

    /// Everything is sent that will be.
    pub(super) fn stop(&self) {
        if let Some(sender) = self.existing() {
            sender.stop();
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if self.existing().is_some() {
            // SAFETY: a leaked box, to which nobody has a reference any more.
            drop(unsafe { Box::from_raw(*self.current.get_mut()) });
        }
    }
}

impl Sender {
    fn start(process: &'static Process, terms: &Terms, resource: &Resource) -> Result<Sender, InitError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("ddtrace-otlp")
            .enable_io()
            .enable_time()
            .build()
            .map_err(InitError::Runtime)?;
        let exporter = match exporter::build(&terms.otlp, runtime.handle()) {
            Ok(exporter) => exporter,
            Err(error) => {
                // Dropping it would panic where the program itself is asynchronous.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let lost = Arc::new(Lost::default());
        let exporter = Counting::new(exporter, Arc::clone(&lost));
        let exporter =
            Scrubbing::new(exporter, terms.rules.clone(), terms.limits, terms.otlp.protocol == OtlpProtocol::HttpJson);
        let batches = BatchConfigBuilder::default().with_scheduled_delay(terms.flush_interval).build();
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        processor.set_resource(resource);
        Ok(Sender { process, processor: Ok(processor), runtime: Mutex::new(Some(runtime)), lost })
    }

    fn none(process: &'static Process, error: &InitError) -> Sender {
        Sender { process, processor: Err(error.to_string()), runtime: Mutex::new(None), lost: Arc::default() }
    }

    fn stop(&self) {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the SDK has of it.
#[derive(Debug)]
pub(super) struct Processor(pub(super) Arc<Sending>);

impl Processor {
    /// What a parent had begun is the parent's to end, though its child holds it, too.
    fn is_parents(&self, span: &SpanData) -> bool {
        let process = self.0.recorder.process();
        let id = u64::from_be_bytes(span.span_context.span_id().to_bytes());
        !core::ptr::eq(process, self.0.first) && !process.random.has_drawn(id)
    }

    fn ask(&self, ask: impl FnOnce(&BatchSpanProcessor) -> OTelSdkResult) -> OTelSdkResult {
        match self.0.existing().map(|sender| &sender.processor) {
            Some(Ok(processor)) => ask(processor),
            _ => Ok(()),
        }
    }
}

impl SpanProcessor for Processor {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.is_parents(&span) {
            return;
        }
        let sender = self.0.of_this_process();
        match &sender.processor {
            Ok(processor) => processor.on_end(span),
            Err(reason) => sender.lost.add(1, reason),
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.ask(BatchSpanProcessor::force_flush)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.ask(|processor| processor.shutdown_with_timeout(timeout))
    }
}
