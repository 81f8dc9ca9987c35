//! What a program says for all spans that begin from then on: `tracer.set_tags(…)`, and `ddtrace.config.service`, `.env` and
//! `.version`.

use crate::engine::engine;
use crate::values::Value;
use ddtrace::semconv::Key;
use ddtrace::tracer::{AttributeValue, SpanData};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

struct Defaults {
    tags: Vec<(String, Value<'static>)>,
    service: Option<String>,
    env: Option<String>,
    version: Option<String>,
}

static DEFAULTS: Mutex<Defaults> = Mutex::new(Defaults { tags: Vec::new(), service: None, env: None, version: None });
static ARE_THERE: AtomicBool = AtomicBool::new(false);

/// Nothing of Python's runs while this is locked.
fn defaults() -> MutexGuard<'static, Defaults> {
    DEFAULTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets tags of all spans that begin from now on.
pub(crate) fn set_tags(new: Vec<(String, Value<'static>)>) {
    let mut defaults = defaults();
    for (name, value) in new {
        match defaults.tags.iter_mut().find(|(present, _)| *present == name) {
            Some((_, present)) => *present = value,
            None => defaults.tags.push((name, value)),
        }
    }
    ARE_THERE.store(true, Ordering::Relaxed);
}

/// Sets what `ddtrace.config` says of all spans that begin from now on; None is what the configuration says.
#[pyfunction]
pub(crate) fn set_default(name: &str, value: Option<String>) -> PyResult<()> {
    let value = value.filter(|value| !value.is_empty());
    let mut defaults = defaults();
    match name {
        "service" => defaults.service = value,
        "env" => defaults.env = value,
        "version" => defaults.version = value,
        _ => return Err(PyValueError::new_err(format!("there is no default for {name}"))),
    }
    ARE_THERE.store(true, Ordering::Relaxed);
    Ok(())
}

/// Service, environment and version, as far as the program has said them.
pub(crate) fn said() -> [Option<String>; 3] {
    let defaults = defaults();
    [defaults.service.clone(), defaults.env.clone(), defaults.version.clone()]
}

/// A span begins, with what was said of itself.
pub(crate) fn fill(data: &mut SpanData) {
    if !ARE_THERE.load(Ordering::Relaxed) {
        return;
    }
    let defaults = defaults();
    defaults.tags.iter().for_each(|(name, value)| data.set_attribute(name, value.attribute()));
    if let Some(env) = &defaults.env {
        data.set_attribute("env", AttributeValue::Text(env));
    }
    if let (Some(service), None) = (&defaults.service, data.text(Key::Service)) {
        data.set_text(Key::Service, service);
    }
    // The version is the service's: a span of another one has none.
    let settings = engine().tracer.settings();
    let service = defaults.service.as_deref().or(settings.service.as_deref()).unwrap_or_default();
    if let Some(version) = &defaults.version
        && settings.service_as_sent(data.text(Key::Service).unwrap_or(service)) == service
    {
        data.set_attribute("version", AttributeValue::Text(version));
    }
}
