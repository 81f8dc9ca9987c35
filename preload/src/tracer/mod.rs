//! The tracer inside of the process, for programs that record spans of their own through
//! [`ddtrace::interface`](ddtrace::interface).
//!
//! It is made at the first use; a process that never uses it has nothing of it but a few bytes of its environment. All of
//! it lies in one private mapping that is never given back: the settings, and the [pools](pool) of spans and traces. A
//! forked child makes its own. No function allocates, waits or holds anything while it calls the host.

mod baggage;
mod before;
pub(crate) mod brought;
mod carriers;
mod clock;
mod decide;
mod exports;
mod handle;
mod lent;
pub(crate) mod native;
pub(crate) mod pool;
mod propagate;
mod remembered;
mod root_log;
mod span;
mod trace;
mod verdict;
mod write;

use crate::environment::{self, kept};
use crate::process::{self, Caller, RANDOM};
use crate::{table, thread};
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use ddtrace::ids::TraceId;
use ddtrace::record::{Name, SpanFields};
use ddtrace::sampling::{Limiter, RuleSet, RuleSpan};
use ddtrace::semconv;
use ddtrace::settings::{Native, Settings};
use ddtrace::sys;
use handle::Handle;
use pool::{Pool, Recent, Taken};
use remembered::Remembered;
use span::{REMEMBERED, SPANS, Span, Subject};
use trace::{TRACES, Trace, TraceRef};
pub(crate) use write::Told;

static TRACER: AtomicPtr<Tracer> = AtomicPtr::new(null_mut());
/// The tracer of the process that this one was forked from, as it was then.
static BEFORE_FORK: AtomicPtr<Tracer> = AtomicPtr::new(null_mut());
/// How many forks lie behind this process: its handles are told by that from those that it inherited.
static EPOCH: AtomicU32 = AtomicU32::new(0);

/// Everything that is needed to make spans.
#[repr(C)]
pub(crate) struct Tracer {
    epoch: u16,
    settings: Settings<'static>,
    limiter: Limiter,
    rules: RuleSet<'static>,
    rule_limiters: &'static [Limiter],
    spans: Pool<Span, SPANS>,
    /// Spans that have ended.
    recent: Recent<REMEMBERED>,
    /// Whether they are kept: as long as no handle has gone out, nobody can name one of them, and slots that are used again
    /// at once are in the processor's cache.
    remembers: AtomicBool,
    traces: Pool<Trace, TRACES>,
    /// What was decided here about traces from outside.
    decided: Remembered,
    /// What was decided about such traces by who sent them: the priority alone.
    brought: Remembered,
}

/// The tracer, if spans are recorded here. No system call but for the first use.
pub(crate) fn tracer() -> Option<&'static Tracer> {
    if !process::is_recorded() {
        return None;
    }
    // SAFETY: null, or a mapping that is never given back, published after it was filled in (acquire pairs with the
    // release in `make`).
    match unsafe { TRACER.load(Ordering::Acquire).as_ref() } {
        Some(tracer) => Some(tracer),
        None => make(),
    }
}

/// The tracer, if something was made by it in this process.
fn existing_tracer() -> Option<&'static Tracer> {
    if !process::is_recorded() {
        return None;
    }
    // SAFETY: as in `tracer`.
    unsafe { TRACER.load(Ordering::Acquire).as_ref() }
}

/// The tracer, for those who want to make something: not in a vfork child, whose memory is its parent's.
fn tracer_of_this_process() -> Option<&'static Tracer> {
    if process::caller() == Some(Caller::Itself) { tracer() } else { None }
}

/// The same for what connections tell of, which is often.
fn tracer_of_connections() -> Option<&'static Tracer> {
    if process::is_itself() { tracer() } else { None }
}

#[cold]
#[inline(never)]
fn make() -> Option<&'static Tracer> {
    // Without a ring there is nowhere to record to.
    process::ring()?;
    let settings = settings();
    let rules = RuleSet::room_for(settings.sampling.rules);
    let spans_at = size_of::<Tracer>();
    let limiters_at = spans_at.checked_add(rules.checked_mul(size_of::<RuleSpan>())?)?;
    let size = limiters_at.checked_add(rules.checked_mul(size_of::<Limiter>())?)?;
    const { assert!(size_of::<Tracer>().is_multiple_of(16) && align_of::<RuleSpan>() <= 8 && align_of::<Limiter>() <= 8) };
    const { assert!(size_of::<RuleSpan>().is_multiple_of(8)) };
    let memory = process::map(size)?;
    let place = memory.cast::<Tracer>().as_ptr();
    // SAFETY: a new mapping of `size` bytes, known to nobody: the tracer, then `rules` of each of the two, aligned (see
    // above). Pools are free slots where they are zero; all else is written before it is referred to.
    unsafe {
        let room = spans_of(memory, spans_at, rules);
        (&raw mut (*place).rules).write(RuleSet::from_compact(settings.sampling.rules, room));
        let limiters = memory.add(limiters_at).cast::<Limiter>().as_ptr();
        for index in 0..rules {
            let per_second = (*place).rules.get(index).and_then(|rule| rule.max_per_second).unwrap_or(-1.0);
            limiters.add(index).write(Limiter::with_rate(per_second));
        }
        (&raw mut (*place).rule_limiters).write(core::slice::from_raw_parts(limiters, rules));
        (&raw mut (*place).limiter).write(Limiter::new(settings.sampling.rate_limit));
        (&raw mut (*place).settings).write(settings);
        (&raw mut (*place).epoch).write(EPOCH.load(Ordering::Relaxed) as u16);
    }
    // Release pairs with the acquire in `tracer`.
    if TRACER.compare_exchange(null_mut(), place, Ordering::AcqRel, Ordering::Acquire).is_ok() {
        tell_resource();
    } else {
        // Another thread was faster.
        // SAFETY: nobody but us has seen it.
        unsafe { sys::unmap(memory, size) };
    }
    // SAFETY: as in `tracer`.
    unsafe { TRACER.load(Ordering::Acquire).as_ref() }
}

/// # Safety
///
/// `count` rule spans fit at `at` into the new mapping `memory`, aligned.
unsafe fn spans_of(memory: NonNull<u8>, at: usize, count: usize) -> &'static mut [RuleSpan] {
    // SAFETY: the caller's promise; each is written before the slice is made.
    unsafe {
        let first = memory.add(at).cast::<RuleSpan>().as_ptr();
        for index in 0..count {
            first.add(index).write(RuleSpan::EMPTY);
        }
        core::slice::from_raw_parts_mut(first, count)
    }
}

/// What the launcher handed on; who set the service or the environment for this program alone is right.
fn settings() -> Settings<'static> {
    let kept = kept();
    let text = kept.tracer.as_bytes().strip_prefix(environment::TRACER).unwrap_or_default();
    let mut settings = Settings::parse(text).unwrap_or_default();
    for (own, setting) in
        [(&kept.service, &mut settings.service), (&kept.env, &mut settings.env), (&kept.version, &mut settings.version)]
    {
        if !own.as_bytes().is_empty() {
            *setting = own.as_bytes();
        }
    }
    settings
}

/// Whether the program's connections are to be looked at.
pub(crate) fn wants_connections() -> bool {
    match settings().native {
        Native::Off => false,
        Native::Auto | Native::On => true,
    }
}

/// Whether a tracer of the program's language may have things left to it: that of Python, which is there for what it does not
/// know as well, unless it is all asked for by name.
pub(crate) fn leaves_to_languages() -> bool {
    settings().native == Native::Auto && table::is_python()
}

/// Says what this process is, where it is not what the whole run is.
fn tell_resource() {
    let text = kept().tracer.as_bytes().strip_prefix(environment::TRACER).unwrap_or_default();
    let run = Settings::parse(text).unwrap_or_default();
    let own = settings();
    let differ = [
        (semconv::SERVICE, own.service, run.service),
        ("deployment.environment.name", own.env, run.env),
        ("service.version", own.version, run.version),
    ];
    if differ.iter().all(|(_, own, run)| own == run) {
        return;
    }
    process::record_span(|record| {
        record.resource(process::identity().span_id);
        for (name, own, run) in differ {
            if own != run {
                record.attribute_text(Name(name.as_bytes()), own);
            }
        }
    });
}

impl Tracer {
    /// A new trace id, in Datadog's layout.
    fn new_trace_id(&self) -> TraceId {
        if self.settings.trace_id_128_bit {
            TraceId::new(clock::unix_seconds() as u32, RANDOM.next())
        } else {
            TraceId::new_64(RANDOM.next())
        }
    }

    fn take_trace(&'static self) -> Option<Taken<Trace, TRACES>> {
        // SAFETY: what is in the slot is a trace; it only needs to begin anew.
        let take = || unsafe { self.traces.take(|memory| _ = Trace::in_slot(memory)) };
        take().or_else(|| {
            self.recent.forget(&self.spans);
            take()
        })
    }

    /// A trace that begins here.
    fn new_trace(&'static self) -> Option<TraceRef> {
        let mut taken = self.take_trace()?;
        taken.value().begin(self.new_trace_id());
        Some(taken.share())
    }

    /// The tracer, for those who are given handles of spans: what has ended is kept for them from here on.
    fn remembering(&'static self) -> &'static Self {
        if !self.remembers.load(Ordering::Relaxed) {
            self.remembers.store(true, Ordering::Relaxed);
        }
        self
    }

    fn handle(&self, number: u64) -> Option<Handle> {
        Handle::of(number, self.epoch)
    }

    /// In a forked child: the span or the context that was active on this thread when its parent forked is where new spans
    /// belong.
    #[cold]
    fn adopt(&'static self, number: u64) -> Option<u64> {
        // SAFETY: null, or a mapping that is never given back; after a fork it is the child's own copy.
        let before = unsafe { BEFORE_FORK.load(Ordering::Relaxed).as_ref() }?;
        // Numbers of threads are inherited.
        let open = before.nearest_open(number, thread::current().number());
        let Subject { trace, span_id, .. } = before.subject(open).filter(|_| open != 0)?;
        let mut context = trace.context(trace.verdict.outcome());
        context.span = trace.span_context(span_id);
        context.is_remote = span_id.is_valid();
        let mut taken = self.take_trace()?;
        taken.value().go_on(
            || trace.trace_id(),
            true,
            |found, baggage| {
                found.context = Some(context);
                baggage.copy_of(&trace.baggage);
            },
        );
        Some(Handle::Context(taken.open()).number(self.epoch))
    }
}

/// Before the process forks: its child takes part in the trace that is active on this thread, and both must agree on
/// whether that is kept.
pub(crate) fn before_fork() {
    let thread = thread::current();
    if thread.active.load(Ordering::Relaxed) | thread.request.load(Ordering::Relaxed) == 0 {
        return;
    }
    if let Some(tracer) = tracer()
        && let Some(Subject { trace, local_root, .. }) = tracer.subject(0)
    {
        let _ = tracer.settle(&trace, local_root.unwrap_or_default());
    }
}

/// In a forked child, which has one thread: nothing of the tracer is its own. The mapping stays, as the fork may have
/// interrupted one who uses it.
pub(crate) fn become_child() {
    let tracer = TRACER.swap(null_mut(), Ordering::Relaxed);
    if !tracer.is_null() {
        BEFORE_FORK.store(tracer, Ordering::Relaxed);
    }
    EPOCH.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/c-interface.md` says so.
    #[test]
    fn the_sizes_are_as_documented() {
        assert!(size_of::<Tracer>() < 100_000_000, "{} bytes", size_of::<Tracer>());
        assert!(size_of::<Span>() <= 72, "{} bytes", size_of::<Span>());
        assert!(size_of::<Trace>() < 24 << 10, "{} bytes", size_of::<Trace>());
    }
}
