//! The engine of this program: one, made when it is first needed.

use ddtrace::config::{self, Config, Resolution, Sources};
use ddtrace::recorder::{Absent, Recorder};
use ddtrace::tracer::{Settings, Tracer};
use std::sync::{Arc, OnceLock};

/// What this program records with.
#[derive(Debug)]
pub(crate) struct Engine {
    /// Its tracer; one whose spans go nowhere, where nothing can be recorded.
    pub(crate) tracer: Arc<Tracer>,
    /// Why nothing is recorded.
    pub(crate) absent: Option<Absent>,
    /// What it was told.
    pub(crate) resolution: Resolution,
    nowhere: OnceLock<Arc<Tracer>>,
}

const LANGUAGE: &str = "python";

fn nowhere(config: &Config) -> Arc<Tracer> {
    Tracer::new(Recorder::nowhere(), Settings::of(config, LANGUAGE), None)
}

impl Engine {
    fn start() -> Engine {
        let sources = Sources {
            env: std::env::vars_os().collect(),
            program: std::env::args_os().collect(),
            language: Some(String::from(LANGUAGE)),
            ..Sources::default()
        };
        let resolution = config::resolve(&sources);
        let config = &resolution.config;
        let (tracer, absent) = if config.enabled {
            match Tracer::of_program(config, LANGUAGE) {
                Ok(tracer) => (tracer, None),
                Err(absent) => (nowhere(config), Some(absent)),
            }
        } else {
            (nowhere(config), None)
        };
        Engine { tracer, absent, resolution, nowhere: OnceLock::new() }
    }

    /// A tracer whose spans go nowhere, whatever the other one does.
    pub(crate) fn nowhere(&self) -> &Arc<Tracer> {
        self.nowhere.get_or_init(|| nowhere(&self.resolution.config))
    }

    /// Whether spans are recorded.
    pub(crate) fn records(&self) -> bool {
        self.resolution.config.enabled && self.absent.is_none()
    }
}

/// The engine of this program.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(Engine::start)
}
