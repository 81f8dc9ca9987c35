//! Servers and clients that know nothing of tracing, and what their connections tell.

use crate::spans::Span;
use crate::{Outcome, Sandbox, repository, wait_for};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// A sandbox for what only connections tell.
#[must_use]
pub fn sandbox(launcher: &str) -> Sandbox {
    let mut sandbox = Sandbox::new(launcher);
    sandbox.set("DD_TRACE_PROCESS_SPANS", "false").set("DD_TRACE_NATIVE_ENABLED", "true");
    sandbox
}

/// A server; it is killed with the value.
#[derive(Debug)]
pub struct Server(pub Child);

impl Server {
    /// Starts it, and waits until somebody listens at the port.
    ///
    /// # Panics
    /// When it is not installed.
    #[must_use]
    pub fn start(mut command: Command, port: u16) -> Server {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = Server(child.expect("it is installed: cargo xtask setup"));
        wait_for("a server to listen", || TcpStream::connect(("127.0.0.1", port)).ok());
        server
    }

    /// Under the launcher, or without it.
    #[must_use]
    pub fn of(sandbox: &mut Sandbox, traced: bool, service: &str, port: u16, argv: &[&str]) -> Server {
        sandbox.set("DD_SERVICE", service);
        Server::start(if traced { sandbox.traced(argv) } else { sandbox.bare(argv) }, port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        wait_for("a server to end", || self.0.try_wait().expect("a child can be waited for"));
    }
}

/// nginx that hands `/up/` on to another port, and has files in `root`.
#[must_use]
pub fn nginx(sandbox: &mut Sandbox, traced: bool, service: &str, port: u16, behind: &str, root: &Path) -> Server {
    let root = root.display();
    let server = format!("listen 127.0.0.1:{port}; root {root}; location /up/ {{ proxy_pass {behind}; }}");
    nginx_with(sandbox, traced, service, port, &server)
}

/// nginx with a server of one's own.
///
/// # Panics
/// As [`nginx_of`].
#[must_use]
pub fn nginx_with(sandbox: &mut Sandbox, traced: bool, service: &str, port: u16, server: &str) -> Server {
    nginx_of(sandbox, traced, service, port, &format!("server {{ {server} }}"))
}

/// nginx with servers of one's own, and what else there is for HTTP.
///
/// # Panics
/// When the configuration cannot be written.
#[must_use]
pub fn nginx_of(sandbox: &mut Sandbox, traced: bool, service: &str, port: u16, http: &str) -> Server {
    let directory = sandbox.path().join(format!("nginx-{port}"));
    std::fs::create_dir_all(&directory).expect("a directory");
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {}/{name};", directory.display()))
        .collect();
    let configuration = format!(
        "daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log; events {{}} \
         http {{ access_log off; sendfile on; gzip on; gzip_types *; {temporary} {http} }}",
        dir = directory.display(),
    );
    let file = directory.join("nginx.conf");
    std::fs::write(&file, configuration).expect("a file");
    let (file, log) = (file.display().to_string(), directory.join("start.log").display().to_string());
    Server::of(sandbox, traced, service, port, &["nginx", "-e", &log, "-c", &file])
}

/// Python's own server, with files in `root`.
#[must_use]
pub fn python_server(sandbox: &mut Sandbox, traced: bool, port: u16, root: &Path) -> Server {
    let (port_text, root) = (port.to_string(), root.display().to_string());
    let argv = ["python3", "-m", "http.server", &port_text, "--bind", "127.0.0.1", "--directory", &root];
    Server::of(sandbox, traced, "python", port, &argv)
}

/// HAProxy with sections of one's own.
///
/// # Panics
/// When the configuration cannot be written.
#[must_use]
pub fn haproxy(sandbox: &mut Sandbox, port: u16, sections: &str) -> Server {
    let file = sandbox.path().join(format!("haproxy-{port}.cfg"));
    let defaults = "defaults\n mode http\n timeout connect 9s\n timeout client 9s\n timeout server 9s\n";
    std::fs::write(&file, format!("{defaults}{sections}\n")).expect("a file");
    Server::of(sandbox, true, "haproxy", port, &["haproxy", "-f", &file.display().to_string()])
}

/// A certificate for this host, signed by itself, and its key.
///
/// # Panics
/// When `openssl` is not installed.
#[must_use]
pub fn certificate(sandbox: &Sandbox) -> (String, String) {
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| sandbox.path().join(name).display().to_string());
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
    openssl.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", &key, "-out", &certificate]);
    let outcome = Outcome::of(&mut openssl);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    (certificate, key)
}

/// A program of `tests/python_native`.
#[must_use]
pub fn program(name: &str) -> String {
    repository().join("tests/python_native").join(name).display().to_string()
}

/// Files to serve: a short one, and a long one of which every byte counts.
///
/// # Panics
/// When they cannot be written.
#[must_use]
pub fn files(sandbox: &Sandbox) -> std::path::PathBuf {
    let root = sandbox.path().join("www");
    std::fs::create_dir_all(&root).expect("a directory");
    let long: Vec<u8> = (0..400_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(root.join("long"), long).expect("a file");
    std::fs::write(root.join("short"), "hello\n").expect("a file");
    root
}

/// The one span that is wanted.
///
/// # Panics
/// When there is none, or another one.
#[track_caller]
pub fn only(spans: &[Span], mut matches: impl FnMut(&&Span) -> bool) -> &Span {
    let found: Vec<_> = spans.iter().filter(|span| matches(span)).collect();
    assert_eq!(found.len(), 1, "wanted one of {spans:#?}");
    found[0]
}

/// What a service has asked for by HTTP.
pub fn asked<'a>(spans: &'a [Span], service: &'a str) -> impl Iterator<Item = &'a Span> {
    spans
        .iter()
        .filter(move |span| span.resource["service.name"] == service && span.attributes.contains_key("url.full"))
}

/// From a span up to its root: service and kind of each.
///
/// # Panics
/// When a parent is missing.
#[must_use]
pub fn chain(spans: &[Span], from: &Span) -> Vec<String> {
    let mut chain = Vec::new();
    let mut span = Some(from);
    while let Some(this) = span {
        let kind = if this.attributes.contains_key("url.full") { "asks" } else { "serves" };
        chain.push(format!("{} {kind}", this.resource["service.name"].as_str().unwrap_or_default()));
        span = spans.iter().find(|other| Some(&other.span_id) == this.parent_id.as_ref());
        assert!(span.is_some() || this.parent_id.is_none(), "a parent is missing: {this:#?} in {spans:#?}");
    }
    chain
}

/// Asks by curl, which must succeed.
///
/// # Panics
/// When it does not.
pub fn curl(sandbox: &mut Sandbox, traced: bool, arguments: &[&str]) -> Outcome {
    let argv = [&["curl", "-sS", "--max-time", "60"], arguments].concat();
    sandbox.set("DD_SERVICE", "curl");
    let outcome = if traced { sandbox.run_traced(&argv) } else { sandbox.run_bare(&argv) };
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{arguments:?}");
    outcome
}

/// A server that keeps what arrives, and closes after each request.
///
/// # Panics
/// Its thread, when there is no connection to be had.
pub fn keeper(listener: TcpListener, end: &'static [u8]) -> Arc<Mutex<Vec<Vec<u8>>>> {
    let arrived: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let kept = Arc::clone(&arrived);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let (mut all, mut piece) = (Vec::new(), [0; 1024]);
            while !all.ends_with(end) {
                match stream.read(&mut piece) {
                    Ok(count @ 1..) => all.extend_from_slice(&piece[..count]),
                    _ => break,
                }
            }
            // Before the answer: who has that finds it.
            kept.lock().expect("nobody panics").push(all);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nyes");
        }
    });
    arrived
}

/// What arrives without the headers that are ours, and those.
#[must_use]
pub fn without_ours(message: &[u8]) -> (String, Vec<String>) {
    let text = String::from_utf8_lossy(message).into_owned();
    let is_ours = |line: &&str| line.starts_with("x-datadog-") || line.starts_with("trace");
    let ours = text.split_inclusive("\r\n").filter(is_ours).map(str::to_owned).collect();
    (text.split_inclusive("\r\n").filter(|line| !is_ours(line)).collect(), ours)
}

fn root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n")
}

/// A PostgreSQL server with a database of its own, and the directory of its socket. It refuses to be root.
///
/// # Panics
/// When it is not installed, or does not start.
#[must_use]
pub fn postgres(sandbox: &Sandbox) -> (Server, String) {
    postgres_with(sandbox, &["-c", "listen_addresses="])
}

/// The same, reached by TCP at a port.
///
/// # Panics
/// As [`postgres`].
#[must_use]
pub fn postgres_at(sandbox: &Sandbox, port: u16) -> Server {
    let server = postgres_with(sandbox, &["-c", "listen_addresses=127.0.0.1", "-c", &format!("port={port}")]).0;
    wait_for("PostgreSQL to listen at the port", || TcpStream::connect(("127.0.0.1", port)).ok());
    server
}

fn postgres_with(sandbox: &Sandbox, listens: &[&str]) -> (Server, String) {
    let programs = std::fs::read_dir("/usr/lib/postgresql").expect("it is installed: cargo xtask setup");
    let programs = programs.flatten().map(|version| version.path().join("bin")).max().expect("a version");
    let home = sandbox.path().join("postgres");
    std::fs::create_dir_all(&home).expect("a directory");
    let directory = home.display().to_string();
    let as_user: &[&str] = if root() { &["runuser", "-u", "postgres", "--"] } else { &[] };
    if root() {
        // The sandbox is for its owner alone.
        for arguments in [&["chmod", "o+x"][..], &["chown", "postgres"]] {
            let path = if arguments[0] == "chmod" { sandbox.path().display().to_string() } else { directory.clone() };
            assert_eq!(Outcome::of(Command::new(arguments[0]).args(&arguments[1..]).arg(path)).code, Some(0));
        }
    }
    let run = |program: &str, arguments: &[&str]| {
        let program = programs.join(program).display().to_string();
        sandbox.bare([as_user, &[program.as_str()], arguments].concat())
    };
    let data = format!("{directory}/data");
    let made = Outcome::of(&mut run("initdb", &["-D", &data, "-A", "trust", "-U", "me", "--no-sync", "-E", "UTF8"]));
    assert_eq!(made.code, Some(0), "{made:?}");
    let options = [&["-D", &data, "-k", &directory, "-F"], listens].concat();
    let child = run("postgres", &options).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let server = Server(child.expect("it starts"));
    wait_for("PostgreSQL to listen", || {
        // The name of the socket ends in the port.
        let sockets = std::fs::read_dir(&directory).expect("a directory").flatten().map(|entry| entry.file_name());
        let port =
            sockets.filter_map(|name| Some(name.to_str()?.strip_prefix(".s.PGSQL.")?.parse::<u16>().ok()?.to_string()));
        let port = port.max()?;
        Outcome::of(&mut run("pg_isready", &["-h", &directory, "-p", &port, "-U", "me"])).code.filter(|code| *code == 0)
    });
    (server, directory)
}
