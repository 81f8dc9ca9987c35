//! Databases: one span for each statement, whose literals are hidden.

use super::*;
use ddtrace_test_support::servers::{only, postgres};
use ddtrace_test_support::wait_for;

const STATEMENTS: [&str; 6] = [
    "client BATCH INSERT things",
    "client COMMIT",
    "client CREATE things",
    "client ROLLBACK",
    "client SELECT nowhere !",
    "client SELECT things",
];

fn works(sandbox: &Sandbox, library: &str, place: &str) -> String {
    let outcome = sandbox.run_traced([&python(), &program("works.py"), library, place]);
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{library}: {outcome:?}");
    outcome.out()
}

#[track_caller]
fn assert_hidden(spans: &[Span], library: &str) {
    let select = only(spans, |span| span.name == "SELECT things");
    assert_eq!(select.text("db.query.text"), Some("SELECT name FROM things WHERE name = ?"), "{library}");
    let many = only(spans, |span| span.name.starts_with("BATCH"));
    assert_eq!(many.number("db.operation.batch.size"), Some(2), "{library}");
    assert!(only(spans, |span| span.failed).error_type().is_some(), "{library}");
}

#[test]
fn sqlite() {
    let sandbox = sandbox();
    assert_eq!(works(&sandbox, "sqlite3", ":memory:"), "[('a',)]\nOperationalError\n[('a',)]\nclosed\n");
    let spans = sandbox.spans();
    // A transaction is ended by `with` where there is one.
    let own = ["COMMIT", "CREATE own", "INSERT own", "INSERT own", "ROLLBACK", "SELECT", "SELECT own"];
    let mut expected = [&STATEMENTS.map(String::from)[..], &own.map(|name| format!("client {name}"))].concat();
    expected.sort();
    assert_eq!(trees(&spans), expected);
    let commit = spans.iter().find(|span| span.name == "COMMIT").expect("one");
    assert_eq!(attributes(commit, &["db.operation.name", "db.query.text"]), ["db.operation.name=COMMIT"]);
    assert_hidden(&spans, "sqlite3");
    assert!(spans.iter().all(|span| span.text("db.system.name") == Some("sqlite")));
}

/// As Django and SQLAlchemy write it.
#[test]
fn names_in_double_quotes_of_sqlite() {
    let sandbox = sandbox();
    let script = r#"
import sqlite3
database = sqlite3.connect(":memory:")
database.execute('CREATE TABLE IF NOT EXISTS "things" ("id" integer, "name" text)')
database.execute('INSERT INTO "things" ("id", "name") VALUES (1, \'secret\')')
database.execute('SELECT "things"."id", "secret" FROM "things" WHERE "things"."name" = "secret" LIMIT 21')
"#;
    assert_eq!(sandbox.run_traced([&python(), "-c", script]).code, Some(0));
    let spans = sandbox.spans();
    let mut seen: Vec<String> =
        spans.iter().map(|span| format!("{}: {}", span.name, span.text("db.query.text").unwrap_or_default())).collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            r#"CREATE things: CREATE TABLE IF NOT EXISTS "things" (? integer, ? text)"#,
            r#"INSERT things: INSERT INTO "things" ("id", "name") VALUES (?, ?)"#,
            r#"SELECT things: SELECT "things"."id", ? FROM "things" WHERE "things"."name" = ? LIMIT ?"#,
        ]
    );
}

#[test]
fn postgresql() {
    for (library, out) in [("psycopg2", "1\n[('a',)]\nUndefinedTable\n"), ("psycopg", "[('a',)]\nUndefinedTable\n")] {
        let sandbox = sandbox();
        let (server, socket) = postgres(&sandbox);
        assert_eq!(works(&sandbox, library, &socket), out);
        drop(server);
        let mut spans = sandbox.spans();
        spans.retain(|span| span.name != "SELECT");
        // The block of a connection of psycopg ends with one.
        let commit = if library == "psycopg" { &["client COMMIT"][..] } else { &[] };
        let mut expected = [&STATEMENTS[..], commit].concat();
        expected.sort_unstable();
        assert_eq!(trees(&spans), expected, "{library}");
        assert_hidden(&spans, library);
        for span in &spans {
            let names = ["db.system.name", "db.namespace", "server.address", "network.transport"];
            let place = format!("server.address={socket}");
            let expected = ["db.system.name=postgresql", "db.namespace=postgres", &place, "network.transport=unix"];
            assert_eq!(attributes(span, &names), expected, "{library}");
        }
    }
    let sandbox = sandbox();
    let (server, socket) = postgres(&sandbox);
    assert_eq!(works(&sandbox, "psycopg_async", &socket), "(1,)\n");
    drop(server);
    assert_eq!(trees(&sandbox.spans()), ["client COMMIT", "client SELECT"]);
}

/// With prepared statements and cursors; what a pool asks for to make a connection like new is a statement as well.
#[test]
fn asyncpg() {
    for (settings, is_seen) in
        [(("DD_TRACE_NATIVE_ENABLED", "auto"), true), (("DD_TRACE_ASYNCPG_ENABLED", "false"), false)]
    {
        let mut sandbox = sandbox();
        sandbox.set(settings.0, settings.1);
        let (server, socket) = postgres(&sandbox);
        let out = works(&sandbox, "asyncpg", &socket);
        assert_eq!(out, "[<Record name='a'>]\nUndefinedTableError\nb\na\nb\n");
        drop(server);
        let mut spans = sandbox.spans();
        spans.sort_by_key(|span| span.start);
        let seen: Vec<String> = spans.iter().map(label).collect();
        let resets = "client SELECT CLOSE UNLISTEN RESET";
        let expected = [
            "client CREATE things",
            "client BATCH INSERT things",
            "client SELECT things",
            "client SELECT nowhere !",
            "client BEGIN",
            "client SELECT things",
            "client SELECT things",
            "client COMMIT",
            resets,
        ];
        assert_eq!(seen, if is_seen { &expected[..] } else { &[] });
        for span in &spans {
            let names = ["db.system.name", "db.namespace", "server.address", "network.transport"];
            let place = format!("server.address={socket}");
            let expected = ["db.system.name=postgresql", "db.namespace=postgres", &place, "network.transport=unix"];
            assert_eq!(attributes(span, &names), expected);
        }
    }
}

/// A procedure that is called is seen as a statement is, without what it is given.
#[test]
fn procedures() {
    for (library, error) in [("psycopg2_procedure", "UndefinedFunction"), ("pymysql_procedure", "OperationalError")] {
        let sandbox = sandbox();
        let (server, socket) = if library.starts_with("pymysql") { mariadb(&sandbox) } else { postgres(&sandbox) };
        assert_eq!(works(&sandbox, library, &socket), format!("42\n{error}\n"));
        drop(server);
        let mut spans = sandbox.spans();
        spans.retain(|span| !span.name.starts_with("CREATE"));
        assert_eq!(trees(&spans), ["client CALL nowhere !", "client CALL twice"], "{library}");
        let call = only(&spans, |span| !span.failed);
        let expected = ["db.stored_procedure.name=twice", "db.query.summary=CALL twice", "db.query.text=CALL twice"];
        let names = ["db.stored_procedure.name", "db.query.summary", "db.query.text"];
        assert_eq!(attributes(call, &names), expected, "{library}");
        assert_eq!(call.text("server.address"), Some(&*socket), "{library}");
    }
}

/// A server with a database `test`, and its socket.
pub(super) fn mariadb(sandbox: &Sandbox) -> (Server, String) {
    let home = sandbox.path().join("mariadb");
    let (data, socket) = (home.join("data").display().to_string(), home.join("socket").display().to_string());
    std::fs::create_dir_all(&home).expect("a directory");
    let data = format!("--datadir={data}");
    // Who may do all is asked for no password over the socket.
    let install = ["mariadb-install-db", "--no-defaults", &data, "--auth-root-authentication-method=normal"];
    let made = sandbox.run_bare([&install[..], &["--user=root", "--skip-test-db"]].concat());
    assert_eq!(made.code, Some(0), "{made:?}");
    let begin = sandbox.write("begin.sql", "CREATE DATABASE test;\n");
    let (path, begin) = (format!("--socket={socket}"), format!("--init-file={}", begin.display()));
    let argv = ["mariadbd", "--no-defaults", &data, &path, &begin, "--skip-networking", "--user=root"];
    let mut command = sandbox.bare(argv);
    let null = || std::process::Stdio::null();
    let server = Server(command.stdin(null()).stdout(null()).stderr(null()).spawn().expect("it is installed"));
    wait_for("MariaDB to listen", || std::os::unix::net::UnixStream::connect(&socket).ok());
    (server, socket)
}

#[test]
fn mysql() {
    let sandbox = sandbox();
    let (server, socket) = mariadb(&sandbox);
    assert_eq!(works(&sandbox, "pymysql", &socket), "(('a',),)\nProgrammingError\n");
    drop(server);
    let spans = sandbox.spans();
    assert_eq!(trees(&spans), STATEMENTS);
    assert_hidden(&spans, "pymysql");
    let place = format!("server.address={socket}");
    let expected = ["db.system.name=mysql", "db.namespace=test", &place, "network.transport=unix"];
    for span in &spans {
        let names = ["db.system.name", "db.namespace", "server.address", "network.transport"];
        assert_eq!(attributes(span, &names), expected);
    }
}

/// With the tags of Datadog's tracer, and none of those of requests.
#[test]
fn at_an_agent() {
    let agent = ddtrace_test_support::Agent::start();
    let mut sandbox = sandbox();
    sandbox.set("DD_TRACE_AGENT_URL", agent.url()).unset("DD_TRACE_EXPORTER");
    let (port, of_postgres) = (free_port().to_string(), free_port());
    let argv = ["redis-server", "--port", &port, "--save", "", "--bind", "127.0.0.1"];
    let redis = Server::of(&mut sandbox, false, "redis", port.parse().unwrap(), &argv);
    let postgres = ddtrace_test_support::servers::postgres_at(&sandbox, of_postgres);
    let script = "import sys, psycopg, redis\n\
        redis.Redis(host='127.0.0.1', port=int(sys.argv[1]), db=2).set('key', 'secret')\n\
        redis.Redis(host='127.0.0.1', port=int(sys.argv[1])).pipeline().set('a', 'secret').get('a').execute()\n\
        psycopg.connect(host='127.0.0.1', port=int(sys.argv[2]), user='me', dbname='postgres').execute('SELECT 1')\n\
        import sqlite3\n\
        database = sqlite3.connect(':memory:')\n\
        database.execute('CREATE TABLE things (name)')\n\
        database.executemany('INSERT INTO things VALUES (?)', [['a'], ['b']])\n\
        database.rollback()\n";
    let outcome = sandbox.run_traced([&python(), "-c", script, &port, &of_postgres.to_string()]);
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""));
    drop((redis, postgres));
    sandbox.settle();
    agent.assert_no_failed_check();
    let traces = agent.datadog_traces();
    let spans = traces.as_array().unwrap().iter().flat_map(|chunk| chunk.as_array().unwrap());
    let tags = [
        "component",
        "db.system",
        "db.name",
        "out.host",
        "server.address",
        "http.server_name",
        "out.redis_db",
        "redis.pipeline_length",
        "sql.executemany",
    ];
    let mut seen: Vec<String> = spans.map(|span| told(span, &tags)).collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            "postgres.query | SELECT ? | sql component=psycopg db.system=postgresql db.name=postgres out.host=127.0.0.1 server.address=127.0.0.1",
            "redis.command | SET\nGET | redis component=redis db.system=redis out.host=127.0.0.1 server.address=127.0.0.1 out.redis_db=0.0 redis.pipeline_length=2.0",
            "redis.command | SET | redis component=redis db.system=redis out.host=127.0.0.1 server.address=127.0.0.1 out.redis_db=2.0",
            "sqlite.connection.rollback | sqlite.connection.rollback | sql component=sqlite db.system=sqlite",
            "sqlite.query | CREATE TABLE things (name) | sql component=sqlite db.system=sqlite",
            "sqlite.query | INSERT INTO things VALUES (?) | sql component=sqlite db.system=sqlite sql.executemany=true",
        ]
    );
}

#[test]
fn redis() {
    let mut sandbox = sandbox();
    let port = free_port().to_string();
    let argv = ["redis-server", "--port", &port, "--save", "", "--bind", "127.0.0.1"];
    let server = Server::of(&mut sandbox, false, "redis", port.parse().unwrap(), &argv);
    assert_eq!(works(&sandbox, "redis", &port), "b'secret'\n[1, 2]\n[True, b'1']\nResponseError\n");
    let mut spans = sandbox.spans();
    spans.sort_by_key(|span| span.start);
    assert_eq!(trees(&spans), ["client GET", "client LPUSH !", "client MULTI", "client PIPELINE INCRBY", "client SET"]);
    let texts: Vec<_> = spans.iter().filter_map(|span| span.text("db.query.text")).collect();
    assert_eq!(texts, ["SET key ?", "GET key", "INCRBY count ?; INCRBY count ?", "SET a ?; GET a", "LPUSH key ?"]);
    std::fs::remove_file(sandbox.local_store()).unwrap();
    assert_eq!(works(&sandbox, "redis_async", &port), "b'secret'\n");
    drop(server);
    let spans = sandbox.spans();
    assert_eq!(trees(&spans), ["client GET", "client SET"]);
    let names = ["db.system.name", "db.namespace", "db.operation.name", "server.address"];
    let get = only(&spans, |span| span.name == "GET");
    let expected = ["db.system.name=redis", "db.namespace=0", "db.operation.name=GET", "server.address=localhost"];
    assert_eq!(attributes(get, &names), expected);
}

/// Connections of classes that choose a cursor by themselves: psycopg2's own, and a program's.
#[test]
fn connections_with_cursors_of_their_own() {
    let sandbox = sandbox();
    let (server, socket) = postgres(&sandbox);
    let expected = "RealDictConnection RealDictCursor [RealDictRow([('name', 1)])]\n\
        DictConnection DictCursor [[1]]\n\
        NamedTupleConnection NamedTupleCursor [Record(name=1)]\n\
        LoggingConnection LoggingCursor [(1,)]\n\
        Own DictCursor [[1]]\n";
    assert_eq!(works(&sandbox, "psycopg2_connections", &socket), expected);
    drop(server);
    let each = ["client COMMIT", "client SELECT"];
    let mut expected = [each; 5].concat();
    expected.sort_unstable();
    assert_eq!(trees(&sandbox.spans()), expected);
    std::fs::remove_file(sandbox.local_store()).expect("it was written");
    assert_eq!(works(&sandbox, "sqlite3_connection", ":memory:"), "[(1,)] Own\n");
    assert_eq!(trees(&sandbox.spans()), ["client CREATE a", "client INSERT a", "client ROLLBACK", "client SELECT"]);
}

/// Classes that have something to say to whoever derives another one, which is no matter of the program's here.
#[test]
fn classes_that_look_at_those_derived_from_them() {
    let sandbox = sandbox();
    let (server, socket) = postgres(&sandbox);
    assert_eq!(works(&sandbox, "psycopg2_classes", &socket), "True [[1]] Users Main\n");
    drop(server);
    assert_eq!(trees(&sandbox.spans()), ["client SELECT"]);
}

/// Template strings of Python 3.14, by psycopg as it is without its compiled part: the text, without a value.
#[test]
fn templates_of_statements() {
    let Some(python) = ddtrace_test_support::programs::python_of("3.14") else { return };
    let mut sandbox = sandbox();
    let packages = ddtrace_test_support::target_dir().join("integrations-venv/lib/python3.11/site-packages");
    sandbox.set("PYTHONPATH", packages.display().to_string()).set("PSYCOPG_IMPL", "python");
    let (server, socket) = postgres(&sandbox);
    let script = r#"
import asyncio, psycopg, sys
from psycopg import sql
place = {"host": sys.argv[1], "user": "me", "dbname": "postgres", "autocommit": True}
secret, table = "secret", 'a "table"'
condition = t"name = {secret}"
with psycopg.connect(**place) as connection:
    connection.execute(t"CREATE TEMPORARY TABLE {table:i} (name text)")
    connection.execute(t"INSERT INTO {sql.Identifier(table):i} VALUES ({secret})")
    print(connection.execute(t"SELECT name, {7}::int FROM {table:i} WHERE {condition:q} AND name <> {'other':l}").fetchall())
    try:
        connection.execute(t"SELECT {table!r}")
    except TypeError as error:
        print(error)
async def asynchronously():
    async with await psycopg.AsyncConnection.connect(**place) as connection:
        print(await (await connection.execute(t"SELECT {secret}")).fetchone())
asyncio.run(asynchronously())
"#;
    let command = [&python, "-c", script, &socket];
    let (bare, traced) = (sandbox.run_bare(command), sandbox.run_traced(command));
    assert_eq!((traced.code, traced.out(), traced.err()), (bare.code, bare.out(), bare.err()));
    assert_eq!(bare.code, Some(0), "{bare:?}");
    drop(server);
    let mut spans = sandbox.spans();
    spans.retain(|span| span.name != "COMMIT");
    spans.sort_by_key(|span| span.start);
    let seen: Vec<String> = spans
        .iter()
        .map(|span| format!("{}: {}", label(span), span.text("db.query.text").unwrap_or_default()))
        .collect();
    assert_eq!(
        seen,
        [
            r#"client CREATE "a ""table""": CREATE TEMPORARY TABLE "a ""table""" (name text)"#,
            r#"client INSERT "a ""table""": INSERT INTO "a ""table""" VALUES ($1)"#,
            r#"client SELECT "a ""table""": SELECT name, $1::int FROM "a ""table""" WHERE name = $2 AND name <> ?"#,
            "client SELECT !: SELECT $1",
            "client SELECT: SELECT $1",
        ]
    );
}
