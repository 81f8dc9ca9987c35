//! Requests on the connections of programs that nobody prepared: what becomes of them, and that the programs do not notice.

use ddtrace_test_support::agent::free_port;
use ddtrace_test_support::programs::compile;
use ddtrace_test_support::servers::{
    self, Server, chain, curl, files, keeper, nginx, only, python_server, without_ours,
};
use ddtrace_test_support::spans::Span;
use ddtrace_test_support::{Agent, Sandbox, http};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::TcpListener;

fn sandbox() -> Sandbox {
    servers::sandbox(env!("CARGO_BIN_EXE_ddtrace-run"))
}

/// curl asks one nginx, which asks another one, which asks Python's server: one trace, and not a byte changes.
#[test]
fn a_trace_goes_through_a_chain_of_proxies() {
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let [front, middle, back] = [free_port(), free_port(), free_port()];
    let mut answers = Vec::new();
    let up = root.join("up");
    std::os::unix::fs::symlink(&root, &up).expect("a link");
    for traced in [false, true] {
        let _back = python_server(&mut sandbox, traced, back, &root);
        let behind = format!("http://127.0.0.1:{back}/");
        let _middle = nginx(&mut sandbox, traced, "middle", middle, &behind, &root);
        let behind = format!("http://127.0.0.1:{middle}/up/");
        let _front = nginx(&mut sandbox, traced, "front", front, &behind, &root);
        let url = |path: &str| format!("http://127.0.0.1:{front}/{path}");
        let ask = |sandbox: &mut Sandbox, arguments: &[&str]| curl(sandbox, traced, arguments).stdout;
        answers.push([
            ask(&mut sandbox, &[&url("up/long?token=secret&page=2"), "-A", "tester"]),
            ask(&mut sandbox, &[&url("long"), "--compressed", &url("short"), &url("up/short")]),
            ask(&mut sandbox, &[&url("none"), "-o", "/dev/null", "-w", "%{http_code} %{size_download}"]),
            ask(&mut sandbox, &["--head", &url("long"), "-o", "/dev/null", "-w", "%{http_code} %{num_headers}"]),
        ]);
    }
    assert!(answers[0] == answers[1], "the answers differ");
    let spans = sandbox.spans();
    let last = only(&spans, |span| span.resource["service.name"] == "python" && span.text("url.path") == Some("/long"));
    let expected = ["python serves", "middle asks", "middle serves", "front asks", "front serves", "curl asks"];
    assert_eq!(chain(&spans, last), expected);
    let asked =
        only(&spans, |span| span.text("url.full").is_some_and(|url| url.contains(&format!(":{front}/up/long"))));
    assert_eq!(asked.text("url.full"), Some(format!("http://127.0.0.1:{front}/up/long?<redacted>&page=2").as_str()));
    assert_eq!((asked.text("server.address"), asked.number("server.port")), (Some("127.0.0.1"), Some(front.into())));
    let serves = |span: &&Span| span.resource["service.name"] == "front" && !span.attributes.contains_key("url.full");
    let served = only(&spans, |span| serves(span) && span.text("url.path") == Some("/up/long"));
    assert_eq!((served.name.as_str(), served.text("http.request.method")), ("GET", Some("GET")));
    assert_eq!((served.text("url.query"), served.text("url.scheme")), (Some("<redacted>&page=2"), Some("http")));
    assert_eq!(
        (served.text("user_agent.original"), served.text("client.address")),
        (Some("tester"), Some("127.0.0.1"))
    );
    assert_eq!(served.text("network.protocol.version"), Some("1.1"));
    assert_eq!(
        (served.number("http.response.status_code"), served.number("http.response.body.size"), served.failed),
        (Some(200), Some(400_000), false)
    );
    // Three requests over one connection are three traces.
    let long = only(&spans, |span| serves(span) && span.text("url.path") == Some("/long") && span.name == "GET");
    let short = only(&spans, |span| serves(span) && span.text("url.path") == Some("/short"));
    assert_ne!(long.trace_id, short.trace_id);
    assert_eq!(chain(&spans, long), ["front serves", "curl asks"]);
    let none = only(&spans, |span| serves(span) && span.text("url.path") == Some("/none"));
    assert_eq!((none.number("http.response.status_code"), none.failed), (Some(404), false));
    let asked = only(&spans, |span| span.text("url.full").is_some_and(|url| url.ends_with("/none")));
    assert_eq!((asked.failed, asked.error_type()), (true, Some("404")));
    let head = only(&spans, |span| serves(span) && span.name == "HEAD");
    assert_eq!(head.number("http.response.body.size"), None);
}

/// Each language's own server asks another one while it answers.
#[test]
fn what_a_request_asks_for_belongs_to_it_in_many_languages() {
    let mut sandbox = sandbox();
    let root = files(&sandbox);
    let [back, php, ruby, perl, apache] = [free_port(), free_port(), free_port(), free_port(), free_port()];
    let url = format!("http://127.0.0.1:{back}/short");
    sandbox.write("index.php", format!("<?php echo file_get_contents('{url}');"));
    sandbox.write(
        "server.rb",
        format!(
            "require 'webrick'; require 'net/http'\n\
             s = WEBrick::HTTPServer.new(Port: {ruby}, BindAddress: '127.0.0.1', AccessLog: [])\n\
             s.mount_proc('/') {{ |_, answer| answer.body = Net::HTTP.get(URI('{url}')) }}\n\
             trap('TERM') {{ s.shutdown }}\ns.start\n"
        ),
    );
    sandbox.write(
        "server.pl",
        format!(
            "use HTTP::Daemon; use LWP::UserAgent;\n\
             my $d = HTTP::Daemon->new(LocalAddr => '127.0.0.1', LocalPort => {perl}, ReuseAddr => 1) or die;\n\
             while (my $c = $d->accept) {{ while (my $r = $c->get_request) {{\n\
             $c->send_response(HTTP::Response->new(200, 'OK', undef, LWP::UserAgent->new->get('{url}')->content)); }} }}\n"
        ),
    );
    let modules = "/usr/lib/apache2/modules";
    let configuration = sandbox.write(
        "apache.conf",
        format!(
            "ServerName x\nListen 127.0.0.1:{apache}\nPidFile {dir}/httpd.pid\nErrorLog {dir}/httpd.log\n\
             LoadModule mpm_event_module {modules}/mod_mpm_event.so\nLoadModule authz_core_module {modules}/mod_authz_core.so\n\
             LoadModule proxy_module {modules}/mod_proxy.so\nLoadModule proxy_http_module {modules}/mod_proxy_http.so\n\
             DefaultRuntimeDir {dir}\nStartServers 1\nProxyPass / http://127.0.0.1:{back}/\n",
            dir = sandbox.path().display(),
        ),
    );
    let configuration = configuration.display().to_string();
    let address = format!("127.0.0.1:{php}");
    for traced in [false, true] {
        let _back = python_server(&mut sandbox, traced, back, &root);
        let servers: [(&str, u16, &[&str], &str); 4] = [
            ("php", php, &["php", "-S", &address], "/"),
            ("ruby", ruby, &["ruby", "server.rb"], "/"),
            ("perl", perl, &["perl", "server.pl"], "/"),
            ("apache", apache, &["apache2", "-D", "FOREGROUND", "-f", &configuration], "/short"),
        ];
        for (service, port, argv, path) in servers {
            let _server = Server::of(&mut sandbox, traced, service, port, argv);
            let answer = curl(&mut sandbox, traced, &[&format!("http://127.0.0.1:{port}{path}")]);
            assert_eq!(answer.out(), "hello\n", "{service}, traced: {traced}");
        }
        let clients: [(&str, Vec<String>); 4] = [
            ("ruby", vec!["-rnet/http".into(), "-e".into(), format!("print Net::HTTP.get(URI('{url}'))")]),
            ("perl", vec!["-MLWP::Simple".into(), "-e".into(), format!("getprint('{url}')")]),
            (
                "python3",
                vec!["-c".into(), format!("import urllib.request as u; print(end=u.urlopen('{url}').read().decode())")],
            ),
            ("wget", vec!["-q".into(), "-O-".into(), url.clone()]),
        ];
        for (program, arguments) in clients {
            let argv: Vec<&str> = [program].into_iter().chain(arguments.iter().map(String::as_str)).collect();
            sandbox.set("DD_SERVICE", format!("{program} alone"));
            let outcome = if traced { sandbox.run_traced(argv) } else { sandbox.run_bare(argv) };
            assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "hello\n"), "{program}: {outcome:?}");
        }
    }
    let spans = sandbox.spans();
    let mut chains: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for span in spans.iter().filter(|span| span.resource["service.name"] == "python") {
        *chains.entry(chain(&spans, span)).or_default() += 1;
    }
    let through = |service: &str| {
        ["python serves", &format!("{service} asks"), &format!("{service} serves"), "curl asks"]
            .map(str::to_owned)
            .to_vec()
    };
    let alone = |service: &str| ["python serves", &format!("{service} alone asks")].map(str::to_owned).to_vec();
    let expected = ["php", "ruby", "perl", "apache"].map(through);
    let expected = expected.into_iter().chain(["ruby", "perl", "python3", "wget"].map(alone));
    assert_eq!(chains, expected.map(|chain| (chain, 1)).collect(), "{spans:#?}");
}

#[test]
fn headers_are_put_in_whatever_the_call_and_wherever_it_is_cut() {
    let mut sandbox = sandbox();
    let program = compile(&sandbox, "requests");
    let request = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let arrived = keeper(listener, b"body");
    let argv = [program.as_str(), &port, request];
    let bare = sandbox.run_bare(argv);
    let bare_count = arrived.lock().expect("nobody panics").len();
    sandbox.set("DD_SERVICE", "requests");
    let traced = sandbox.run_traced(argv);
    assert_eq!((traced.code, traced.out(), traced.err()), (Some(0), bare.out(), String::new()));
    let arrived = arrived.lock().expect("nobody panics");
    assert_eq!(arrived.len(), 2 * bare_count);
    let mut with_headers = 0;
    for message in &arrived[bare_count..] {
        let (theirs, ours) = without_ours(message);
        assert_eq!(theirs, request);
        let names: Vec<_> = ours.iter().filter_map(|line| line.split(':').next()).collect();
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), unique.len(), "{ours:?}");
        with_headers += usize::from(names.contains(&"traceparent"));
    }
    // Only where the last line end of the head was sent by itself is there no place for them.
    let calls = 6;
    assert_eq!(with_headers, arrived.len() - bare_count - calls, "of {}", arrived.len() - bare_count);
    let spans = sandbox.spans();
    assert_eq!(spans.len(), bare_count, "one for each request");
    assert!(spans.iter().all(|span| span.number("http.request.body.size") == Some(4)), "{spans:#?}");
}

/// Who has a context in his request has a tracer of his own, or means to.
#[test]
fn a_context_of_the_programs_own_is_left_alone() {
    let mut sandbox = sandbox();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let arrived = keeper(listener, b"\r\n\r\n");
    let context = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    curl(&mut sandbox, true, &["-H", context, &url]);
    curl(&mut sandbox, true, &["-H", "baggage: a=b", "-H", "x-forwarded-for: 1.2.3.4", &url]);
    let arrived = arrived.lock().expect("nobody panics");
    let (_, ours) = without_ours(&arrived[0]);
    assert_eq!(ours, [format!("{context}\r\n")]);
    let text = String::from_utf8_lossy(&arrived[1]).into_owned();
    assert!(text.contains("baggage: a=b\r\n") && text.contains("traceparent: "), "{text}");
    assert_eq!(sandbox.spans().len(), 1);
}

/// What other tracers and such libraries of the program deliver is as it was, and no span.
#[test]
fn what_other_tracers_deliver_is_left_alone() {
    let mut sandbox = sandbox();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let arrived = keeper(listener, b"xyz");
    for (path, header) in [
        ("/v0.4/traces", "Datadog-Meta-Lang: nodejs"),
        ("/telemetry/proxy/api/v2/apmtelemetry", "Accept: */*"),
        ("/v1/traces", "Content-Type: application/x-protobuf"),
        ("/v1/orders", "Content-Type: application/x-protobuf"),
    ] {
        curl(&mut sandbox, true, &["-d", "xyz", "-H", header, &format!("{url}{path}")]);
    }
    let arrived = arrived.lock().expect("nobody panics");
    let with_headers = arrived.iter().map(|message| !without_ours(message).1.is_empty());
    assert_eq!(with_headers.collect::<Vec<_>>(), [false, false, false, true]);
    let spans = sandbox.spans();
    assert!(spans.len() == 1 && spans[0].text("url.full").is_some_and(|url| url.ends_with("/v1/orders")), "{spans:?}");
}

/// So it is whatever is configured of contexts that come in; and what came in and is passed on is replaced all the same.
#[test]
fn whose_context_it_is_does_not_depend_on_what_is_read() {
    let context = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let b3 = "b3: 0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1";
    for settings in [
        &[][..],
        &[("DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT", "ignore")],
        &[("DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT", "restart")],
        &[("DD_TRACE_PROPAGATION_STYLE_EXTRACT", "none")],
        &[("DD_TRACE_PROPAGATION_STYLE_EXTRACT", "b3"), ("DD_TRACE_PROPAGATION_STYLE_INJECT", "tracecontext")],
    ] {
        let mut sandbox = sandbox();
        for (name, value) in settings {
            sandbox.set(name, value);
        }
        let root = files(&sandbox);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let arrived = keeper(listener, b"\r\n\r\n");
        let front = free_port();
        for own in [&[context][..], &[context, "x-datadog-trace-id: 5"], &[b3]] {
            let headers: Vec<_> = own.iter().flat_map(|header| ["-H", header]).collect();
            curl(&mut sandbox, true, &[&headers[..], &[&url]].concat());
            let sent = arrived.lock().expect("nobody panics").pop().expect("a request");
            let text = String::from_utf8_lossy(&sent).into_owned();
            let there: Vec<_> = text
                .split("\r\n")
                .filter(|line| ["trace", "x-dat", "b3"].iter().any(|it| line.starts_with(it)))
                .collect();
            assert_eq!(there, *own, "{settings:?}");
        }
        let server = nginx(&mut sandbox, true, "front", front, &url, &root);
        curl(&mut sandbox, true, &["-H", context, &format!("http://127.0.0.1:{front}/up/")]);
        drop(server);
        let passed = arrived.lock().expect("nobody panics").pop().expect("a request");
        let (_, ours) = without_ours(&passed);
        assert!(ours.iter().filter(|line| line.starts_with("traceparent:")).count() == 1, "{ours:?}");
        assert!(!ours.contains(&format!("{context}\r\n")), "{settings:?}: {ours:?}");
        let spans = sandbox.spans();
        let asked = only(&spans, |span| span.attributes.contains_key("url.full"));
        assert_eq!(asked.resource["service.name"], "front", "{settings:?}");
        only(&spans, |span| Some(&span.span_id) == asked.parent_id.as_ref());
    }
}

/// Datadog's names, and what is configured for traces.
#[test]
fn a_datadog_agent_gets_them_under_its_names() {
    let (agent, mut sandbox) = (Agent::start(), sandbox());
    let root = files(&sandbox);
    let back = free_port();
    sandbox.set("DD_TRACE_AGENT_URL", agent.url()).unset("DD_TRACE_EXPORTER");
    let rules = r#"[{"resource":"HEAD","sample_rate":0}]"#;
    sandbox.set("DD_TRACE_SAMPLING_RULES", rules).set("DD_TRACE_PROPAGATION_STYLE", "b3multi");
    sandbox.set("DD_TRACE_HEADER_TAGS", "Accept,content-type,server:software,x-none");
    let server = python_server(&mut sandbox, true, back, &root);
    let url = format!("http://127.0.0.1:{back}/short");
    curl(&mut sandbox, true, &[&url]);
    curl(&mut sandbox, true, &["--head", &url]);
    drop(server);
    sandbox.settle();
    agent.assert_no_failed_check();
    let answer = http::get(agent.port, "/test/session/traces").expect("the agent answers");
    let traces: Value = serde_json::from_slice(&answer.body).expect("it answers with JSON");
    let spans: Vec<&Value> = traces.as_array().into_iter().flatten().filter_map(Value::as_array).flatten().collect();
    let of = |name: &str, resource: &str| {
        let found: Vec<_> = spans.iter().filter(|span| span["name"] == name && span["resource"] == resource).collect();
        assert_eq!(found.len(), 1, "wanted one {name} {resource}: {spans:#?}");
        *found[0]
    };
    let (asked, served) = (of("http.client.request", "GET"), of("http.server.request", "GET"));
    assert_eq!((&asked["trace_id"], &asked["span_id"]), (&served["trace_id"], &served["parent_id"]));
    assert_eq!((&asked["type"], &served["type"]), (&"http".into(), &"web".into()));
    assert_eq!((&served["meta"]["http.status_code"], &served["error"]), (&"200".into(), &0.into()));
    assert_eq!(served["meta"]["http.useragent"].as_str().map(|agent| agent.starts_with("curl/")), Some(true));
    let (meta, software) = (&served["meta"], served["meta"]["software"].as_str().unwrap_or_default());
    assert_eq!(meta["http.request.headers.accept"], "*/*");
    assert_eq!(meta["http.response.headers.content-type"], "application/octet-stream");
    assert!(software.starts_with("SimpleHTTP") && meta["software"] == asked["meta"]["software"], "{served:#?}");
    // By the rule for its resource, and the server goes by what it is told.
    for name in ["http.client.request", "http.server.request"] {
        let dropped = of(name, "HEAD");
        assert!(
            dropped["metrics"]["_sampling_priority_v1"].as_f64().is_some_and(|priority| priority <= 0.0),
            "{dropped:#?}"
        );
    }
}

/// By itself that is so for all programs; of those of Python what their libraries do not tell.
#[test]
fn whose_connections_are_looked_at_is_a_matter_of_the_settings() {
    // By no library that is traced.
    let script = "import socket, sys; host, port = sys.argv[1][7:-1].split(':'); s = socket.create_connection((host, port)); \
                  s.sendall(b'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'); s.recv(4096)";
    for (setting, provider, of_curl, of_python) in [
        (None, "auto", 1, 1),
        (Some("auto"), "auto", 1, 1),
        (Some("auto"), "none", 1, 1),
        (Some("true"), "auto", 1, 1),
        (Some("false"), "auto", 0, 0),
    ] {
        for (program, expected) in [("curl", of_curl), ("python", of_python)] {
            let mut sandbox = sandbox();
            sandbox.unset("DD_TRACE_NATIVE_ENABLED").set("DD_TRACE_PYTHON_PROVIDER", provider);
            if let Some(setting) = setting {
                sandbox.set("DD_TRACE_NATIVE_ENABLED", setting);
            }
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let url = format!("http://{}/", listener.local_addr().expect("an address"));
            let arrived = keeper(listener, b"\r\n\r\n");
            match program {
                "curl" => drop(curl(&mut sandbox, true, &[&url])),
                _ => assert_eq!(sandbox.run_traced(["python3", "-c", script, &url]).code, Some(0)),
            }
            let (_, ours) = without_ours(&arrived.lock().expect("nobody panics")[0]);
            assert_eq!(ours.is_empty(), expected == 0, "{setting:?} {provider} {program}: {ours:?}");
            assert_eq!(sandbox.spans().len(), expected, "{setting:?} {provider} {program}");
        }
    }
}

#[test]
fn descriptors_may_be_closed_copied_and_used_again() {
    let mut sandbox = sandbox();
    let program = compile(&sandbox, "descriptors");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let arrived = keeper(listener, b"\r\n\r\n");
    let file = sandbox.path().join("file").display().to_string();
    let argv = [program.as_str(), &port, &file];
    sandbox.set("DD_SERVICE", "descriptors");
    let outcome = sandbox.assert_same(&argv);
    let expected = ["dup: yes", "dup2: yes", "child: yes", "parent: yes", "changed: yes"];
    assert_eq!(outcome.out().lines().collect::<Vec<_>>(), expected);
    let request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(std::fs::read_to_string(&file).expect("it was written"), request);
    let arrived = arrived.lock().expect("nobody panics");
    let sent: Vec<_> = arrived.iter().map(|message| without_ours(message).0).filter(|text| !text.is_empty()).collect();
    assert_eq!(sent.iter().filter(|text| *text == request).count(), 2 * 4, "{sent:?}");
    assert_eq!(sent.iter().filter(|text| text.starts_with("HEAD /b")).count(), 2, "{sent:?}");
    // Of the connection with two numbers nothing is certain, nor of the one that the first number had.
    let spans = sandbox.spans();
    assert_eq!(
        spans.iter().filter(|span| span.number("http.response.status_code") == Some(200)).count(),
        3,
        "{spans:#?}"
    );
}
