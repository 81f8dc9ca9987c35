//! What the launcher tells the tracer inside of a program.

use crate::{any, bytes, probes, used};
use ddtrace::settings::Settings;

probes! {
    settings {
        used(any(Settings::default()));
        if let Some(settings) = any(Settings::parse(bytes())) {
            used(settings.baggage_tags.contains(bytes()));
        }
    }
}
