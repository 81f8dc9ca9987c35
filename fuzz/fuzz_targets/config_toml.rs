//! A `ddtrace.toml`.
#![no_main]

use ddtrace::config::Sources;
use ddtrace_fuzz::{Root, checked};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static ROOT: LazyLock<Root> = LazyLock::new(Root::new);

fuzz_target!(|data: &[u8]| {
    let file = ROOT.put("named.toml", data);
    checked(&Sources { config_file: Some(file), root: ROOT.path().join("empty"), ..Sources::default() });
});
