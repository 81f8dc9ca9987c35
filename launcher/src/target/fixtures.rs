//! Programs that the tests make on the spot.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory that goes with its test.
pub(super) struct Directory(tempfile::TempDir);

impl Directory {
    pub(super) fn new() -> Self {
        Directory(tempfile::tempdir().expect("a temporary directory"))
    }

    pub(super) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// A directory in the directory.
    pub(super) fn sub(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("a directory");
        path
    }

    /// `int main` that ends with 0, compiled and linked with these options.
    pub(super) fn compile(&self, compiler: &str, options: &[&str], name: &str) -> PathBuf {
        let source = self.path("main.c");
        fs::write(&source, "int main(void) { return 0; }\n").expect("a source file");
        let program = self.path(name);
        let output = Command::new(compiler).arg(&source).args(options).arg("-o").arg(&program).output();
        let output = output.unwrap_or_else(|error| panic!("{compiler}: {error}"));
        assert!(output.status.success(), "{compiler} {options:?}: {}", String::from_utf8_lossy(&output.stderr));
        program
    }
}

/// A file with this content and mode.
pub(super) fn script(path: &Path, content: &str, mode: u32) -> PathBuf {
    fs::write(path, content).expect("a script");
    set_mode(path, mode);
    path.to_owned()
}

pub(super) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
}

/// Overwrites one byte of a file.
pub(super) fn patch(path: &Path, at: usize, value: u8) {
    let mut bytes = fs::read(path).expect("a program");
    bytes[at] = value;
    fs::write(path, bytes).expect("a program");
}
