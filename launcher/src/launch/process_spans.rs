//! Whether processes become spans. `docs/process-spans.md` tells the user.

use std::fmt;
use std::time::Duration;

use ddtrace::config::{Config, ProcessSpans};

use super::environment::Environment;

/// A command that runs longer is a service, unless somebody said that its processes are wanted.
pub const SERVICE_AFTER: Duration = Duration::from_secs(600);

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Every process becomes a span.
    On(Reason),
    /// They do if the command is a job: if it ends within [`SERVICE_AFTER`]. Until then they are held back.
    Held,
    /// None does.
    Off,
}

/// Why they are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `process_spans` is true.
    Setting,
    /// The trace is to be shown.
    View,
    /// Somebody continues a trace here.
    TraceParent,
    /// A CI job.
    Ci,
}

impl Decision {
    /// Decides by the setting, then by the circumstances.
    pub fn of(config: &Config, view: bool, continued: bool, environment: &Environment) -> Decision {
        match config.process_spans {
            ProcessSpans::On => Decision::On(Reason::Setting),
            ProcessSpans::Off => Decision::Off,
            ProcessSpans::Auto if view => Decision::On(Reason::View),
            ProcessSpans::Auto if continued => Decision::On(Reason::TraceParent),
            ProcessSpans::Auto if is_ci(environment) => Decision::On(Reason::Ci),
            ProcessSpans::Auto => Decision::Held,
        }
    }

    /// Whether processes are recorded.
    pub fn records(self) -> bool {
        self != Decision::Off
    }
}

/// Every provider sets `CI`; some people set it to false.
fn is_ci(environment: &Environment) -> bool {
    let value = environment.get("CI").and_then(|value| value.to_str()).unwrap_or_default();
    !matches!(value.to_ascii_lowercase().as_str(), "" | "0" | "false" | "no")
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Decision::On(Reason::Setting) => "process_spans is true",
            Decision::On(Reason::View) => "the trace is to be shown (--view)",
            Decision::On(Reason::TraceParent) => "TRACEPARENT continues a trace",
            Decision::On(Reason::Ci) => "CI is set",
            Decision::Held => {
                "sent when the command has ended; dropped if it runs longer than 10 minutes, as a service does"
            }
            Decision::Off => "process_spans is false",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddtrace::config::{Sources, resolve};

    #[test]
    fn the_setting_wins_then_the_circumstances() {
        let config = |value: &str| {
            let cli = vec![("process_spans".to_owned(), value.to_owned())];
            resolve(&Sources { cli, root: "/nonexistent".into(), ..Sources::default() }).config
        };
        let mut plain = Environment::inherited();
        plain.set("CI", "");
        let mut ci = plain.clone();
        ci.set("CI", "true");
        let mut no_ci = plain.clone();
        no_ci.set("CI", "false");
        assert_eq!(Decision::of(&config("false"), true, true, &ci), Decision::Off);
        assert_eq!(Decision::of(&config("true"), false, false, &plain), Decision::On(Reason::Setting));
        assert_eq!(Decision::of(&config("auto"), true, true, &ci), Decision::On(Reason::View));
        assert_eq!(Decision::of(&config("auto"), false, true, &ci), Decision::On(Reason::TraceParent));
        assert_eq!(Decision::of(&config("auto"), false, false, &ci), Decision::On(Reason::Ci));
        assert_eq!(Decision::of(&config("auto"), false, false, &no_ci), Decision::Held);
    }
}
