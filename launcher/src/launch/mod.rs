//! Starting a program: configuration, a look at the target, its environment, the sidecar, and then becoming it.

mod attach;
mod bootstrap;
mod environment;
mod exec;
mod inform;
mod library;
mod process_spans;
mod process_tags;
mod python;
mod resource;
mod service;
mod signals;
pub mod stdio;
mod stored;
mod supervise;
mod trace;
mod tracer;

pub use attach::attach;
pub use bootstrap::bootstrap;
pub use inform::inform;
pub use stored::{flush, local_store, status};

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ddtrace::config::{Config, Exporter, PythonProvider, Resolution, Sources, resolve};
use ddtrace::handshake::socket_name;
use ddtrace::identity::{
    FLAG_FORCED, FLAG_INJECT_CLEARED, FLAG_PROCESS_SPANS, FLAG_PROCESS_SPANS_HELD, FLAG_REMOTE_PARENT, Holder, Identity,
};
use ddtrace::ids::SpanId;
use ddtrace::propagation::tracecontext::TraceParent;
use ddtrace::random::Random;
use ddtrace::ring::layout::RING_SIZE;
use ddtrace::settings::Native;
use ddtrace::span::Resource;
use ddtrace::sys::{RLIMIT_FSIZE, monotonic_ns, soft_limit};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::cli::{ColourChoice, Run};
use crate::message::{self, Messages};
use crate::sidecar::{self, FirstProcess, Lineage, Order};
use crate::target::{Reason, Target};
use crate::{state_dir, target, view};
use environment::Environment;
use exec::Command;
use process_spans::Decision;
use signals::Signals;
use supervise::{End, Patiently, Sidecar};
use trace::{Incoming, Trace};

/// Over the time that the sidecar itself allows for delivery.
const MARGIN: Duration = Duration::from_secs(1);

/// What the command line says about the configuration.
pub struct Given {
    /// Keys and values.
    pub settings: Vec<(&'static str, String)>,
    /// The file named by `--config`.
    pub config_file: Option<PathBuf>,
}

impl Given {
    fn resolve(self, environment: &Environment, program: &[OsString]) -> Resolution {
        resolve(&Sources {
            cli: self.settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            env: environment.entries().to_vec(),
            config_file: self.config_file,
            program: program.to_vec(),
            directory: std::env::current_dir().unwrap_or_default(),
            ..Sources::default()
        })
    }
}

/// Starts the program. Comes back with an exit code only if it stayed as the parent, or failed.
pub fn run(run: &Run, given: Given, colour: ColourChoice, messages: &mut Messages) -> i32 {
    let mut environment = Environment::inherited();
    let for_delivery: BTreeSet<_> =
        given.settings.iter().map(|(key, _)| *key).filter(|key| is_for_delivery(key)).collect();
    let resolution = given.resolve(&environment, &run.command);
    let config = &resolution.config;
    if config.debug {
        messages.set_debug();
    }
    if run.profiling {
        message::error(&crate::cli::PROFILING_NOTICE);
    }
    for warning in &resolution.warnings {
        messages.complain(warning);
    }
    let word = run.command.first().map_or(OsStr::new(""), OsString::as_os_str);
    let path = match target::find(word, environment.get("PATH")) {
        Ok(path) => path,
        Err(error) => {
            message::error(&error);
            return i32::from(error.exit_code());
        }
    };
    for (name, value) in &resolution.hand_on {
        environment.set(name, value);
    }
    let python = if config.python_provider == PythonProvider::None { None } else { python::bootstrap() };
    if let Some(python) = &python {
        environment.lead_python_path(python);
    }
    let nested = config.enabled && is_traced_already(&environment);
    if nested {
        messages.debug("an outer ddtrace-run traces this program already");
        for key in for_delivery {
            messages.complain(format_args!("{key} has no effect: an outer ddtrace-run delivers this program's spans"));
        }
        if run.view {
            messages.complain("--view has no effect: an outer ddtrace-run traces this program already");
        }
    }
    if !config.enabled && run.view {
        messages.complain("tracing is switched off, so --view has nothing to show");
    }
    if messages.is_debug() && !nested {
        inform::tell_destinations(&resolution, messages);
    }
    let config = resolution.config;
    if nested {
        return become_program(&Command::new(&path, &run.command, environment.to_c()).of_outer_run(), word);
    }
    if !config.enabled {
        environment.leave_run(library::NAME);
        return become_program(&Command::new(&path, &run.command, environment.to_c()), word);
    }
    let looked = target::inspect(&path, environment.get("PATH"));
    let denylist: &[String] = if run.force { &[] } else { &config.denylist };
    let untraceable = target::untraceable(&looked, denylist, environment.get("LD_PRELOAD"))
        .filter(|reason| !(run.force && matches!(reason, target::Reason::Denied(_))));
    if let Some(reason) = &untraceable {
        messages.note(reason);
    } else if let Some(obstacle) = looked.python_obstacle(&run.command).filter(|_| python.is_some()) {
        messages.note(inform::untraced_python(&looked, obstacle));
    } else if let Some(spot) = looked.blind_spot.filter(|_| config.native != Native::Off) {
        messages.note(format_args!("{} {spot}", looked.program.display()));
    }
    let launch = Launch::of(run, &looked, &config, &environment, python, untraceable, colour);
    messages.debug(format_args!("process spans: {}", launch.decision));
    launch.start(config, environment, messages)
}

/// Whether a setting says where to or how spans are delivered, which is for one launcher alone to say.
fn is_for_delivery(key: &str) -> bool {
    let whole = ["exporter", "flush_interval", "state_dir", "shutdown_timeout"].contains(&key);
    whole || ["agent.", "otlp.", "log."].iter().any(|prefix| key.starts_with(prefix)) || key.ends_with(".max_bytes")
}

/// Whether this launcher was itself started by another one whose sidecar is there.
fn is_traced_already(environment: &Environment) -> bool {
    let identity = environment.get("_DDTRACE_RUN").and_then(|text| Identity::parse(text.as_bytes()));
    let Some(identity) = identity else { return false };
    let reach = || {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        connect(fd.as_raw_fd(), &UnixAddr::new_abstract(&socket_name(identity.run))?)
    };
    reach().is_ok()
}

fn become_program(command: &Command, word: &OsStr) -> i32 {
    let error = command.exec();
    message::error(&format_args!("cannot run {word:?}: {}", command.why_not(error)));
    exec::exit_code(error)
}

/// A program that is about to be started, and how.
struct Launch<'a> {
    run: &'a Run,
    path: PathBuf,
    /// The service's name, as it was given or inferred.
    service: String,
    /// The directory in front of `PYTHONPATH`.
    python: Option<PathBuf>,
    trace: Trace,
    /// Somebody continues a trace here.
    continued: bool,
    resource: Arc<Resource>,
    view: bool,
    decision: Decision,
    untraceable: Option<Reason>,
    colour: ColourChoice,
    random: Random,
}

impl<'a> Launch<'a> {
    /// What is known before anything is done.
    fn of(
        run: &'a Run,
        looked: &Target,
        config: &Config,
        environment: &Environment,
        python: Option<PathBuf>,
        untraceable: Option<Reason>,
        colour: ColourChoice,
    ) -> Launch<'a> {
        let (path, words) = (looked.path.clone(), looked.words(&run.command));
        let view = run.view || config.exporters.contains(&Exporter::Console);
        let incoming = Incoming::read(config, environment);
        let continued = incoming.is_continued();
        let decision = Decision::of(config, view, continued, environment);
        let random = Random::new();
        let service = config.service.clone().unwrap_or_else(|| service::infer(&words));
        let process_tags = config.process_tags.then(|| {
            let directory = std::env::current_dir().unwrap_or_default();
            let entry = service::entry_point(&words);
            process_tags::of(entry.as_ref(), &path, &directory, &service, config.service.is_some())
        });
        let resource = Arc::new(resource::of(config, service.clone(), process_tags, &random));
        let trace = Trace::of(config, incoming, &path, run.command.len(), &resource, &random);
        Launch { run, path, service, python, trace, continued, resource, view, decision, untraceable, colour, random }
    }

    fn start(self, config: Config, mut environment: Environment, messages: &mut Messages) -> i32 {
        let identity = self.identity(&config);
        self.equip(&config, &mut environment, messages);
        let listener = match sidecar::bind(identity.run) {
            Ok(listener) => listener,
            Err(error) => {
                messages
                    .complain(format_args!("cannot make the sidecar's socket ({error}); the program runs untraced"));
                return self.become_untraced();
            }
        };
        if self.view || self.run.supervise || supervise::is_needed() {
            self.supervise(config, environment, identity, listener, messages)
        } else {
            self.replace(config, environment, identity, listener, messages)
        }
    }

    /// Puts into the environment what does not depend on the process: the tracer's settings and the library.
    fn equip(&self, config: &Config, environment: &mut Environment, messages: &mut Messages) {
        let (settings, shortened) = tracer::settings(config, &self.service);
        if shortened.is_some() {
            messages.complain("DD_TAGS and DD_SERVICE_MAPPING are longer than 20 KiB; sampling rules do not see them inside of programs that use the C interface");
        }
        environment.set(tracer::VARIABLE, settings);
        if self.continued && self.decision.records() {
            trace::remove_outdated(&config.propagation, environment);
        }
        // Where processes are no spans, their programs may record some of their own.
        if self.untraceable.as_ref().is_none_or(Reason::keeps_preload) {
            if soft_limit(RLIMIT_FSIZE) < RING_SIZE as u64 {
                messages.note("the limit on the size of files (ulimit -f) leaves no room for the tracer's memory; programs are seen from outside only");
            }
            match library::find() {
                Ok(library) => environment.preload(&library),
                Err(missing) => messages.note(missing),
            }
        }
    }

    /// Becomes the program, without anything of the tracer but the names that its Python code may import.
    fn become_untraced(&self) -> i32 {
        let mut environment = Environment::inherited();
        if let Some(python) = &self.python {
            environment.lead_python_path(python);
        }
        become_program(&self.command(&environment), self.word())
    }

    fn word(&self) -> &OsStr {
        self.run.command.first().map_or(OsStr::new(""), OsString::as_os_str)
    }

    fn command(&self, environment: &Environment) -> Command {
        Command::new(&self.path, &self.run.command, environment.to_c())
    }

    /// The identity of the first process; its holder is known when the process is.
    fn identity(&self, config: &Config) -> Identity {
        let random = &self.random;
        let parent = &self.trace.context.span;
        let mut identity = Identity {
            run: (u128::from(random.next()) << 64) | u128::from(random.next()),
            flags: 0,
            holder: Holder::Process(0),
            trace_flags: parent.trace_flags(),
            trace_id: parent.trace_id,
            span_id: SpanId(random.next()),
            parent_id: parent.span_id,
            start_ns: monotonic_ns(),
        };
        if self.decision.records() {
            identity.flags |= FLAG_PROCESS_SPANS;
        }
        if self.run.force {
            identity.flags |= FLAG_FORCED;
        }
        if config.inject_cleared_env {
            identity.flags |= FLAG_INJECT_CLEARED;
        }
        if self.decision == Decision::Held {
            identity.flags |= FLAG_PROCESS_SPANS_HELD;
        }
        if self.continued {
            identity.flags |= FLAG_REMOTE_PARENT;
        }
        identity
    }

    /// Puts the identity of the first process into its environment.
    fn identified(&self, mut environment: Environment, identity: &Identity) -> Environment {
        environment.set("_DDTRACE_RUN", OsString::from_vec(identity.format().to_vec()));
        if self.decision.records() {
            let own =
                TraceParent { trace_id: identity.trace_id, span_id: identity.span_id, flags: identity.trace_flags };
            environment.set("TRACEPARENT", OsString::from_vec(own.format().to_vec()));
            self.trace.write_state(&mut environment, identity.span_id);
        }
        environment
    }

    /// Becomes the program; the sidecar goes on by itself.
    fn replace(
        self,
        config: Config,
        environment: Environment,
        mut identity: Identity,
        listener: OwnedFd,
        messages: &mut Messages,
    ) -> i32 {
        let pid = std::process::id();
        identity.holder = Holder::Process(pid);
        let environment = self.identified(environment, &identity);
        let order = self.order(config, identity, listener, &environment, messages);
        let started = order.and_then(|order| start_sidecar(order, pid));
        if let Err(error) = started {
            messages.complain(format_args!("cannot start the sidecar ({error}); the program runs untraced"));
            return self.become_untraced();
        }
        become_program(&self.command(&environment), self.word())
    }

    /// Stays as the program's parent until it has ended and its spans are out or stored.
    fn supervise(
        self,
        config: Config,
        environment: Environment,
        identity: Identity,
        listener: OwnedFd,
        messages: &mut Messages,
    ) -> i32 {
        let patience = config.shutdown_timeout;
        let limit = supervise::DescriptorLimit::raise();
        let order = self.order(config, identity, listener, &environment, messages);
        let plain = self.command(&environment);
        let why_not = |error| plain.why_not(error);
        let ready = order.and_then(|order| {
            let pipes = (UnixStream::pair().map_err(|_| Errno::EMFILE)?, nix::unistd::pipe2(OFlag::O_CLOEXEC)?);
            Ok((order, pipes, Signals::take()?))
        });
        let launcher = nix::unistd::getpid();
        let held = ready.and_then(|(order, pipes, signals)| {
            let held = supervise::hold(&signals, &limit, |pid| {
                let identity = Identity { holder: Holder::Process(pid.as_raw() as u32), ..identity };
                let mut environment = self.identified(environment, &identity);
                environment.address_on(launcher);
                self.command(&environment)
            });
            // The program is to find the mask as it was, under supervision or not.
            let held = held.inspect_err(|_| signals.restore())?;
            Ok((order, pipes, signals, held))
        });
        let (order, ((control, sidecar_control), (view, sidecar_view)), signals, held) = match held {
            Ok(held) => held,
            Err(error) => {
                messages
                    .complain(format_args!("cannot start the program under supervision ({error}); it runs untraced"));
                limit.restore();
                return self.become_untraced();
            }
        };
        let order = Order { control: Some(sidecar_control.into()), view: self.view.then_some(sidecar_view), ..order };
        if let Err(error) = start_sidecar(order, held.pid.as_raw() as u32) {
            message::error(&format_args!("cannot start the sidecar ({error}); the program runs untraced"));
            return finish(supervise::run(held, &signals), self.word(), why_not);
        }
        let end = supervise::run(held, &signals);
        if let Some(status) = end.status() {
            // Where nobody reads any more there is nobody to tell.
            let _ = (&control).write_all(&sidecar::end_of_command(status));
        }
        // The sidecar sees the end of this direction, and closes its own side when everything is out or stored.
        let _ = control.shutdown(std::net::Shutdown::Write);
        let (limit, start) = (patience + MARGIN, Instant::now());
        if self.view {
            self.show(Patiently::new(view, &signals, limit));
        }
        match supervise::wait_for_sidecar(&control, &signals, limit.saturating_sub(start.elapsed()).max(MARGIN)) {
            Sidecar::Ended(words) => words.lines().for_each(|line| messages.note(line)),
            Sidecar::Works => messages.note("spans are still being delivered; the sidecar goes on with it"),
            Sidecar::Died => messages.complain(
                "the sidecar has ended before its time; `ddtrace-run status` tells what waits, and its log why, if it knew",
            ),
        }
        finish(end, self.word(), why_not)
    }

    /// Draws what the sidecar sends.
    fn show(&self, pipe: Patiently<'_>) {
        let stderr = std::io::stderr();
        let style = view::Style::detect(&stderr, self.colour);
        match view::of_stream(pipe, &style, &view::ViewOptions::for_run()) {
            Ok(picture) => drop((&stderr).write_all(picture.as_bytes())),
            Err(error) => message::error(&format_args!("the trace cannot be shown: {error}")),
        }
    }

    fn order(
        &self,
        config: Config,
        identity: Identity,
        listener: OwnedFd,
        environment: &Environment,
        messages: &mut Messages,
    ) -> nix::Result<Order> {
        let directory = std::env::current_dir().unwrap_or_default();
        let trace_state = match environment.get("TRACESTATE") {
            Some(state) if self.continued => state.as_bytes().to_vec(),
            _ => Vec::new(),
        };
        let state_dir = state_dir::choose(&config, |name| environment.get(name).map(PathBuf::from));
        if let Some(refusal) = state_dir::refusal(&config, state_dir.as_deref()) {
            messages.complain(refusal);
        } else if state_dir.is_none() {
            messages.note(format_args!(
                "neither {} nor a directory for temporary files can be written; spans that no backend takes at once are lost",
                state_dir::preferred(&config, |name| environment.get(name).map(PathBuf::from)).display()
            ));
        }
        Ok(Order {
            listener,
            state_dir,
            resource: Arc::clone(&self.resource),
            first: FirstProcess {
                identity,
                executable: self.path.as_os_str().as_bytes().to_vec(),
                arguments: self.run.command.iter().map(|word| word.as_bytes().to_vec()).collect(),
                directory: directory.into_os_string().into_vec(),
                untraceable: self.untraceable.as_ref().map(|reason| reason.label().to_owned()),
                trace_state,
                context: self.trace.context.clone(),
                decision: self.trace.decision,
                incoming: self.trace.incoming.clone(),
                baggage_tags: self.trace.baggage_tags.clone(),
            },
            process_spans: self.decision.records(),
            hold: (self.decision == Decision::Held).then_some(process_spans::SERVICE_AFTER),
            control: None,
            view: None,
            notes: messages.take(),
            config,
        })
    }
}

/// Starts the sidecar for a run whose first process is `pid`.
fn start_sidecar(order: Order, pid: u32) -> nix::Result<()> {
    // Opened before the program runs: it may be gone before the sidecar is there.
    let watch = sidecar::Watch::of_first(pid)?;
    let mut keep = vec![order.listener.as_raw_fd()];
    keep.extend(watch.descriptor().map(AsRawFd::as_raw_fd));
    keep.extend(order.control.iter().chain(&order.view).map(AsRawFd::as_raw_fd));
    match sidecar::start(&keep)? {
        Lineage::Launcher => Ok(()),
        Lineage::Sidecar => {
            let code = i32::from(sidecar::run(order, pid, watch).is_err());
            // SAFETY: ends the sidecar at once, without the launcher's exit handlers.
            unsafe { libc::_exit(code) }
        }
    }
}

fn finish(end: End, word: &OsStr, why_not: impl Fn(Errno) -> &'static str) -> i32 {
    if let End::NotStarted(error) = end {
        message::error(&format_args!("cannot run {word:?}: {}", why_not(error)));
    }
    supervise::end_as(end)
}
