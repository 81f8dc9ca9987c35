//! Names that are computed.

use crate::{any, bytes, probes, used};
use ddtrace::naming::{self, Described};

/// A span of which nothing is known.
struct Unknown;

impl Described for Unknown {
    fn text(&self, keys: &[&str]) -> Option<&[u8]> {
        used(keys);
        any(Some(bytes()))
    }

    fn kind(&self) -> u8 {
        any(0)
    }
}

probes! {
    names {
        let span = any(Unknown);
        let name = naming::operation_name(&span);
        used(name.whole());
        name.write(any(&mut |piece: &[u8]| used(piece)));
        if let Some(resource) = naming::resource(&span) {
            used(resource.whole());
            resource.write(any(&mut |piece: &[u8]| used(piece)));
        }
    }
}
