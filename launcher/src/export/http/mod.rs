//! One small HTTP/1.1 client with one kept connection, over TCP, TLS or a Unix socket.
//!
//! An exporter sends one request after the other to one place, which needs no pool, no redirects and no cookies.

mod address;
mod connect;
mod proxy;
mod tls;

pub use address::{Address, Transport};
pub use connect::{Stream, connect};
pub use proxy::{Proxies, TunnelFor};
pub use tls::{Tls, TlsFiles};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderMap, HeaderValue, PROXY_AUTHORIZATION, RETRY_AFTER};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;

/// The largest response that is read, in bytes: what OTLP demands of clients, and plenty for an Agent.
pub const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// How long a response's body may take once its status is there. The status says what became of the request; nobody waits
/// long for what else there is to say.
const BODY_LIMIT: Duration = Duration::from_secs(1);

/// A response.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body; empty where that could not be read.
    pub body: Bytes,
    /// Why the body could not be read.
    pub unread: Option<String>,
}

impl Response {
    /// How long the server asks to wait, given in seconds or as a date.
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers)
    }

    /// The beginning of the body as one line, to show to people what a server complained of.
    pub fn excerpt(&self) -> String {
        const CHARS: usize = 200;
        let text = String::from_utf8_lossy(&self.body);
        let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        printable.take(CHARS).collect::<String>().trim().to_owned()
    }
}

/// How long these headers of a response ask to wait, given in seconds or as a date. Whole seconds are what is allowed (RFC
/// 9110, 10.2.3); a fraction is rounded up, and what no number can hold is the longest time there is.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse::<f64>() {
        Ok(seconds) if text.starts_with(|first: char| first.is_ascii_digit()) => {
            Some(Duration::from_secs(seconds.ceil() as u64))
        }
        _ => {
            let date = httpdate::parse_http_date(text).ok()?;
            Some(date.duration_since(SystemTime::now()).unwrap_or_default())
        }
    }
}

/// Why there is no response.
#[derive(Debug, PartialEq)]
pub enum Failure {
    /// No connection: nothing listens, the name is unknown, TLS failed, a file of its settings cannot be read.
    Connect(String),
    /// The connection broke before there was a status.
    Broken(String),
    /// There was no status in this time.
    Late(Duration),
}

impl Failure {
    /// Whether the receiver may have taken the request, and has only not said so in time.
    pub fn is_late(&self) -> bool {
        matches!(self, Failure::Late(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Connect(why) => write!(f, "cannot connect: {why}"),
            Failure::Broken(why) => write!(f, "the connection broke: {why}"),
            Failure::Late(limit) => write!(f, "no answer within {limit:?}"),
        }
    }
}

/// A client of one server.
pub struct Client {
    address: Address,
    tls: Tls,
    proxies: Proxies,
    kept: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// A client; the first request connects. TLS is set up only for an address that wants it.
    pub fn new(address: Address, tls: TlsFiles, proxies: Proxies) -> Self {
        Client { address, tls: Tls::new(tls, b"http/1.1"), proxies, kept: None }
    }

    /// Where it sends to.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sends a request to `path` below the address and reads the response, which is to begin within `limit`. May be
    /// abandoned at any time.
    ///
    /// Once there is a status the request has been answered, whatever becomes of the response's body. A kept connection that the server closed meanwhile is replaced once, unnoticed.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
        limit: Option<Duration>,
    ) -> Result<Response, Failure> {
        let request = self.request(method, path, headers, body)?;
        let asking = self.ask(request);
        let (connection, response) = match limit {
            None => asking.await,
            Some(limit) => timeout(limit, asking).await.unwrap_or(Err(Failure::Late(limit))),
        }?;
        Ok(self.finish(connection, response).await)
    }

    async fn ask(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<(SendRequest<Full<Bytes>>, hyper::Response<Incoming>), Failure> {
        if let Some(mut connection) = self.kept.take()
            && !connection.is_closed()
            && connection.ready().await.is_ok()
            && let Ok(response) = connection.send_request(request.clone()).await
        {
            return Ok((connection, response));
        }
        let stream = connect(&self.address.transport, &mut self.tls, &self.proxies, TunnelFor::Tls)
            .await
            .map_err(Failure::Connect)?;
        let (mut connection, driver) =
            handshake(TokioIo::new(stream)).await.map_err(|error| Failure::Broken(described(&error)))?;
        // Ends by itself when the sender is dropped or the server closes; what goes wrong shows at the request.
        tokio::spawn(driver);
        let response = connection.send_request(request).await.map_err(|error| Failure::Broken(described(&error)))?;
        Ok((connection, response))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let target = [self.address.base_path.as_str(), path].concat();
        let target = if target.is_empty() { String::from("/") } else { target };
        let proxy = self.proxies.for_plain_http(&self.address.transport);
        // A proxy for plain HTTP is asked for the whole URL.
        let target = if proxy.is_some() { format!("http://{}{target}", self.address.authority()) } else { target };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() =
            target.parse().map_err(|_| Failure::Connect(format!("{:?} is not a path", self.address.base_path)))?;
        *request.headers_mut() = headers.clone();
        let host = HeaderValue::try_from(self.address.authority())
            .map_err(|_| Failure::Connect(format!("{:?} is not a host name", self.address.authority())))?;
        request.headers_mut().insert(HOST, host);
        if let Some(credentials) = proxy.and_then(|proxy| proxy.basic_auth().cloned()) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, credentials);
        }
        Ok(request)
    }

    async fn finish(&mut self, connection: SendRequest<Full<Bytes>>, response: hyper::Response<Incoming>) -> Response {
        let (head, body) = response.into_parts();
        let (body, unread) = match timeout(BODY_LIMIT, Limited::new(body, MAX_RESPONSE_BYTES).collect()).await {
            Ok(Ok(body)) => {
                self.kept = Some(connection);
                (body.to_bytes(), None)
            }
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                (Bytes::new(), Some(format!("it is larger than {MAX_RESPONSE_BYTES} bytes")))
            }
            Ok(Err(error)) => (Bytes::new(), Some(format!("the connection broke: {}", described(&*error)))),
            Err(_) => (Bytes::new(), Some(format!("it did not end within {BODY_LIMIT:?}"))),
        };
        Response { status: head.status, headers: head.headers, body, unread }
    }
}

/// An error with its causes: hyper's own text is only the outermost.
fn described(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
