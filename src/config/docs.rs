//! The documents about the settings, made from the table.

use super::table::{GROUPS, HandOn, Kind, Setting};
use std::format;
use std::string::String;
use std::vec::Vec;

/// What stands before the table in `docs/configuration.md`.
const INTRODUCTION: &str = include_str!("docs/introduction.md");

/// The text of `docs/configuration.md`.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(
        "<!-- Made from the table of settings in src/config/table: UPDATE_DOCS=1 cargo test -p ddtrace config::docs -->\n",
    );
    out.push_str(INTRODUCTION);
    for group in &GROUPS {
        out.push_str(&format!("\n### {}\n\n", group.title));
        out.push_str("| Key | Variables | Values | Default | |\n| --- | --- | --- | --- | --- |\n");
        for setting in group.settings {
            out.push_str(&format!(
                "| `{}` | {} | {} | {} | {} |\n",
                setting.key,
                variables(setting).join("<br>"),
                values(setting.kind),
                default(setting),
                remarks(setting),
            ));
        }
    }
    out
}

/// The text of `docs/ddtrace.example.toml`: every setting, commented out.
#[must_use]
pub fn example_toml() -> String {
    let mut out = String::from(
        "# Settings of ddtrace-run. Copy to ~/.config/ddtrace/ddtrace.toml or /etc/ddtrace/ddtrace.toml and take the\n\
         # comment signs away where a value is to differ from the default. Made from the table of settings; what the\n\
         # settings mean in detail is told in configuration.md.\n",
    );
    let in_table =
        |setting: &Setting, wanted: Option<&str>| setting.key.split_once('.').map(|(table, _)| table) == wanted;
    let all = || GROUPS.iter().flat_map(|group| group.settings);
    for setting in all().filter(|setting| in_table(setting, None)) {
        entry(&mut out, setting, setting.key);
    }
    let mut tables: Vec<&str> = Vec::new();
    for (table, _) in all().filter_map(|setting| setting.key.split_once('.')) {
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    for table in tables {
        out.push_str(&format!("\n[{table}]\n"));
        for setting in all().filter(|setting| in_table(setting, Some(table))) {
            entry(&mut out, setting, setting.key.split_once('.').map_or(setting.key, |(_, name)| name));
        }
    }
    out
}

fn entry(out: &mut String, setting: &Setting, name: &str) {
    let default = if setting.default.is_empty() { setting.unset } else { setting.default }.replace('`', "");
    out.push_str(&format!(
        "\n# {}.\n# Default: {default}\n# {name} = {}\n",
        setting.help.replace('`', ""),
        setting.example
    ));
}

fn variables(setting: &Setting) -> Vec<String> {
    let dd = setting.dd.iter().map(|name| format!("`{name}`"));
    let otel = setting.otel.iter().map(|otel| format!("`{}`", otel.name));
    let tag = (!setting.tag.is_empty()).then(|| format!("`{}` in `DD_TAGS`", setting.tag));
    let resource = setting.resource.iter().map(|key| format!("`{key}` in `OTEL_RESOURCE_ATTRIBUTES`"));
    dd.chain(otel).chain(tag).chain(resource).collect()
}

fn values(kind: Kind) -> String {
    match kind {
        Kind::Text => "text".into(),
        Kind::Bool => "`true`, `false`".into(),
        Kind::Number { min, .. } => format!("whole number from {min}"),
        Kind::Limit { .. } => "whole number".into(),
        Kind::Port => "1 to 65535".into(),
        Kind::Bytes { .. } => "bytes".into(),
        Kind::Duration { .. } => "time".into(),
        Kind::Rate => "0 to 1".into(),
        Kind::PerSecond => "whole number, below 0 for no limit".into(),
        Kind::Rules => "JSON list, in files also a list of tables".into(),
        Kind::Choice(names) => one_of(names.names),
        Kind::Choices(names) => format!("list of {}", one_of(names.names)),
        Kind::List => "list".into(),
        Kind::Path => "path".into(),
        Kind::Tags => "tags".into(),
        Kind::Headers => "headers".into(),
        Kind::AgentUrl | Kind::Endpoint | Kind::Repository => "URL".into(),
        Kind::Host => "name or address".into(),
    }
}

fn one_of(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn default(setting: &Setting) -> String {
    if setting.default.is_empty() { setting.unset.into() } else { format!("`{}`", setting.default) }
}

fn remarks(setting: &Setting) -> String {
    let handed_on = match setting.hand_on {
        HandOn::Never => "",
        HandOn::Datadog => " *Handed on as `DD_*`.*",
        HandOn::Otel => " *Handed on as `OTEL_*`.*",
        HandOn::Both => " *Handed on in both dialects.*",
    };
    let secret = if setting.secret { " *Secret.*" } else { "" };
    format!("{}.{secret}{handed_on}", setting.help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, resolve, table::settings};
    use std::path::{Path, PathBuf};
    use std::{env, fs, process};

    /// Compares with the file that is checked in; `UPDATE_DOCS=1` writes it.
    fn same_as_file(name: &str, text: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
        if env::var_os("UPDATE_DOCS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
        }
        let present = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            present == text,
            "docs/{name} is not what the table says: UPDATE_DOCS=1 cargo test -p ddtrace config::docs"
        );
    }

    #[test]
    fn the_markdown_is_up_to_date() {
        same_as_file("configuration.md", &markdown());
    }

    #[test]
    fn the_example_is_up_to_date() {
        same_as_file("ddtrace.example.toml", &example_toml());
    }

    #[test]
    fn every_setting_and_variable_is_documented() {
        let (markdown, example) = (markdown(), example_toml());
        for setting in settings() {
            assert!(markdown.contains(&format!("| `{}` |", setting.key)));
            assert!(setting.dd.iter().all(|name| markdown.contains(&format!("`{name}`"))));
            assert!(example.contains(setting.example), "{}", setting.key);
        }
    }

    /// Files named in the documents, such as certificates, need not exist for this.
    fn tried(toml: &str) -> crate::config::Resolution {
        let path = env::temp_dir().join(format!("ddtrace-docs-{}-{}.toml", process::id(), toml.len()));
        fs::write(&path, toml).unwrap();
        let sources =
            Sources { config_file: Some(path.clone()), root: PathBuf::from("/nonexistent"), ..Sources::default() };
        let resolution = resolve(&sources);
        fs::remove_file(path).unwrap();
        resolution
    }

    #[test]
    fn the_example_is_accepted_with_and_without_its_comment_signs() {
        assert_eq!(tried(&example_toml()).warnings, []);
        let active: String = example_toml()
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(setting) if setting.split_once(" = ").is_some_and(|(name, _)| !name.contains(' ')) => {
                    format!("{setting}\n")
                }
                _ => format!("{line}\n"),
            })
            .collect();
        let resolution = tried(&active);
        assert_eq!(resolution.warnings, []);
        for resolved in &resolution.origins {
            assert_ne!(resolved.origin, crate::config::Origin::Default, "{}", resolved.setting.key);
        }
    }

    /// The blocks of the introduction that are marked as `toml`.
    #[test]
    fn the_examples_of_the_introduction_are_accepted() {
        let blocks: Vec<&str> =
            INTRODUCTION.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!blocks.is_empty());
        for block in blocks {
            assert_eq!(tried(block).warnings, [], "{block}");
        }
    }
}
