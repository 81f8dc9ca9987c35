//! Opens connections.

use super::proxy::{Proxies, TunnelFor, tunnel};
use super::{Tls, Transport};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A connection of any kind.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to a server, through a proxy where one is to be used.
///
/// # Errors
/// A message that names the place and what was wrong with it.
pub async fn connect(
    transport: &Transport,
    tls: &mut Tls,
    proxies: &Proxies,
    tunnel_for: TunnelFor,
) -> Result<Box<dyn Stream>, String> {
    let (secure, host, port) = match transport {
        Transport::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(|error| format!("{}: {error}", path.display()))?;
            return Ok(Box::new(stream));
        }
        Transport::Tcp { tls, host, port } => (*tls, host.as_str(), *port),
    };
    let stream = match proxies.find(transport) {
        None => open(host, port).await.map_err(|error| format!("{host} port {port}: {error}"))?,
        Some(proxy) => {
            let at = |error: String| format!("proxy {}: {error}", proxy.uri().authority().map_or("", |a| a.as_str()));
            if proxy.uri().scheme_str() != Some("http") {
                return Err(at(String::from("only http:// proxies can be used")));
            }
            let proxy_host = proxy.uri().host().unwrap_or_default().trim_matches(['[', ']']);
            let mut stream =
                open(proxy_host, proxy.uri().port_u16().unwrap_or(80)).await.map_err(|error| at(error.to_string()))?;
            if secure || tunnel_for == TunnelFor::Everything {
                tunnel(&mut stream, &proxy, host, port).await.map_err(at)?;
            }
            stream
        }
    };
    Ok(if secure { Box::new(tls.secure(host, stream).await?) } else { Box::new(stream) })
}

async fn open(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let stream = if host.eq_ignore_ascii_case("localhost") {
        // This name is the loopback address by definition (RFC 6761); asking the resolver would cost a thread.
        match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(stream) => stream,
            Err(error) => TcpStream::connect(("::1", port)).await.map_err(|_| error)?,
        }
    } else {
        TcpStream::connect((host, port)).await?
    };
    // A request is written at once; waiting to fill packets would only delay it. Failing is harmless.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}
