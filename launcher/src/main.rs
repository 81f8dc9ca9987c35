//! ddtrace-run: traces any program without changing it.
//!
//! Rust's own start-up is left out (`no_main`): it would ignore SIGPIPE and open closed stdio, and the program that is
//! started must find both as the launcher did.
#![cfg_attr(not(test), no_main)]
#![cfg_attr(test, allow(dead_code, reason = "the entry, which all is used from, is not part of the test harness"))]

mod cli;
mod export;
mod info;
mod launch;
mod message;
mod sidecar;
mod spool;
mod state_dir;
mod target;
mod unnoticed;
mod view;

use std::ffi::OsString;

use cli::{Action, Invocation};
use message::Messages;

/// The entry that the C library calls.
#[cfg(not(test))]
#[unsafe(no_mangle)]
extern "C" fn main(count: i32, arguments: *const *const std::ffi::c_char) -> i32 {
    launch::stdio::hold_closed();
    // SAFETY: the C library gives the program's arguments.
    let words = unsafe { words(count, arguments) };
    run(words.into_iter().skip(1))
}

/// # Safety
///
/// `arguments` has `count` C strings.
#[cfg(not(test))]
unsafe fn words(count: i32, arguments: *const *const std::ffi::c_char) -> Vec<OsString> {
    use std::os::unix::ffi::OsStringExt;
    (0..usize::try_from(count).unwrap_or(0))
        .map(|index| {
            // SAFETY: the caller's promise.
            let text = unsafe { std::ffi::CStr::from_ptr(*arguments.add(index)) };
            OsString::from_vec(text.to_bytes().to_vec())
        })
        .collect()
}

/// Does what the words ask for and gives the exit code. Started programs take this process over and never come back.
fn run(words: impl Iterator<Item = OsString>) -> i32 {
    let invocation = match cli::parse(words) {
        Ok(invocation) => invocation,
        Err(error) => {
            message::error(&error);
            return error.exit_code();
        }
    };
    let Invocation { action, settings, config_file, colour, debug } = invocation;
    let given = launch::Given { settings, config_file };
    match action {
        Action::Run(run) => launch::run(&run, given, colour, &mut Messages::new(debug)),
        Action::Info { json, command } => launch::inform(given, &command, json, colour),
        Action::Attach => launch::attach(given, &mut Messages::new(debug)),
        Action::View(arguments) => view_stored(&arguments, given, colour),
        Action::Status(form) => launch::status(given, form),
        Action::Flush(wait) => launch::flush(given, wait),
        Action::Bootstrap(asked) => launch::bootstrap(&asked),
        Action::Completions(shell) => cli::print_completions(shell),
        Action::Man => cli::print_man(),
        Action::Done(code) => code,
    }
}

/// Shows the local store, or a file.
fn view_stored(arguments: &cli::ViewArgs, given: launch::Given, colour: cli::ColourChoice) -> i32 {
    let (options, style) = (&arguments.options, view::Style::detect(&std::io::stdout(), colour));
    let (name, view) = match &arguments.file {
        Some(file) if file.as_os_str() == "-" => ("standard input".to_owned(), view::of_file(file, &style, options)),
        Some(file) => (file.display().to_string(), view::of_file(file, &style, options)),
        None => match launch::local_store(given) {
            Some(store) => (store.display().to_string(), view::of_store(&store, &style, options)),
            None => {
                message::error(&"there is no local store: none of its directories can be used");
                return cli::EXIT_OWN_FAILURE;
            }
        },
    };
    match view {
        Ok(shown) => {
            for problem in &shown.problems {
                message::error(problem);
            }
            cli::print(shown.picture.as_bytes())
        }
        Err(error) => {
            let hint = if arguments.file.is_none() && error.is_absence() { STORE_HINT } else { "" };
            message::error(&format_args!("{name} {error}{hint}"));
            cli::EXIT_OWN_FAILURE
        }
    }
}

/// Why a trace may not be in the store.
const STORE_HINT: &str =
    "\nTraces are stored there where no Datadog Agent and no OTLP receiver answers, and with '--exporter local'.";
