//! Whose requests are whose: in servers that wait for many connections at once, in such that have a thread for each request,
//! and where several processes share one.

use ddtrace_test_support::Sandbox;
use ddtrace_test_support::agent::free_port;
use ddtrace_test_support::servers::{
    self, Server, asked, chain, curl, files, haproxy, nginx, only, program, python_server,
};
use ddtrace_test_support::spans::Span;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Stdio;

fn sandbox() -> Sandbox {
    servers::sandbox(env!("CARGO_BIN_EXE_ddtrace-run"))
}

/// What is asked for after the loop has waited once more is nobody's, however it waits, and however many are open.
#[test]
fn a_loop_asks_for_nobody_that_is_known() {
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let back = free_port();
    let backend = python_server(&mut sandbox, true, back, &root);
    let kinds = ["select", "poll", "epoll", "epoll-pool"];
    for kind in kinds {
        for count in ["1", "2"] {
            let port = free_port();
            let service = format!("{kind} {count}");
            let (port_text, back_text) = (port.to_string(), back.to_string());
            let script = program("loops.py");
            let argv = ["python3", &script, &port_text, &back_text, kind, count];
            let server = Server::of(&mut sandbox, true, &service, port, &argv);
            let url = format!("http://127.0.0.1:{port}/");
            sandbox.set("DD_SERVICE", "curl");
            let clients: Vec<_> = (0..count.parse().expect("a number"))
                .map(|_| sandbox.traced(["curl", "-sS", &url]).stdout(Stdio::null()).spawn().expect("curl"))
                .collect();
            for mut client in clients {
                assert!(client.wait().expect("it ends").success());
            }
            drop(server);
        }
    }
    drop(backend);
    let spans = sandbox.spans();
    for kind in kinds {
        for count in ["1", "2"] {
            let service = format!("{kind} {count}");
            let all: Vec<_> = asked(&spans, &service).collect();
            assert_eq!(all.len(), 1, "{service}: {all:#?}");
            assert_eq!(chain(&spans, all[0]), [format!("{service} asks")], "{service}");
        }
    }
}

/// A loop that has left a request open has other things to do as well: what it asks for then is for nobody that is known, though a
/// request was read just before. So it is while of a request not all has come, but not for longer than that.
#[test]
fn a_loop_that_leaves_requests_open_has_jobs_of_its_own() {
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let back = free_port();
    let backend = python_server(&mut sandbox, false, back, &root);
    let kinds = ["select", "poll", "epoll"];
    for kind in kinds {
        let port = free_port();
        let (port_text, back_text, script) = (port.to_string(), back.to_string(), program("timers.py"));
        let argv = ["python3", &script, &port_text, &back_text, kind];
        let server = Server::of(&mut sandbox, true, kind, port, &argv);
        let url = format!("http://127.0.0.1:{port}/");
        let upload = ["-d", "body", "-H", "Expect: 100-continue", "--expect100-timeout", "60", &url];
        for arguments in [&[url.as_str()][..], &upload, &upload, &[&url], &[&url]] {
            curl(&mut sandbox, false, arguments);
        }
        drop(server);
    }
    drop(backend);
    let spans = sandbox.spans();
    for kind in kinds {
        let of = |query: &str| {
            only(&spans, |span| {
                span.resource["service.name"] == kind && span.text("url.full").is_some_and(|url| url.ends_with(query))
            })
        };
        for query in ["timer", "part"] {
            assert_eq!(of(query).parent_id, None, "{kind}: {query}");
        }
        let whole = of("whole");
        let upload = only(&spans, |span| whole.parent_id.as_ref() == Some(&span.span_id));
        assert_eq!(
            (&upload.resource["service.name"], upload.text("http.request.method")),
            (&kind.into(), Some("POST"))
        );
        let request = of("request");
        if kind == "epoll" {
            assert_eq!(request.parent_id, None, "it has not been seen to answer anything at once");
            continue;
        }
        let parent = request.parent_id.as_ref();
        assert!(spans.iter().any(|span| span.kind == "server" && Some(&span.span_id) == parent), "{kind}");
    }
}

/// One that was seen to answer before it waits is followed from then on.
#[test]
fn a_loop_that_answers_at_once_asks_for_whom_it_answers() {
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let [back, port] = [free_port(), free_port()];
    let backend = python_server(&mut sandbox, false, back, &root);
    let (script, ports) = (program("at_once.py"), [port, back].map(|port| port.to_string()));
    let server = Server::of(&mut sandbox, true, "loop", port, &["python3", &script, &ports[0], &ports[1]]);
    for number in 0..3 {
        curl(&mut sandbox, false, &[&format!("http://127.0.0.1:{port}/short?{number}")]);
    }
    drop((server, backend));
    let spans = sandbox.spans();
    for number in 0..3 {
        let query = number.to_string();
        let served = only(&spans, |span| span.kind == "server" && span.text("url.query") == Some(&query));
        let of_it = |span: &&Span| span.text("url.full").is_some_and(|url| url.ends_with(&query));
        let asked = asked(&spans, "loop").find(of_it).expect("it is there");
        let expected = (number > 0).then_some(&served.span_id);
        assert_eq!(asked.parent_id.as_ref(), expected, "{number}");
    }
}

/// A server that answers each request at once may have others half read meanwhile.
#[test]
fn a_request_that_comes_slowly_takes_nobodys_parents() {
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let [back, port] = [free_port(), free_port()];
    let backend = python_server(&mut sandbox, false, back, &root);
    let script = sandbox.path().join("asks.php");
    let text = format!("<?php echo file_get_contents('http://127.0.0.1:{back}/short');");
    std::fs::write(&script, text).expect("a file");
    let (address, script) = (format!("127.0.0.1:{port}"), script.display().to_string());
    let server = Server::of(&mut sandbox, true, "php", port, &["php", "-S", &address, &script]);
    let get = |sandbox: &mut Sandbox| curl(sandbox, false, &[&format!("http://{address}/")]);
    get(&mut sandbox);
    let mut slow = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    slow.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nab")
        .expect("it is sent");
    get(&mut sandbox);
    slow.write_all(b"cde").expect("it is sent");
    slow.read_to_string(&mut String::new()).expect("it is answered");
    get(&mut sandbox);
    drop((server, backend));
    let spans = sandbox.spans();
    let all: Vec<_> = asked(&spans, "php").collect();
    assert_eq!(all.len(), 4, "{all:#?}");
    let served = |id: &String| spans.iter().any(|span| span.kind == "server" && span.span_id == *id);
    assert!(all.iter().all(|span| span.parent_id.as_ref().is_some_and(served)), "{all:#?}");
}

/// Somebody who speaks first, as servers of mail do. Gives his port.
fn greeter() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.expect("a connection").write_all(b"220 hello\r\n");
        }
    });
    port
}

/// A thread for each request waits for children, and for servers that it has asked, talks with others, and all it asks is the
/// request's. So it is for each of several requests that it has read at once.
#[test]
fn a_thread_that_waits_still_serves_its_request() {
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let [back, port] = [free_port(), free_port()];
    let backend = python_server(&mut sandbox, true, back, &root);
    let script = program("handler.py");
    let ports = [port, back, greeter()].map(|port| port.to_string());
    let argv = ["python3", &script, &ports[0], &ports[1], &ports[2]];
    let server = Server::of(&mut sandbox, true, "handler", port, &argv);
    for _ in 0..2 {
        curl(&mut sandbox, true, &[&format!("http://127.0.0.1:{port}/")]);
    }
    let mut client = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    let last = "GET /pipelined HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let both = last.replace("Connection: close\r\n", "") + last;
    client.write_all(both.as_bytes()).expect("it is sent");
    let mut answers = String::new();
    client.read_to_string(&mut answers).expect("they come");
    assert_eq!(answers.matches("\r\n\r\nok").count(), 2, "{answers}");
    drop((server, backend));
    let spans = sandbox.spans();
    let served: Vec<_> =
        spans.iter().filter(|span| span.kind == "server" && span.resource["service.name"] == "handler").collect();
    assert_eq!(served.len(), 4, "{served:#?}");
    assert!(
        served.iter().all(|span| !span.failed && span.attributes["http.response.status_code"] == 200),
        "{served:#?}"
    );
    let all: Vec<_> = asked(&spans, "handler").collect();
    assert_eq!(all.len(), 4 * 7, "{all:#?}");
    for request in served {
        let its = all.iter().filter(|span| span.parent_id.as_ref() == Some(&request.span_id));
        assert_eq!(its.count(), 7, "{request:#?} {all:#?}");
    }
}

/// Of a set that threads share, each may go on with what is another one's.
#[test]
fn a_thread_that_waits_for_others_as_well_does_not_ask_for_its_own_request() {
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let [back, port] = [free_port(), free_port()];
    let backend = python_server(&mut sandbox, false, back, &root);
    let (script, ports) = (program("lends_a_hand.py"), [port, back].map(|port| port.to_string()));
    let server = Server::of(&mut sandbox, true, "threads", port, &["python3", &script, &ports[0], &ports[1]]);
    let url = format!("http://127.0.0.1:{port}/first");
    let mut first = sandbox.bare(["curl", "-sS", &url]).stdout(Stdio::null()).spawn().expect("curl");
    curl(&mut sandbox, false, &[&format!("http://127.0.0.1:{port}/second")]);
    assert!(first.wait().expect("it ends").success());
    drop((server, backend));
    let spans = sandbox.spans();
    let of = |query: &str| {
        only(&spans, |span| {
            span.resource["service.name"] == "threads" && span.text("url.full").is_some_and(|url| url.ends_with(query))
        })
    };
    let served = |path: &str| only(&spans, |span| span.kind == "server" && span.text("url.path") == Some(path));
    assert_eq!(of("own").parent_id.as_ref(), Some(&served("/first").span_id));
    assert_eq!(of("one").parent_id.as_ref(), Some(&served("/second").span_id));
    assert_eq!(of("two").parent_id, None);
}

/// What a thread asks for after it has taken in a new connection is not for the request that it has handed to another thread.
#[test]
fn a_thread_that_hands_requests_on_serves_none_of_them() {
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let [back, port] = [free_port(), free_port()];
    let backend = python_server(&mut sandbox, true, back, &root);
    let (script, ports) = (program("hands_on.py"), [port, back].map(|port| port.to_string()));
    let server = Server::of(&mut sandbox, true, "hands on", port, &["python3", &script, &ports[0], &ports[1]]);
    let url = format!("http://127.0.0.1:{port}/");
    sandbox.set("DD_SERVICE", "curl");
    let slow = sandbox.traced(["curl", "-sS", &url]).stdout(Stdio::null()).spawn().expect("curl");
    curl(&mut sandbox, true, &[&url]);
    let mut slow = slow;
    assert!(slow.wait().expect("it ends").success());
    drop((server, backend));
    let spans = sandbox.spans();
    // The first connection was made to see whether there is a server.
    let all: Vec<_> = asked(&spans, "hands on").collect();
    assert_eq!(all.len(), 3, "{all:#?}");
    for span in all {
        assert_eq!(chain(&spans, span), ["hands on asks"], "{span:#?}");
    }
}

/// Who closes his own of several descriptors does not know that nobody answers.
#[test]
fn a_connection_that_another_process_answers_has_not_failed() {
    let mut sandbox = sandbox();
    let port = free_port();
    let script = program("shared.py");
    let server = Server::of(&mut sandbox, true, "shared", port, &["python3", &script, &port.to_string()]);
    for path in ["child", "sent"] {
        assert_eq!(curl(&mut sandbox, true, &[&format!("http://127.0.0.1:{port}/{path}")]).out(), "ok");
    }
    sandbox.run_traced(["curl", "-sS", &format!("http://127.0.0.1:{port}/none")]);
    drop(server);
    let cgi = sandbox.path().join("cgi-bin");
    std::fs::create_dir_all(&cgi).expect("a directory");
    let file = cgi.join("x.sh");
    std::fs::write(&file, "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello'\n").expect("a file");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    let port = free_port();
    let (port_text, root) = (port.to_string(), sandbox.path().display().to_string());
    let argv = ["python3", "-m", "http.server", "--cgi", &port_text, "--bind", "127.0.0.1", "--directory", &root];
    let server = Server::of(&mut sandbox, true, "cgi", port, &argv);
    assert_eq!(curl(&mut sandbox, true, &[&format!("http://127.0.0.1:{port}/cgi-bin/x.sh")]).out(), "hello");
    drop(server);
    let spans = sandbox.spans();
    let of = |service: &str, path: &str| {
        only(&spans, |span| span.resource["service.name"] == service && span.text("url.path") == Some(path))
    };
    for (service, path) in [("shared", "/child"), ("shared", "/sent"), ("cgi", "/cgi-bin/x.sh")] {
        let span = of(service, path);
        assert_eq!((span.failed, span.error_type()), (false, None), "{span:#?}");
    }
    let none = of("shared", "/none");
    assert_eq!((none.failed, none.error_type()), (true, Some("connection_closed")));
}

/// Of many requests at once each has what was asked for it below it: one wait tells of several, and of connections to other
/// servers between them.
#[test]
fn a_proxy_asks_for_whom_it_asks() {
    const REQUESTS: usize = 120;
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let [back, front] = [free_port(), free_port()];
    let backend = python_server(&mut sandbox, false, back, &root);
    let proxy = nginx(&mut sandbox, true, "proxy", front, &format!("http://127.0.0.1:{back}"), &root);
    let (url, out) = (format!("http://127.0.0.1:{front}/up/short?number=[1-{REQUESTS}]"), "/dev/null");
    curl(&mut sandbox, false, &["--no-progress-meter", "-Z", "--parallel-max", "30", "-o", out, &url]);
    drop((proxy, backend));
    let spans = sandbox.spans();
    let all: Vec<_> = asked(&spans, "proxy").collect();
    assert_eq!(all.len(), REQUESTS);
    for span in all {
        let parent = only(&spans, |other| span.parent_id.as_ref() == Some(&other.span_id));
        let query = parent.text("url.query").expect("it has one");
        assert!(span.text("url.full").is_some_and(|url| url.ends_with(query)), "{span:#?} {parent:#?}");
    }
}

/// HAProxy between these ports, traced.
fn haproxy_between(sandbox: &mut Sandbox, front: u16, back: u16) -> Server {
    haproxy(sandbox, front, &format!("listen all\n bind 127.0.0.1:{front}\n server backend 127.0.0.1:{back}"))
}

/// A proxy that leaves requests open is known by the context that it passes on, whichever thread it asks on.
#[test]
fn a_proxy_asks_for_whose_context_it_passes_on() {
    const REQUESTS: usize = 40;
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let [back, front] = [free_port(), free_port()];
    let backend = nginx(&mut sandbox, true, "backend", back, "http://127.0.0.1:1", &root);
    let haproxy = haproxy_between(&mut sandbox, front, back);
    let (url, out) = (format!("http://127.0.0.1:{front}/short?number=[1-{REQUESTS}]"), "/dev/null");
    curl(&mut sandbox, true, &["--no-progress-meter", "-f", "-Z", "--parallel-max", "8", "-o", out, &url]);
    drop((haproxy, backend));
    let spans = sandbox.spans();
    let served = spans.iter().filter(|span| span.resource["service.name"] == "backend");
    let mut count = 0;
    for span in served.filter(|span| span.text("url.query").is_some()) {
        let all = ["backend serves", "haproxy asks", "haproxy serves", "curl asks"];
        assert_eq!(chain(&spans, span)[..all.len()], all, "{span:#?}");
        count += 1;
    }
    assert_eq!(count, REQUESTS);
}

/// A name server that knows every name; gives its port.
fn name_server() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = socket.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, asker)) = socket.recv_from(&mut question) {
            let mut answer = question[..length].to_vec();
            // An answer, with one record: the name of the question (as a pointer), A, IN, a second, 127.0.0.1.
            answer[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
            let _ = socket.send_to(&answer, asker);
        }
    });
    port
}

/// Requests that come in one call, whose answers are awaited together.
fn pipeline(port: u16, client: usize) {
    for round in 0..20 {
        let request = |number: usize| {
            let close = if number == 2 { "close" } else { "keep-alive" };
            format!(
                "GET /plain/short?number={client}-{round}-{number} HTTP/1.1\r\nHost: x\r\nConnection: {close}\r\n\r\n"
            )
        };
        let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("the proxy listens");
        connection.write_all((0..3).map(request).collect::<String>().as_bytes()).expect("it is sent");
        let mut answers = String::new();
        connection.read_to_string(&mut answers).expect("they come");
        assert_eq!(answers.matches("hello\n").count(), 3, "{answers}");
    }
}

/// Whatever a proxy waits for before it asks (a word of another server, a time, a name), what it asks for is for whom it asks, or
/// for nobody.
#[test]
fn a_proxy_that_waits_asks_for_nobody_else() {
    const REQUESTS: usize = 150;
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    for name in ["allowed", "delayed", "named", "plain"] {
        std::fs::create_dir_all(root.join(name)).expect("a directory");
        std::fs::write(root.join(name).join("short"), "hello\n").expect("a file");
    }
    let [back, front, other] = [free_port(), free_port(), free_port()];
    let backend = nginx(&mut sandbox, false, "backend", back, "http://127.0.0.1:1", &root);
    let names = name_server();
    let http = format!(
        "limit_req_zone $binary_remote_addr zone=slow:1m rate=500r/s; resolver 127.0.0.1:{names} valid=1s ipv6=off; \
         upstream kept {{ server 127.0.0.1:{back}; keepalive 8; }} \
         server {{ listen 127.0.0.1:{front}; proxy_http_version 1.1; proxy_set_header Connection ''; \
           location /allowed/ {{ set $asked $args; auth_request /ask; proxy_pass http://kept; }} \
           location = /ask {{ internal; proxy_pass http://127.0.0.1:{back}/plain/short?$asked; \
             proxy_pass_request_body off; proxy_set_header Content-Length ''; }} \
           location /delayed/ {{ limit_req zone=slow burst={REQUESTS}; proxy_pass http://127.0.0.1:{back}; }} \
           location /named/ {{ set $name name$arg_number.example.test; proxy_pass http://$name:{back}; }} \
           location /plain/ {{ proxy_pass http://kept; }} }}"
    );
    let proxy = servers::nginx_of(&mut sandbox, true, "proxy", front, &http);
    let haproxy = haproxy_between(&mut sandbox, other, back);
    for (port, path) in [(front, "allowed"), (front, "delayed"), (front, "named"), (front, "plain"), (other, "plain")] {
        let url = format!("http://127.0.0.1:{port}/{path}/short?number=[1-{REQUESTS}]");
        curl(
            &mut sandbox,
            false,
            &["--no-progress-meter", "-f", "-Z", "--parallel-max", "12", "-o", "/dev/null", &url],
        );
    }
    let clients: Vec<_> = (0..8).map(|client| std::thread::spawn(move || pipeline(front, client))).collect();
    for client in clients {
        client.join().expect("each request is answered");
    }
    drop((proxy, haproxy, backend));
    let spans = sandbox.spans();
    for service in ["proxy", "haproxy"] {
        for span in asked(&spans, service) {
            let Some(parent) = &span.parent_id else { continue };
            let parent = only(&spans, |other| *parent == other.span_id);
            let query = parent.text("url.query").expect("it has one");
            assert!(span.text("url.full").is_some_and(|url| url.ends_with(query)), "{span:#?} {parent:#?}");
        }
    }
    // Of two requests for each one that was allowed, and the plain ones, it is known for whom they are.
    let with_parents = asked(&spans, "proxy").filter(|span| span.parent_id.is_some()).count();
    assert!(with_parents >= 3 * REQUESTS, "{with_parents}");
}
