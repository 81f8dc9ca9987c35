//! A sidecar for a program that runs already and was not started by the launcher. The program starts the launcher with
//! `--attach` as its child, and gets the variables by which it, and what it starts, finds the sidecar.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use ddtrace::config::{ProcessSpans, PythonProvider};
use ddtrace::identity::{Holder, Identity};

use super::environment::Environment;
use super::process_spans::Decision;
use super::{Given, Launch, is_traced_already, python, start_sidecar};
use crate::cli::{ColourChoice, EXIT_OWN_FAILURE, Run, print};
use crate::message::{self, Messages};
use crate::{sidecar, target};

/// Starts a sidecar for the process that started this one, and prints the variables that it is to set: each as
/// `NAME=value` with a NUL behind it. Gives the exit code.
pub fn attach(given: Given, messages: &mut Messages) -> i32 {
    let pid = std::os::unix::process::parent_id();
    let command: Vec<OsString> = fs::read(format!("/proc/{pid}/cmdline"))
        .unwrap_or_default()
        .split(|byte| *byte == 0)
        .map(|word| OsStr::from_bytes(word).to_owned())
        .collect();
    let run = Run { command: command[..command.len().saturating_sub(1)].to_vec(), ..Run::default() };
    let mut environment = Environment::inherited();
    let resolution = given.resolve(&environment, &run.command);
    for warning in &resolution.warnings {
        messages.complain(warning);
    }
    for (name, value) in &resolution.hand_on {
        environment.set(name, value);
    }
    let config = resolution.config;
    let python = if config.python_provider == PythonProvider::None { None } else { python::bootstrap() };
    if let Some(python) = &python {
        environment.lead_python_path(python);
    }
    if config.enabled && !is_traced_already(&environment) {
        let path = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        let looked = target::inspect(&path, environment.get("PATH"));
        let mut launch = Launch::of(&run, &looked, &config, &environment, python, None, ColourChoice::Never);
        if config.process_spans != ProcessSpans::On {
            // Its beginning was not seen, and the library that would see its children is not in it.
            launch.decision = Decision::Off;
        }
        launch.equip(&config, &mut environment, messages);
        let identity = Identity { holder: Holder::Process(pid), ..launch.identity(&config) };
        environment = launch.identified(environment, &identity);
        let order = sidecar::bind(identity.run)
            .and_then(|listener| launch.order(config, identity, listener, &environment, messages));
        if let Err(error) = order.and_then(|order| start_sidecar(order, pid)) {
            message::error(&format_args!("cannot start the sidecar ({error}); the program runs untraced"));
            return EXIT_OWN_FAILURE;
        }
    }
    print(&changed(&environment))
}

fn changed(environment: &Environment) -> Vec<u8> {
    let before = Environment::inherited();
    let mut text = Vec::new();
    for (name, value) in environment.entries() {
        if name.to_str().and_then(|name| before.get(name)) != Some(value) {
            text.extend([name.as_bytes(), b"=", value.clone().into_vec().as_slice(), b"\0"].concat());
        }
    }
    text
}
