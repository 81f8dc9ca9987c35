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
    /// `NO_COLOR` counts when it is set and not empty (<https://no-color.org>); the command line is stronger.
    #[must_use]
    pub fn applies(self, stream_is_terminal: bool) -> bool {
        self.applies_with(stream_is_terminal, |name| std::env::var_os(name))
    }

    fn applies_with(self, stream_is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                stream_is_terminal
                    && variable("NO_COLOR").is_none_or(|value| value.is_empty())
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

    fn colours(choice: &str, terminal: bool, no_color: Option<&str>, term: Option<&str>) -> bool {
        ColourChoice::from(choice).applies_with(terminal, |name| {
            let value = if name == "NO_COLOR" { no_color } else { term };
            value.map(OsString::from)
        })
    }

    #[test]
    fn auto_asks_the_terminal_and_the_environment() {
        assert!(colours("auto", true, None, Some("xterm")));
        assert!(colours("auto", true, Some(""), Some("xterm")));
        assert!(!colours("auto", true, Some("0"), Some("xterm")));
        assert!(!colours("auto", true, None, Some("dumb")));
        assert!(!colours("auto", true, None, None));
        assert!(!colours("auto", false, None, Some("xterm")));
    }

    #[test]
    fn a_given_choice_is_stronger_than_the_environment() {
        assert!(colours("always", false, Some("1"), None));
        assert!(!colours("never", true, None, Some("xterm")));
    }
}
