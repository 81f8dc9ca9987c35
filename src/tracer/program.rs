//! The tracer of the program that this code is in.

use super::{Settings, Tracer};
use crate::config::Config;
use crate::propagation::NoBaggage;
use crate::propagation::environment::EnvironmentCarrier;
use crate::recorder::{Absent, Recorder};
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;
use std::vec::Vec;

impl Tracer {
    /// The tracer of this program, which is in `language` and was started by `ddtrace-run`.
    ///
    /// # Errors
    ///
    /// Why nothing can be recorded, and what such a program would go by.
    pub fn of_program(config: &Config, language: &'static str) -> Result<Arc<Tracer>, (Absent, Settings)> {
        let mut settings = Settings::of(config, language);
        let recorder = match Recorder::find() {
            Ok(recorder) => recorder,
            Err(absent) => return Err((absent, settings)),
        };
        if let Some(told) = variable(crate::settings::VARIABLE) {
            settings.complete(&told);
        }
        let environment = EnvironmentCarrier(variable);
        let started_in = settings.propagation.of_process().extract(&environment, &mut NoBaggage).context;
        Ok(Tracer::new(recorder, settings, started_in))
    }
}

fn variable(name: &[u8]) -> Option<Vec<u8>> {
    std::env::var_os(OsStr::from_bytes(name)).map(OsStringExt::into_vec)
}
