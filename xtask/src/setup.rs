//! Installs what the tests need beyond Rust; what is there already is left alone.

use crate::step::{self, Done, cargo, is_installed, root, succeeds, target_dir};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// A tool of the system: how to see that it is there, and the Debian packages that bring it.
struct Tool {
    name: &'static str,
    is_there: fn() -> bool,
    packages: &'static [&'static str],
}

const TOOLS: [Tool; 29] = [
    Tool { name: "cc", is_there: || is_installed("cc"), packages: &["gcc", "libc6-dev"] },
    Tool { name: "make", is_there: || is_installed("make"), packages: &["make"] },
    Tool { name: "bash", is_there: || is_installed("bash"), packages: &["bash"] },
    Tool { name: "strace", is_there: || is_installed("strace"), packages: &["strace"] },
    Tool { name: "setcap", is_there: || is_installed("setcap"), packages: &["libcap2-bin"] },
    Tool { name: "hyperfine", is_there: || is_installed("hyperfine"), packages: &["hyperfine"] },
    Tool { name: "musl-gcc", is_there: || is_installed("musl-gcc"), packages: &["musl-tools"] },
    // Peers of the tests of native programs.
    Tool { name: "curl", is_there: || is_installed("curl"), packages: &["curl"] },
    Tool { name: "wget", is_there: || is_installed("wget"), packages: &["wget"] },
    Tool { name: "nginx", is_there: || is_installed("nginx"), packages: &["nginx-light"] },
    Tool { name: "wrk", is_there: || is_installed("wrk"), packages: &["wrk"] },
    Tool { name: "ab", is_there: || is_installed("ab"), packages: &["apache2-utils"] },
    Tool { name: "haproxy", is_there: || is_installed("haproxy"), packages: &["haproxy"] },
    Tool { name: "lighttpd", is_there: || is_installed("lighttpd"), packages: &["lighttpd"] },
    Tool { name: "puma", is_there: || is_installed("puma"), packages: &["puma"] },
    Tool { name: "openssl", is_there: || is_installed("openssl"), packages: &["openssl"] },
    Tool {
        name: "the headers of OpenSSL",
        is_there: || Path::new("/usr/include/openssl/ssl.h").exists(),
        packages: &["libssl-dev"],
    },
    Tool {
        name: "the headers of GnuTLS",
        is_there: || Path::new("/usr/include/gnutls/gnutls.h").exists(),
        packages: &["libgnutls28-dev"],
    },
    Tool { name: "gnutls-serv", is_there: || is_installed("gnutls-serv"), packages: &["gnutls-bin"] },
    Tool { name: "apache2", is_there: || is_installed("apache2"), packages: &["apache2-bin"] },
    Tool { name: "php", is_there: || is_installed("php"), packages: &["php-cli"] },
    Tool {
        name: "ruby with webrick",
        is_there: || succeeds("ruby", &["-e", "require 'webrick'"]),
        packages: &["ruby", "ruby-webrick"],
    },
    Tool {
        name: "perl with LWP and HTTP::Daemon",
        is_there: || succeeds("perl", &["-e", "use LWP::Simple; use HTTP::Daemon;"]),
        packages: &["perl", "libwww-perl", "libhttp-daemon-perl"],
    },
    Tool { name: "redis-server", is_there: || is_installed("redis-server"), packages: &["redis-server"] },
    Tool { name: "mariadbd", is_there: || is_installed("mariadbd"), packages: &["mariadb-server"] },
    Tool { name: "psql", is_there: || is_installed("psql"), packages: &["postgresql"] },
    Tool {
        name: "python3 with venv",
        // Debian's python3 has the module without what it needs to work.
        is_there: || succeeds("python3", &["-c", "import ensurepip, venv"]),
        packages: &["python3", "python3-venv"],
    },
    Tool { name: "mvn", is_there: || is_installed("mvn"), packages: &["maven"] },
    Tool { name: "pypy3", is_there: || is_installed("pypy3"), packages: &["pypy3"] },
];

/// CPythons of all versions that are traced, and one that is too old, as Maven Central has them for programs in Java.
const PYTHONS: [(&str, &str); 6] = [
    ("3.7", "3.7.9-1.5.4"),
    ("3.9", "3.9.6-1.5.6"),
    ("3.10", "3.10.8-1.5.8"),
    ("3.12", "3.12.1-1.5.10"),
    ("3.13", "3.13.5-1.5.12"),
    ("3.14", "3.14.3-1.5.13"),
];

/// Which of them are traced; the newest is the last.
pub fn pythons() -> Vec<&'static str> {
    PYTHONS.iter().map(|(version, _)| *version).filter(|version| *version != "3.7").collect()
}

/// Installs everything.
///
/// # Errors
/// When an installation fails; the message says which.
pub fn run() -> Done {
    install_tools()?;
    // Datadog's test agent, and the programs that are traced: neither sees the packages of the other.
    make_venv("test-venv", "tests/requirements.txt")?;
    make_venv("python-venv", "tests/python/requirements.txt")?;
    fetch_pythons()?;
    make_venv("otel-venv", "tests/python_api/requirements.txt")?;
    make_venv("otel-older-venv", "tests/python_api/requirements-older.txt")?;
    make_venv("native-venv", "tests/python_native/requirements.txt")?;
    make_venv("instr-venv", "tests/python_instrumentations/requirements.txt")?;
    make_venv("integrations-venv", "tests/python_integrations/requirements.txt")?;
    make_venv("ddtrace-venv", "tests/python_api/requirements-ddtrace.txt")?;
    make_venv("shop-venv", "tests/python_shop/requirements.txt")?;
    fetch_sources()
}

fn install_tools() -> Done {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| !(tool.is_there)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().flat_map(|tool| tool.packages).copied().collect();
    if apt_get().is_none() {
        let names = missing.iter().map(|tool| tool.name).collect::<Vec<_>>().join(", ");
        // The tests that need them fail and say so; all others are still worth running.
        eprintln!("==> missing and not to be installed from here: {names} (Debian packages: {})", packages.join(" "));
        return Ok(());
    }
    install(&packages)?;
    let still: Vec<_> = missing.iter().filter(|tool| !(tool.is_there)()).map(|tool| tool.name).collect();
    if still.is_empty() { Ok(()) } else { Err(format!("still missing after installation: {}", still.join(", "))) }
}

/// Installs Debian packages.
///
/// # Errors
/// When that cannot be done from here, or fails.
pub fn install(packages: &[&str]) -> Done {
    let apt =
        apt_get().ok_or_else(|| format!("Debian packages cannot be installed from here: {}", packages.join(" ")))?;
    let command = |arguments: &[&str]| {
        let mut command = Command::new(apt[0]);
        command.args(&apt[1..]).args(arguments);
        command
    };
    step::run("package lists", &mut command(&["update", "-q"]))?;
    let mut install = vec!["install", "-q", "-y", "--no-install-recommends"];
    install.extend(packages);
    step::run(&format!("packages: {}", packages.join(" ")), &mut command(&install))
}

/// How `apt-get` is run here, if it can be.
fn apt_get() -> Option<&'static [&'static str]> {
    if !is_installed("apt-get") {
        None
    } else if is_root() {
        Some(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
    } else if succeeds("sudo", &["-n", "true"]) {
        Some(&["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
    } else {
        None
    }
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    // Real, effective, saved and file-system id.
    uid.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

/// Packages of PyPI, in an environment of their own.
///
/// # Errors
/// When they cannot be had.
pub fn make_venv(name: &str, requirements: &str) -> Done {
    let venv = target_dir().join(name);
    let requirements = root().join(requirements);
    unless_done(&venv, &[&requirements], || {
        // One that was left half-made is made again.
        step::run(
            &format!("Python environment {name}"),
            Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv),
        )?;
        let mut pip = Command::new(venv.join("bin/python3"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements);
        step::run("Python packages", &mut pip)
    })
}

/// Interpreters of other versions than the system's, in `target/pythons/<version>`.
fn fetch_pythons() -> Done {
    let pythons = target_dir().join("pythons");
    let list: String = PYTHONS.iter().map(|(version, release)| format!("{version} {release}\n")).collect();
    unless_done_from(&pythons, &list, || {
        if !is_installed("mvn") {
            eprintln!("==> Pythons of other versions cannot be had without mvn");
            return Ok(());
        }
        for (version, release) in PYTHONS {
            let unpacked = pythons.join("unpacked").join(version);
            // Its marks of what was unpacked before are left where it runs: with what they are about.
            let _ = fs::remove_dir_all(&unpacked);
            fs::create_dir_all(&unpacked).map_err(|error| format!("{}: {error}", unpacked.display()))?;
            let mut mvn = Command::new("mvn");
            mvn.current_dir(&unpacked)
                .args(["--quiet", "--batch-mode", "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:unpack"])
                .arg(format!("-Dartifact=org.bytedeco:cpython:{release}:jar:linux-x86_64"))
                .arg(format!("-DoutputDirectory={}", unpacked.display()));
            step::run(&format!("Python {version}"), &mut mvn)?;
            let inside = unpacked.join("org/bytedeco/cpython/linux-x86_64");
            let executable = inside.join(format!("bin/python{version}"));
            fs::set_permissions(&executable, fs::Permissions::from_mode(0o755))
                .map_err(|error| format!("{}: {error}", executable.display()))?;
            let link = pythons.join(version);
            let _ = fs::remove_file(&link);
            symlink(&inside, &link).map_err(|error| format!("{}: {error}", link.display()))?;
        }
        Ok(())
    })
}

/// The real project that the tests build.
fn fetch_sources() -> Done {
    let sources = target_dir().join("test-sources");
    let package = root().join("tests/sources");
    unless_done(&sources, &[&package.join("Cargo.toml"), &package.join("Cargo.lock")], || {
        let mut vendor = cargo();
        vendor.current_dir(&package).args(["vendor", "--quiet", "--locked", "--versioned-dirs"]).arg(&sources);
        // It prints how to use what it fetched, which is not for us.
        vendor.stdout(std::process::Stdio::null());
        step::run("sources to build", &mut vendor)
    })
}

/// Does something whose result is `directory`, unless it was done before from the same inputs.
fn unless_done(directory: &Path, inputs: &[&Path], work: impl FnOnce() -> Done) -> Done {
    let mut wanted = String::new();
    for input in inputs {
        wanted += &fs::read_to_string(input).map_err(|error| format!("{}: {error}", input.display()))?;
    }
    unless_done_from(directory, &wanted, work)
}

fn unless_done_from(directory: &Path, wanted: &str, work: impl FnOnce() -> Done) -> Done {
    let stamp = directory.join(".made-from");
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted) {
        return Ok(());
    }
    work()?;
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))
}
