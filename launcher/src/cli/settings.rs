//! The settings that the flags stand for.

use super::error::UsageError;
use super::flags::{SettingFlag, id, key, setting_flags};
use super::levels::{Levels, places, switched_on, values};
use clap::ArgMatches;
use std::ffi::OsString;

/// A key of the table of settings with the value that the command line gives it.
pub type Setting = (&'static str, String);

/// The settings on the command line: each key once, the last one given wins.
///
/// `keys` are all keys that `--set` may name.
///
/// # Errors
/// A value that is not UTF-8, and a `--set` that is not `KEY=VALUE` or names no setting.
pub fn collect(levels: &Levels, keys: impl Iterator<Item = &'static str> + Clone) -> Result<Vec<Setting>, UsageError> {
    let mut settings = Vec::new();
    // Places count anew behind a subcommand, whose flags are the later ones.
    for matches in levels.outermost_first() {
        let mut found = generic(matches, keys.clone())?;
        for flag in setting_flags() {
            found.extend(shortcut(matches, flag)?);
        }
        found.extend(tags(matches)?);
        if switched_on(matches, id::DEBUG) {
            found.push((last_place(matches, id::DEBUG), (key::DEBUG, "true".to_owned())));
        }
        found.sort_by_key(|&(place, _)| place);
        for (_, (key, value)) in found {
            settings.retain(|&(earlier, _)| earlier != key);
            settings.push((key, value));
        }
    }
    Ok(settings)
}

/// A setting with the place of its flag on the command line.
type Placed = (usize, Setting);

fn shortcut(matches: &ArgMatches, flag: &SettingFlag) -> Result<Option<Placed>, UsageError> {
    let values: Vec<&str> = if flag.has_fixed_values() {
        values::<String>(matches, flag.long).map(String::as_str).collect()
    } else {
        texts(matches, flag.long)?
    };
    if values.is_empty() {
        return Ok(None);
    }
    Ok(Some((last_place(matches, flag.long), (flag.key, values.join(",")))))
}

fn generic(matches: &ArgMatches, keys: impl Iterator<Item = &'static str> + Clone) -> Result<Vec<Placed>, UsageError> {
    places(matches, id::SET)
        .zip(texts(matches, id::SET)?)
        .map(|(place, pair)| {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| UsageError::new(format!("'--set {pair}' is not of the form KEY=VALUE")))?;
            let key = keys.clone().find(|key| *key == name).ok_or_else(|| unknown_key(name, keys.clone()))?;
            Ok((place, (key, value.to_owned())))
        })
        .collect()
}

fn unknown_key(name: &str, keys: impl Iterator<Item = &'static str>) -> UsageError {
    // The measure and threshold by which the parser itself suggests flags.
    const SIMILAR: f64 = 0.7;
    let nearest = keys.map(|key| (strsim::jaro(name, key), key)).max_by(|one, other| one.0.total_cmp(&other.0));
    match nearest {
        Some((likeness, key)) if likeness > SIMILAR => {
            UsageError::new(format!("'--set {name}=…': there is no such setting; did you mean '{key}'?"))
        }
        _ => UsageError::new(format!("'--set {name}=…': there is no such setting; 'ddtrace-run --info' lists all")),
    }
}

/// All tags as one value in the grammar of `DD_TAGS`.
fn tags(matches: &ArgMatches) -> Result<Option<Placed>, UsageError> {
    let lists = texts(matches, id::TAG)?;
    if lists.is_empty() {
        return Ok(None);
    }
    let items: Vec<String> = lists.into_iter().flat_map(tag_items).collect();
    let mut list = items.join(",");
    // Without any comma a blank would separate.
    if list.contains(' ') && !list.contains(',') {
        list.push(',');
    }
    Ok(Some((last_place(matches, id::TAG), (key::TAGS, list))))
}

/// The items of one `--tag`: separated by commas or, where there is none, by blanks; a comma belongs to no value.
///
/// `key=value`, the spelling of `OTEL_RESOURCE_ATTRIBUTES`, is understood as `key:value`, which without this would
/// be a key that nobody means.
fn tag_items(list: &str) -> impl Iterator<Item = String> {
    let separator = if list.contains(',') { ',' } else { ' ' };
    list.split(separator).map(str::trim).filter(|item| !item.is_empty()).map(|item| match item.find([':', '=']) {
        Some(end) => format!("{}:{}", &item[..end], &item[end + 1..]),
        None => item.to_owned(),
    })
}

fn texts<'m>(matches: &'m ArgMatches, name: &str) -> Result<Vec<&'m str>, UsageError> {
    values::<OsString>(matches, name)
        .map(|value| {
            let text = value.to_str();
            text.ok_or_else(|| UsageError::new(format!("the value of '--{name}' is not valid UTF-8: {value:?}")))
        })
        .collect()
}

fn last_place(matches: &ArgMatches, name: &str) -> usize {
    places(matches, name).last().unwrap_or_default()
}
