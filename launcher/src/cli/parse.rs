//! From words to what they mean.

use super::error::UsageError;
use super::flags::{flags, id, with_subcommands, word};
use super::levels::{Levels, switched_on, values};
use super::split::{Rest, is_flag, is_subcommand, split};
use super::{Action, Bootstrap, ColourChoice, Invocation, Run, Shell, StatusForm, ViewArgs, help, settings};
use crate::view::ViewOptions;
use clap::{ArgMatches, Command, FromArgMatches as _};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Understands a command line: `args` are the words after our own name.
///
/// Help and version are printed to stdout, and the help of an empty command line to stderr; [`Action::Done`] tells so.
///
/// # Errors
/// A flag that does not exist, or not in this place, or with such a value, and flags without a program.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let invocation = match interpret(args.collect())? {
        Meaning::Act(invocation) => invocation,
        Meaning::Help { subcommand, colour } => done(help::print(subcommand.as_deref(), colour)),
        Meaning::Version => done(help::print_version()),
        Meaning::Nothing => done(help::print_to_stderr()),
    };
    Ok(invocation)
}

/// What a command line asks for, nothing of it done yet.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Act(Invocation),
    Help {
        subcommand: Option<String>,
        colour: ColourChoice,
    },
    Version,
    /// No word at all.
    Nothing,
}

fn done(exit_code: i32) -> Invocation {
    plain(Action::Done(exit_code))
}

fn plain(action: Action) -> Invocation {
    Invocation { action, settings: Vec::new(), config_file: None, colour: ColourChoice::Auto, debug: false }
}

fn interpret(words: Vec<OsString>) -> Result<Meaning, UsageError> {
    match words.first() {
        None => return Ok(Meaning::Nothing),
        // The most frequent command line of all has no flags, and needs no parser that first has to be built.
        Some(first) if !is_flag(first) && !is_subcommand(&words) => {
            return Ok(Meaning::Act(plain(Action::Run(Run { command: words, ..Run::default() }))));
        }
        Some(_) => {}
    }
    let mut parser = flags().no_binary_name(true);
    let (mut ours, rest) = split(words, |flag| takes_value(&parser, flag));
    let (program, subcommand) = match rest {
        Rest::Nothing => (Vec::new(), Vec::new()),
        Rest::Program(words) => (words, Vec::new()),
        Rest::Subcommand(words) => (Vec::new(), words),
    };
    if !subcommand.is_empty() {
        parser = with_subcommands(parser);
    }
    let name = subcommand.first().and_then(|name| name.to_str()).map(str::to_owned);
    ours.extend(subcommand);
    let matches = parser
        .try_get_matches_from_mut(&ours)
        .map_err(|error| UsageError::from_parser(&error, &ours, name.as_deref()))?;
    let levels = Levels::new(&matches);
    mean(&levels, &parser, program)
}

/// Whether a long flag, named without its dashes, takes a value; what is not known takes none.
fn takes_value(parser: &Command, name: &str) -> bool {
    parser.get_arguments().any(|arg| {
        arg.get_action().takes_values()
            && (arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name)))
    })
}

fn mean(levels: &Levels, parser: &Command, program: Vec<OsString>) -> Result<Meaning, UsageError> {
    let colour = colour(levels);
    if levels.switched_on(id::HELP) {
        return Ok(Meaning::Help { subcommand: levels.subcommand().map(|(name, _)| name.to_owned()), colour });
    }
    if levels.switched_on(id::VERSION) {
        return Ok(Meaning::Version);
    }
    let action = match levels.subcommand() {
        Some((name, matches)) => {
            refuse_meaningless_flags(levels, parser, name)?;
            subcommand(name, matches)?
        }
        None => launch(levels, program)?,
    };
    Ok(Meaning::Act(Invocation {
        action,
        settings: settings::collect(levels)?,
        config_file: levels.value::<PathBuf>(id::CONFIG).cloned(),
        colour,
        debug: levels.switched_on(id::DEBUG),
    }))
}

/// The innermost level that says anything about colours decides; on one level the parser lets the last flag win.
fn colour(levels: &Levels) -> ColourChoice {
    let choice = |matches| match values::<String>(matches, id::COLOR).last() {
        _ if switched_on(matches, id::COLORLESS) => Some(ColourChoice::Never),
        Some(name) => Some(ColourChoice::from(name.as_str())),
        None => None,
    };
    levels.outermost_first().filter_map(choice).next_back().unwrap_or_default()
}

fn launch(levels: &Levels, program: Vec<OsString>) -> Result<Action, UsageError> {
    if levels.switched_on(id::ATTACH) {
        return Ok(Action::Attach);
    }
    let json = levels.switched_on(id::JSON);
    if levels.switched_on(id::INFO) {
        return Ok(Action::Info { json, command: program });
    }
    if json {
        return Err(UsageError::new("'--json' has a meaning only with '--info'"));
    }
    if program.is_empty() {
        return Err(UsageError::new("no program to start is given"));
    }
    Ok(Action::Run(Run {
        command: program,
        view: levels.switched_on(id::VIEW),
        supervise: levels.switched_on(id::SUPERVISE),
        profiling: levels.switched_on(id::PROFILING),
        force: levels.switched_on(id::FORCE),
    }))
}

fn subcommand(name: &str, matches: &ArgMatches) -> Result<Action, UsageError> {
    match name {
        word::VIEW => Ok(Action::View(ViewArgs {
            file: values::<PathBuf>(matches, id::FILE).last().cloned(),
            options: ViewOptions::from_arg_matches(matches).map_err(|error| UsageError::new(error.to_string()))?,
        })),
        word::STATUS if switched_on(matches, id::JSON) => Ok(Action::Status(StatusForm::Json)),
        word::STATUS if switched_on(matches, id::METRICS) => Ok(Action::Status(StatusForm::Metrics)),
        word::STATUS => Ok(Action::Status(StatusForm::Text)),
        word::FLUSH => {
            let seconds = values::<u32>(matches, id::WAIT).last().copied().unwrap_or_default();
            Ok(Action::Flush(Duration::from_secs(seconds.into())))
        }
        word::BOOTSTRAP => Ok(Action::Bootstrap(Bootstrap {
            installs: values::<String>(matches, id::ACTION).last().is_some_and(|action| action == "install"),
            is_dry: switched_on(matches, id::DRY_RUN),
            python: values::<OsString>(matches, id::PYTHON).last().cloned(),
            command: values::<OsString>(matches, id::COMMAND).cloned().collect(),
        })),
        word::COMPLETIONS => values::<Shell>(matches, id::SHELL)
            .last()
            .copied()
            .or_else(Shell::from_env)
            .map(Action::Completions)
            .ok_or_else(|| UsageError::new("'completions' needs the name of a shell, such as bash, zsh or fish")),
        _ => Ok(Action::Man),
    }
}

/// A flag before one of our subcommands that the subcommand does not have shows that a program of that name was meant.
fn refuse_meaningless_flags(levels: &Levels, parser: &Command, name: &str) -> Result<(), UsageError> {
    let has = |flag: &str| {
        parser.find_subcommand(name).is_some_and(|command| command.get_arguments().any(|arg| arg.get_id() == flag))
    };
    match levels.outer_only(has) {
        Some(flag) => Err(UsageError::new(format!(
            "'--{flag}' has no meaning for '{name}', a command of ddtrace-run itself; \
             to start a program called {name}, write '-- {name}'"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
