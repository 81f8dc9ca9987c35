//! The tracer of the program that this code is in.

use super::{Settings, Tracer};
use crate::config::Config;
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
    /// Why nothing can be recorded.
    pub fn of_program(config: &Config, language: &'static str) -> Result<Arc<Tracer>, Absent> {
        let recorder = Recorder::find()?;
        let mut settings = Settings::of(config, language);
        if let Some(told) = variable(crate::settings::VARIABLE) {
            settings.complete(&told);
        }
        Ok(Tracer::started_in(recorder, settings, &EnvironmentCarrier(variable)))
    }
}

fn variable(name: &[u8]) -> Option<Vec<u8>> {
    std::env::var_os(OsStr::from_bytes(name)).map(OsStringExt::into_vec)
}
