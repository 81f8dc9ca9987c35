//! Looking at files.

use crate::{any, bytes, probes, used};
use ddtrace::elf::{self, Image, Interpreter};

/// A file that answers as it likes.
fn read_at(offset: u64, buffer: &mut [u8]) -> usize {
    used((offset, &mut *buffer));
    any(0)
}

probes! {
    elf {
        for image in [elf::identify(bytes()), elf::identify_with(bytes(), &mut read_at)] {
            if let Image::Elf(image) = any(image) {
                used(image.is_native());
            }
        }
        used(Interpreter::of_loader(bytes()));
        used(elf::is_go(bytes(), &mut read_at));
        used(elf::needs_asan(bytes(), &mut read_at));
        used(elf::is_asan_runtime(bytes()));
        elf::each_library(bytes(), &mut read_at, &mut |name| {
            used(name);
            any(true)
        });
    }
}
