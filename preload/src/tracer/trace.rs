//! What the spans of one trace share in this process.

use super::baggage::Baggage;
use super::before::Before;
use super::pool::Held;
use super::root_log::{About, RootLog};
use super::verdict::{Outcome, Verdict};
use core::cell::OnceCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use ddtrace::context::{Bounded, Priority, SpanContext, TraceContext};
use ddtrace::decimal::Decimal;
use ddtrace::failure::{ErrorSource, ErrorTag, Failing, error_source};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::naming::{self, Described};
use ddtrace::propagation::Extracted;
use ddtrace::record::DECIDE_AFTER;
use ddtrace::sampling::{Sampled, TagValue};
use ddtrace::semconv::{
    self, DATADOG_NAMES, DATADOG_REQUEST_HEADER, DATADOG_RESPONSE_HEADER, REQUEST_HEADER, RESPONSE_HEADER,
};
use ddtrace::settings::Settings;

/// How many traces and extracted contexts a process can have open at the same time.
pub(crate) const TRACES: usize = 4096;

/// What tags for headers begin with, and their attributes.
const HEADERS: [(&str, &str); 2] =
    [(DATADOG_REQUEST_HEADER, REQUEST_HEADER), (DATADOG_RESPONSE_HEADER, RESPONSE_HEADER)];

/// A use of a trace. It lives as long as any span of it is open, whichever is the last.
pub(crate) type TraceRef = Held<Trace, TRACES>;

/// A trace in this process: a local root and what is below it, or a context that none has been started from yet.
pub(crate) struct Trace {
    trace_id: TraceId,
    /// What came in with it. Filled in where `has_incoming` says so.
    incoming: MaybeUninit<Extracted>,
    has_incoming: bool,
    /// The context that came in with its request where none was taken from there, so that it is known if it is passed on
    /// ([`known`]); 0 for none.
    came_with: AtomicU64,
    /// How many local roots it has had: several where a context is the parent of several spans.
    roots: AtomicU32,
    /// The number of the first one's `SpanKind`.
    kind: AtomicU8,
    /// For a context, which can be active as a span can.
    pub(crate) before: Before,
    /// How many spans below it have ended.
    ended: AtomicU32,
    pub(crate) verdict: Verdict,
    pub(crate) root: RootLog,
    pub(crate) baggage: Baggage,
}

impl Trace {
    /// The trace in a slot that was just taken: all zero, or one that has ended.
    ///
    /// # Safety
    ///
    /// The memory is that of a slot of a pool of traces.
    pub(crate) unsafe fn in_slot(memory: &mut MaybeUninit<Trace>) -> &mut Trace {
        // SAFETY: zeros are a trace without incoming context, undecided, with an empty log and no baggage; what an ended
        // one left behind is as valid, since it has nothing to drop.
        unsafe { memory.assume_init_mut() }
    }

    /// Becomes a trace that begins here.
    pub(crate) fn begin(&mut self, trace_id: TraceId) {
        self.baggage.clear();
        self.restart(trace_id, false);
    }

    /// Becomes a trace that somebody else began: `read` fills in its context and baggage. `fresh` gives its id where it only
    /// has links or baggage; `respected`: a decision that came with it stands. Gives whether it has anything.
    pub(crate) fn go_on(
        &mut self,
        fresh: impl FnOnce() -> TraceId,
        respected: bool,
        read: impl FnOnce(&mut Extracted, &mut Baggage),
    ) -> bool {
        self.baggage.clear();
        let incoming = self.incoming.write(Extracted::default());
        read(incoming, &mut self.baggage);
        let brings = incoming.context.is_some() || incoming.has_baggage || incoming.links.iter().any(Option::is_some);
        let context = incoming.context.as_ref();
        let inherited = respected && context.is_some_and(|context| context.span.priority.is_some());
        let continued = context.map(|context| context.span.trace_id).filter(|trace_id| trace_id.is_valid());
        let trace_id = continued.unwrap_or_else(fresh);
        self.restart(trace_id, inherited);
        self.has_incoming = true;
        brings
    }

    fn restart(&mut self, trace_id: TraceId, inherited: bool) {
        self.trace_id = trace_id;
        self.has_incoming = false;
        *self.came_with.get_mut() = 0;
        *self.roots.get_mut() = 0;
        *self.kind.get_mut() = 0;
        self.before.clear();
        *self.ended.get_mut() = 0;
        self.verdict.begin(inherited);
        self.root.clear();
    }

    /// A span below the local root has ended. True once: the trace is so large that it is about to be sent in parts.
    pub(crate) fn outgrows_one_part(&self) -> bool {
        self.ended.fetch_add(1, Ordering::Relaxed).wrapping_add(1) == DECIDE_AFTER
    }

    /// What came in with the trace.
    pub(crate) fn incoming(&self) -> Option<&Extracted> {
        // SAFETY: the flag says that it was written; nobody writes it while the trace is shared.
        self.has_incoming.then(|| unsafe { self.incoming.assume_init_ref() })
    }

    fn incoming_context(&self) -> Option<&TraceContext> {
        self.incoming()?.context.as_ref()
    }

    /// What came with it from outside, if it did: others of its spans may come as well.
    fn outside(&self) -> Option<&TraceContext> {
        self.incoming_context().filter(|context| context.is_remote && context.span.trace_id.is_valid())
    }

    /// Whether it came from outside.
    pub(crate) fn came_from_outside(&self) -> bool {
        self.outside().is_some()
    }

    /// Whether it came from outside with nothing decided.
    pub(crate) fn came_undecided(&self) -> bool {
        self.outside().is_some_and(|context| context.span.priority.is_none())
    }

    /// The decision that came with it from outside.
    pub(crate) fn brought(&self) -> Option<Priority> {
        self.outside()?.span.priority
    }

    pub(crate) fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The span that the local root is to have as its parent, and whether that is in another process.
    pub(crate) fn parent(&self) -> (SpanId, bool) {
        self.incoming_context().map_or((SpanId(0), false), |context| {
            (context.span.span_id, context.is_remote && context.span.trace_id.is_valid())
        })
    }

    /// Notes what came in with the request, if no trace goes on with it.
    pub(crate) fn note_what_came(&self, came: &SpanContext) {
        if self.came_with.load(Ordering::Relaxed) == 0 {
            self.came_with.store(known(came), Ordering::Relaxed);
        }
    }

    /// Stands for the context that came in with it; 0 for none.
    pub(crate) fn brought_context(&self) -> u64 {
        match self.incoming().and_then(|incoming| incoming.context.as_ref()) {
            Some(context) => known(&context.span),
            None => self.came_with.load(Ordering::Relaxed),
        }
    }

    /// Whether this is a context that came in with it.
    pub(crate) fn came_with(&self, span: &SpanContext) -> bool {
        let is = |came: &SpanContext| known(came) == known(span);
        let incoming = self.incoming();
        incoming.and_then(|incoming| incoming.context.as_ref()).is_some_and(|context| is(&context.span))
            || incoming.is_some_and(|incoming| incoming.links.iter().flatten().any(|link| is(&link.span)))
            || self.came_with.load(Ordering::Relaxed) == known(span)
    }

    /// W3C trace flags as they came.
    pub(crate) fn flags(&self) -> u8 {
        self.incoming_context().map_or(0, |context| context.span.flags)
    }

    /// Another local root begins. Whether it is the first one, which rules look at.
    pub(crate) fn begin_root(&self, kind: u8) -> bool {
        let is_first = self.roots.fetch_add(1, Ordering::Relaxed) == 0;
        if is_first {
            self.kind.store(kind, Ordering::Relaxed);
        }
        is_first
    }

    pub(crate) fn has_several_roots(&self) -> bool {
        self.roots.load(Ordering::Relaxed) > 1
    }

    /// The priority, if it is decided.
    pub(crate) fn priority(&self) -> Option<Priority> {
        match self.verdict.outcome()? {
            Outcome::Inherited => self.incoming_context()?.span.priority,
            Outcome::Told(priority) => Some(priority),
            Outcome::Own(decision) => Some(decision.priority),
        }
    }

    /// A span of the trace, as others are told of it.
    pub(crate) fn span_context(&self, span_id: SpanId) -> SpanContext {
        SpanContext { trace_id: self.trace_id, span_id, priority: self.priority(), flags: self.flags() }
    }

    /// What is to be handed on with the trace. More than a kilobyte, and so made where it is used.
    #[inline(always)]
    pub(crate) fn context(&self, outcome: Option<Outcome>) -> TraceContext {
        let mut context = self.incoming_context().cloned().unwrap_or_default();
        context.span.trace_id = self.trace_id;
        match outcome {
            Some(Outcome::Own(decision)) => decision.apply(&mut context),
            Some(Outcome::Told(priority)) => context.span.priority = Some(priority),
            Some(Outcome::Inherited) | None => {}
        }
        context
    }
}

/// By which a context is known again, in whatever style: the lower half of the trace's id, and the span's. Never 0.
fn known(span: &SpanContext) -> u64 {
    (span.trace_id.0 as u64 ^ span.span_id.0.rotate_left(32)).max(1)
}

/// A trace's local root as sampling rules see it.
pub(crate) struct Root<'a> {
    trace: &'a Trace,
    /// What all spans of the process have.
    settings: &'a Settings<'static>,
    /// Operation name and resource, where they are put together from attributes.
    computed: OnceCell<(Bounded<256>, Bounded<1024>)>,
    /// `error.message`, where it is put together from tags.
    http_status: OnceCell<Bounded<256>>,
}

/// The tags that name a span, strongest first, come before what it was started with: so the mapping has it that makes a
/// Datadog span of it (`ddtrace::span::datadog`).
impl Sampled for Root<'_> {
    fn service(&self) -> &[u8] {
        let tagged = self.text(&["datadog.service", "service.name"]);
        let set = tagged.or_else(|| self.trace.root.part(About::Service)).filter(|service| !service.is_empty());
        set.unwrap_or(self.settings.service)
    }

    fn name(&self) -> &[u8] {
        let set = self.text(&["datadog.name", "operation.name"]).or_else(|| self.trace.root.part(About::Name));
        let by_attributes = || {
            let name = naming::operation_name(self);
            name.whole().or_else(|| Some(self.computed()?.0.as_bytes())).unwrap_or_default()
        };
        set.filter(|name| !name.is_empty()).unwrap_or_else(by_attributes)
    }

    fn resource(&self) -> &[u8] {
        let set = self.text(&["datadog.resource"]).or_else(|| self.trace.root.resource());
        if let Some(resource) = set.filter(|resource| !resource.is_empty()) {
            return resource;
        }
        match naming::resource(self) {
            Some(resource) => resource.whole().or_else(|| Some(self.computed()?.1.as_bytes())).unwrap_or_default(),
            None => self.trace.root.title().unwrap_or(naming::UNNAMED.as_bytes()),
        }
    }

    /// A tag by its own name or by Datadog's.
    fn tag(&self, name: &[u8]) -> Option<TagValue<'_>> {
        let overriding = match name {
            b"env" => self.text(&["datadog.env"]),
            b"version" => self.text(&["datadog.version"]),
            _ => None,
        };
        if let Some(text) = overriding {
            return Some(TagValue::Text(text));
        }
        let failure = ErrorTag::named(name).and_then(|tag| self.failure(error_source(self, tag)?));
        failure.or_else(|| self.own_tag(name))
    }

    fn main_service(&self) -> &[u8] {
        self.settings.service
    }

    fn shared_tag(&self, name: &[u8]) -> Option<TagValue<'_>> {
        let Settings { tags, env, version, .. } = *self.settings;
        let text = match name {
            b"env" => Some(env).filter(|env| !env.is_empty()),
            b"version" => Some(version).filter(|version| !version.is_empty()),
            _ => tags.get(name),
        };
        text.map(TagValue::Text)
    }
}

impl Described for Root<'_> {
    fn text(&self, keys: &[&str]) -> Option<&[u8]> {
        keys.iter().find_map(|key| match self.trace.root.tag(key.as_bytes()) {
            Some(TagValue::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        })
    }

    /// What it was started as, or else what the tag says.
    fn kind(&self) -> u8 {
        match self.trace.kind.load(Ordering::Relaxed) {
            kind @ 2.. => kind,
            kind => match self.trace.root.tag(semconv::SPAN_KIND.as_bytes()) {
                Some(TagValue::Text(said)) => semconv::kind_number(said).unwrap_or(kind),
                _ => kind,
            },
        }
    }
}

impl Failing for Root<'_> {
    fn has_failed(&self) -> bool {
        self.trace.root.part(About::Failed).is_some()
    }

    fn has_datadog_tags(&self) -> bool {
        false
    }

    fn is_of_otel(&self) -> bool {
        false
    }

    fn has_attribute(&self, name: &str) -> bool {
        self.text(&[name]).is_some()
    }

    fn has_tag(&self, name: &str, text: bool) -> bool {
        match self.sent_tag(name.as_bytes()) {
            // A status code is always sent as a text.
            Some(TagValue::Integer(_)) => !text || name == HTTP_STATUS_CODE,
            Some(TagValue::Float(number)) => !text || name == HTTP_STATUS_CODE || !number.is_finite(),
            Some(TagValue::Text(_) | TagValue::Bool(_) | TagValue::List) => true,
            None => false,
        }
    }

    fn exception_has(&self, name: &str) -> bool {
        self.trace.root.exception(name.as_bytes()).is_some()
    }

    fn has_status_message(&self) -> bool {
        self.trace.root.part(About::Failed).is_some_and(|message| !message.is_empty())
    }
}

const HTTP_STATUS_CODE: &str = "http.status_code";

impl<'a> Root<'a> {
    pub(crate) fn new(trace: &'a Trace, settings: &'a Settings<'static>) -> Self {
        Root { trace, settings, computed: OnceCell::new(), http_status: OnceCell::new() }
    }

    /// Where they do not fit, rules see the beginning.
    fn computed(&self) -> Option<&(Bounded<256>, Bounded<1024>)> {
        if self.computed.get().is_none() {
            let (mut name, mut resource) = (Bounded::new(), Bounded::new());
            naming::operation_name(self).write(&mut |piece| push_cut(&mut name, piece));
            if let Some(computed) = naming::resource(self) {
                computed.write(&mut |piece| push_cut(&mut resource, piece));
            }
            // `get_or_init` has a panic in it.
            let _ = self.computed.set((name, resource));
        }
        self.computed.get()
    }

    /// A tag that the span says, or else one of the process's.
    fn sent_tag(&self, name: &[u8]) -> Option<TagValue<'_>> {
        self.own_tag(name).or_else(|| self.settings.tags.get(name).map(TagValue::Text))
    }

    /// What a tag has from such a source.
    fn failure(&self, source: ErrorSource) -> Option<TagValue<'_>> {
        let root = &self.trace.root;
        let text = match source {
            ErrorSource::Attribute(name) => self.text(&[name])?,
            ErrorSource::Exception(name) => root.exception(name.as_bytes())?,
            ErrorSource::Status => root.part(About::Failed)?,
            ErrorSource::HttpStatus => return self.http_status(),
        };
        Some(TagValue::Text(text))
    }

    /// The status code, and what it means where that is known.
    fn http_status(&self) -> Option<TagValue<'_>> {
        let code = self.sent_tag(HTTP_STATUS_CODE.as_bytes())?;
        let Some(TagValue::Text(reason)) = self.sent_tag(b"http.status_text") else { return Some(code) };
        if self.http_status.get().is_none() {
            let mut text = Bounded::new();
            match code {
                TagValue::Text(code) => push_cut(&mut text, code),
                TagValue::Integer(code) => push_cut(&mut text, Decimal::of_signed(code).as_bytes()),
                // Every whole number so small is one that this type holds.
                TagValue::Float(code) if code.abs() < 1e15 && code as i64 as f64 == code => {
                    push_cut(&mut text, Decimal::of_signed(code as i64).as_bytes());
                }
                _ => return Some(code),
            }
            push_cut(&mut text, b" ");
            push_cut(&mut text, reason);
            let _ = self.http_status.set(text);
        }
        self.http_status.get().map(|text| TagValue::Text(text.as_bytes()))
    }

    fn own_tag(&self, name: &[u8]) -> Option<TagValue<'_>> {
        let root = &self.trace.root;
        if name == semconv::SPAN_KIND.as_bytes() {
            let tagged = self.text(&["datadog.span.kind"]);
            return Some(TagValue::Text(tagged.unwrap_or(semconv::kind_name(self.kind()).as_bytes())));
        }
        if semconv::is_field(name) {
            return None;
        }
        root.tag(name).or_else(|| {
            for (of_tag, of_attribute) in HEADERS {
                if let Some(header) = name.strip_prefix(of_tag.as_bytes()) {
                    let mut attribute = Bounded::<256>::new();
                    attribute.push(of_attribute.as_bytes()).ok()?;
                    attribute.push(header).ok()?;
                    return root.tag(attribute.as_bytes());
                }
            }
            let (attribute, _) = DATADOG_NAMES.iter().find(|(_, tag)| tag.as_bytes() == name)?;
            root.tag(attribute.as_bytes())
        })
    }
}

fn push_cut<const N: usize>(text: &mut Bounded<N>, more: &[u8]) {
    let _ = text.push(more.get(..text.room()).unwrap_or(more));
}
