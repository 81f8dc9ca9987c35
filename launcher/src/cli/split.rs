//! Where our own words end and the program begins.
//!
//! This is decided before any parser sees the words, so that those of the program are never looked at, let alone
//! changed: they may be anything, words that look like our flags and bytes that are not UTF-8 included.

use super::flags::word;
use std::ffi::{OsStr, OsString};

/// The Python `ddtrace-run` spells this one flag with one dash and two letters.
const SHORT_COLORLESS: &str = "-nc";
const COLORLESS: &str = "--colorless";
const END_OF_FLAGS: &str = "--";

/// What follows our own flags.
#[derive(Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing at all.
    Nothing,
    /// A program with its arguments.
    Program(Vec<OsString>),
    /// One of our own subcommands: a word and its flags.
    Subcommand(Vec<OsString>),
}

/// Whether the word is a flag; a lone dash is a name, as it is for `exec`.
pub fn is_flag(word: &OsStr) -> bool {
    word.len() > 1 && word.as_encoded_bytes()[0] == b'-'
}

/// Whether these words are for one of our subcommands rather than for a program of the same name.
///
/// Only the first word counts. `man` is ours only when it stands alone: `man` without a page does nothing useful, and
/// `ddtrace-run man ls` is meant for man(1).
pub fn is_subcommand(words: &[OsString]) -> bool {
    match words {
        [only] if only == word::MAN => true,
        [first, ..] => {
            [word::VIEW, word::STATUS, word::FLUSH, word::BOOTSTRAP, word::COMPLETIONS].iter().any(|word| first == word)
        }
        [] => false,
    }
}

/// Cuts the command line into our own flags and what follows them.
///
/// `takes_value` tells whether the long flag of this name, given without its dashes, is followed by a value.
pub fn split(words: impl IntoIterator<Item = OsString>, takes_value: impl Fn(&str) -> bool) -> (Vec<OsString>, Rest) {
    let mut words = words.into_iter().peekable();
    let mut ours = Vec::new();
    while let Some(word) = words.next() {
        if word == END_OF_FLAGS {
            return (ours, program(words.collect()));
        }
        if !is_flag(&word) {
            let rest: Vec<_> = std::iter::once(word).chain(words).collect();
            return (ours, if is_subcommand(&rest) { subcommand(rest) } else { program(rest) });
        }
        let has_value = word.to_str().and_then(|word| word.strip_prefix("--")).is_some_and(&takes_value);
        ours.push(long_form(word));
        // A missing value must not swallow the mark that protects the program's words.
        if has_value && let Some(value) = words.next_if(|value| value != END_OF_FLAGS) {
            ours.push(value);
        }
    }
    (ours, Rest::Nothing)
}

fn program(words: Vec<OsString>) -> Rest {
    if words.is_empty() { Rest::Nothing } else { Rest::Program(words) }
}

fn subcommand(words: Vec<OsString>) -> Rest {
    let mut flags_ended = false;
    let words = words.into_iter().map(|word| {
        flags_ended |= word == END_OF_FLAGS;
        if flags_ended { word } else { long_form(word) }
    });
    Rest::Subcommand(words.collect())
}

fn long_form(word: OsString) -> OsString {
    if word == SHORT_COLORLESS { COLORLESS.into() } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(line: &str) -> (String, Rest) {
        let (ours, rest) = split(line.split(' ').map(OsString::from), |name| name == "service");
        (ours.join(OsStr::new(" ")).into_string().expect("the tests speak UTF-8"), rest)
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_first_word_that_is_no_flag_begins_the_program() {
        for (line, ours, theirs) in [
            ("app", "", "app"),
            ("app -d --service x -- y", "", "app -d --service x -- y"),
            ("-d app -d", "-d", "app -d"),
            ("--service web app", "--service web", "app"),
            ("--service=web app", "--service=web", "app"),
            ("--service view app", "--service view", "app"),
            ("-- app -- y", "", "app -- y"),
            ("-- --debug", "", "--debug"),
            ("-d -- -d", "-d", "-d"),
            ("- x", "", "- x"),
            ("-nc app -nc", "--colorless", "app -nc"),
            ("-- view", "", "view"),
            ("./view", "", "./view"),
            ("man ls", "", "man ls"),
            ("env view", "", "env view"),
            ("--service -- app", "--service", "app"),
        ] {
            assert_eq!(cut(line), (ours.to_owned(), Rest::Program(words(theirs))), "{line}");
        }
    }

    #[test]
    fn subcommands_are_the_first_word_only() {
        for (line, ours, theirs) in [
            ("view", "", "view"),
            ("view -nc -- -nc", "", "view --colorless -- -nc"),
            ("-d view x", "-d", "view x"),
            ("completions bash", "", "completions bash"),
            ("bootstrap -a install app -a", "", "bootstrap -a install app -a"),
            ("man", "", "man"),
        ] {
            assert_eq!(cut(line), (ours.to_owned(), Rest::Subcommand(words(theirs))), "{line}");
        }
    }

    #[test]
    fn without_a_program_nothing_follows() {
        for (line, ours) in
            [("-d", "-d"), ("-d --", "-d"), ("--service app", "--service app"), ("--service", "--service")]
        {
            assert_eq!(cut(line), (ours.to_owned(), Rest::Nothing), "{line}");
        }
    }

    #[test]
    fn an_empty_word_is_a_program_that_will_not_be_found() {
        assert_eq!(cut(""), (String::new(), Rest::Program(vec![OsString::new()])));
    }
}
