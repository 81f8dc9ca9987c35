//! Servers under load, whose connections are looked at: every answer is what it is without the launcher, and every request
//! that was served is a span.
//!
//! `DDTRACE_LOAD_SECONDS` says for how long each server is asked by each generator of load.

use ddtrace_test_support::agent::free_port;
use ddtrace_test_support::python::python;
use ddtrace_test_support::servers::{self, Server, files, nginx_with};
use ddtrace_test_support::{Manner, Outcome, Receiver, Sandbox, repository};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

fn seconds() -> u32 {
    std::env::var("DDTRACE_LOAD_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(1)
}

fn sandbox() -> Sandbox {
    let mut sandbox = servers::sandbox(env!("CARGO_BIN_EXE_ddtrace-run"));
    sandbox.unset("DD_TRACE_EXPORTER").set("DD_TRACE_SHUTDOWN_TIMEOUT_SECONDS", "60");
    sandbox
}

/// What is asked for: a path, and header lines besides.
type Asked = (&'static str, &'static str);

const GZIP: &str = "Accept-Encoding: gzip\r\n";

/// The test's own client: it looks at every byte, and splits what it sends as no generator of load does.
struct Client {
    port: u16,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    fn connection(&mut self) -> std::io::Result<&mut BufReader<TcpStream>> {
        if self.connection.is_none() {
            let stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            stream.set_nodelay(true)?;
            self.connection = Some(BufReader::new(stream));
        }
        Ok(self.connection.as_mut().expect("it was just made"))
    }

    /// Sends the requests at once, but in pieces, and gives a number for each answer.
    fn ask(&mut self, asked: &[Asked], pieces: usize) -> std::io::Result<Vec<u64>> {
        let heads: String = asked
            .iter()
            .map(|(path, headers)| format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{headers}\r\n", self.port))
            .collect();
        let stream = self.connection()?;
        for piece in heads.as_bytes().chunks(heads.len().div_ceil(pieces)) {
            stream.get_mut().write_all(piece)?;
        }
        let mut answers = Vec::new();
        for _ in asked {
            let (number, is_last) = answer(self.connection()?)?;
            answers.push(number);
            if is_last {
                self.connection = None;
            }
        }
        Ok(answers)
    }
}

/// Reads an answer. Gives a number for all of it but the date, and whether the connection ends with it.
fn answer(stream: &mut impl BufRead) -> std::io::Result<(u64, bool)> {
    let (mut hasher, mut length, mut is_chunked, mut is_last) = (DefaultHasher::new(), None, false, false);
    loop {
        let line = line(stream)?;
        let lower = line.to_ascii_lowercase();
        match lower.split_once(':').map(|(name, value)| (name, value.trim())) {
            Some(("content-length", value)) => length = value.parse().ok(),
            Some(("transfer-encoding", "chunked")) => is_chunked = true,
            Some(("connection", "close")) => is_last = true,
            _ => {}
        }
        if !lower.starts_with("date:") {
            line.hash(&mut hasher);
        }
        if line.trim_end().is_empty() {
            break;
        }
    }
    let mut body = Vec::new();
    if is_chunked {
        loop {
            let size = usize::from_str_radix(line(stream)?.trim_end(), 16).map_err(std::io::Error::other)?;
            let start = body.len();
            body.resize(start + size, 0);
            stream.read_exact(&mut body[start..])?;
            line(stream)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = length {
        body.resize(length, 0);
        stream.read_exact(&mut body)?;
    } else {
        stream.read_to_end(&mut body)?;
        is_last = true;
    }
    body.hash(&mut hasher);
    Ok((hasher.finish(), is_last))
}

fn line(stream: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    match stream.read_line(&mut line)? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line),
    }
}

/// Asks for everything, again and again, as long as the load is there. What is not as it should be is told.
fn watch(port: u16, wanted: &BTreeMap<Asked, u64>, pipelines: bool, ends: &AtomicBool) -> Vec<String> {
    let (mut client, mut errors, mut round) = (Client { port, connection: None }, Vec::new(), 0);
    let all: Vec<Asked> = wanted.keys().copied().collect();
    while !ends.load(Ordering::Relaxed) && errors.len() < 5 {
        for start in 0..all.len() {
            round += 1;
            let together = if pipelines { 1 + round % 3 } else { 1 };
            let asked: Vec<Asked> = all.iter().cycle().skip(start).take(together).copied().collect();
            match client.ask(&asked, 1 + round % 4) {
                Ok(answers) if answers.iter().eq(asked.iter().map(|asked| &wanted[asked])) => {}
                other => errors.push(format!("{asked:?}: {other:?}")),
            }
            if round % 5 == 0 || !errors.is_empty() {
                client.connection = None;
            }
        }
    }
    errors
}

/// A generator of load. Gives what it says of errors.
fn generate(argv: &[&str]) -> Vec<String> {
    let outcome = Outcome::of(Command::new(argv[0]).args(&argv[1..]));
    let is_bad = |line: &str| {
        let failed = line.strip_prefix("Failed requests:").is_some_and(|count| count.trim() != "0");
        failed || ["Non-2xx", "Socket errors", "Write errors"].iter().any(|start| line.trim_start().starts_with(start))
    };
    let said = outcome.out();
    let mut errors: Vec<String> = said.lines().filter(|line| is_bad(line)).map(str::to_owned).collect();
    if outcome.code != Some(0) {
        errors.push(outcome.err());
    }
    errors
}

/// How much a generator asks for.
enum Load {
    /// For the time of the test, over so many connections that are kept.
    Wrk(u32),
    /// So many thousands of requests for each second of the test, so many at a time.
    Ab { thousands: f64, at_a_time: u32, keeps: bool },
}

impl Load {
    fn put_on(&self, port: u16, (path, headers): Asked) -> Vec<String> {
        let url = format!("http://127.0.0.1:{port}{path}");
        let header = if headers.is_empty() { "X-Nothing: here" } else { headers.trim_end() };
        match *self {
            Load::Wrk(connections) => {
                let (time, connections) = (format!("{}s", seconds()), connections.to_string());
                generate(&["wrk", "-t", "1", "-c", &connections, "-d", &time, "--timeout", "30s", "-H", header, &url])
            }
            Load::Ab { thousands, at_a_time, keeps } => {
                let count = (f64::from(seconds()) * thousands * 1e3).to_string();
                let keeps: &[&str] = if keeps { &["-k"] } else { &[] };
                let at_a_time = at_a_time.to_string();
                let asked = ["ab", "-q", "-s", "60", "-n", &count, "-c", &at_a_time, "-H", header];
                generate(&[&asked[..], keeps, &[&url]].concat())
            }
        }
    }
}

/// Puts a server under load, and gives what was wrong. What the answers are to be is asked for at first, or known.
fn under_load(
    port: u16,
    asked: &[Asked],
    wanted: &mut BTreeMap<Asked, u64>,
    pipelines: bool,
    loads: &[(Load, Asked)],
) -> Vec<String> {
    for asked in asked {
        let answers = Client { port, connection: None }.ask(&[*asked], 1).expect("an answer");
        assert_eq!(*wanted.entry(*asked).or_insert(answers[0]), answers[0], "{asked:?}");
    }
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching: Vec<_> = (0..2).map(|_| scope.spawn(|| watch(port, wanted, pipelines, &ends))).collect();
        let mut errors: Vec<String> = loads.iter().flat_map(|(load, asked)| load.put_on(port, *asked)).collect();
        ends.store(true, Ordering::Relaxed);
        for watching in watching {
            errors.extend(watching.join().expect("it tells what is wrong"));
        }
        errors
    })
}

fn lines(log: &Path) -> usize {
    std::fs::read_to_string(log).unwrap_or_default().lines().count()
}

/// So many different spans come.
#[track_caller]
fn assert_spans(receiver: &Receiver, wanted: usize, who: &str) {
    let spans: BTreeSet<u64> = receiver.spans().into_iter().collect();
    println!("{who}: {} spans of {wanted}", spans.len());
    assert!(spans.len() == wanted, "{who}: {} spans of {wanted}", spans.len());
    assert!(wanted > 0, "{who} was asked for nothing");
}

/// A receiver for the server that is started next.
fn receiver(sandbox: &mut Sandbox) -> Receiver {
    let receiver = Receiver::start(Manner::Takes);
    sandbox.set("DD_TRACE_AGENT_URL", receiver.url());
    receiver
}

/// Files of three sizes.
fn site(sandbox: &Sandbox) -> PathBuf {
    let root = files(sandbox);
    let text: String = (0..2000).map(|number| format!("{number} squared is {}\n", number * number)).collect();
    std::fs::write(root.join("medium"), text).expect("a file");
    root
}

/// Files by `sendfile` and without it, compressed and not, over kept connections and new ones, many and few.
#[test]
fn nginx_serves_files() {
    let mut sandbox = sandbox();
    let (root, port, log) = (site(&sandbox), free_port(), sandbox.path().join("access.log"));
    let server = format!(
        "listen 127.0.0.1:{port} backlog=1024; access_log {log} combined; keepalive_requests 1000000; root {root};\
         location /copied/ {{ alias {root}/; sendfile off; }}",
        log = log.display(),
        root = root.display(),
    );
    let asked = [("/short", ""), ("/medium", ""), ("/medium", GZIP), ("/long", ""), ("/long", GZIP)];
    let asked = [&asked[..], &[("/copied/medium", ""), ("/copied/long", ""), ("/copied/none", "")]].concat();
    let mut wanted = BTreeMap::new();
    for traced in [false, true] {
        let receiver = receiver(&mut sandbox);
        let _ = std::fs::remove_file(&log);
        let nginx = nginx_with(&mut sandbox, traced, "files", port, &server);
        let few = |keeps| Load::Ab { thousands: 2.0, at_a_time: 8, keeps };
        let loads = [
            (Load::Wrk(200), ("/short", "")),
            (Load::Wrk(16), ("/medium", GZIP)),
            (few(true), ("/copied/medium", "")),
            (few(false), ("/medium", "")),
            (Load::Ab { thousands: 0.5, at_a_time: 50, keeps: false }, ("/long", "")),
        ];
        let errors = under_load(port, &asked, &mut wanted, true, &loads);
        assert!(errors.is_empty(), "traced: {traced}: {errors:#?}");
        drop(nginx);
        if traced {
            sandbox.settle();
            assert_spans(&receiver, lines(&log), "nginx");
        }
    }
}

/// Requests go on to another nginx, over a new connection each, and over connections that are kept.
#[test]
fn nginx_hands_requests_on() {
    let mut sandbox = sandbox();
    let (root, ports) = (site(&sandbox), [free_port(), free_port()]);
    let logs = ["front", "back"].map(|name| sandbox.path().join(format!("{name}.log")));
    let listen = |number: usize| {
        format!(
            "listen 127.0.0.1:{port} backlog=1024; access_log {log} combined; keepalive_requests 1000000;",
            port = ports[number],
            log = logs[number].display()
        )
    };
    // What follows the server's end is beside it.
    let front = format!(
        "{} location /new/ {{ proxy_pass http://127.0.0.1:{back}/; }} location /kept/ {{ proxy_pass http://kept/; \
         proxy_http_version 1.1; proxy_set_header Connection ''; }} }} upstream kept {{ server 127.0.0.1:{back}; keepalive 4;",
        listen(0),
        back = ports[1],
    );
    let back = format!("{} keepalive_timeout 600s; root {};", listen(1), root.display());
    let asked = [("/new/short", ""), ("/new/long", ""), ("/new/none", ""), ("/kept/medium", ""), ("/kept/long", "")];
    let mut wanted = BTreeMap::new();
    for traced in [false, true] {
        logs.iter().for_each(|log| drop(std::fs::remove_file(log)));
        let of_back = receiver(&mut sandbox);
        let behind = nginx_with(&mut sandbox, traced, "back", ports[1], &back);
        let of_front = receiver(&mut sandbox);
        let before = nginx_with(&mut sandbox, traced, "front", ports[0], &front);
        let load = |keeps| Load::Ab { thousands: 1.5, at_a_time: 32, keeps };
        let loads = [
            (load(false), ("/new/short", "")),
            (load(true), ("/new/medium", "")),
            (load(true), ("/kept/medium", "")),
            (Load::Ab { thousands: 0.2, at_a_time: 8, keeps: true }, ("/kept/long", "")),
        ];
        let errors = under_load(ports[0], &asked, &mut wanted, true, &loads);
        assert!(errors.is_empty(), "traced: {traced}: {errors:#?}");
        drop((before, behind));
        let served = logs.each_ref().map(|log| lines(log));
        assert_eq!(served[0], served[1], "each is handed on once");
        if traced {
            sandbox.settle();
            assert_spans(&of_back, served[1], "the one behind");
            assert_spans(&of_front, 2 * served[0], "the one before it, which serves and asks");
        }
    }
}

/// Workers that are forked, each with one request at a time, and with several threads.
#[test]
fn gunicorn_serves() {
    let (python, directory) = (python("native-venv"), repository().join("tests/python_native").display().to_string());
    let mut sandbox = sandbox();
    for kind in ["sync", "gthread"] {
        let mut wanted = BTreeMap::new();
        for traced in [false, true] {
            let (port, receiver) = (free_port(), receiver(&mut sandbox));
            let log = sandbox.path().join(format!("{kind}-{traced}.log"));
            let (bind, shown) = (format!("127.0.0.1:{port}"), log.display().to_string());
            let arguments = ["-w", "2", "-k", kind, "--threads", "4", "-b", &bind, "--access-logfile", &shown];
            let application = ["--chdir", &directory, "load:application"];
            let argv = [&[python.as_str(), "-m", "gunicorn"][..], &arguments, &application].concat();
            let server = Server::of(&mut sandbox, traced, kind, port, &argv);
            let asked = [("/10", ""), ("/400000", ""), ("/pieces/10", ""), ("/pieces/399999", "")];
            let load = |keeps| Load::Ab { thousands: 0.3, at_a_time: 8, keeps };
            let loads =
                [(load(false), ("/10", "")), (load(true), ("/20000", "")), (load(false), ("/pieces/70000", ""))];
            let errors = under_load(port, &asked, &mut wanted, false, &loads);
            assert!(errors.is_empty(), "{kind}, traced: {traced}: {errors:#?}");
            drop(server);
            if traced {
                sandbox.settle();
                assert_spans(&receiver, lines(&log), kind);
            }
        }
    }
}
