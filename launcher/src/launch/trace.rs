//! The trace that the command's processes belong to: the one that somebody continues here, or a new one, and whether it
//! is kept. Decided before the program starts, as the context is in its environment from then on.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use ddtrace::config::Config;
use ddtrace::context::{Bounded, SpanContext, TraceContext};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::propagation::baggage::Baggage;
use ddtrace::propagation::environment::{EnvironmentCarrier, EnvironmentWriter, normalised_name};
use ddtrace::propagation::{ExtractBehaviour, Extracted, NoBaggage, Outgoing, Propagation, Style, Styles};
use ddtrace::random::Random;
use ddtrace::sampling::{Decision, NoRates, OwnedSampler};
use ddtrace::semconv::{
    PROCESS_ARGS_COUNT, PROCESS_EXECUTABLE_NAME, PROCESS_EXECUTABLE_PATH, PROCESS_WORKING_DIRECTORY,
};
use ddtrace::span::datadog::SampledSpan;
use ddtrace::span::{Resource, Span, Value};
use ddtrace::sys::{monotonic_ns, realtime_ns};

use super::environment::Environment;
use crate::sidecar::process_operation;

/// What was found in an environment.
pub struct Incoming(Extracted, Baggage);

impl Incoming {
    /// Reads the environment by the configured styles.
    pub fn read(config: &Config, environment: &Environment) -> Incoming {
        let variable = |name: &[u8]| {
            let name = std::str::from_utf8(name).ok()?;
            environment.get(name).map(|value| value.as_bytes().to_vec())
        };
        let mut baggage = Baggage::default();
        let extracted = config.propagation.extract(&EnvironmentCarrier(variable), &mut baggage);
        Incoming(extracted, baggage)
    }

    /// Whether somebody continues a trace here.
    pub fn is_continued(&self) -> bool {
        self.parent().is_some()
    }

    fn parent(&self) -> Option<&TraceContext> {
        self.0.context.as_ref().filter(|context| context.span.trace_id.is_valid())
    }
}

/// The trace of the command.
#[derive(Clone)]
pub struct Trace {
    /// What it carries. Its span is the parent of the command's first process, with id zero for none.
    pub context: TraceContext,
    /// How it was decided, where that was here.
    pub decision: Option<Decision>,
    /// What was handed in, with the traces that are not continued.
    pub incoming: Extracted,
    /// What of the incoming baggage the first process's span shows, under the names of the tags.
    pub baggage_tags: Vec<(String, String)>,
}

impl Trace {
    /// Continues the incoming trace or begins a new one, and decides whether it is kept, unless the incoming context says.
    /// `program` is the first process's, which is started with so many words.
    pub fn of(
        config: &Config,
        incoming: Incoming,
        program: &Path,
        words: usize,
        resource: &Resource,
        random: &Random,
    ) -> Trace {
        let mut context = incoming.parent().cloned().unwrap_or_else(|| {
            let seconds = if config.trace_id_128_bit { (realtime_ns() / 1_000_000_000) as u32 } else { 0 };
            let trace_id = TraceId::new(seconds, random.next());
            // Somebody may have said what is to become of a trace that begins here.
            let priority = incoming.0.context.as_ref().and_then(|context| context.span.priority);
            TraceContext {
                span: SpanContext { trace_id, priority, ..SpanContext::default() },
                ..TraceContext::default()
            }
        });
        let sampler = OwnedSampler::new(config.sampling.clone());
        let mut decision = None;
        if context.span.priority.is_none() || !config.sampling.respects_parent {
            let mut span = Span { trace_id: context.span.trace_id, ..Span::default() };
            let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
            process_operation(&mut span, &name);
            // What rules can know of a process that has not begun yet.
            let directory = std::env::current_dir().unwrap_or_default();
            let text = |path: &Path| Value::from(path.to_string_lossy().into_owned());
            span.attributes.extend([
                (PROCESS_EXECUTABLE_NAME.into(), name.into()),
                (PROCESS_EXECUTABLE_PATH.into(), text(program)),
                (PROCESS_WORKING_DIRECTORY.into(), text(&directory)),
                (PROCESS_ARGS_COUNT.into(), Value::I64(words as i64)),
            ]);
            let env = config.env.as_deref().unwrap_or_default().as_bytes();
            let seen = SampledSpan::new(&span, resource);
            let taken = sampler.sampler().decide(context.span.trace_id, &seen, env, &NoRates, monotonic_ns());
            taken.apply(&mut context);
            decision = Some(taken);
        }
        let is_wanted = |key: &str| config.baggage_tag_keys.iter().any(|wanted| wanted == "*" || wanted == key);
        let members = incoming.1.iter().filter(|member| is_wanted(&member.key));
        let baggage_tags = members.map(|member| (format!("baggage.{}", member.key), member.value.clone())).collect();
        Trace { context, decision, incoming: incoming.0, baggage_tags }
    }

    /// Puts what the trace carries beside the trace's and the span's id into an environment: `TRACESTATE`. In
    /// `TRACEPARENT` every process writes its own span; a last Datadog span would be outdated with the next process, and is
    /// left out.
    pub fn write_state(&self, environment: &mut Environment, span_id: SpanId) {
        environment.remove("TRACESTATE");
        let mut trace = self.context.clone();
        trace.last_parent = SpanId(0);
        let span = SpanContext { span_id, ..trace.span };
        let outgoing = Outgoing { span, is_local: false, trace: &trace, baggage: &NoBaggage };
        let propagation = Propagation {
            inject: Styles::from_iter([Style::TraceContext]),
            behaviour: ExtractBehaviour::Continue,
            ..Propagation::default()
        };
        let set = |name: &[u8], value: &[u8]| {
            if name == b"TRACESTATE" {
                environment.set("TRACESTATE", OsString::from_vec(value.to_vec()));
            }
        };
        propagation.inject(&outgoing, &mut EnvironmentWriter(set));
    }
}

/// Takes the variables away that hand the incoming context on in styles in which the process's own is not written: who
/// read them would pass it over.
pub fn remove_outdated(propagation: &Propagation, environment: &mut Environment) {
    let others = propagation.extract.iter().filter(|style| !matches!(style, Style::TraceContext | Style::Baggage));
    let written = Propagation { inject: others.collect(), ..*propagation };
    written.fields(&mut |name| {
        if let Some(variable) = normalised_name(name, &mut Bounded::new()).and_then(|name| str::from_utf8(name).ok()) {
            environment.remove(variable);
        }
    });
}
