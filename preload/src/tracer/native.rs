//! Spans that the connections of a program tell of, without its doing.

use super::handle::Handle;
use super::span::{CLIENT, SERVER, Span};
use super::write::Told;
use super::{Tracer, brought, clock, existing_tracer, tracer_of_connections};
use crate::process;
use crate::thread;
use core::sync::atomic::Ordering;
use ddtrace::http::ClientAddress;
use ddtrace::interface::NO_PARENT;
use ddtrace::propagation::{Carrier, CarrierMut};
use ddtrace::settings::HeaderTags;

/// A request that came in: begins its span, of the trace that its headers name. It is what the calling thread serves from
/// now on. 0 where no span could be made.
pub(crate) fn begin_server(headers: Option<&dyn Carrier>, describe: &mut dyn FnMut(&mut Told<'_>)) -> u64 {
    let Some(tracer) = tracer_of_connections() else { return 0 };
    let context = headers.and_then(|headers| tracer.extract(headers)).unwrap_or(0);
    let place = tracer.place_of(NO_PARENT, context, SERVER);
    if let (Some(place), Some(headers)) = (&place, headers)
        && !place.goes_on()
    {
        tracer.settings.propagation.contexts(headers, &mut |came| place.note_what_came(came));
    }
    let span = or_lost(place.and_then(|place| tracer.begin(place, SERVER, 0, None, describe)));
    if headers.is_some()
        && let Some(context) =
            tracer.span(span).map(|span| span.trace.brought_context()).filter(|context| *context != 0)
    {
        brought::note(context);
    }
    span
}

/// What becomes of a request that goes out.
#[derive(Clone, Copy)]
pub(crate) struct Begun {
    /// The handle of its span; 0 where there is none.
    pub(crate) span: u64,
    /// The handle of whose context it is to carry; 0 where that is nobody's.
    pub(crate) context: u64,
}

impl Begun {
    /// It is left alone.
    pub(crate) const NOTHING: Begun = Begun { span: 0, context: 0 };
}

/// Nanoseconds since the Unix epoch.
pub(crate) fn unix_ns() -> u64 {
    clock::unix_ns()
}

/// Milliseconds of `CLOCK_MONOTONIC`.
pub(crate) fn monotonic_ms() -> u64 {
    clock::monotonic_ns() / 1_000_000
}

/// The same by `CLOCK_MONOTONIC_COARSE`.
pub(crate) fn coarse_ms() -> u64 {
    clock::coarse_ms()
}

/// A request that goes out, at `start_unix_ns` or, where that is 0, now: begins its span, below what is active, or else below `owner`, for whom its connection was made, or
/// else below what the thread serves, if that `is_certain`. There is none where no span could be made, or the program has made
/// one of its own for the request: it is active, and its context is what the request carries, or that is in `headers`.
pub(crate) fn begin_client(
    owner: u64,
    is_certain: bool,
    start_unix_ns: u64,
    headers: Option<&dyn Carrier>,
    describe: &mut dyn FnMut(&mut Told<'_>),
) -> Begun {
    let Some(tracer) = tracer_of_connections() else { return Begun::NOTHING };
    let active = tracer.in_place().unwrap_or_else(|| tracer.active());
    // An owner that has ended is no parent: the connection serves others now.
    let parent = match active {
        0 if tracer.is_open(owner) => owner,
        0 if is_certain => tracer.request(),
        active => active,
    };
    let parent = match headers {
        Some(headers) if tracer.brings_foreign_context(tracer.span(parent).as_deref(), headers) => {
            match tracer.request_of(headers) {
                Some(request) if active == 0 => request,
                _ => return Begun::NOTHING,
            }
        }
        _ => parent,
    };
    if tracer.span(active).is_some_and(|span| span.kind() == CLIENT) {
        return Begun { span: 0, context: active };
    }
    let place = tracer.place_of_connection(parent, CLIENT);
    let span = or_lost(place.and_then(|place| tracer.begin(place, CLIENT, start_unix_ns, None, describe)));
    Begun { span, context: span }
}

fn or_lost(span: Option<u64>) -> u64 {
    if span.is_none() {
        lost();
    }
    span.unwrap_or(0)
}

/// There is no place for a span, which is counted.
pub(crate) fn lost() {
    if let Some(ring) = process::ring() {
        ring.lose(1);
    }
}

/// The headers that become tags.
pub(crate) fn header_tags() -> Option<HeaderTags<'static>> {
    existing_tracer().map(|tracer| tracer.settings.header_tags)
}

/// Whose address is told of as the client's.
pub(crate) fn client_address() -> ClientAddress<'static> {
    existing_tracer().map(|tracer| tracer.settings.client_address).unwrap_or_default()
}

/// More is known of a span.
pub(crate) fn amend(span: u64, describe: &mut dyn FnMut(&mut Told<'_>)) {
    let Some(tracer) = existing_tracer() else { return };
    if let Some(span) = tracer.span(span).filter(|span| !span.is_lent()) {
        process::record_span(|record| {
            record.amend(span.span_id);
            describe(&mut Told { record, root: None, has_rules: false });
        });
    }
}

/// Ends a span; `failed`: what it stands for has failed.
pub(crate) fn end(span: u64, failed: bool, describe: &mut dyn FnMut(&mut Told<'_>)) {
    // A forked child that closes what it has inherited needs no tracer for that.
    let Some(tracer) = existing_tracer().filter(|_| span != 0) else { return };
    if failed && let Some(span) = tracer.span(span).filter(|span| !span.is_lent()) {
        span.fail(b"");
    }
    tracer.end(span, 0, describe);
}

/// Writes the context of a span into headers. Whether there was one.
pub(crate) fn inject(span: u64, headers: &mut dyn CarrierMut) -> bool {
    existing_tracer().is_some_and(|tracer| tracer.inject(span, headers))
}

/// What the calling thread serves, if that has not ended.
pub(crate) fn current_request() -> u64 {
    let number = thread::current().request.load(Ordering::Relaxed);
    if number == 0 {
        return 0;
    }
    existing_tracer().filter(|tracer| tracer.span(number).is_some()).map_or(0, |_| number)
}

/// The calling thread serves this request from now on; 0 for none.
pub(crate) fn set_current_request(span: u64) {
    let thread = thread::current();
    thread.request.store(span, Ordering::Relaxed);
    if span != 0
        && let Some(span) = existing_tracer().and_then(|tracer| tracer.span(span))
    {
        span.served_by.store(thread.number(), Ordering::Relaxed);
    }
}

/// What a language's own tracer had active on this thread is not what the thread works for any more.
pub(crate) fn forget_lent() {
    let active = thread::current().active.load(Ordering::Relaxed);
    if active != 0
        && let Some(tracer) = existing_tracer()
    {
        tracer.forget_lent(active);
    }
}

impl Tracer {
    /// Whether headers carry a context of somebody's own, in whatever style: not the one that came in with the trace of span
    /// `parent` and is merely passed on, as proxies do.
    fn brings_foreign_context(&'static self, parent: Option<&Span>, headers: &dyn Carrier) -> bool {
        let (mut is_passed_on, mut is_foreign) = (false, false);
        self.settings.propagation.contexts(headers, &mut |span| match &parent {
            Some(parent) if parent.trace.came_with(span) => is_passed_on = true,
            _ => is_foreign = true,
        });
        is_foreign && !is_passed_on
    }

    /// The request that is open and has brought the context which headers carry: so who passes that on, as proxies do, says for
    /// whom he asks, whatever thread he is. `None` where others have brought it as well, or may have.
    fn request_of(&'static self, headers: &dyn Carrier) -> Option<u64> {
        let of_connection = |key| {
            let span = self.spans.enter(key).filter(|span| span.kind() == SERVER && span.is_of_connection)?;
            (brought::is_of_one(span.trace.brought_context()) && !self.brings_foreign_context(Some(&span), headers))
                .then(|| Handle::Span(key).number(self.epoch))
        };
        let mut found = self.spans.open_ones().filter_map(of_connection);
        found.next().filter(|_| found.next().is_none())
    }
}
