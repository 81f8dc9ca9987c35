//! Requests on encrypted connections of programs that nobody prepared.

use ddtrace_test_support::Sandbox;
use ddtrace_test_support::agent::free_port;
use ddtrace_test_support::programs::compile_with;
use ddtrace_test_support::servers::{self, Server, certificate, chain, curl, files, nginx_with, only, without_ours};
use ddtrace_test_support::spans::Span;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;

fn sandbox() -> Sandbox {
    servers::sandbox(env!("CARGO_BIN_EXE_ddtrace-run"))
}

/// Python's own server behind its own TLS.
fn python_server(sandbox: &mut Sandbox, traced: bool, port: u16, root: &Path, names: &(String, String)) -> Server {
    let script = sandbox.write(
        "server.py",
        "import functools, hashlib, http.server, ssl, sys\n\
         port, root, certificate, key = sys.argv[1:]\n\
         class Handler(http.server.SimpleHTTPRequestHandler):\n\
         \x20   def do_POST(self):\n\
         \x20       body = self.rfile.read(int(self.headers['Content-Length']))\n\
         \x20       self.send_response(200)\n\
         \x20       self.end_headers()\n\
         \x20       self.wfile.write(hashlib.sha256(body).hexdigest().encode())\n\
         handler = functools.partial(Handler, directory=root)\n\
         server = http.server.ThreadingHTTPServer(('127.0.0.1', int(port)), handler)\n\
         context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
         context.load_cert_chain(certificate, key)\n\
         server.socket = context.wrap_socket(server.socket, server_side=True)\n\
         server.serve_forever()\n",
    );
    let (script, port_text, root) = (script.display().to_string(), port.to_string(), root.display().to_string());
    Server::of(sandbox, traced, "python", port, &["python3", &script, &port_text, &root, &names.0, &names.1])
}

/// A server of nginx with TLS.
fn nginx(
    sandbox: &mut Sandbox,
    traced: bool,
    service: &str,
    port: u16,
    names: &(String, String),
    more: &str,
) -> Server {
    let server = format!(
        "listen 127.0.0.1:{port} ssl http2; ssl_certificate {}; ssl_certificate_key {}; {more}",
        names.0, names.1
    );
    nginx_with(sandbox, traced, service, port, &server)
}

fn kind(span: &Span) -> &'static str {
    if span.attributes.contains_key("url.full") { "asks" } else { "serves" }
}

/// curl and wget, with OpenSSL and GnuTLS, ask nginx, which asks Python's server, all of it encrypted.
#[test]
fn a_trace_goes_through_encrypted_connections() {
    let mut sandbox = sandbox();
    let (names, root) = (certificate(&sandbox), files(&sandbox));
    let [front, back] = [free_port(), free_port()];
    sandbox.set("CURL_CA_BUNDLE", &names.0);
    let up = format!("root {}; location /up/ {{ proxy_pass https://127.0.0.1:{back}/; }}", root.display());
    let mut answers = Vec::new();
    for traced in [false, true] {
        let _back = python_server(&mut sandbox, traced, back, &root, &names);
        let _front = nginx(&mut sandbox, traced, "front", front, &names, &up);
        let url = |path: &str| format!("https://localhost:{front}/{path}");
        let ask = |sandbox: &mut Sandbox, arguments: &[&str]| {
            curl(sandbox, traced, &[&["--http1.1"], arguments].concat()).stdout
        };
        let body = format!("@{}", root.join("long").display());
        answers.push([
            ask(&mut sandbox, &[&url("up/long?page=2"), "-A", "tester"]),
            ask(&mut sandbox, &[&url("long"), &url("short"), &url("up/short"), "--compressed"]),
            ask(&mut sandbox, &["--data-binary", &body, &url("up/take"), "-w", " %{http_code}"]),
            ask(&mut sandbox, &["--head", &url("long"), "-o", "/dev/null", "-w", "%{http_code} %{num_headers}"]),
        ]);
        sandbox.set("DD_SERVICE", "wget");
        let argv = ["wget", "-q", "--ca-certificate", &names.0, "-O-", &url("up/long?wget")];
        let outcome = if traced { sandbox.run_traced(argv) } else { sandbox.run_bare(argv) };
        assert!(outcome.code == Some(0) && outcome.stdout == std::fs::read(root.join("long")).expect("a file"));
    }
    let same = answers[0].iter().zip(&answers[1]).map(|(bare, traced)| bare == traced);
    assert_eq!(same.collect::<Vec<_>>(), [true; 4]);
    let spans = sandbox.spans();
    let expected = |client: &str| {
        ["python serves".to_owned(), "front asks".to_owned(), "front serves".to_owned(), format!("{client} asks")]
    };
    let of_python = |query: &str| {
        only(&spans, |span| {
            span.resource["service.name"] == "python"
                && span.text("url.path") == Some("/long")
                && span.text("url.query") == Some(query)
        })
    };
    assert_eq!(chain(&spans, of_python("page=2")), expected("curl"));
    assert_eq!(chain(&spans, of_python("wget")), expected("wget"));
    let asked =
        only(&spans, |span| span.text("url.full") == Some(&format!("https://localhost:{front}/up/long?page=2")));
    assert_eq!((asked.text("server.address"), asked.number("server.port")), (Some("localhost"), Some(front.into())));
    // The peer is known by the socket below, whoever writes to it.
    for asked in [
        asked,
        only(&spans, |span| {
            span.text("url.full").is_some_and(|url| url.ends_with("?wget")) && span.parent_id.is_none()
        }),
    ] {
        assert_eq!(asked.text("network.peer.address"), Some("127.0.0.1"), "{asked:#?}");
        assert_eq!((asked.number("network.peer.port"), asked.failed), (Some(front.into()), false));
    }
    let served = of_python("page=2");
    assert_eq!((served.text("url.scheme"), served.text("client.address")), (Some("https"), Some("127.0.0.1")));
    let served =
        only(&spans, |span| span.text("url.path") == Some("/up/long") && span.text("url.query") == Some("page=2"));
    assert_eq!((served.text("url.scheme"), served.text("user_agent.original")), (Some("https"), Some("tester")));
    assert_eq!((served.text("server.address"), served.number("server.port")), (Some("localhost"), Some(front.into())));
    assert_eq!(served.text("client.address"), Some("127.0.0.1"));
    assert_eq!(
        (served.number("http.response.status_code"), served.number("http.response.body.size")),
        (Some(200), Some(400_000))
    );
    let posted = only(&spans, |span| span.name == "POST" && span.resource["service.name"] == "python");
    assert_eq!(chain(&spans, posted), expected("curl"));
    assert_eq!(posted.number("http.request.body.size"), Some(400_000));
    // Nothing is seen twice, and nothing of what is encrypted.
    let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for span in &spans {
        *counts
            .entry((span.resource["service.name"].as_str().unwrap_or_default().to_owned(), kind(span)))
            .or_default() += 1;
    }
    let count = |service: &str, kind| counts.get(&(service.to_owned(), kind)).copied().unwrap_or(0);
    assert_eq!([count("curl", "asks"), count("wget", "asks"), count("front", "serves")], [6, 1, 7], "{counts:?}");
    assert_eq!([count("front", "asks"), count("python", "serves")], [4, 4], "{counts:?}");
    assert_eq!(spans.len(), 22, "{counts:?}");
}

/// Python's blocking client, and asyncio's, whose sessions know of no socket.
#[test]
fn clients_and_servers_in_python_without_any_package() {
    let mut sandbox = sandbox();
    let (names, root) = (certificate(&sandbox), files(&sandbox));
    let [back, middle] = [free_port(), free_port()];
    // A server of asyncio that asks with the blocking client while it answers.
    let server = sandbox.write(
        "aio.py",
        "import asyncio, ssl, sys, urllib.request\n\
         port, url, certificate, key = sys.argv[1:]\n\
         asked = ssl.create_default_context(cafile=certificate)\n\
         class Server(asyncio.Protocol):\n\
         \x20   def connection_made(self, transport): self.transport = transport\n\
         \x20   def data_received(self, data):\n\
         \x20       body = urllib.request.urlopen(url, context=asked).read()\n\
         \x20       self.transport.write(b'HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s' % (len(body), body))\n\
         \x20       self.transport.close()\n\
         async def main():\n\
         \x20   context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
         \x20   context.load_cert_chain(certificate, key)\n\
         \x20   loop = asyncio.get_running_loop()\n\
         \x20   server = await loop.create_server(Server, '127.0.0.1', int(port), ssl=context)\n\
         \x20   await server.serve_forever()\n\
         asyncio.run(main())\n",
    );
    let client = sandbox.write(
        "client.py",
        "import asyncio, ssl, sys\n\
         port, certificate = sys.argv[1:]\n\
         async def main():\n\
         \x20   context = ssl.create_default_context(cafile=certificate)\n\
         \x20   reader, writer = await asyncio.open_connection('localhost', int(port), ssl=context)\n\
         \x20   writer.write(b'GET /aio HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n')\n\
         \x20   sys.stdout.buffer.write(await reader.read())\n\
         asyncio.run(main())\n",
    );
    let (server, client) = (server.display().to_string(), client.display().to_string());
    let (url, port) = (format!("https://localhost:{back}/long"), middle.to_string());
    let mut answers = Vec::new();
    for traced in [false, true] {
        let _back = python_server(&mut sandbox, traced, back, &root, &names);
        let argv = ["python3", &server, &port, &url, &names.0, &names.1];
        let _middle = Server::of(&mut sandbox, traced, "aio", middle, &argv);
        sandbox.set("DD_SERVICE", "client");
        let argv = ["python3", &client, &port, &names.0];
        let outcome = if traced { sandbox.run_traced(argv) } else { sandbox.run_bare(argv) };
        assert_eq!((outcome.code, outcome.err()), (Some(0), String::new()));
        answers.push(outcome.stdout);
    }
    assert!(answers[0] == answers[1] && answers[0].len() > 400_000, "{} and {}", answers[0].len(), answers[1].len());
    let spans = sandbox.spans();
    let last = only(&spans, |span| span.resource["service.name"] == "python");
    assert_eq!(chain(&spans, last), ["python serves", "aio asks", "aio serves", "client asks"]);
    let asked = only(&spans, |span| span.resource["service.name"] == "client");
    assert_eq!(asked.text("url.full"), Some("https://localhost/aio"));
    assert_eq!((asked.number("server.port"), asked.text("network.peer.address")), (Some(443), None));
    assert_eq!(asked.number("http.response.body.size"), Some(400_000));
    assert_eq!(spans.len(), 4, "{spans:#?}");
}

/// The server of GnuTLS itself.
#[test]
fn servers_with_gnutls() {
    let mut sandbox = sandbox();
    let names = certificate(&sandbox);
    let port = free_port();
    sandbox.set("CURL_CA_BUNDLE", &names.0);
    let (port_text, url) = (port.to_string(), format!("https://localhost:{port}/"));
    let argv = ["gnutls-serv", "--http", "-q", "-p", &port_text, "--x509certfile", &names.0, "--x509keyfile", &names.1];
    let [bare, traced] = [false, true].map(|traced| {
        let _server = Server::of(&mut sandbox, traced, "gnutls", port, &argv);
        curl(&mut sandbox, traced, &["--http1.1", &url]).out()
    });
    assert!(bare == traced && traced.contains("GnuTLS"), "{bare} and {traced}");
    let spans = sandbox.spans();
    let served = only(&spans, |span| span.resource["service.name"] == "gnutls");
    assert_eq!(chain(&spans, served), ["gnutls serves", "curl asks"]);
    assert_eq!((served.text("url.scheme"), served.text("client.address")), (Some("https"), Some("127.0.0.1")));
    assert_eq!(served.number("http.response.status_code"), Some(200));
}

/// What is encrypted is no other protocol for that.
#[test]
fn commands_for_redis_by_tls() {
    let mut sandbox = sandbox();
    let names = certificate(&sandbox);
    let port = free_port();
    let port_text = port.to_string();
    let argv = ["redis-server", "--port", "0", "--tls-port", &port_text, "--tls-cert-file", &names.0];
    let more = ["--tls-key-file", &names.1, "--tls-ca-cert-file", &names.0, "--tls-auth-clients", "no", "--save", ""];
    let server = Server::of(&mut sandbox, true, "server", port, &[&argv[..], &more].concat());
    sandbox.set("DD_SERVICE", "client");
    let cli = format!("printf '%s' \"$0\" | redis-cli --tls --cacert {} -p {port_text}", names.0);
    sandbox.assert_same(&["sh", "-c", &cli, "SET key 'secret value'\nGET key\n"]);
    drop(server);
    let spans = sandbox.spans();
    let set = only(&spans, |span| span.name == "SET");
    assert_eq!(set.text("db.query.text"), Some("SET key ?"));
    assert_eq!((set.text("server.address"), set.number("server.port")), (Some("127.0.0.1"), Some(port.into())));
    only(&spans, |span| span.name == "GET");
    assert!(spans.iter().all(|span| span.resource["service.name"] == "client"), "{spans:#?}");
}

#[test]
fn http_2_is_left_alone() {
    let mut sandbox = sandbox();
    let (names, root) = (certificate(&sandbox), files(&sandbox));
    let port = free_port();
    sandbox.set("CURL_CA_BUNDLE", &names.0);
    let body = format!("@{}", root.join("long").display());
    let mut answers = Vec::new();
    for traced in [false, true] {
        let more = format!("root {};", root.display());
        let _server = nginx(&mut sandbox, traced, "nginx", port, &names, &more);
        let url = |path: &str| format!("https://localhost:{port}/{path}");
        let version = ["--http2", "-w", "%{http_version} %{http_code}\n"];
        for arguments in [
            vec![url("long"), url("short"), url("none")],
            vec!["--data-binary".to_owned(), body.clone(), url("short")],
            vec!["-Z".to_owned(), "--no-progress-meter".to_owned(), url("long"), url("long"), url("long")],
        ] {
            let arguments: Vec<_> = version.into_iter().chain(arguments.iter().map(String::as_str)).collect();
            answers.push(curl(&mut sandbox, traced, &arguments).stdout);
        }
    }
    let (bare, traced) = answers.split_at(answers.len() / 2);
    let version = |answer: &Vec<u8>| answer.windows(6).filter(|text| text.starts_with(b"2 ")).count();
    assert!(bare[..2] == traced[..2] && bare.iter().all(|answer| version(answer) > 0), "the answers differ");
    assert_eq!(bare[2].len(), traced[2].len());
    assert!(sandbox.spans().is_empty());
}

/// Libraries that take only some bytes at a time, and want what they did not take in the same way again.
#[test]
fn what_could_not_be_written_at_once_is_written_again_as_the_library_demands() {
    for (name, libraries, requests) in
        [("tls_openssl", &["-lssl", "-lcrypto"][..], 96), ("tls_gnutls", &["-lgnutls"], 24)]
    {
        let mut sandbox = sandbox();
        let names = certificate(&sandbox);
        let program = compile_with(&sandbox, name, "cc", libraries);
        let argv = [program.as_str(), &names.0, &names.1];
        sandbox.set("DD_SERVICE", name);
        let (bare, traced) = (sandbox.run_bare(argv), sandbox.run_traced(argv));
        assert_eq!((bare.code, traced.code, traced.err()), (Some(0), Some(0), String::new()), "{}", traced.out());
        // The lines of what was printed end without a return.
        let (theirs, ours) = without_ours(&traced.stdout);
        assert!(theirs == bare.out(), "{name}: something else was read");
        let parents = ours.iter().filter(|line| line.starts_with("traceparent: ")).count();
        assert_eq!(parents, requests, "{name}");
        let spans = sandbox.spans();
        assert_eq!(spans.len(), 2 * requests, "{name}");
        for span in spans.iter().filter(|span| kind(span) == "serves") {
            assert_eq!(chain(&spans, span).len(), 2, "{span:#?}");
            assert_eq!(span.number("http.response.status_code"), Some(200));
        }
    }
}

/// Each caller gets the function of its own library, and who looks for one that is not there finds none.
#[test]
fn several_libraries_in_one_process_are_told_apart() {
    // All that comes after a connection was made, which is when new libraries are looked for. musl never unloads one, so
    // that there it is known in the second round already.
    tell_libraries_apart("cc", 3);
    tell_libraries_apart("musl-gcc", 4);
}

fn tell_libraries_apart(compiler: &str, rounds: usize) {
    let mut sandbox = sandbox();
    let directory = sandbox.path().display().to_string();
    let mut plugins = Vec::new();
    for number in [1, 2] {
        let library = format!("{directory}/libcopy{number}.so");
        let (define, name) = (format!("-DLIBRARY={number}"), format!("-Wl,-soname,libcopy{number}.so"));
        let _ = compile_with(&sandbox, "tls_copies", compiler, &["-shared", "-fPIC", &define, &name, "-o", &library]);
        for binding in ["lazy", "now"] {
            let plugin = format!("{directory}/plugin{number}{binding}.so");
            let (binding, path) = (format!("-Wl,-z,relro,-z,{binding}"), format!("-Wl,-rpath,{directory}"));
            let flags = ["-shared", "-fPIC", "-DPLUGIN", &binding, &path, &library, "-o", &plugin];
            let _ = compile_with(&sandbox, "tls_copies", compiler, &flags);
            plugins.push(plugin);
        }
    }
    let program = compile_with(&sandbox, "tls_copies", compiler, &["-ldl"]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    sandbox.set("DD_SERVICE", "copies");
    let argv: Vec<&str> = [program.as_str(), &port].into_iter().chain(plugins.iter().map(String::as_str)).collect();
    let (bare, traced) = (sandbox.run_bare(&argv), sandbox.run_traced(&argv));
    assert_eq!((bare.code, traced.code, traced.err()), (Some(0), Some(0), String::new()), "{}", traced.out());
    assert!(bare.out().starts_with("0 0\n") && bare.out().ends_with("0 0\n"), "{}", bare.out());
    let (theirs, ours) = without_ours(&traced.stdout);
    assert_eq!(theirs, bare.out());
    assert_eq!(ours.iter().filter(|line| line.starts_with("traceparent: ")).count(), rounds * plugins.len());
    assert_eq!(sandbox.spans().len(), rounds * plugins.len());
    sandbox.set("DD_TRACE_NATIVE_ENABLED", "false");
    assert_eq!(sandbox.run_traced(&argv).out(), bare.out());
}
