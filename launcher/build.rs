//! Builds the preload library, so that every build of the launcher has the optimised and proven one beside it, and puts the
//! Python package together.
//!
//! The library needs flags that no ordinary member of a workspace can have (no libc, no start files, a link that fails on any
//! undefined symbol), hence a cargo of its own.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let workspace = manifest.parent().expect("the launcher is a folder of the workspace");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    for watched in ["src", "preload", "python/ddtrace_run", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(watched).display());
    }
    println!("cargo::rerun-if-changed=build.rs");

    link_unwinder(&out);
    let target = out.join("preload");
    build(workspace, &target);
    let library = target.join("preload/libddtrace_preload.so");
    // OUT_DIR is target/<profile>/build/<package>/out: the library belongs beside the executable.
    let beside = out.ancestors().nth(3).expect("OUT_DIR is four levels deep");
    replace(&library, &beside.join("libddtrace_preload.so"));
    assemble_python(&workspace.join("python/ddtrace_run"), &beside.join("python/ddtrace_run"));
    println!("cargo::rustc-env=DDTRACE_PRELOAD_BUILT={}", library.display());
}

fn build(workspace: &Path, target: &Path) {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo
        .current_dir(workspace)
        .args(["rustc", "--locked", "--package", "ddtrace-preload", "--lib", "--crate-type", "cdylib"])
        .args(["--profile", "preload", "--target-dir"])
        .arg(target)
        .args(["--", "--cfg", "preload_so"])
        .args(["-Clink-arg=-nostdlib", "-Clink-arg=-nostartfiles"])
        .args(["-Clink-arg=-Wl,-z,defs", "-Clink-arg=-Wl,-z,nodelete", "-Clink-arg=-Wl,-z,now"]);
    // What is set for the outer build is not meant for this one.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let of_outer_build = ["CARGO_PROFILE_", "CARGO_FEATURE_", "CARGO_CFG_", "CARGO_PKG_", "CARGO_BIN_", "DEP_"]
            .iter()
            .any(|prefix| text.starts_with(prefix));
        if of_outer_build || text.contains("RUSTFLAGS") || text.contains("RUSTC") || text.contains("RUSTDOC") {
            cargo.env_remove(&name);
        }
    }
    for name in ["CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_MANIFEST_DIR", "TARGET"] {
        cargo.env_remove(name);
    }
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "the preload library does not build; see above");
}

/// Has the unwinder linked into the launcher. The shared one costs a tenth of a millisecond at each start (and more in
/// virtual machines, as it asks the processor for its features), and slim systems do not have it.
fn link_unwinder(out: &Path) {
    let directory = out.join("link");
    std::fs::create_dir_all(&directory).expect("the output directory can be written");
    // rustc asks for this library by name; the linker takes the text for what is in it.
    std::fs::write(directory.join("libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n")
        .expect("the output directory can be written");
    println!("cargo::rustc-link-search=native={}", directory.display());
}

/// The package with the extension in it, which cargo builds as a dependency of the launcher; it may not be there yet.
fn assemble_python(package: &Path, beside: &Path) {
    copy_sources(package, beside);
    let extension = beside.join("_native.abi3.so");
    let built = "../../deps/lib_ddtrace_run.so";
    if std::fs::read_link(&extension).ok().as_deref() != Some(Path::new(built)) {
        let _ = std::fs::remove_file(&extension);
        std::os::unix::fs::symlink(built, &extension).expect("the target directory can be written");
    }
}

/// Copies a directory; what is not in it any more goes, too.
fn copy_sources(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the target directory can be written");
    for entry in std::fs::read_dir(to).expect("a directory").flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let is_source = path.is_dir() || path.extension().is_some_and(|ending| ending != "so");
        if is_source && name != "__pycache__" && !from.join(&name).exists() {
            let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            removed.expect("the target directory can be written");
        }
    }
    for entry in std::fs::read_dir(from).expect("the package is there").flatten() {
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() && entry.file_name() != "__pycache__" {
            copy_sources(&source, &copy);
        } else if source.is_file() {
            std::fs::copy(&source, &copy).expect("the target directory can be written");
        }
    }
}

/// A program that has the old library mapped keeps it: the new one takes its name in one step.
fn replace(library: &Path, beside: &Path) {
    let fresh = beside.with_extension("so.new");
    std::fs::copy(library, &fresh).expect("the target directory can be written");
    std::fs::rename(&fresh, beside).expect("the target directory can be written");
}
