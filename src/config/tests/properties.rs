use super::*;
use crate::config::table::settings;
use crate::config::{FLEET_FILE, LOCAL_FILE};
use proptest::prelude::*;
use std::vec::Vec;

fn names() -> Vec<&'static str> {
    settings().flat_map(|setting| setting.dd.iter().copied().chain(setting.otel.iter().map(|otel| otel.name))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_environment_stops_anything(
        picks in prop::collection::vec((0..200_usize, "\\PC{0,20}|[a-z:/,=%@.\\[\\]0-9 ]{0,25}|true|-?[0-9]{1,22}"), 0..12),
    ) {
        let names = names();
        let env = picks.iter().map(|(pick, value)| (names[pick % names.len()].into(), value.into())).collect();
        let sources = Sources { root: PathBuf::from("/nonexistent"), env, ..Sources::default() };
        let resolution = resolve(&sources);
        for warning in &resolution.warnings {
            prop_assert!(!warning.message.contains('\n'), "{warning}");
        }
        for (name, value) in &resolution.hand_on {
            prop_assert!(!name.is_empty() && !value.contains('\0'));
        }
        // What was handed on does not change what a launcher inside would find.
        let mut inner = sources.clone();
        inner.env.retain(|(name, _)| resolution.hand_on.iter().all(|(given, _)| name != given.as_str()));
        inner.env.extend(resolution.hand_on.iter().map(|(name, value)| (name.into(), value.into())));
        let again = resolve(&inner);
        prop_assert_eq!(again.config.enabled, resolution.config.enabled);
        prop_assert_eq!(again.config.agent.url, resolution.config.agent.url);
    }

    #[test]
    fn no_file_stops_anything(toml in "\\PC{0,60}|([a-z_.]{1,12} = [\\[\\]{}\"a-z0-9.,=]{0,20}\n){0,4}", yaml in "\\PC{0,60}|[a-z_:\\-\\[\\]{}, \n]{0,60}") {
        let host = Host::new().file(USER, &toml).file(FLEET_FILE, &yaml).file(LOCAL_FILE, &yaml);
        let _ = host.resolve();
    }
}
