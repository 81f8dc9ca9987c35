//! What resolving the configuration costs each start of a program.

mod side_by_side;

use criterion::{Criterion, criterion_group, criterion_main};
use ddtrace::config::{Sources, resolve};
use side_by_side::SideBySide;
use std::ffi::OsString;
use std::path::PathBuf;

/// Every setting once.
const FILE: &str = include_str!("../fuzz/seeds/config_toml/every-setting.toml");

/// The environment of an ordinary session, and what a user of tracing adds to it.
fn environment(settings: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    let ordinary = (0..40).map(|number| (format!("SOME_VARIABLE_{number}"), "/usr/local/bin:/usr/bin:/bin".to_owned()));
    let added = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    ordinary.chain(added).map(|(name, value)| (name.into(), value.into())).collect()
}

fn configuration(criterion: &mut Criterion) {
    let root = PathBuf::from("/nonexistent");
    let bare = Sources { env: environment(&[]), root: root.clone(), ..Sources::default() };
    let variables = [
        ("DD_SERVICE", "shop"),
        ("DD_ENV", "prod"),
        ("DD_VERSION", "1.4.2"),
        ("DD_TAGS", "team:core,region:eu,tier:gold"),
        ("DD_TRACE_AGENT_URL", "http://agent:8126"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%200123"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod,service.version=1.4.2"),
    ];
    let set = Sources { env: environment(&variables), root: root.clone(), ..Sources::default() };
    let file = std::env::temp_dir().join(format!("ddtrace-bench-{}.toml", std::process::id()));
    std::fs::write(&file, FILE).expect("the directory for temporary files can be written");
    let named = Sources { env: environment(&[]), config_file: Some(file.clone()), root, ..Sources::default() };

    let mut table = SideBySide::new(criterion, "the configuration is resolved", 1, "start");
    table.measure("nothing set", || resolve(&bare));
    table.measure("8 variables set", || resolve(&set));
    table.measure("every setting in a file", || resolve(&named));
    table.measure("the toml crate alone with the text of that file", || toml::from_str::<toml::Table>(FILE));
    table.finish();
    std::fs::remove_file(file).expect("the file is ours");
}

criterion_group!(benches, configuration);
criterion_main!(benches);
