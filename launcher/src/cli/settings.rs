//! The settings that the flags stand for.

use super::error::UsageError;
use super::flags::{SettingFlag, id, key, setting_flags};
use super::levels::{Levels, places, switched_on, values};
use clap::ArgMatches;
use ddtrace::config::key_like;
use ddtrace::config::table::by_key;
use std::ffi::OsString;

/// A key of the table of settings with a value that the command line gives it.
pub type Setting = (&'static str, String);

/// A setting with the place of its flag on the command line.
type Placed = (usize, Setting);

/// The settings in the order of their flags.
///
/// # Errors
/// A value that is not UTF-8, and a `--set` that is not `KEY=VALUE` or names no setting.
pub fn collect(levels: &Levels) -> Result<Vec<Setting>, UsageError> {
    let mut settings = Vec::new();
    // Places count anew behind a subcommand, whose flags are the later ones.
    for matches in levels.outermost_first() {
        let mut found = generic(matches)?;
        for flag in setting_flags() {
            found.extend(shortcut(matches, flag)?);
        }
        found.extend(placed(matches, id::TAG)?.map(|(place, list)| (place, (key::TAGS, tags(list)))));
        if switched_on(matches, id::DEBUG) {
            let place = places(matches, id::DEBUG).last().unwrap_or_default();
            found.push((place, (key::DEBUG, "true".to_owned())));
        }
        found.sort_by_key(|&(place, _)| place);
        settings.extend(found.into_iter().map(|(_, setting)| setting));
    }
    Ok(settings)
}

fn shortcut(matches: &ArgMatches, flag: &SettingFlag) -> Result<Vec<Placed>, UsageError> {
    if flag.has_fixed_values() {
        let given = places(matches, flag.long).zip(values::<String>(matches, flag.long).cloned());
        return Ok(given.map(|(place, value)| (place, (flag.key, value))).collect());
    }
    Ok(placed(matches, flag.long)?.map(|(place, value)| (place, (flag.key, value.to_owned()))).collect())
}

fn generic(matches: &ArgMatches) -> Result<Vec<Placed>, UsageError> {
    placed(matches, id::SET)?
        .map(|(place, pair)| {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| UsageError::new(format!("'--set {pair}' is not of the form KEY=VALUE")))?;
            let setting = by_key(name).ok_or_else(|| unknown_key(name))?;
            Ok((place, (setting.key, value.to_owned())))
        })
        .collect()
}

fn unknown_key(name: &str) -> UsageError {
    let hint = match key_like(name) {
        Some(key) => format!("did you mean '{key}'?"),
        None => "'ddtrace-run --info' lists all".to_owned(),
    };
    UsageError::new(format!("'--set {name}=…': there is no such setting; {hint}"))
}

/// The tags of one `--tag` in the grammar of `DD_TAGS`.
///
/// Commas separate and blanks do not: what is quoted for the shell is meant to be one. `key=value`, the spelling of
/// `OTEL_RESOURCE_ATTRIBUTES`, is taken for `key:value`, since else it would be a key that nobody means.
fn tags(list: &str) -> String {
    let items = list.split(',').map(|item| match item.find([':', '=']) {
        Some(end) => format!("{}:{}", &item[..end], &item[end + 1..]),
        None => item.to_owned(),
    });
    let mut tags = items.collect::<Vec<_>>().join(",");
    // Where there is no comma at all, blanks would separate.
    if tags.contains(' ') && !tags.contains(',') {
        tags.push(',');
    }
    tags
}

/// The values of a flag of any text, with their places.
fn placed<'m>(
    matches: &'m ArgMatches,
    name: &str,
) -> Result<impl Iterator<Item = (usize, &'m str)> + use<'m>, UsageError> {
    let texts = values::<OsString>(matches, name).map(|value| {
        let text = value.to_str();
        text.ok_or_else(|| UsageError::new(format!("the value of '--{name}' is not valid UTF-8: {value:?}")))
    });
    Ok(places(matches, name).zip(texts.collect::<Result<Vec<_>, _>>()?))
}
