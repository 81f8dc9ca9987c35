//! The rules of configuration as a whole: what is given, what comes of it.

mod addresses;
mod environment;
mod files;
mod handed_on;
mod paths;
mod precedence;
mod propagation;
mod properties;
mod sampling;
mod spans;
mod stable;

use super::table::Id;
use super::{Origin, Resolution, Sources, resolve};
use std::env::temp_dir;
use std::ffi::OsString;
use std::format;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::string::{String, ToString};
use std::sync::atomic::{AtomicU32, Ordering};

/// A machine of its own: files below a directory that goes away with it.
struct Host {
    sources: Sources,
}

static HOSTS: AtomicU32 = AtomicU32::new(0);

impl Host {
    fn new() -> Self {
        let number = HOSTS.fetch_add(1, Ordering::Relaxed);
        let root = temp_dir().join(format!("ddtrace-config-{}-{number}", process::id()));
        fs::create_dir_all(&root).unwrap();
        let home = root.join("home");
        Self { sources: Sources { root, ..Sources::default() } }.env("HOME", home.to_str().unwrap())
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.sources.env.push((name.into(), value.into()));
        self
    }

    fn envs(mut self, pairs: &[(&str, &str)]) -> Self {
        self.sources.env.extend(pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))));
        self
    }

    fn cli(mut self, key: &str, value: &str) -> Self {
        self.sources.cli.push((key.into(), value.into()));
        self
    }

    fn path(&self, path: &str) -> PathBuf {
        self.sources.at(path)
    }

    fn file(self, path: &str, text: &str) -> Self {
        let place = self.path(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
        self
    }

    fn named(mut self, path: &str, text: &str) -> Self {
        self.sources.config_file = Some(self.path(path));
        self.file(path, text)
    }

    fn resolve(&self) -> Resolution {
        resolve(&self.sources)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.sources.root);
    }
}

const USER: &str = "/home/.config/ddtrace/ddtrace.toml";

fn resolved(pairs: &[(&str, &str)]) -> Resolution {
    Host::new().envs(pairs).resolve()
}

fn origin(resolution: &Resolution, id: Id) -> Origin {
    resolution.of(id).origin.clone()
}

/// All warnings, with the root of the host taken out.
fn warnings(resolution: &Resolution, root: &Path) -> String {
    let all: std::vec::Vec<String> = resolution.warnings.iter().map(ToString::to_string).collect();
    all.join("\n").replace(root.to_str().unwrap(), "")
}
