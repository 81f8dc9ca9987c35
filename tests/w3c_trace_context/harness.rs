//! Sends requests with headers byte for byte, and takes the calls that they make the service do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// The service that is tested, and the place that it calls back.
pub struct Harness {
    service: u16,
    listener: TcpListener,
}

impl Harness {
    pub fn new(service: u16) -> Harness {
        Harness { service, listener: TcpListener::bind("127.0.0.1:0").expect("a port to listen on") }
    }

    /// Makes the service call back once, and gives what came.
    #[track_caller]
    pub fn once(&self, headers: &[(&str, &str)]) -> Call {
        self.times(1, headers).remove(0)
    }

    /// Makes the service call back several times within one request.
    #[track_caller]
    pub fn times(&self, count: usize, headers: &[(&str, &str)]) -> Vec<Call> {
        let url = format!("http://{}/callback", self.listener.local_addr().expect("a listener has an address"));
        let call = format!(r#"{{"url": "{url}", "arguments": []}}"#);
        let body = format!("[{}]", vec![call; count].join(","));
        let mut head = format!(
            "POST /test HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            // No blank is added behind the colon: the values say themselves what is there.
            head.push_str(&format!("{name}:{value}\r\n"));
        }
        let mut stream = TcpStream::connect(("127.0.0.1", self.service)).expect("the service listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).expect("the service reads");
        thread::scope(|scope| {
            let calls = scope.spawn(|| (0..count).map(|_| Call::take(&self.listener)).collect());
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("the service answers");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            calls.join().expect("the calls can be read")
        })
    }
}

/// A call as it arrived.
#[derive(Debug)]
pub struct Call {
    headers: Vec<(String, String)>,
}

impl Call {
    fn take(listener: &TcpListener) -> Call {
        let (stream, _) = listener.accept().expect("a call");
        let mut stream = BufReader::new(stream);
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).expect("a line");
            match line.trim_end_matches("\r\n") {
                "" => break,
                line => headers.extend(line.split_once(": ").map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()))),
            }
        }
        let call = Call { headers };
        let length = call.all("content-length").first().and_then(|text| text.parse().ok()).unwrap_or(0);
        stream.read_exact(&mut vec![0; length]).expect("the whole body");
        let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        stream.get_mut().write_all(answer).expect("the service reads");
        call
    }

    /// Every value of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(present, _)| present == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The one `traceparent`, which must be valid.
    #[track_caller]
    pub fn parent(&self) -> Parent {
        let values = self.all("traceparent");
        let [value] = values[..] else { panic!("not exactly one traceparent: {:?}", self.headers) };
        let parts: Vec<&str> = value.split('-').collect();
        let [version, trace, parent, flags] = parts[..] else { panic!("traceparent {value:?}") };
        let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        assert_eq!((version, trace.len(), parent.len(), flags.len()), ("00", 32, 16, 2), "traceparent {value:?}");
        assert!(is_hex(trace) && is_hex(parent) && is_hex(flags), "traceparent {value:?}");
        assert!(trace.bytes().any(|byte| byte != b'0') && parent.bytes().any(|byte| byte != b'0'), "{value:?}");
        Parent {
            trace: trace.to_owned(),
            span: parent.to_owned(),
            flags: u8::from_str_radix(flags, 16).expect("hexadecimal digits"),
        }
    }

    /// The members of the `tracestate`, over all headers, in order, without those that tracers add of themselves. An empty
    /// header must not be sent.
    #[track_caller]
    pub fn state(&self) -> Vec<(String, String)> {
        let mut members = Vec::new();
        for value in self.all("tracestate") {
            assert!(!value.is_empty(), "an empty tracestate was sent");
            for member in value.split(',') {
                let (key, value) =
                    member.trim_matches([' ', '\t']).split_once('=').unwrap_or_else(|| panic!("{value:?}"));
                if key != "dd" && key != "ot" {
                    members.push((key.to_owned(), value.to_owned()));
                }
            }
        }
        members
    }

    /// The member of the `tracestate` of that key.
    #[track_caller]
    pub fn member(&self, key: &str) -> Option<String> {
        self.state().into_iter().find(|(present, _)| present == key).map(|(_, value)| value)
    }
}

/// A `traceparent`.
#[derive(Debug, PartialEq)]
pub struct Parent {
    pub trace: String,
    pub span: String,
    pub flags: u8,
}
