//! What the parser found, on both sides of a subcommand.
//!
//! `ddtrace-run --config a view --config b`: a flag of a subcommand may stand before it as well; the later one wins, and
//! those that add up do so. The parser's own global flags would forget the first `--set` of two.

use clap::ArgMatches;
use clap::parser::ValueSource;
use std::any::Any;

/// The flags before a subcommand and those behind it.
pub struct Levels<'m> {
    outer: &'m ArgMatches,
    inner: Option<(&'m str, &'m ArgMatches)>,
}

impl<'m> Levels<'m> {
    pub fn new(matches: &'m ArgMatches) -> Self {
        Self { outer: matches, inner: matches.subcommand() }
    }

    /// The subcommand with its flags.
    pub fn subcommand(&self) -> Option<(&'m str, &'m ArgMatches)> {
        self.inner
    }

    pub fn outermost_first(&self) -> impl DoubleEndedIterator<Item = &'m ArgMatches> + use<'m> {
        std::iter::once(self.outer).chain(self.inner.map(|(_, matches)| matches))
    }

    /// Whether a switch is on, on either side.
    pub fn switched_on(&self, name: &str) -> bool {
        self.outermost_first().any(|matches| switched_on(matches, name))
    }

    /// The last value of a flag.
    pub fn value<T: Any + Clone + Send + Sync>(&self, name: &str) -> Option<&'m T> {
        self.outermost_first().flat_map(|matches| values(matches, name)).last()
    }

    /// A flag that was given before the subcommand though it is none of those that the subcommand is `known` to have.
    pub fn outer_only(&self, known: impl Fn(&str) -> bool) -> Option<&'m str> {
        self.inner?;
        let given = |name: &&str| self.outer.value_source(name) == Some(ValueSource::CommandLine);
        self.outer.ids().map(clap::Id::as_str).filter(given).find(|name| !known(name))
    }
}

/// Whether a switch is on; one that is not known on this side of the subcommand is not.
pub fn switched_on(matches: &ArgMatches, name: &str) -> bool {
    matches.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or_default()
}

/// All values of a flag in their order; none where it is not known on this side of the subcommand.
pub fn values<'m, T: Any + Clone + Send + Sync>(
    matches: &'m ArgMatches,
    name: &str,
) -> impl Iterator<Item = &'m T> + use<'m, T> {
    matches.try_get_many::<T>(name).ok().flatten().into_iter().flatten()
}

/// Where on the command line the values of a flag stand; counted from the subcommand on behind it.
pub fn places<'m>(matches: &'m ArgMatches, name: &str) -> impl Iterator<Item = usize> + use<'m> {
    let known = matches.try_contains_id(name).unwrap_or_default();
    known.then(|| matches.indices_of(name)).flatten().into_iter().flatten()
}
