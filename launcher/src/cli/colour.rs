//! Whether what we print is coloured.

use std::ffi::OsString;

/// What the command line says about colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColourChoice {
    /// Only on a terminal that is not known to be without, and unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ColourChoice {
    /// Whether a stream is to be coloured, by this choice and the environment.
    ///
    /// The command line is the strongest; then `NO_COLOR`, which counts when it is set and not empty
    /// (<https://no-color.org>); then `CLICOLOR_FORCE` and `CLICOLOR` (<https://bixense.com/clicolors>).
    #[must_use]
    pub fn applies(self, stream_is_terminal: bool) -> bool {
        self.applies_with(stream_is_terminal, |name| std::env::var_os(name))
    }

    /// As [`ColourChoice::applies`], with the environment given.
    pub fn applies_with(self, stream_is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
                if variable("NO_COLOR").is_some() {
                    return false;
                }
                variable("CLICOLOR_FORCE").is_some_and(|value| value != "0")
                    || stream_is_terminal
                        && variable("CLICOLOR").is_none_or(|value| value != "0")
                        && variable("TERM").is_some_and(|value| value != "dumb")
            }
        }
    }
}

impl From<&str> for ColourChoice {
    fn from(name: &str) -> Self {
        match name {
            "always" => Self::Always,
            "never" => Self::Never,
            _ => Self::Auto,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colours(choice: &str, terminal: bool, variables: &[(&str, &str)]) -> bool {
        ColourChoice::from(choice).applies_with(terminal, |wanted| {
            variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn auto_asks_the_terminal_and_the_environment() {
        for (terminal, variables, expected) in [
            (true, &[("TERM", "xterm")][..], true),
            (true, &[("TERM", "dumb")], false),
            (true, &[], false),
            (false, &[("TERM", "xterm")], false),
            (true, &[("TERM", "xterm"), ("NO_COLOR", "")], true),
            (true, &[("TERM", "xterm"), ("NO_COLOR", "0")], false),
            (true, &[("TERM", "xterm"), ("CLICOLOR", "0")], false),
            (true, &[("TERM", "xterm"), ("CLICOLOR", "1")], true),
            (false, &[("CLICOLOR_FORCE", "1")], true),
            (false, &[("CLICOLOR_FORCE", "0")], false),
            (false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        ] {
            assert_eq!(colours("auto", terminal, variables), expected, "{terminal} {variables:?}");
        }
    }

    #[test]
    fn a_given_choice_is_stronger_than_the_environment() {
        assert!(colours("always", false, &[("NO_COLOR", "1")]));
        assert!(!colours("never", true, &[("TERM", "xterm"), ("CLICOLOR_FORCE", "1")]));
    }
}
