//! What could not be sent: the SDK tells of it in its log only.

use crate::otel::NotDelivered;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::string::{String, ToString};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::vec::Vec;

/// The spans that are lost and that nobody was told of, and why the last of them are.
#[derive(Debug, Default)]
pub(super) struct Lost(Mutex<(usize, String)>);

impl Lost {
    pub(super) fn add(&self, spans: usize, reason: &dyn ToString) {
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *lost = (lost.0 + spans, reason.to_string());
    }

    /// What was lost since this was last asked; else what the SDK says.
    pub(super) fn or(&self, said: OTelSdkResult) -> Result<(), NotDelivered> {
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::take(&mut *lost) {
            (0, _) => Ok(said?),
            (spans, reason) => Err(NotDelivered::Lost { spans, reason }),
        }
    }
}

/// An exporter that counts what it loses.
#[derive(Debug)]
pub(super) struct Counting<E> {
    exporter: E,
    lost: Arc<Lost>,
}

impl<E> Counting<E> {
    pub(super) fn new(exporter: E, lost: Arc<Lost>) -> Self {
        Counting { exporter, lost }
    }
}

impl<E: SpanExporter> SpanExporter for Counting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        if let Err(error) = &result {
            self.lost.add(spans, error);
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
