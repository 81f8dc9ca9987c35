//! The shells that are installed read the scripts; bash is always there, and completes for real.

use super::*;
use std::path::Path;
use std::process::{Command as Process, Stdio};

/// Lets `shell` run `script` and returns what it prints; `None` where the shell is not installed.
fn shell(shell: &str, flags: &[&str], script: &str) -> Option<String> {
    let run = Process::new(shell).args(flags).arg("-c").arg(script).stdin(Stdio::null()).output().ok()?;
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{shell}: {errors}");
    Some(String::from_utf8_lossy(&run.stdout).into_owned())
}

/// What bash offers for the words, cut as bash cuts them (`|` between words that no blank separates on the line).
fn bash_offers(library: &str, line: &str) -> Vec<String> {
    let words: Vec<String> = line.split([' ', '|']).map(|word| format!("'{word}'")).collect();
    let script = format!(
        "{library}\n{}\nCOMP_WORDS=({}) COMP_LINE='{}'\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) COMP_POINT=${{#COMP_LINE}}\n\
         compopt() {{ :; }}\n\
         _ddtrace_run_or_program ddtrace-run \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script(Shell::Bash),
        words.join(" "),
        line.replace('|', "")
    );
    let offers = shell("bash", &["--norc"], &script).expect("bash is installed");
    offers.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_our_flags_and_their_values() {
    for library in libraries() {
        assert_eq!(bash_offers(&library, "ddtrace-run --serv"), ["--service"]);
        assert_eq!(bash_offers(&library, "ddtrace-run -d --color"), ["--color", "--colorless"]);
    }
}

#[test]
fn bash_completes_the_program_and_its_arguments() {
    let Some(library) = libraries().pop().filter(|library| !library.is_empty()) else {
        eprintln!("bash-completion is not installed: only its absence is tested");
        return;
    };
    // A program with completions of its own, which repeat the words it is given.
    let library = library + "\n_witness() { COMPREPLY=(\"${COMP_WORDS[@]}\"); }\ncomplete -F _witness witness";
    for (line, expected) in [
        ("ddtrace-run witness --serv", "witness --serv"),
        ("ddtrace-run -d --service view witness x ", "witness x "),
        ("ddtrace-run --service|=|view witness x", "witness x"),
        ("ddtrace-run --agent-url http|:|//h|:|8126 witness --a|=|b", "witness --a = b"),
        ("ddtrace-run --tags a|:|b -- witness -d", "witness -d"),
        ("ddtrace-run -nc witness view ", "witness view "),
    ] {
        assert_eq!(bash_offers(&library, line).join(" "), expected, "{line}");
    }
    for (line, expected) in [
        ("ddtrace-run --exporter dat", "datadog"),
        ("ddtrace-run --exporter|=|dat", "datadog"),
        ("ddtrace-run -d view --conf", "--config"),
        ("ddtrace-run --set log.l", "log.level="),
        ("ddtrace-run view --lim", "--limit"),
        ("ddtrace-run view --sort dur", "duration"),
        ("ddtrace-run completions fi", "fish"),
    ] {
        assert_eq!(bash_offers(&library, line), [expected], "{line}");
    }
    let programs = |line: &str| bash_offers(&library, line);
    assert!(programs("ddtrace-run bas").contains(&"bash".to_owned()));
    assert!(programs("ddtrace-run completion").contains(&"completions".to_owned()));
    assert!(!programs("ddtrace-run -- completion").contains(&"completions".to_owned()));
}

/// What bash has loaded before: nothing, and its library of completions where that is installed.
fn libraries() -> Vec<String> {
    let library = "/usr/share/bash-completion/bash_completion";
    let installed = Path::new(library).exists().then(|| format!("source {library}"));
    [String::new()].into_iter().chain(installed).collect()
}

#[test]
fn fish_completes_ours_and_the_programs() {
    for (line, expected) in [
        ("ddtrace-run --serv", "--service"),
        ("ddtrace-run --exporter dat", "datadog"),
        ("ddtrace-run completions ba", "bash"),
        ("ddtrace-run --tags a:b -nc -- witness --wit", "--witness"),
        ("ddtrace-run witness --serv", ""),
    ] {
        let script = format!(
            "{}\ncomplete -c witness -l witness\ncomplete -C '{line}' | string split -f1 \\t; or true",
            script(Shell::Fish)
        );
        match shell("fish", &["--no-config"], &script) {
            Some(offers) => assert_eq!(offers.trim(), expected, "{line}"),
            None => return eprintln!("fish is not installed: its completions are not tested"),
        }
    }
}

#[test]
fn zsh_understands_its_script() {
    match shell("zsh", &["-f", "-n"], &script(Shell::Zsh)) {
        Some(output) => assert_eq!(output, ""),
        None => eprintln!("zsh is not installed: its completions are not parsed"),
    }
}

#[test]
fn what_the_generators_lack_has_been_added() {
    let zsh = script(Shell::Zsh);
    for added in ["%-nc/--colorless", "_normal && ret=0", "\":: :_ddtrace-run_program\"", "_ddtrace-run_program() {"] {
        assert_eq!(zsh.matches(added).count(), 1, "{added}");
    }
    let fish = script(Shell::Fish);
    for added in ["string join \\n n c ", " tags= ", "or return 0", "__fish_ddtrace_run_program"] {
        assert!(fish.contains(added), "{added}");
    }
    let bash = script(Shell::Bash);
    assert_eq!(bash.matches("\ncomplete -F").count(), 1);
    for placeholder in ["@COMMANDS@", "@VALUE_FLAGS@", "@SHELLS@"] {
        assert!(!bash.contains(placeholder) && !fish.contains(placeholder), "{placeholder}");
    }
}

#[test]
fn other_shells_have_what_is_generated() {
    for shell in [Shell::Elvish, Shell::PowerShell] {
        assert!(script(shell).contains("--otlp-endpoint"));
    }
}
