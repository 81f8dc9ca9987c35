use super::*;
use crate::export::test_server::{Answer, TestServer};
use crate::export::test_tls::Authority;
use std::path::PathBuf;

fn client(url: &str, tls: TlsFiles, proxies: Proxies) -> Client {
    Client::new(Address::parse(url).unwrap(), tls, proxies)
}

fn plain(url: &str) -> Client {
    client(url, TlsFiles::default(), Proxies::none())
}

async fn post(client: &mut Client, body: &'static str) -> Result<Response, Failure> {
    client.send(Method::POST, "/path", &HeaderMap::new(), Bytes::from(body), None).await
}

#[tokio::test]
async fn one_connection_is_kept() {
    let server = TestServer::start([Answer::status(200).body("ok")]).await;
    let mut client = plain(&format!("{}/base", server.url()));
    for body in ["one", "two", "three"] {
        let response = post(&mut client, body).await.unwrap();
        assert_eq!((response.status, &response.body[..]), (StatusCode::OK, &b"ok"[..]));
    }
    let received = server.received();
    assert!(received.iter().all(|request| request.connection == 0));
    assert_eq!(received[2].body, b"three");
    assert_eq!((received[0].method.as_str(), received[0].target.as_str()), ("POST", "/base/path"));
    assert_eq!(received[0].headers["host"], format!("127.0.0.1:{}", server.port()));
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced_unnoticed() {
    let server = TestServer::start([Answer::status(200).closing(), Answer::status(201)]).await;
    let mut client = plain(&server.url());
    assert_eq!(post(&mut client, "one").await.unwrap().status, StatusCode::OK);
    assert_eq!(post(&mut client, "two").await.unwrap().status, StatusCode::CREATED);
    assert_eq!(server.received().iter().map(|request| request.connection).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn an_abandoned_request_does_not_answer_the_next() {
    let server = TestServer::start([Answer::mute(), Answer::status(201)]).await;
    let mut client = plain(&server.url());
    let limit = Duration::from_millis(50);
    assert!(tokio::time::timeout(limit, post(&mut client, "one")).await.is_err());
    assert_eq!(post(&mut client, "two").await.unwrap().status, StatusCode::CREATED);
}

#[tokio::test]
async fn what_cannot_be_reached_is_named() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let failure = post(&mut plain(&format!("http://localhost:{unused}")), "").await.unwrap_err();
    let text = failure.to_string();
    assert!(text.starts_with(&format!("cannot connect: localhost port {unused}: ")), "{text}");
    let socket = Address { transport: Transport::Unix(PathBuf::from("/nowhere/s")), base_path: String::new() };
    let mut client = Client::new(socket, TlsFiles::default(), Proxies::none());
    let text = post(&mut client, "").await.unwrap_err().to_string();
    assert!(text.starts_with("cannot connect: /nowhere/s: "), "{text}");
}

#[tokio::test]
async fn a_unix_socket_is_spoken_to_as_localhost() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("apm.socket");
    let server = TestServer::start_unix(&path, [Answer::status(200)]);
    let address = Address { transport: Transport::Unix(path), base_path: String::new() };
    let mut client = Client::new(address, TlsFiles::default(), Proxies::all("http://proxy.invalid"));
    assert_eq!(post(&mut client, "one").await.unwrap().status, StatusCode::OK);
    assert_eq!(server.received()[0].headers["host"], "localhost");
    assert_eq!(server.received()[0].target, "/path");
}

#[tokio::test]
async fn a_response_without_end_is_not_read() {
    let server = TestServer::start([Answer::status(200).body(vec![b'x'; MAX_RESPONSE_BYTES + 1])]).await;
    let response = post(&mut plain(&server.url()), "").await.unwrap();
    let unread = Some("it is larger than 4194304 bytes".to_owned());
    assert_eq!((response.status, response.body.len(), response.unread), (StatusCode::OK, 0, unread));
}

#[test]
fn retry_after_is_read_as_seconds_and_as_a_date() {
    let response = |text: &str| {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
        Response { status: StatusCode::SERVICE_UNAVAILABLE, headers, body: Bytes::new(), unread: None }
    };
    assert_eq!(response("120").retry_after(), Some(Duration::from_secs(120)));
    for (text, seconds) in [("1.5", 2), ("99999999999999999999999", u64::MAX), ("0", 0)] {
        assert_eq!(response(text).retry_after(), Some(Duration::from_secs(seconds)), "{text}");
    }
    for text in ["-1", "inf", "NaN", ""] {
        assert_eq!(response(text).retry_after(), None, "{text}");
    }
    let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
    let wait = response(&soon).retry_after().unwrap();
    assert!((58..=60).contains(&wait.as_secs()), "{wait:?}");
    assert_eq!(response("Wed, 21 Oct 2015 07:28:00 GMT").retry_after(), Some(Duration::ZERO));
    assert_eq!(response("soon").retry_after(), None);
}

#[test]
fn an_excerpt_is_one_short_line() {
    let body = Bytes::from(format!("\r\nerror:\tbad\n{}", "é".repeat(500)));
    let excerpt = Response { status: StatusCode::OK, headers: HeaderMap::new(), body, unread: None }.excerpt();
    assert!(excerpt.starts_with("error: bad é") && excerpt.chars().count() <= 200, "{excerpt}");
}

#[tokio::test]
async fn tls_verifies_the_server_and_shows_the_clients_certificate() {
    let authority = Authority::new();
    authority.issue("server", "localhost");
    authority.issue("client", "client");
    let server = TestServer::start_secure([Answer::status(200)], Some(authority.acceptor(b"http/1.1"))).await;
    let url = format!("https://localhost:{}", server.port());
    let mut trusting = client(&url, authority.files(), Proxies::none());
    assert_eq!(post(&mut trusting, "one").await.unwrap().status, StatusCode::OK);
    let mut other_name = client(&format!("https://127.0.0.1:{}", server.port()), authority.files(), Proxies::none());
    let text = post(&mut other_name, "two").await.unwrap_err().to_string();
    assert!(text.contains("TLS with 127.0.0.1"), "{text}");
    let stranger = TlsFiles { certificate: Authority::new().files().certificate, ..TlsFiles::default() };
    assert!(post(&mut client(&url, stranger, Proxies::none()), "three").await.is_err());
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn unusable_tls_files_are_named() {
    let authority = Authority::new();
    authority.issue("client", "client");
    std::fs::write(authority.path("empty.pem"), "").unwrap();
    let server = TestServer::start([Answer::status(200)]).await;
    let url = format!("https://localhost:{}", server.port());
    for (files, named) in [
        (TlsFiles { certificate: Some(authority.path("missing.pem")), ..TlsFiles::default() }, "missing.pem"),
        (TlsFiles { certificate: Some(authority.path("empty.pem")), ..TlsFiles::default() }, "no certificate in it"),
        (TlsFiles { client_key: None, ..authority.files() }, "needs a client key, too"),
        (TlsFiles { client_certificate: None, ..authority.files() }, "needs a client certificate, too"),
        (TlsFiles { client_key: Some(authority.path("ca.pem")), ..authority.files() }, "client key"),
    ] {
        let text = post(&mut client(&url, files, Proxies::none()), "").await.unwrap_err().to_string();
        assert!(text.contains(named), "{text}");
    }
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_whole_url_or_for_a_tunnel() {
    let proxy = TestServer::start([Answer::status(200), Answer::status(403)]).await;
    let proxies = || Proxies::all(&format!("http://user:pw@127.0.0.1:{}", proxy.port()));
    let mut plain = client("http://backend.invalid:4318/base", TlsFiles::default(), proxies());
    assert_eq!(post(&mut plain, "one").await.unwrap().status, StatusCode::OK);
    let mut secure = client("https://backend.invalid:4318/base", TlsFiles::default(), proxies());
    let text = post(&mut secure, "two").await.unwrap_err().to_string();
    assert!(text.contains("HTTP/1.1 403 Reason") && !text.contains("pw"), "{text}");
    let received = proxy.received();
    assert_eq!(received[0].target, "http://backend.invalid:4318/base/path");
    assert_eq!(received[0].headers["host"], "backend.invalid:4318");
    assert_eq!((received[1].method.as_str(), received[1].target.as_str()), ("CONNECT", "backend.invalid:4318"));
    for request in received {
        assert_eq!(request.headers["proxy-authorization"], "Basic dXNlcjpwdw==");
    }
}

#[tokio::test]
async fn this_host_is_never_reached_through_a_proxy() {
    let server = TestServer::start([Answer::status(200)]).await;
    let proxies = Proxies::all("http://127.0.0.1:1");
    for host in ["127.0.0.1", "localhost"] {
        let mut client = client(&format!("http://{host}:{}", server.port()), TlsFiles::default(), proxies.clone());
        assert_eq!(post(&mut client, "one").await.unwrap().status, StatusCode::OK);
    }
}
