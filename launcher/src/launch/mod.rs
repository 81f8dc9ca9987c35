//! Starting a program: configuration, a look at the target, its environment, the sidecar, and then becoming it.

mod environment;
mod exec;
mod inform;
mod library;
mod process_spans;
mod resource;
mod service;
pub mod stdio;
mod supervise;

pub use inform::inform;

use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ddtrace::config::{Config, Exporter, Resolution, Sources, resolve};
use ddtrace::handshake::socket_name;
use ddtrace::identity::{FLAG_INJECT_CLEARED, FLAG_PROCESS_SPANS, FLAG_REMOTE_PARENT, Holder, Identity};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::propagation::tracecontext::TraceParent;
use ddtrace::random::Random;
use ddtrace::sys::{monotonic_ns, realtime_ns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::cli::{ColourChoice, Run};
use crate::message::{self, Messages};
use crate::sidecar::{self, FirstProcess, Lineage, Order};
use crate::{state_dir, target, view};
use environment::Environment;
use exec::Command;
use process_spans::Decision;
use supervise::End;

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
            ..Sources::default()
        })
    }
}

/// Starts the program. Comes back with an exit code only if it stayed as the parent, or failed.
pub fn run(run: &Run, given: Given, colour: ColourChoice, messages: &mut Messages) -> i32 {
    let mut environment = Environment::inherited();
    let resolution = given.resolve(&environment, &run.command);
    let config = resolution.config;
    if config.debug {
        messages.set_debug();
    }
    if run.profiling {
        message::error(&crate::cli::PROFILING_NOTICE);
    }
    for warning in &resolution.warnings {
        messages.note(warning);
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
    let nested = is_traced_already(&environment);
    if nested {
        messages.debug("an outer ddtrace-run traces this program already");
        if run.view {
            messages.note("--view has no effect: an outer ddtrace-run traces this program already");
        }
    }
    if nested || !config.enabled {
        return become_program(&Command::new(&path, &run.command, environment.to_c()), word);
    }
    let looked = target::inspect(&path);
    let denylist = config.denylist.join(",");
    let untraceable = target::untraceable(&looked, if run.force { None } else { Some(&denylist) });
    if let Some(reason) = &untraceable {
        messages.note(reason);
    }
    let view = run.view || config.exporters.contains(&Exporter::Console);
    let launch = Launch {
        run,
        path,
        context: incoming(&environment),
        view,
        library: untraceable.as_ref().is_none_or(target::Reason::lets_children_be_traced),
        untraceable: untraceable.map(|reason| reason.label().to_owned()),
        colour,
    };
    launch.start(config, environment, messages)
}

/// The context that somebody continues here.
fn incoming(environment: &Environment) -> Option<TraceParent> {
    TraceParent::parse(environment.get("TRACEPARENT")?.as_bytes())
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
    message::error(&format_args!("cannot run {word:?}: {}", error.desc()));
    exec::exit_code(error)
}

/// Everything that is known about a program to be started.
struct Launch<'a> {
    run: &'a Run,
    path: PathBuf,
    context: Option<TraceParent>,
    view: bool,
    /// Whether the library is put into the environment.
    library: bool,
    untraceable: Option<String>,
    colour: ColourChoice,
}

impl Launch<'_> {
    fn start(self, config: Config, environment: Environment, messages: &mut Messages) -> i32 {
        let decision = Decision::of(&config, self.view, self.context.is_some(), &environment);
        messages.debug(format_args!("process spans: {decision}"));
        let library = if self.library && decision.records() {
            library::find().map_err(|missing| messages.note(missing)).ok()
        } else {
            None
        };
        let random = Random::new();
        let identity = self.identity(&config, decision, &random);
        let listener = match sidecar::bind(identity.run) {
            Ok(listener) => listener,
            Err(error) => {
                messages.note(format_args!("cannot make the sidecar's socket ({error}); the program runs untraced"));
                return become_program(&self.command(environment.to_c()), self.word());
            }
        };
        let environment = self.traced_environment(environment, decision, library.as_deref());
        if self.view || self.run.supervise || supervise::is_needed() {
            self.supervise(config, environment, identity, decision, listener, &random, messages)
        } else {
            self.replace(config, environment, identity, decision, listener, &random, messages)
        }
    }

    fn word(&self) -> &OsStr {
        self.run.command.first().map_or(OsStr::new(""), OsString::as_os_str)
    }

    fn command(&self, environment: Vec<std::ffi::CString>) -> Command {
        Command::new(&self.path, &self.run.command, environment)
    }

    /// The identity of the first process; its holder is known when the process is.
    fn identity(&self, config: &Config, decision: Decision, random: &Random) -> Identity {
        let seconds = (realtime_ns() / 1_000_000_000) as u32;
        let mut identity = Identity {
            run: (u128::from(random.next()) << 64) | u128::from(random.next()),
            flags: 0,
            holder: Holder::Process(0),
            trace_flags: 1,
            trace_id: TraceId::new(if config.trace_id_128_bit { seconds } else { 0 }, random.next()),
            span_id: SpanId(random.next()),
            parent_id: SpanId(0),
            start_ns: monotonic_ns(),
        };
        if decision.records() {
            identity.flags |= FLAG_PROCESS_SPANS;
        }
        if config.inject_cleared_env {
            identity.flags |= FLAG_INJECT_CLEARED;
        }
        if let Some(context) = self.context {
            identity.flags |= FLAG_REMOTE_PARENT;
            identity.trace_id = context.trace_id;
            identity.parent_id = context.span_id;
            identity.trace_flags = context.flags;
        }
        identity
    }

    fn traced_environment(
        &self,
        mut environment: Environment,
        decision: Decision,
        library: Option<&Path>,
    ) -> Environment {
        if decision.records() {
            if let Some(library) = library {
                environment.preload(library);
            }
            if self.context.is_none() {
                // A tracestate without its traceparent says nothing, and would be taken for this trace's.
                environment.set("TRACEPARENT", "");
            }
        }
        environment
    }

    fn order(
        &self,
        config: Config,
        identity: Identity,
        decision: Decision,
        listener: OwnedFd,
        first: (u32, OwnedFd),
        random: &Random,
        messages: &mut Messages,
        trace_state: Vec<u8>,
    ) -> Order {
        let service = config.service.clone().unwrap_or_else(|| service::infer(&self.run.command));
        let resource = Arc::new(resource::of(&config, service, random));
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
        Order {
            listener,
            state_dir: state_dir::choose(&config, variable),
            resource,
            first: FirstProcess {
                pid: first.0,
                pidfd: first.1,
                identity,
                executable: self.path.as_os_str().as_bytes().to_vec(),
                arguments: self.run.command.iter().map(|word| word.as_bytes().to_vec()).collect(),
                directory: std::env::current_dir().map(|path| path.into_os_string().into_encoded_bytes()).unwrap_or_default(),
                untraceable: self.untraceable.clone(),
                trace_state,
            },
            process_spans: decision.records(),
            hold: (decision == Decision::Held).then_some(process_spans::SERVICE_AFTER),
            control: None,
            view: None,
            notes: messages.take(),
            config,
        }
    }
}
