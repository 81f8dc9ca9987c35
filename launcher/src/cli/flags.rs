//! Every flag and subcommand, declared once: the parser, `--help`, the man page and the completions come from here.

use crate::view::ViewOptions;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, Args as _, Command, ValueHint, value_parser};
use clap_complete::Shell;
use ddtrace::config::table::{self, Kind};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The name under which the program is known, whatever it is installed as.
pub const PROGRAM: &str = "ddtrace-run";

/// Identifiers of the flags that are not shortcuts for one setting; each is also the flag's long name.
pub mod id {
    pub const SUPERVISE: &str = "supervise";
    pub const FORCE: &str = "force";
    pub const PROFILING: &str = "profiling";
    pub const TAG: &str = "tag";
    pub const VIEW: &str = "view";
    pub const INFO: &str = "info";
    pub const JSON: &str = "json";
    pub const ATTACH: &str = "attach";
    pub const CONFIG: &str = "config";
    pub const SET: &str = "set";
    pub const DEBUG: &str = "debug";
    pub const COLOR: &str = "color";
    pub const COLORLESS: &str = "colorless";
    pub const HELP: &str = "help";
    pub const VERSION: &str = "version";
    /// Of `view`: the file to show.
    pub const FILE: &str = "file";
    /// Of `completions`: the shell to write for.
    pub const SHELL: &str = "shell";
    /// Of `flush`: how long it tries.
    pub const WAIT: &str = "wait";
    /// Of `status`: the form of metrics.
    pub const METRICS: &str = "metrics";
    /// Of `bootstrap`: what is done with what fits.
    pub const ACTION: &str = "action";
    /// Of `bootstrap`: install nothing.
    pub const DRY_RUN: &str = "dry-run";
    /// Of `bootstrap`: the Python it is about.
    pub const PYTHON: &str = "python";
    /// Of `bootstrap`: the program whose Python it is about.
    pub const COMMAND: &str = "command";
}

/// First words that are ours and not the name of a program to trace.
pub mod word {
    pub const VIEW: &str = "view";
    pub const STATUS: &str = "status";
    pub const FLUSH: &str = "flush";
    pub const BOOTSTRAP: &str = "bootstrap";
    pub const COMPLETIONS: &str = "completions";
    pub const MAN: &str = "man";
}

/// Keys in the table of settings that are reached by flags of more meaning than a plain shortcut.
pub mod key {
    pub const TAGS: &str = "tags";
    pub const DEBUG: &str = "debug";
}

/// How a value that is an address is called in the help; completions go by it.
const URL: &str = "URL";

/// One line for each way to use the program.
const USAGE: &str = "\
ddtrace-run [FLAGS] [--] PROGRAM [ARG...]
       ddtrace-run --info [--json] [PROGRAM [ARG...]]
       ddtrace-run view [FILE]
       ddtrace-run status [--json]
       ddtrace-run flush [--wait SECONDS]
       ddtrace-run bootstrap [-a install] [PROGRAM [ARG...]]";

/// A flag that is another name for one setting.
pub struct SettingFlag {
    /// Long name, also the identifier.
    pub long: &'static str,
    /// The setting's key in the table of settings.
    pub key: &'static str,
    value_name: &'static str,
    help: &'static str,
}

/// Shortcuts for settings about how the program is started and ended.
const LAUNCHING: &[SettingFlag] = &[SettingFlag {
    long: "shutdown-timeout",
    key: "shutdown_timeout",
    value_name: "TIME",
    help: "How long --supervise and --view wait for delivery, such as 500ms or 10s",
}];

/// Shortcuts for settings about where to send, in the order of the help.
const SENDING: &[SettingFlag] = &[
    SettingFlag {
        long: "exporter",
        key: "exporter",
        value_name: "LIST",
        help: "Send only to these, separated by commas",
    },
    SettingFlag {
        long: "agent-url",
        key: "agent.url",
        value_name: URL,
        help: "Datadog Agent: http://HOST:PORT, https://HOST:PORT or unix:///PATH",
    },
    SettingFlag {
        long: "otlp-endpoint",
        key: "otlp.endpoint",
        value_name: URL,
        help: "OTLP receiver, such as http://localhost:4318",
    },
    SettingFlag {
        long: "otlp-protocol",
        key: "otlp.protocol",
        value_name: "NAME",
        help: "What the OTLP receiver speaks",
    },
];

/// Shortcuts for settings about what is recorded.
const RECORDING: &[SettingFlag] = &[
    SettingFlag {
        long: "service",
        key: "service",
        value_name: "NAME",
        help: "Name of the service; without it the program's own name",
    },
    SettingFlag {
        long: "env",
        key: "env",
        value_name: "NAME",
        help: "Deployment environment, such as prod or staging",
    },
    SettingFlag {
        long: "app-version",
        key: "version",
        value_name: "VERSION",
        help: "Version of the service (-v is the version of ddtrace-run)",
    },
    SettingFlag {
        long: "process-spans",
        key: "process_spans",
        value_name: "WHEN",
        help: "Whether each process becomes a span",
    },
];

/// All shortcuts for settings.
pub fn setting_flags() -> impl Iterator<Item = &'static SettingFlag> {
    LAUNCHING.iter().chain(SENDING).chain(RECORDING)
}

impl SettingFlag {
    /// Whether only certain values are allowed; the parser has them as `String`, the others as `OsString`.
    pub fn has_fixed_values(&self) -> bool {
        !self.values().is_empty()
    }

    /// The only values there are, as the table of settings has them; none where any will do.
    pub fn values(&self) -> &'static [&'static str] {
        match self.kind() {
            Some(Kind::Choice(names) | Kind::Choices(names)) => names.names,
            _ => &[],
        }
    }

    fn kind(&self) -> Option<Kind> {
        table::by_key(self.key).map(|setting| setting.kind)
    }

    fn arg(&self) -> Arg {
        let arg = if self.has_fixed_values() {
            among(Arg::new(self.long).long(self.long), self.values(), self.help)
        } else {
            let hint = if self.value_name == URL { ValueHint::Url } else { ValueHint::Other };
            text(self.long).help(self.help).value_hint(hint)
        };
        let arg = arg.value_name(self.value_name);
        // Several values may be given, by commas or by repeating the flag.
        let several = matches!(self.kind(), Some(Kind::Choices(_) | Kind::List));
        if several { arg.action(ArgAction::Append).value_delimiter(',') } else { arg }
    }
}

/// Any text, of which completions know how it may begin: with the key of a setting.
#[derive(Clone)]
struct KeyAndValue;

impl TypedValueParser for KeyAndValue {
    type Value = OsString;

    fn parse_ref(&self, _: &Command, _: Option<&Arg>, value: &OsStr) -> Result<OsString, clap::Error> {
        Ok(value.to_owned())
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(table::settings().map(|setting| PossibleValue::new(format!("{}=", setting.key)))))
    }
}

/// A flag with a value of any text; it is an `OsString` for errors that name the flag.
fn text(name: &'static str) -> Arg {
    Arg::new(name).long(name).value_parser(value_parser!(OsString)).value_hint(ValueHint::Other)
}

/// Makes it a flag with one of these values, and has the help name them.
fn among(flag: Arg, values: &'static [&'static str], help: &'static str) -> Arg {
    flag.value_parser(PossibleValuesParser::new(values))
        .hide_possible_values(true)
        .help(format!("{help}: {}", values.join(", ")))
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn launching() -> [Arg; 3] {
    [
        switch(id::SUPERVISE, "Stay as the program's parent and return when its spans are out or safely stored"),
        switch(id::FORCE, "Trace even a program that is on the list of those never traced"),
        switch(id::PROFILING, "Accepted for compatibility; has no effect yet").short('p'),
    ]
}

fn tag() -> Arg {
    text(id::TAG)
        .visible_alias("tags")
        .value_name("KEY:VALUE,...")
        .help("Tags, also called resource attributes, on all that is recorded; repeatable")
        .action(ArgAction::Append)
}

fn looking() -> [Arg; 4] {
    [
        // For programs that import our packages; nobody has a use for it at a terminal.
        switch(id::ATTACH, "Start a sidecar for the program that calls this, and print the variables it needs")
            .hide(true),
        switch(id::VIEW, "Show the trace as a waterfall on stderr when the program has ended"),
        switch(id::INFO, "Show the configuration, where each value comes from and what is wrong; run nothing")
            .short('i')
            .conflicts_with(id::VIEW),
        switch(id::JSON, "With --info: write JSON"),
    ]
}

/// Flags that have to do with the configuration, for all that reads it.
fn configuring() -> [Arg; 3] {
    [
        Arg::new(id::CONFIG)
            .long(id::CONFIG)
            .value_name("FILE")
            .value_hint(ValueHint::FilePath)
            .value_parser(value_parser!(PathBuf))
            .help("Read this ddtrace.toml before the user's and the system's"),
        text(id::SET)
            .value_parser(KeyAndValue)
            .hide_possible_values(true)
            .value_name("KEY=VALUE")
            .action(ArgAction::Append)
            .help("Set any setting by its key in ddtrace.toml; repeatable"),
        switch(id::DEBUG, "Say in detail what is done, on stderr and in the log").short('d'),
    ]
}

/// Flags that have to do with what is printed, for all that prints.
fn printing() -> [Arg; 3] {
    [
        among(Arg::new(id::COLOR).long(id::COLOR), &["auto", "always", "never"], "Colours in our own output")
            .visible_alias("colour")
            .value_name("WHEN"),
        switch(id::COLORLESS, "The same as --color=never; also written -nc").overrides_with(id::COLOR),
        switch(id::HELP, "Print this help").short('h'),
    ]
}

fn version() -> Arg {
    switch(id::VERSION, "Print the version").short('v')
}

fn view() -> Command {
    let file = Arg::new(id::FILE)
        .value_name("FILE")
        .value_hint(ValueHint::FilePath)
        .value_parser(value_parser!(PathBuf))
        .help("File of OTLP JSON lines, - for stdin; without it the local store");
    ViewOptions::augment_args(Command::new(word::VIEW).arg(file).next_help_heading("What is shown"))
        .about("Show stored traces as waterfalls")
        .override_usage("ddtrace-run view [OPTIONS] [FILE]")
        .next_help_heading("Other")
        .args(configuring())
        .args(printing())
}

fn status() -> Command {
    Command::new(word::STATUS)
        .about("Show which spans wait for delivery, and what the sidecars that run now have done")
        .override_usage("ddtrace-run status [--json | --metrics]")
        .arg(switch(id::JSON, "Write JSON"))
        .arg(switch(id::METRICS, "Write metrics in the text format of Prometheus").conflicts_with(id::JSON))
        .next_help_heading("Other")
        .args(configuring())
        .args(printing())
}

fn flush() -> Command {
    let wait = Arg::new(id::WAIT)
        .long(id::WAIT)
        .value_name("SECONDS")
        .value_parser(value_parser!(u32).range(0..=86_400))
        .value_hint(ValueHint::Other)
        .default_value("30")
        .help("How long to try");
    Command::new(word::FLUSH)
        .about("Deliver the spans that wait from earlier runs; exit code 1 if any still wait then")
        .override_usage("ddtrace-run flush [OPTIONS]")
        .arg(wait)
        .next_help_heading("Where to send")
        .args(SENDING.iter().map(SettingFlag::arg))
        .next_help_heading("Other")
        .args(configuring())
        .args(printing())
}

fn bootstrap() -> Command {
    let action = among(
        Arg::new(id::ACTION).long(id::ACTION).short('a'),
        &["requirements", "install"],
        "Print them as a requirements file, or install them",
    );
    let python = text(id::PYTHON)
        .value_name("PATH")
        .value_hint(ValueHint::FilePath)
        .conflicts_with(id::COMMAND)
        .help("Python, or directory of its environment; without it that of the program, else the one in PATH");
    let command = Arg::new(id::COMMAND)
        .value_name("PROGRAM")
        .num_args(0..)
        .value_parser(value_parser!(OsString))
        .value_hint(ValueHint::CommandName)
        .trailing_var_arg(true)
        .help("Program, with its arguments, whose Python it is about");
    Command::new(word::BOOTSTRAP)
        .about("Find the OpenTelemetry instrumentations that fit the libraries which a Python has, and install them")
        .override_usage("ddtrace-run bootstrap [OPTIONS] [PROGRAM [ARG...]]")
        .arg(action.value_name("ACTION").default_value("requirements"))
        .arg(switch(id::DRY_RUN, "With --action=install: only say what would be installed"))
        .arg(python)
        .arg(command)
        .next_help_heading("Other")
        .args(printing())
}

fn completions() -> Command {
    let shell = Arg::new(id::SHELL)
        .value_name("SHELL")
        .value_parser(value_parser!(Shell))
        .help("The shell that is to read them; without it the one in $SHELL");
    Command::new(word::COMPLETIONS).about("Write the completions for a shell to stdout").arg(shell).args(printing())
}

fn man() -> Command {
    Command::new(word::MAN).about("Write the man page to stdout: ddtrace-run man | man -l -")
}

/// The whole command line but for the program, which no parser sees.
pub fn command() -> Command {
    with_subcommands(flags())
}

/// Adds the subcommands. Most command lines have none of them, and building them takes as long as parsing does.
pub fn with_subcommands(command: Command) -> Command {
    command.subcommands([view(), status(), flush(), bootstrap(), completions(), man()])
}

/// The flags that stand before a program or a subcommand.
pub fn flags() -> Command {
    Command::new(PROGRAM)
        .version(env!("CARGO_PKG_VERSION"))
        .about("Runs any program with distributed tracing switched on, without changing the program")
        .override_usage(USAGE)
        .max_term_width(100)
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .next_help_heading("Launching")
        .args(launching())
        .args(LAUNCHING.iter().map(SettingFlag::arg))
        .next_help_heading("Where to send")
        .args(SENDING.iter().map(SettingFlag::arg))
        .next_help_heading("What is recorded")
        .args(RECORDING.iter().map(SettingFlag::arg))
        .arg(tag())
        .next_help_heading("Looking at traces")
        .args(looking())
        .next_help_heading("Other")
        .args(configuring())
        .args(printing())
        .arg(version())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddtrace::config::{Sources, resolve};

    #[test]
    fn every_key_is_one_of_the_table() {
        for key in setting_flags().map(|flag| flag.key).chain([key::TAGS, key::DEBUG]) {
            assert!(table::by_key(key).is_some(), "{key}");
        }
    }

    #[test]
    fn flags_for_one_of_several_names_allow_those_of_the_table_and_the_configuration_takes_them() {
        let fixed: Vec<_> = setting_flags().filter(|flag| flag.has_fixed_values()).collect();
        assert_eq!(
            fixed.iter().map(|flag| flag.long).collect::<Vec<_>>(),
            ["exporter", "otlp-protocol", "process-spans"]
        );
        for flag in fixed {
            for value in flag.values() {
                let cli = vec![(flag.key.to_owned(), (*value).to_owned())];
                let resolution = resolve(&Sources { cli, root: "/nonexistent".into(), ..Sources::default() });
                assert!(resolution.warnings.is_empty(), "--{}={value}: {:?}", flag.long, resolution.warnings);
            }
        }
    }

    #[test]
    fn the_help_of_view_begins_with_its_own_options() {
        let mut command = command();
        command.build();
        let help = command.find_subcommand_mut(word::VIEW).expect("it is declared").render_help().to_string();
        assert!(help.starts_with("Show stored traces as waterfalls\n"), "{help}");
        let at = |text: &str| help.find(text).unwrap_or_else(|| panic!("{text} is missing:\n{help}"));
        let order = ["[FILE]", "What is shown:", "--all", "--list", "Other:", "--config", "--set", "--color", "--help"];
        assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{help}");
    }

    #[test]
    fn completions_of_set_know_the_keys() {
        let keys: Vec<_> = KeyAndValue.possible_values().into_iter().flatten().collect();
        assert_eq!(keys.len(), table::COUNT);
        assert!(keys.iter().any(|key| key.get_name() == "log.level="));
    }
}
