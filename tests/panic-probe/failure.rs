//! How a span failed.

use crate::{any, bytes, probes, used};
use ddtrace::failure::{self, ErrorTag, Failing};

/// A span of which nothing is known.
struct Unknown;

impl Failing for Unknown {
    fn has_failed(&self) -> bool {
        any(true)
    }

    fn has_datadog_tags(&self) -> bool {
        any(true)
    }

    fn is_of_otel(&self) -> bool {
        any(true)
    }

    fn has_attribute(&self, name: &str) -> bool {
        used(name);
        any(true)
    }

    fn has_tag(&self, name: &str, text: bool) -> bool {
        used((name, text));
        any(true)
    }

    fn exception_has(&self, name: &str) -> bool {
        used(name);
        any(true)
    }

    fn has_status_message(&self) -> bool {
        any(true)
    }
}

probes! {
    failures {
        used(failure::is_exception(bytes()));
        if let Some(tag) = ErrorTag::named(bytes()) {
            used((tag.name(), tag.of_exception()));
            used(failure::error_source(&any(Unknown), tag));
        }
    }
}
