//! Asks whether backends are there, within a time limit.

use ddtrace::config::{AgentUrl, Config};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// More than any Agent's answer to `/info`.
const ANSWER_LIMIT: u64 = 256 << 10;

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub answered: bool,
    /// What it said, or why it did not.
    pub detail: String,
}

/// Asks the Agent and the OTLP receiver at the same time; waits no longer than `limit`.
pub(super) fn both(config: &Config, limit: Duration) -> (Answer, Answer) {
    let start = Instant::now();
    let url = config.agent.url.clone();
    let agent = asked(move || agent(&url, limit));
    let target = config.otlp.host_and_port();
    let otlp = asked(move || otlp(target, limit));
    let left = || limit.saturating_sub(start.elapsed());
    (answer(&agent, left(), limit), answer(&otlp, left(), limit))
}

/// Asks from a thread of its own: the resolution of names knows no time limit. A thread that is still waiting then ends
/// with the program.
fn asked(ask: impl FnOnce() -> io::Result<String> + Send + 'static) -> Receiver<io::Result<String>> {
    let (sender, receiver) = mpsc::channel();
    let spawned = thread::Builder::new().spawn(move || {
        // Nobody listens any more when the time was up.
        let _ = sender.send(ask());
    });
    // Where no thread can be had, the receiver finds its channel closed.
    drop(spawned);
    receiver
}

fn answer(receiver: &Receiver<io::Result<String>>, left: Duration, limit: Duration) -> Answer {
    match receiver.recv_timeout(left) {
        Ok(Ok(detail)) => Answer { answered: true, detail },
        Ok(Err(error)) if is_timeout(&error) => silent(limit),
        Ok(Err(error)) => Answer { answered: false, detail: error.to_string() },
        Err(mpsc::RecvTimeoutError::Timeout) => silent(limit),
        Err(mpsc::RecvTimeoutError::Disconnected) => Answer { answered: false, detail: "could not be asked".into() },
    }
}

fn silent(limit: Duration) -> Answer {
    Answer { answered: false, detail: format!("no answer within {} ms", limit.as_millis()) }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// `GET /info`; any HTTP status is an answer.
fn agent(url: &AgentUrl, limit: Duration) -> io::Result<String> {
    match url {
        AgentUrl::Unix(path) => {
            let stream = unix(path, limit)?;
            info(stream, "localhost", "")
        }
        AgentUrl::Tcp { tls: false, host, port, base_path } => {
            let stream = tcp(host, *port, limit)?;
            let host = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
            info(stream, &host, base_path)
        }
        AgentUrl::Tcp { tls: true, host, port, .. } => {
            tcp(host, *port, limit)?;
            Ok("the port is open (TLS was not tried)".into())
        }
    }
}

fn otlp(target: Option<(String, u16)>, limit: Duration) -> io::Result<String> {
    let (host, port) = target.ok_or_else(|| io::Error::other("the endpoint names no host"))?;
    tcp(&host, port, limit)?;
    Ok("the port is open".into())
}

fn unix(path: &Path, limit: Duration) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    Ok(stream)
}

/// Tries the addresses of the host in turn: `localhost` is often two.
fn tcp(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, limit) {
            Ok(stream) => {
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn info(mut stream: impl Read + Write, host: &str, base_path: &str) -> io::Result<String> {
    // In one piece: a server may answer and close as soon as it has read something.
    let request = format!("GET {base_path}/info HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    match stream.take(ANSWER_LIMIT).read_to_end(&mut bytes) {
        // A server that keeps the connection open, or breaks it off, has answered all the same.
        Err(_) if !bytes.is_empty() => {}
        other => drop(other?),
    }
    let answer = String::from_utf8_lossy(&bytes);
    let status = answer
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1."))
        .and_then(|line| line.split(' ').nth(1))
        .ok_or_else(|| io::Error::other("what answers does not speak HTTP"))?;
    Ok(match agent_version(&answer) {
        Some(version) => format!("Agent {version}"),
        None => format!("HTTP status {status}"),
    })
}

/// From the JSON of the answer, whether it came in chunks or not.
fn agent_version(answer: &str) -> Option<String> {
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let object = body.get(body.find('{')?..=body.rfind('}')?)?;
    let parsed: serde_json::Value = serde_json::from_str(object).ok()?;
    Some(parsed.get("version")?.as_str()?.chars().filter(|c| !c.is_control()).take(32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    const LIMIT: Duration = Duration::from_millis(500);

    fn at(port: u16) -> AgentUrl {
        AgentUrl::Tcp { tls: false, host: "127.0.0.1".into(), port, base_path: "/base".into() }
    }

    /// A server that reads one request, gives one answer and hands the request out.
    fn server(reply: &'static str) -> (u16, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            let _ = stream.write_all(reply.as_bytes());
            let _ = sender.send(String::from_utf8_lossy(&request[..length]).into_owned());
        });
        (port, receiver)
    }

    #[test]
    fn any_status_is_an_answer_and_the_version_is_told() {
        for (reply, detail) in [
            ("HTTP/1.1 200 OK\r\n\r\n{\"version\":\"7.60.1\",\"endpoints\":[]}", "Agent 7.60.1"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"version\":\"7.1\"}\r\n0\r\n\r\n",
                "Agent 7.1",
            ),
            ("HTTP/1.1 404 Not Found\r\n\r\nno", "HTTP status 404"),
            ("HTTP/1.0 500 x\r\n\r\n{\"version\":7}", "HTTP status 500"),
        ] {
            let (port, request) = server(reply);
            assert_eq!(agent(&at(port), LIMIT).unwrap(), detail);
            let request = request.recv().unwrap();
            assert!(request.starts_with("GET /base/info HTTP/1.1\r\nHost: 127.0.0.1:"), "{request}");
        }
    }

    #[test]
    fn something_else_is_no_agent() {
        for reply in ["", "SSH-2.0-x\r\n"] {
            let (port, _request) = server(reply);
            assert!(agent(&at(port), LIMIT).is_err(), "{reply:?}");
        }
    }

    #[test]
    fn a_closed_port_is_not_reachable() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert_eq!(agent(&at(port), LIMIT).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_silent_agent_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = ddtrace::config::resolve(&Default::default()).config;
        config.agent.url = at(listener.local_addr().unwrap().port());
        let start = Instant::now();
        let (agent, _) = both(&config, Duration::from_millis(200));
        assert!(!agent.answered && agent.detail == "no answer within 200 ms", "{agent:?}");
        assert!(start.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn a_socket_answers() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("apm.socket");
        assert_eq!(agent(&AgentUrl::Unix(path.clone()), LIMIT).unwrap_err().kind(), io::ErrorKind::NotFound);
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n{\"version\":\"7\"}");
        });
        assert_eq!(agent(&AgentUrl::Unix(path), LIMIT).unwrap(), "Agent 7");
    }

    #[test]
    fn an_open_port_is_enough_for_otlp() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(otlp(Some(("127.0.0.1".into(), port)), LIMIT).is_ok());
        drop(listener);
        assert!(otlp(Some(("127.0.0.1".into(), port)), LIMIT).is_err());
        assert!(otlp(None, LIMIT).is_err());
    }
}
