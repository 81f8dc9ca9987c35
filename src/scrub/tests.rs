use super::*;
use proptest::prelude::*;
use std::string::{String, ToString};
use std::vec::Vec;

fn text(scrubbed: &Scrubbed<'_>) -> String {
    let bytes: Vec<u8> = scrubbed.pieces().flatten().copied().collect();
    assert_eq!(bytes.len(), scrubbed.len());
    String::from_utf8(bytes).expect("text in, text out")
}

fn scrub(args: &[&str]) -> Vec<String> {
    let mut scrubber = ArgScrubber::new();
    args.iter().map(|arg| text(&scrubber.scrub(arg.as_bytes()))).collect()
}

/// `line` is split at blanks, but for those in `{…}`, which stands for one argument.
fn split(line: &str) -> Vec<&str> {
    let mut args = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (arg, behind) = match rest.strip_prefix('{') {
            Some(inside) => inside.split_once('}').expect("a closing brace"),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        args.push(arg);
        rest = behind.trim_start();
    }
    args
}

fn assert_scrubs(cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        let expected: Vec<String> = split(expected).iter().map(|arg| arg.replace("***", "<redacted>")).collect();
        assert_eq!(scrub(&split(line)), expected, "{line}");
    }
}

#[test]
fn named_values_are_hidden() {
    assert_scrubs(&[
        ("app --password hunter2 file", "app --password *** file"),
        ("app --password=hunter2 file", "app --password=*** file"),
        ("app {--password=two words; and more}", "app --password=***"),
        ("app --db-password {two words}", "app --db-password ***"),
        ("env PASSWORD=x1 DB_PASS=x2 app", "env PASSWORD=*** DB_PASS=*** app"),
        ("docker run -e DD_API_KEY=0123 -eAPP_SECRET=x1 image", "docker run -e DD_API_KEY=*** -eAPP_SECRET=*** image"),
        (
            "java -Dsonar.token=abc -Djavax.net.ssl.keyStorePassword=changeit -jar a.jar",
            "java -Dsonar.token=*** -Djavax.net.ssl.keyStorePassword=*** -jar a.jar",
        ),
        ("keytool -storepass changeit -keypass:env X", "keytool -storepass *** -keypass:env X"),
        ("openssl rsa -passin pass:hunter2", "openssl rsa -passin ***"),
        ("cc {-DDB_PASSWORD=\"x y\"}", "cc -DDB_PASSWORD=***"),
        ("helm --set user=joe,password=x1,image=y", "helm --set user=joe,password=***,image=y"),
        ("bazel --action_env=TOKEN=abc build", "bazel --action_env=TOKEN=*** build"),
        ("app {--connection=Server=h;Password=a b;Port=1}", "app {--connection=Server=h;Password=***;Port=1}"),
        ("mysql -h db --password= -e x", "mysql -h db --password= -e x"),
        ("npm config set //registry.npmjs.org/:_authToken=abc", "npm config set //registry.npmjs.org/:_authToken=***"),
    ]);
}

#[test]
fn an_option_at_the_end_or_before_another_hides_nothing() {
    assert_scrubs(&[
        ("app --password", "app --password"),
        ("app --password --verbose x", "app --password --verbose x"),
        ("app --password - x", "app --password - x"),
        ("app --token no x", "app --token no x"),
    ]);
}

#[test]
fn addresses_lose_users_and_passwords() {
    assert_scrubs(&[
        ("git clone https://joe:hunter2@host/x.git", "git clone https://***@host/x.git"),
        ("git clone https://sometoken@host/x.git", "git clone https://***@host/x.git"),
        ("git clone ssh://git@host/x.git", "git clone ssh://git@host/x.git"),
        ("git clone git+ssh://joe@host/x.git", "git clone git+ssh://joe@host/x.git"),
        ("git clone git@github.com:a/b.git", "git clone git@github.com:a/b.git"),
        ("app postgres://u:p@ss@h:5432/db?sslmode=x", "app postgres://***@h:5432/db?sslmode=x"),
        ("app postgres://u:p/a?ss@h/db", "app postgres://***@h/db"),
        ("app DATABASE_URL=postgres://u:p@h/db", "app DATABASE_URL=postgres://***@h/db"),
        ("curl http://h:8080/x@y http://[::1]:80/@z", "curl http://h:8080/x@y http://[::1]:80/@z"),
        ("curl https://h/p?a=1&token=abc&b=2#f", "curl https://h/p?a=1&token=***&b=2#f"),
        ("curl https://h/p?X-Amz-Signature=abc&sig=d&key=e", "curl https://h/p?X-Amz-Signature=***&sig=***&key=***"),
        (
            "curl https://h/?to=https%3A%2F%2Fi%2F%3Ftoken%3Dabc&x=1",
            "curl https://h/?to=https%3A%2F%2Fi%2F%3Ftoken%3D***&x=1",
        ),
    ]);
}

#[test]
fn headers_are_hidden() {
    assert_scrubs(&[
        ("curl -H {Authorization: Bearer abc} u", "curl -H {Authorization: ***} u"),
        ("curl {-HAuthorization: Digest username=\"joe\", response=\"abc\"}", "curl {-HAuthorization: ***}"),
        ("curl -H {X-Api-Key: a b} -H X-Auth-Token:abc", "curl -H {X-Api-Key: ***} -H X-Auth-Token:***"),
        ("curl --header {Cookie: a=b; c=d} u", "curl --header {Cookie: ***} u"),
        ("curl -H {Accept: text/html} u", "curl -H {Accept: text/html} u"),
        (
            "git -c {http.https://github.com/.extraheader=AUTHORIZATION: basic eDp5} fetch",
            "git -c {http.https://github.com/.extraheader=AUTHORIZATION: ***} fetch",
        ),
        ("app {send Bearer abcdefgh1234 now}", "app {send Bearer *** now}"),
        ("app {the bearer of bad news}", "app {the bearer of bad news}"),
        ("app {password: hunter2 and more}", "app {password: *** and more}"),
        ("docker run -v ./secret:/run/secret x", "docker run -v ./secret:/run/secret x"),
    ]);
}

#[test]
fn json_values_are_hidden() {
    for (arg, expected) in [
        (r#"{"user": "joe", "password" : "x\"y", "a": 1}"#, r#"{"user": "joe", "password" : "<redacted>", "a": 1}"#),
        (r#"{\"apiKey\":\"abc\",\"b\":\"c\"}"#, r#"{\"apiKey\":\"<redacted>\",\"b\":\"c\"}"#),
        (r#"{"pin_secret": 1234, "b": 2}"#, r#"{"pin_secret": <redacted>, "b": 2}"#),
        (r#"{"token_type": "x", "password": "y"}"#, r#"{"token_type": "x", "password": "<redacted>"}"#),
    ] {
        assert_eq!(scrub(&["curl", "-d", arg])[2], expected);
    }
}

#[test]
fn short_options_count_behind_their_programs_only() {
    assert_scrubs(&[
        ("mysql -uroot -phunter2 -p db", "mysql -uroot -p*** -p db"),
        ("/usr/bin/mysqldump {-ptwo words} db", "/usr/bin/mysqldump -p*** db"),
        ("sshpass -p hunter2 ssh -p 22 host", "sshpass -p *** ssh -p 22 host"),
        ("sudo -u joe redis-cli -a hunter2", "sudo -u joe redis-cli -a ***"),
        ("env A=b timeout 5 mysql -px1", "env A=b timeout 5 mysql -p***"),
        ("curl -u joe:x -sSLu joe:x -ujoe:x --user joe:x u", "curl -u *** -sSLu *** -u*** --user *** u"),
        ("docker login -u joe -p hunter2 host", "docker login -u joe -p *** host"),
        ("docker run -p 8080:80 image", "docker run -p 8080:80 image"),
        ("docker exec db mysql -px1", "docker exec db mysql -p***"),
        ("mkdir -p a/b", "mkdir -p a/b"),
        ("gcc -o mysql main.o -pthread", "gcc -o mysql main.o -pthread"),
        ("g++ mysql -pthread", "g++ mysql -pthread"),
        ("python3 -u curl -u", "python3 -u curl -u"),
    ]);
}

#[test]
fn texts_of_commands_are_read_word_by_word() {
    for (arg, expected) in [
        ("PASSWORD=x make all", "PASSWORD=<redacted> make all"),
        ("PASSWORD='a b'\\''c' make", "PASSWORD=<redacted> make"),
        ("export A_TOKEN=\"x y\" && make -j8", "export A_TOKEN=<redacted> && make -j8"),
        ("cd x; mysql -e 'a; b' -p'se cret' db; mkdir -p y", "cd x; mysql -e 'a; b' -p<redacted> db; mkdir -p y"),
        ("x=$(curl -u a:b u) && echo done", "x=$(curl -u <redacted> u) && echo done"),
        ("app --password \"a b\" --x", "app --password <redacted> --x"),
        ("curl -H \"Authorization: Basic eDp5\" u | sh", "curl -H \"Authorization: <redacted>\" u | sh"),
        ("git clone 'https://a:b@h/x' y", "git clone 'https://<redacted>@h/x' y"),
        ("echo \"password=x\" && make && echo \"done\"", "echo \"password=<redacted>\" && make && echo \"done\""),
        ("PASSWORD=\"\" TOKEN='no' SECRET=\"a\"b'c d' make", "PASSWORD=\"\" TOKEN='no' SECRET=<redacted> make"),
        ("echo \"{\\\"secret\\\": \\\"a b\\\"}\" x", "echo \"{\\\"secret\\\": \\\"<redacted>\\\"}\" x"),
        ("TOKEN=a\\ b make", "TOKEN=<redacted> make"),
        ("gcc -o mysql x.o -pthread && ./mysql -pq1", "gcc -o mysql x.o -pthread && ./mysql -p<redacted>"),
        ("if test -z \"$PASSWORD\"; then echo no; fi", "if test -z \"$PASSWORD\"; then echo no; fi"),
    ] {
        assert_eq!(scrub(&["/bin/sh", "-ec", arg, "mysql", "-px"])[2], expected);
        assert_eq!(scrub(&["sudo", "-u", "joe", "bash", "-c", arg])[5], expected);
    }
    assert_eq!(scrub(&["sh", "-c", "true", "mysql", "-pq1"])[4], "-pq1", "arguments of the text are no commands");
}

#[test]
fn tokens_and_keys_are_hidden_wherever_they_are() {
    assert_scrubs(&[
        ("app ghp_0123456789abcdefghijABCDEFGHIJ012345", "app ***"),
        ("app x=AKIAIOSFODNN7EXAMPLE,y", "app x=***,y"),
        ("app {see eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc now}", "app {see *** now}"),
        ("app {k -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nrest}", "app {k ***\nrest}"),
        ("app -----BEGIN RSA KEY----- MIIE abc -----END RSA KEY----- x", "app *** *** *** *** *** *** RSA KEY----- x"),
    ]);
}

#[test]
fn many_secrets_hide_the_rest() {
    let arg = "a&token=x1".repeat(20);
    let hidden = scrub(&["app", &arg]).remove(1);
    assert!(!hidden.contains("x1"), "{hidden}");
    assert!(hidden.len() <= arg.len() + 80, "{hidden}");
}

/// Lines of real builds and of everyday work: not a byte may change.
#[test]
fn ordinary_lines_stay_as_they_are() {
    for line in include_str!("ordinary-lines.txt").lines() {
        let args: Vec<&str> = line.split(' ').collect();
        assert_eq!(scrub(&args), args, "{line}");
        assert_eq!(scrub(&["/bin/sh", "-c", line])[2], line, "as a shell's text");
    }
}

#[test]
fn long_arguments_of_any_pattern_take_linear_time() {
    for pattern in [
        "a://",
        "a://b:c/",
        "eyJ-",
        "token=",
        "'a \"",
        "bearer ",
        "-----BEGIN ",
        "a\\",
        "-p\"x ",
        "password: ",
        "x=.so ",
        "\"password\"",
        "AKIA-",
        "-",
        "token=1 ",
        "sk-a",
        "x@",
    ] {
        let arg = pattern.repeat(60_000 / pattern.len());
        let started = std::time::Instant::now();
        for program in ["app", "mysql"] {
            let mut scrubber = ArgScrubber::new();
            let _ = scrubber.scrub(program.as_bytes());
            assert!(scrubber.scrub(arg.as_bytes()).len() <= arg.len() + 80);
        }
        // Quadratic time would be minutes in a debug build.
        assert!(started.elapsed().as_secs() < 5, "{pattern}: {:?}", started.elapsed());
    }
}

proptest! {
    #[test]
    fn any_bytes_in_any_order(args in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..8)) {
        let mut scrubber = ArgScrubber::new();
        for arg in &args {
            let scrubbed = scrubber.scrub(arg);
            prop_assert!(scrubbed.len() <= arg.len() + 80);
            prop_assert_eq!(scrubbed.is_unchanged(), scrubbed.pieces().flatten().eq(arg.iter()));
        }
    }

    #[test]
    fn odd_mixtures_of_what_matters(parts in proptest::collection::vec("(password|token|=|:|-|--|\"|'|\\\\|[?]|&|;|,| |://|@|-----BEGIN|-----END|bearer|mysql|-p|%3D|x|\n)", 0..40)) {
        let line = parts.concat();
        for program in ["app", "mysql", "sh"] {
            let mut scrubber = ArgScrubber::new();
            for arg in [program, "-c", &line, &line] {
                prop_assert!(scrubber.scrub(arg.as_bytes()).len() <= arg.len() + 80);
            }
        }
    }

    #[test]
    fn a_named_value_is_never_seen(value in "[!-~]{2,40}", name in "(password|API_KEY|clientSecret|auth-token)") {
        prop_assume!(!names::is_plain_value(value.as_bytes()) && !value.starts_with('-'));
        prop_assume!(!value.ends_with(".so") && !value.ends_with(".rlib") && !value.ends_with(".rmeta"));
        let glued = std::format!("--{name}={value}");
        prop_assert_eq!(scrub(&["app", &glued])[1].clone(), std::format!("--{name}=<redacted>"));
        let option = std::format!("--{name}");
        prop_assert_eq!(scrub(&["app", &option, &value])[2].clone(), "<redacted>".to_string());
    }

    #[test]
    fn words_without_marks_are_unchanged(args in proptest::collection::vec("[a-dm-oA-Dx0-9/._ +-]{0,20}", 1..10)) {
        let mut all: Vec<&str> = std::vec!["app"];
        all.extend(args.iter().map(String::as_str));
        prop_assert_eq!(scrub(&all), all);
    }
}
