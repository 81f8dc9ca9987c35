//! What the launcher tells the tracer inside of a program.

use crate::{any, bytes, probes, used};
use ddtrace::settings::{Settings, header_tag};

probes! {
    settings {
        used(any(Settings::default()));
        used(header_tag(bytes()));
        if let Some(settings) = any(Settings::parse(bytes())) {
            used(settings.baggage_tags.contains(bytes()));
        }
    }
}
