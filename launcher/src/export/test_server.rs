//! A scripted HTTP/1.1 server for tests.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
    /// Which connection it came on, counted from zero.
    pub connection: usize,
}

/// What to answer.
#[derive(Clone)]
pub struct Answer {
    head: String,
    body: Vec<u8>,
    closes: bool,
    mute: bool,
    /// Of the body something is missing at its end, and it never comes.
    cut: bool,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Answer {
            head: format!("HTTP/1.1 {status} Reason\r\n"),
            body: Vec::new(),
            closes: false,
            mute: false,
            cut: false,
        }
    }

    /// No answer at all.
    pub fn mute() -> Self {
        Answer { mute: true, ..Answer::status(200) }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Closes the connection in the midst of the body.
    pub fn breaking(self) -> Self {
        Answer { cut: true, closes: true, ..self }
    }

    /// Never comes to the end of the body.
    pub fn stuck(self) -> Self {
        Answer { cut: true, ..self }
    }

    /// Closes the connection afterwards without having announced it.
    pub fn closing(mut self) -> Self {
        self.closes = true;
        self
    }
}

#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    received: Vec<Received>,
    connections: usize,
}

/// The server; it ends with the test's runtime.
#[derive(Clone)]
pub struct TestServer {
    script: Arc<Mutex<Script>>,
    pub address: Option<SocketAddr>,
}

impl TestServer {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Script { answers: answers.into_iter().collect(), ..Default::default() };
        TestServer { script: Arc::new(Mutex::new(script)), address: None }
    }

    /// Answers in this order; the last answer is given again and again.
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::start_secure(answers, None).await
    }

    pub async fn start_secure(answers: impl IntoIterator<Item = Answer>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = TestServer { address: listener.local_addr().ok(), ..Self::new(answers) };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => serving.serve(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serving.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    pub fn start_unix(path: &Path, answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let server = Self::new(answers);
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        server
    }

    pub fn port(&self) -> u16 {
        self.address.unwrap().port()
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    pub fn received(&self) -> Vec<Received> {
        self.script.lock().unwrap().received.clone()
    }

    fn answer(&self, request: Received) -> Answer {
        let mut script = self.script.lock().unwrap();
        script.received.push(request);
        match script.answers.len() {
            0 => Answer::status(500),
            1 => script.answers[0].clone(),
            _ => script.answers.pop_front().unwrap(),
        }
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let connection = {
            let mut script = self.script.lock().unwrap();
            script.connections += 1;
            script.connections - 1
        };
        let mut stream = BufReader::new(stream);
        while let Some(request) = read_request(&mut stream, connection).await {
            let answer = self.answer(request);
            if answer.mute {
                return std::future::pending().await;
            }
            let head =
                format!("{}content-length: {}\r\n\r\n", answer.head, answer.body.len() + usize::from(answer.cut));
            // A client that has seen enough goes away; that is its right.
            let _ = stream.write_all(&[head.as_bytes(), &answer.body].concat()).await;
            let _ = stream.flush().await;
            if answer.closes {
                return;
            }
        }
    }
}

async fn read_request(stream: &mut (impl AsyncBufReadExt + Unpin), connection: usize) -> Option<Received> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut words = lines.first()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: HashMap<String, String> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received { method, target, headers, body, connection })
}
