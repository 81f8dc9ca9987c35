//! `--info`: says what would happen, and does nothing.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use ddtrace::config::Resolution;

use super::environment::Environment;
use super::process_spans::Decision;
use super::trace::Incoming;
use super::{Given, library, python};
use crate::cli::ColourChoice;
use crate::info::{Facts, report};
use crate::message::Messages;
use crate::target::{Obstacle, Target};
use crate::unnoticed::{Side, fork_and_wait};
use crate::{sidecar, state_dir, target};

/// The longest that a backend is waited for.
const PROBE_LIMIT: Duration = Duration::from_millis(800);

/// Says where spans would go now, for `--debug`.
///
/// A child does it: whoever asks backends does so from threads, which may still wait, with a lock of the resolver or a
/// signal meant for the launcher, when there is nothing more to be said. The launcher, which forks, has one thread.
pub fn tell_destinations(resolution: &Resolution, messages: &mut Messages) {
    // SAFETY: the launcher has one thread, so that the child may do whatever it might.
    match unsafe { fork_and_wait() } {
        Ok(Side::Parent(_)) => {}
        Ok(Side::Child) => {
            tell_destinations_here(resolution, messages);
            // SAFETY: ends this process at once, without the launcher's exit handlers.
            unsafe { libc::_exit(0) }
        }
        Err(error) => messages.debug(format_args!("backends were not asked ({error})")),
    }
}

fn tell_destinations_here(resolution: &Resolution, messages: &mut Messages) {
    let environment = Environment::inherited();
    let report = report(resolution, &facts(resolution, &environment));
    for destination in report.destinations.iter().filter(|destination| destination.used) {
        messages.debug(format_args!(
            "spans go to {} at {} [{}]: {}",
            destination.exporter, destination.address, destination.origin, destination.detail
        ));
    }
    messages.debug(format_args!("the sidecar logs to {}", report.log_file.path.display()));
}

/// Why the code of a Python is not traced.
pub fn untraced_python(target: &Target, obstacle: Obstacle) -> String {
    format!(
        "{}: {obstacle}, by which the tracer gets into it; spans of its Python code are not recorded",
        target.program.display()
    )
}

/// Prints the report on stdout.
pub fn inform(given: Given, command: &[OsString], json: bool, colour: ColourChoice) -> i32 {
    let environment = Environment::inherited();
    let resolution = given.resolve(&environment, command);
    let config = &resolution.config;
    let mut report = report(&resolution, &facts(&resolution, &environment));
    if let Some(word) = command.first() {
        match target::find(word, environment.get("PATH")) {
            Ok(path) => {
                let looked = target::inspect(&path, environment.get("PATH"));
                let reason = target::untraceable(&looked, &config.denylist, environment.get("LD_PRELOAD"));
                let obstacle = looked.python_obstacle(command);
                report.target = Some(match (reason, obstacle) {
                    (Some(reason), _) => reason.to_string(),
                    (None, Some(obstacle)) => untraced_python(&looked, obstacle),
                    (None, None) => match looked.blind_spot {
                        Some(spot) => format!("{} can be traced; it {spot}", path.display()),
                        None => format!("{} can be traced", path.display()),
                    },
                });
            }
            Err(error) => report.errors.push(error.to_string()),
        }
    }
    let coloured = colour.applies(std::io::stdout().is_terminal());
    let text = if json { report.json() } else { report.text(coloured) };
    crate::cli::print(text.as_bytes())
}

fn facts(resolution: &Resolution, environment: &Environment) -> Facts {
    let config = &resolution.config;
    let variable = |name: &str| environment.get(name).map(PathBuf::from);
    let state_dir = state_dir::choose(config, variable).unwrap_or_else(|| state_dir::preferred(config, variable));
    let decision = Decision::of(config, false, Incoming::read(config, environment).is_continued(), environment);
    Facts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        python: python::bootstrap().unwrap_or_else(python::usual_place),
        preload: library::find().unwrap_or_else(|_| library::usual_place()),
        log_file: sidecar::log_file(config, Some(&state_dir)).unwrap_or_default(),
        state_dir,
        process_spans: (decision.records(), decision.to_string()),
        probe_limit: PROBE_LIMIT,
    }
}
