//! `Span` of Datadog's API. Spans of OpenTelemetry's API are such spans as well, shown through [`crate::otel`].

mod api;
mod home;
mod kin;

use crate::context::Context;
use crate::engine::engine;
use crate::errors::{self, Told};
use crate::ffi::{fast, text};
use crate::once::Once;
use crate::otel::tracer::Instrumentation;
use crate::processors;
use crate::shared::Shared;
use crate::shown::shown;
use crate::spared::{keep_first, spared, succeeded};
use crate::store::{self, Active};
use crate::values::{self, Value};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::semconv::{Key, SPAN_KIND, kind_number};
use ddtrace::span::{SpanKind, Status};
use ddtrace::tracer::{ActiveTrace, LiveSpan, SpanData, now_unix_ns};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyType};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use home::Home;
pub(crate) use kin::Above;
use kin::Kin;

/// The tag that says why a span has failed.
pub(crate) const ERROR_MESSAGE: &str = "error.message";

/// Its duration, until it is finished.
const UNFINISHED: i64 = -1;

/// A span.
#[pyclass(frozen, subclass, weakref, module = "ddtrace.trace")]
pub(crate) struct Span {
    /// Never locked while code of the program's can run: that could come back here.
    live: Mutex<LiveSpan>,
    trace: Arc<ActiveTrace>,
    id: SpanId,
    start_ns: AtomicU64,
    /// How long it took. Until it is finished: -1, or -2 less how long it is to have taken.
    duration_ns: AtomicI64,
    /// Its place among those that processors look at before they are recorded; 0 for none of them.
    pub(crate) place: u64,
    /// Never locked while code of the program's can run, as well.
    kin: Mutex<Kin>,
    /// Where it was made active.
    pub(crate) home: Home,
    /// It was started under what was active then, whatever that was.
    follows: AtomicBool,
    /// The handle by which native code knows it; 0 where it does not.
    lent: AtomicU64,
    pub(crate) shared: Arc<Shared>,
    /// Its `context`, once that was asked for.
    context: PyOnceLock<Py<Context>>,
    /// Its `SpanContext` of OpenTelemetry's API, once that was asked for.
    pub(crate) otel_context: PyOnceLock<Py<PyAny>>,
    /// By which instrumentation, if it was made through OpenTelemetry's API.
    pub(crate) made_by: Option<Arc<Instrumentation>>,
    /// Made by hand, by `Span(…)`: of no service that it does not name.
    is_made_by_hand: bool,
}

impl Span {
    pub(crate) fn of(
        live: LiveSpan,
        id: SpanId,
        start_ns: u64,
        place: u64,
        above: Above,
        shared: Arc<Shared>,
        made_by: Option<Arc<Instrumentation>>,
    ) -> Span {
        Span {
            trace: Arc::clone(live.trace()),
            id,
            live: Mutex::new(live),
            start_ns: AtomicU64::new(start_ns),
            duration_ns: AtomicI64::new(UNFINISHED),
            place,
            kin: Mutex::new(Kin::under(above)),
            home: Home::default(),
            follows: AtomicBool::new(false),
            lent: AtomicU64::new(0),
            shared,
            context: PyOnceLock::new(),
            otel_context: PyOnceLock::new(),
            made_by,
            is_made_by_hand: false,
        }
    }

    /// The same as one that is made by hand.
    pub(crate) fn by_hand(mut self) -> Span {
        self.is_made_by_hand = true;
        self
    }

    /// The handle by which native code knows it from now on; 0 where it cannot.
    pub(crate) fn lent(&self) -> u64 {
        if !self.is_recorded() || !self.trace.is_of_this_process() {
            return 0;
        }
        let known = self.lent.load(Ordering::Relaxed);
        if known != 0 {
            return known;
        }
        let lent = self.trace.lend(self.id, self.role());
        match self.lent.compare_exchange(0, lent, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => lent,
            Err(known) => {
                self.trace.take_back(lent);
                known
            }
        }
    }

    /// Native code is to know it no more.
    fn take_back(&self) {
        let lent = self.lent.swap(0, Ordering::Relaxed);
        if lent != 0 {
            self.trace.take_back(lent);
        }
    }

    fn live(&self) -> MutexGuard<'_, LiveSpan> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kin(&self) -> MutexGuard<'_, Kin> {
        self.kin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what it holds. `look` must not call Python.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&SpanData) -> T) -> T {
        self.live().read(look)
    }

    /// Changes what it holds, until it has ended. `change` must not call Python.
    pub(crate) fn change(&self, change: impl FnOnce(&mut SpanData)) -> bool {
        self.live().change(change)
    }

    /// Has what is known of it told, should the process die before its end.
    pub(crate) fn tell(&self) {
        self.live().tell();
    }

    pub(crate) fn trace(&self) -> &Arc<ActiveTrace> {
        &self.trace
    }

    pub(crate) fn id(&self) -> SpanId {
        self.id
    }

    pub(crate) fn start_ns(&self) -> u64 {
        self.start_ns.load(Ordering::Relaxed)
    }

    /// Whether it was made through OpenTelemetry's API.
    pub(crate) fn is_otel(&self) -> bool {
        self.made_by.is_some()
    }

    /// What native code, and what is begun below it, takes it for.
    pub(crate) fn role(&self) -> SpanKind {
        self.read(native_kind)
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.duration_ns.load(Ordering::Relaxed) >= 0
    }

    /// Says that it was started under what was active then.
    pub(crate) fn set_follows(&self) {
        self.follows.store(true, Ordering::Relaxed);
    }

    pub(crate) fn follows(&self) -> bool {
        self.follows.load(Ordering::Relaxed)
    }

    pub(crate) fn is_recording(&self) -> bool {
        !self.is_finished() && self.live().is_recording()
    }

    pub(crate) fn end_ns(&self) -> Option<u64> {
        let duration = u64::try_from(self.duration_ns.load(Ordering::Relaxed)).ok()?;
        Some(self.start_ns().saturating_add(duration))
    }

    /// Whether what it holds goes into the records of this program.
    fn is_recorded(&self) -> bool {
        Arc::ptr_eq(self.trace.tracer(), &engine().tracer)
    }

    /// The context of a span.
    pub(crate) fn context<'py>(slf: &Bound<'py, Span>) -> PyResult<Bound<'py, Context>> {
        let (py, this) = (slf.py(), slf.get());
        let make = || Py::new(py, Context::local(Arc::clone(&this.trace), this.id, Arc::clone(&this.shared)));
        Ok(this.context.get_or_make(py, make)?.bind(py).clone())
    }

    /// Ends it, and makes active what was so before it, if it is active here.
    pub(crate) fn end(slf: &Bound<'_, Span>, end_ns: Option<u64>) -> PyResult<()> {
        Span::end_and(slf, end_ns, true)
    }

    /// Ends it, from a finalizer. Garbage can be collected in the midst of a call that sets a context variable (before
    /// CPython 3.12), which must not be set by anybody else then: what is active stays, and is seen to have ended.
    ///
    /// `over_ns` is when it was over, if nobody has said how long it is to have taken.
    pub(crate) fn end_in_finalizer(slf: &Bound<'_, Span>, over_ns: Option<u64>) -> PyResult<()> {
        let is_planned = planned(slf.get().duration_ns.load(Ordering::Relaxed)).is_some();
        Span::end_and(slf, over_ns.filter(|_| !is_planned), false)
    }

    fn end_and(slf: &Bound<'_, Span>, end_ns: Option<u64>, leaves: bool) -> PyResult<()> {
        let this = slf.get();
        let so_far = this.duration_ns.load(Ordering::Relaxed);
        let duration = match (end_ns, planned(so_far)) {
            (None, Some(planned)) => planned,
            (given, _) => {
                let end_ns = given.unwrap_or_else(now_unix_ns);
                i64::try_from(end_ns.saturating_sub(this.start_ns())).unwrap_or(i64::MAX)
            }
        };
        if so_far >= 0
            || this.duration_ns.compare_exchange(so_far, duration, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return Ok(());
        }
        let looked_at = if this.place != 0 || processors::are_there() && this.is_recorded() {
            processors::finished(slf)
        } else {
            this.record_end();
            Ok(())
        };
        this.take_back();
        // Whatever has become of it, it is active no more; in the API of OpenTelemetry a context keeps the span that it has.
        let left = if this.is_otel() || !leaves { Ok(()) } else { store::leave(slf) };
        let settled = Span::settle(slf);
        left.and(looked_at).and(settled)
    }

    /// It has begun, and whoever began it cannot be given it: it is as if it had never been.
    pub(crate) fn abandon(slf: &Bound<'_, Span>) -> PyResult<()> {
        let this = slf.get();
        if this.duration_ns.swap(0, Ordering::Relaxed) >= 0 {
            return Ok(());
        }
        this.withdraw();
        this.take_back();
        let mut failure = if this.place != 0 { processors::abandoned(slf) } else { Ok(()) };
        keep_first(&mut failure, store::leave(slf));
        keep_first(&mut failure, Span::settle(slf));
        failure
    }

    /// Records the end, once whoever wanted to look at it has done so. Where the program has switched the tracer off
    /// meanwhile, nobody is to see it.
    pub(crate) fn record_end(&self) {
        match self.end_ns() {
            Some(end_ns) if crate::tracer::is_on() => self.live().end_at(end_ns),
            _ => self.withdraw(),
        }
    }

    /// Takes it back.
    pub(crate) fn withdraw(&self) {
        self.live().withdraw();
    }

    /// The service that was given to it or to one above it.
    pub(crate) fn own_service(&self) -> Option<String> {
        self.read(|data| data.text(Key::Service).map(String::from))
    }

    fn set_text(&self, key: Key, value: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let value = value.filter(|value| !value.is_none()).map(shown).transpose()?.unwrap_or_default();
        self.change(|data| data.set_text(key, &value));
        Ok(())
    }

    fn texts(&self, key: Key) -> Option<String> {
        self.read(|data| data.text(key).map(String::from))
    }

    fn attribute(&self, name: &str) -> Option<Value<'static>> {
        self.read(|data| data.attribute(name).and_then(|value| Value::read(&value)))
    }

    fn set(&self, key: &str, value: &Value<'_>) {
        match key {
            "service.name" => {
                if let Value::Text(service) = value {
                    self.change(|data| data.set_text(Key::Service, service));
                }
            }
            "_dd.measured" => {
                let measured = !matches!(value, Value::Integer(0));
                self.change(|data| data.set_measured(measured));
            }
            "span.kind" => {
                self.change(|data| data.set_attribute(key, value.attribute()));
                let lent = self.lent.load(Ordering::Relaxed);
                if let (Value::Text(kind), true) = (value, lent != 0) {
                    self.trace.tell_kind(lent, kind);
                }
            }
            "service.version" => {
                self.change(|data| {
                    data.set_attribute(key, value.attribute());
                    data.set_attribute("version", value.attribute());
                });
            }
            _ => {
                self.change(|data| data.set_attribute(key, value.attribute()));
            }
        }
    }

    /// `set_tag` of Datadog's API.
    pub(crate) fn tag(&self, key: &str, value: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let value = match (key, value) {
            // Not a service of that name.
            ("service.name", None) => None,
            (_, None) => Some(Value::Text("None".into())),
            ("http.status_code", Some(value)) => Some(Value::Text(shown(value)?.into())),
            ("_dd.measured", Some(value)) => {
                let measured = succeeded(value.py(), value.is_truthy())?.unwrap_or(true);
                Some(Value::Integer(measured.into()))
            }
            ("network.destination.port", Some(value)) => match values::metric(value)? {
                Some(number) => Some(number),
                None => values::tag(value)?,
            },
            (_, Some(value)) => values::tag(value)?,
        };
        if let Some(value) = value {
            self.set(key, &value);
        }
        Ok(())
    }

    /// Why it has failed, as OpenTelemetry's API was told.
    fn description(&self) -> Option<String> {
        self.read(|data| match data.status() {
            Status::Error(description) if !description.is_empty() => Some(description.clone().into_owned()),
            _ => None,
        })
    }

    /// All attributes, with the texts or with the numbers.
    fn all(&self, texts: bool) -> Vec<(String, Value<'static>)> {
        let mut all = self.read(|data| {
            let of = |(name, value): (&str, _)| Some((String::from(name), Value::read(&value)?));
            data.attributes().filter_map(of).collect::<Vec<_>>()
        });
        if let Some(description) = self.description()
            && !all.iter().any(|(name, _)| name == ERROR_MESSAGE)
        {
            all.push((ERROR_MESSAGE.into(), Value::Text(description.into())));
        }
        let is_number = |value: &Value<'_>| matches!(value, Value::Integer(_) | Value::Float(_));
        all.into_iter().filter(|(_, value)| is_number(value) != texts).collect()
    }

    /// `set_exc_info` of Datadog's API.
    pub(crate) fn set_exception(
        slf: &Bound<'_, Span>,
        exception: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
        limit: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        if exception.is_none() {
            return Ok(());
        }
        let told = errors::described(exception, value, traceback, limit);
        let Told { kind, message, stack } = match told {
            Ok(told) => told,
            Err(error) => {
                // It has failed all the same.
                slf.get().change(|data| data.override_status(Status::Error("".into())));
                return Err(error);
            }
        };
        slf.get().change(|data| {
            data.override_status(Status::Error(message.clone().into()));
            data.set_attribute("error.type", Value::Text(kind.into()).attribute());
            data.set_attribute(ERROR_MESSAGE, Value::Text(message.into()).attribute());
            data.set_attribute("error.stack", Value::Text(stack.into()).attribute());
        });
        Ok(())
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.take_back();
    }
}

fast! {
    /// `set_tag(key, value=None)`.
    set_tag(py, slf: Span, arguments) {
        let [name, value] = arguments.take(py, "set_tag", [c"key", c"value"])?;
        if let Some(name) = name
            && let Some(name) = values::key(&name)
        {
            slf.get().tag(&name, value.as_deref().filter(|value| !value.is_none()))?;
        }
        Ok(py.None().into_bound(py))
    }
}

fast! {
    /// `__enter__()`.
    enter(py, slf: Span, _arguments) {
        let _ = py;
        Ok(slf.to_owned().into_any())
    }
}

fast! {
    /// `__exit__(exc_type, exc_val, exc_tb)`.
    exit(py, slf: Span, arguments) {
        let [kind, value, traceback] = arguments.take(py, "__exit__", [c"exc_type", c"exc_val", c"exc_tb"])?;
        let slf = slf.to_owned();
        let told = match (kind, value, traceback) {
            (Some(kind), Some(value), Some(traceback)) if !kind.is_none() => match errors::is_success(&value) {
                Ok(true) => Ok(()),
                Ok(false) => Span::set_exception(&slf, &kind, &value, &traceback, None),
                Err(error) => Err(error),
            },
            _ => Ok(()),
        };
        left(py, [told, Span::end(&slf, None)])?;
        Ok(pyo3::types::PyBool::new(py, false).to_owned().into_any())
    }
}

fast! {
    /// `finish(finish_time=None)`.
    finish(py, slf: Span, arguments) {
        let [time] = arguments.take(py, "finish", [c"finish_time"])?;
        let time = time.filter(|time| !time.is_none()).map(|time| seconds(&time)).transpose()?;
        Span::end(&slf.to_owned(), time)?;
        Ok(py.None().into_bound(py))
    }
}

/// A block of the program's has been left, and its span has ended, whatever of that has failed. The program sees the exception
/// that it has raised, and none of ours in its place; what is raised to end it is raised.
pub(crate) fn left<const N: usize>(py: Python<'_>, results: [PyResult<()>; N]) -> PyResult<()> {
    let mut left = Ok(());
    for result in results {
        keep_first(&mut left, spared(py, result));
    }
    left
}

/// What native code takes a span for. Datadog's API has no roles: they are tags, or follow from the type.
fn native_kind(data: &SpanData) -> SpanKind {
    /// Types of spans that stand for what others are asked for.
    const CLIENTS: [&str; 8] = ["http", "sql", "redis", "valkey", "memcached", "mongodb", "cassandra", "elasticsearch"];
    if data.kind() != SpanKind::Internal {
        return data.kind();
    }
    let tag = data.attribute(SPAN_KIND).and_then(|value| match Value::read(&value) {
        Some(Value::Text(kind)) => kind_number(kind.as_bytes()),
        _ => None,
    });
    match (tag, data.text(Key::SpanType)) {
        (Some(kind), _) => SpanKind::from_number(kind),
        (None, Some(kind)) if CLIENTS.contains(&kind) => SpanKind::Client,
        _ => SpanKind::Internal,
    }
}

/// What `pickle` makes of an object that has nothing to say to another process: `NoneType()`.
pub(crate) type PickledAsNone = (Py<PyType>, ());

pub(crate) fn pickled_as_none(py: Python<'_>) -> PickledAsNone {
    (py.None().bind(py).get_type().unbind(), ())
}

/// How long a span is to have taken, as its duration says before it is finished.
fn planned(duration_ns: i64) -> Option<i64> {
    (duration_ns < UNFINISHED).then(|| UNFINISHED - 1 - duration_ns)
}

/// Seconds since the Unix epoch as nanoseconds.
fn seconds(time: &Bound<'_, PyAny>) -> PyResult<u64> {
    let seconds: f64 = time.extract()?;
    Ok((seconds * 1e9) as u64)
}

impl Span {
    fn tag_any(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        match values::key(key) {
            Some(key) => self.tag(&key, Some(value).filter(|value| !value.is_none())),
            None => Ok(()),
        }
    }

    pub(crate) fn add_event(&self, name: &str, time: Option<u64>, attributes: &[(String, Value<'static>)]) {
        let time = time.unwrap_or_else(now_unix_ns);
        let attributes = attributes.iter().map(|(name, value)| (name.as_str(), value.attribute()));
        self.change(|data| data.add_event(name, time, attributes));
    }

    pub(crate) fn link(&self, to: (TraceId, SpanId), flags: u8, state: &str, attributes: &[(String, Value<'static>)]) {
        let attributes = attributes.iter().map(|(name, value)| (name.as_str(), value.attribute()));
        self.change(|data| data.add_link(to, flags, state, attributes));
    }
}

/// The first span of a span's trace in this process.
pub(crate) fn local_root<'py>(span: &Bound<'py, Span>) -> Bound<'py, Span> {
    let py = span.py();
    let mut root = span.clone();
    loop {
        if let Some(known) = root.get().root(py) {
            return known;
        }
        let Active::Span(above) = root.get().above(py) else { return root };
        root = above;
    }
}

fn dictionary<'py>(py: Python<'py>, pairs: Vec<(String, Value<'static>)>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (key, value) in pairs {
        dict.set_item(key, value.to_python(py)?)?;
    }
    Ok(dict)
}

/// A text argument; `None` where it is not given, is None, or is no text.
pub(crate) fn argument<'a>(value: Option<&'a Bound<'_, PyAny>>) -> Option<std::borrow::Cow<'a, str>> {
    value?.cast::<PyString>().ok().map(text)
}
