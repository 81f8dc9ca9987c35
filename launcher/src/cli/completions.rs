//! Shell completions: those that are generated from the flags, and what they lack to complete the traced program, too.

use super::flags::{PROGRAM, command};
use super::output;
use clap::{Arg, Command, ValueEnum};
use clap_complete::{Shell, generate};

/// The subcommands, as a pattern of zsh, that have arguments of their own; with any other word they are a program's.
const OWN_WITH_ARGUMENTS: &str = "view|status|flush|completions";

/// Prints the completions for `shell` to stdout; returns the code to exit with.
#[must_use]
pub fn print_completions(shell: Shell) -> i32 {
    output::print(script(shell).as_bytes())
}

fn script(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(),
        Shell::Fish => fish(),
        other => generated(other, PROGRAM),
    }
}

fn generated(shell: Shell, name: &str) -> String {
    let mut script = Vec::new();
    generate(shell, &mut command(), name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn bash() -> String {
    // The generator loses the subcommands of a program whose name has a dash in it; a name without one is used inside.
    let generated = generated(Shell::Bash, "ddtrace_run");
    let (function, _registration) = generated.rsplit_once("\nif [[").unwrap_or((&generated, ""));
    let program = include_str!("completions/program.bash")
        .replace("@COMMANDS@", &names(command().get_subcommands().map(Command::get_name)).join(" "))
        .replace("@VALUE_FLAGS@", &value_flags().join(" | "));
    format!("{function}{program}")
}

fn zsh() -> String {
    let (start, choice, first, end) = (
        "    _arguments \"${_arguments_options[@]}\" : \\\n",
        "        case $line[1] in\n",
        "\":: :_ddtrace-run_commands\"",
        "\nif [ \"$funcstack[1]\"",
    );
    generated(Shell::Zsh, PROGRAM)
        // Flags of one dash have one letter here.
        .replacen(start, &format!("    words=(\"${{words[@]/#%-nc/--colorless}}\")\n{start}"), 1)
        // A word that is none of the subcommands is a program, and what follows belongs to it.
        .replacen(choice, &format!("{choice}            (^({OWN_WITH_ARGUMENTS}))\n_normal && ret=0\n;;\n"), 1)
        .replacen(first, "\":: :_ddtrace-run_program\"", 1)
        .replacen(end, &format!("{}{}", include_str!("completions/program.zsh"), &end[1..]), 1)
}

fn fish() -> String {
    let command = command();
    // The generator tells the parser of flags nothing of their other names, -nc among them.
    let aliases: Vec<_> = value_args(&command).flat_map(aliases).map(|alias| format!("{alias}=")).collect();
    let (flags, give_up) = ("string join \\n ", "    or return\n    if set -q argv[1]");
    let shells: Vec<_> = Shell::value_variants().iter().map(Shell::to_string).collect();
    generated(Shell::Fish, PROGRAM)
        .replacen(flags, &format!("{flags}n c {} ", aliases.join(" ")), 1)
        // A flag whose value is still to be typed is no reason to offer nothing.
        .replacen(give_up, "    or return 0\n    if set -q argv[1]", 1)
        + &include_str!("completions/program.fish").replace("@SHELLS@", &shells.join(" "))
}

/// The long flags that are followed by a value, with their dashes.
fn value_flags() -> Vec<String> {
    let command = command();
    let long = value_args(&command).filter_map(Arg::get_long);
    let aliases = value_args(&command).flat_map(aliases);
    names(long.chain(aliases)).iter().map(|name| format!("--{name}")).collect()
}

fn value_args(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| arg.get_action().takes_values())
}

fn aliases(arg: &Arg) -> Vec<&str> {
    arg.get_all_aliases().unwrap_or_default()
}

fn names<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
