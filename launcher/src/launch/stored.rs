//! What earlier runs have left: where it is, what waits, and its delivery on demand.

use std::path::PathBuf;
use std::time::Duration;

use ddtrace::config::Config;

use super::Given;
use super::environment::Environment;
use crate::cli::{self, EXIT_OWN_FAILURE, StatusForm};
use crate::export::LOCAL_STORE;
use crate::message::{self, Messages};
use crate::{sidecar, spool, state_dir};

/// The exit code of `flush` where something still waits, or was dropped.
const NOT_ALL_DELIVERED: i32 = 1;

/// The configuration and its state directory. What is wrong with it is said.
fn resolved(given: Given) -> (Config, Option<PathBuf>) {
    let environment = Environment::inherited();
    let resolution = given.resolve(&environment, &[]);
    let mut messages = Messages::new(resolution.config.debug);
    for warning in &resolution.warnings {
        messages.complain(warning);
    }
    let variable = |name: &str| environment.get(name).map(PathBuf::from);
    let directory = state_dir::choose(&resolution.config, variable);
    let refusal = state_dir::refusal(&resolution.config, directory.as_deref());
    if let Some(refusal) = refusal.or_else(|| state_dir::elsewhere(&resolution.config, variable, directory.as_deref()))
    {
        messages.complain(refusal);
    }
    (resolution.config, directory)
}

/// The file of the local store, as the configuration has it.
pub fn local_store(given: Given) -> Option<PathBuf> {
    let environment = Environment::inherited();
    let config = given.resolve(&environment, &[]).config;
    let directory = state_dir::choose(&config, |name| environment.get(name).map(PathBuf::from))?;
    Some(directory.join(LOCAL_STORE))
}

/// Prints what waits for delivery, and what the sidecars that run now have done.
pub fn status(given: Given, form: StatusForm) -> i32 {
    let (config, directory) = resolved(given);
    let Some(directory) = directory else {
        message::error(&"there is no state directory: none of its places can be used");
        return EXIT_OWN_FAILURE;
    };
    let spool = directory.join(sidecar::SPOOL);
    let status = spool::Status::of(&spool, |path, moved| sidecar::count_unsent(path, moved, &config));
    let text = match form {
        StatusForm::Text if !status.has_running() && sidecar::is_a_run_expected(&spool) => {
            format!("{}a run has just begun; what it records is not counted yet\n", status.text())
        }
        StatusForm::Text => status.text(),
        StatusForm::Json => status.json(),
        StatusForm::Metrics => status.metrics(),
    };
    cli::print(text.as_bytes())
}

/// Delivers what waits from earlier runs, for as long as `wait`. As a sidecar that does it, it says in the log what is lost.
pub fn flush(given: Given, wait: Duration) -> i32 {
    let (config, directory) = resolved(given);
    let Some(directory) = directory else {
        message::error(&"there is no state directory: none of its places can be used");
        return EXIT_OWN_FAILURE;
    };
    sidecar::begin_log(&config, Some(&directory));
    let flushed = match sidecar::flush(&config, &directory, wait) {
        Ok(flushed) => flushed,
        Err(error) => {
            message::error(&format_args!("cannot deliver: {error}"));
            return EXIT_OWN_FAILURE;
        }
    };
    for complaint in &flushed.complaints {
        message::error(complaint);
    }
    let text = format!("{}, {} still waiting\n", flushed.done, flushed.waiting);
    for name in &flushed.wait_for {
        // What was encoded for one kind of receiver is for another one of that kind, but for no other.
        message::error(&format_args!("still waiting for the {name}; if it is elsewhere now, say where"));
    }
    if flushed.left_behind > 0 {
        let spans = flushed.left_behind;
        message::error(&format_args!("{spans} of them wait for the end of processes that commands have left behind"));
    }
    if flushed.is_unsettled {
        message::error(
            &"a run that is over, or has just begun, is still being worked on; its spans may not be counted yet",
        );
    }
    if flushed.dropped_by_others > 0 {
        let log = sidecar::log_file(&config, Some(&directory)).unwrap_or_default();
        message::error(&format_args!(
            "{} of runs that others were at work on were dropped; {} says why",
            spool::counted(flushed.dropped_by_others, "span"),
            log.display()
        ));
    }
    let is_dropped = flushed.done.dropped + flushed.dropped_by_others > 0;
    match cli::print(text.as_bytes()) {
        0 if is_dropped || flushed.waiting > 0 || flushed.is_unsettled || flushed.leaves_unread => NOT_ALL_DELIVERED,
        code => code,
    }
}
