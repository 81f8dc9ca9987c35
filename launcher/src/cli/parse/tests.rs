use super::super::flags::command;
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::os::unix::ffi::OsStringExt as _;

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect()
}

fn meaning(line: &str) -> Result<Meaning, UsageError> {
    interpret(words(line))
}

fn invocation(line: &str) -> Invocation {
    match meaning(line) {
        Ok(Meaning::Act(invocation)) => invocation,
        other => panic!("{line}: {other:?}"),
    }
}

fn complaint(line: &str) -> String {
    match meaning(line) {
        Err(error) => {
            assert_eq!(error.exit_code(), 125);
            error.to_string()
        }
        Ok(other) => panic!("{line}: {other:?}"),
    }
}

fn run(command: &str) -> Run {
    Run { command: words(command), ..Run::default() }
}

#[test]
fn a_program_is_started_as_the_flags_say() {
    for (line, expected) in [
        ("app", run("app")),
        ("app --view --help -v", run("app --view --help -v")),
        ("--view app", Run { view: true, ..run("app") }),
        ("--supervise app", Run { supervise: true, ..run("app") }),
        ("-p app -p", Run { profiling: true, ..run("app -p") }),
        ("--profiling app", Run { profiling: true, ..run("app") }),
        ("--force --view -- app --", Run { view: true, force: true, ..run("app --") }),
        ("-dp app", Run { profiling: true, ..run("app") }),
        ("-- view", run("view")),
        ("-- --view", run("--view")),
        ("./view x", run("./view x")),
        ("man ls", run("man ls")),
        ("man --help", run("man --help")),
        ("- x", run("- x")),
    ] {
        assert_eq!(invocation(line).action, Action::Run(expected), "{line}");
    }
}

#[test]
fn bootstrap_leaves_the_words_of_the_program_alone() {
    let asked = |python: Option<&str>, command: &str| Bootstrap {
        python: python.map(OsString::from),
        command: words(command),
        ..Bootstrap::default()
    };
    for (line, expected) in [
        ("bootstrap", asked(None, "")),
        ("bootstrap -a requirements --python .venv", asked(Some(".venv"), "")),
        ("bootstrap -a install --dry-run", Bootstrap { installs: true, is_dry: true, ..asked(None, "") }),
        ("bootstrap gunicorn -a install --python x", asked(None, "gunicorn -a install --python x")),
        ("bootstrap -- --app", asked(None, "--app")),
    ] {
        assert_eq!(invocation(line).action, Action::Bootstrap(expected), "{line}");
    }
    let help = Meaning::Help { subcommand: Some("bootstrap".into()), colour: ColourChoice::Auto };
    assert_eq!(meaning("bootstrap --help"), Ok(help));
    assert!(complaint("bootstrap -a remove").contains("install"));
    assert!(complaint("bootstrap --python x app").contains("--python"));
    assert!(complaint("--service x bootstrap").contains("has no meaning for 'bootstrap'"));
}

#[test]
fn info_describes_a_target_but_runs_nothing() {
    for (line, json, command) in [
        ("--info", false, ""),
        ("-i --json", true, ""),
        ("-i python app.py -i", false, "python app.py -i"),
        ("--json -i -- view", true, "view"),
    ] {
        assert_eq!(invocation(line).action, Action::Info { json, command: words(command) }, "{line}");
    }
}

#[test]
fn the_first_word_may_be_a_command_of_ours() {
    for (line, expected) in [
        ("view", Action::View(ViewArgs::default())),
        ("view trace.jsonl", Action::View(ViewArgs { file: Some("trace.jsonl".into()), ..ViewArgs::default() })),
        ("-d view -- -d", Action::View(ViewArgs { file: Some("-d".into()), ..ViewArgs::default() })),
        ("completions fish", Action::Completions(Shell::Fish)),
        ("man", Action::Man),
    ] {
        assert_eq!(invocation(line).action, expected, "{line}");
    }
}

#[test]
fn view_is_told_what_to_show() {
    let options = |line: &str| match invocation(line).action {
        Action::View(ViewArgs { options, .. }) => options,
        other => panic!("{line}: {other:?}"),
    };
    let default = ViewOptions::default;
    for (line, expected) in [
        ("view -a x", ViewOptions { all: true, ..default() }),
        ("view --limit 3 --last=2", ViewOptions { limit: 3, last: Some(2), ..default() }),
        ("view --last 3 --list", ViewOptions { last: Some(3), list: true, ..default() }),
        (
            "view --trace abc --min-duration 2ms",
            ViewOptions { trace: Some("abc".into()), min_duration: 2_000_000, ..default() },
        ),
        ("view --sort duration --sort start", default()),
    ] {
        assert_eq!(options(line), expected, "{line}");
    }
}

#[test]
fn help_and_version_come_before_everything_else() {
    let help = |subcommand: Option<&str>, colour| Meaning::Help { subcommand: subcommand.map(str::to_owned), colour };
    for (line, expected) in [
        ("", Meaning::Nothing),
        ("-h", help(None, ColourChoice::Auto)),
        ("-nc --help app", help(None, ColourChoice::Never)),
        ("--help view", help(Some("view"), ColourChoice::Auto)),
        ("view -h", help(Some("view"), ColourChoice::Auto)),
        ("completions --help", help(Some("completions"), ColourChoice::Auto)),
        ("-v", Meaning::Version),
        ("--version app", Meaning::Version),
        ("-dv", Meaning::Version),
    ] {
        assert_eq!(meaning(line), Ok(expected), "{line}");
    }
}

#[test]
fn flags_become_settings_in_their_order() {
    for (line, expected) in [
        ("--service web app --service no", "service:web"),
        ("--service=a --env=b --app-version 1.2 app", "service:a env:b version:1.2"),
        ("--service a --service b app", "service:b"),
        ("--service= app", "service:"),
        ("--agent-url unix:///run/a.sock app", "agent.url:unix:///run/a.sock"),
        ("--otlp-endpoint http://c --otlp-protocol grpc x", "otlp.endpoint:http://c otlp.protocol:grpc"),
        ("--exporter datadog,otlp -d --exporter local x", "exporter:datadog exporter:otlp debug:true exporter:local"),
        ("--process-spans=false x", "process_spans:false"),
        ("--set log.level=info --set log.level=a=b x", "log.level:info log.level:a=b"),
        ("--set service=a --service b x", "service:a service:b"),
        ("--service b --set service=a x", "service:b service:a"),
        ("-d --set debug=false x", "debug:true debug:false"),
        ("--set env=a -d view --set service=b --set env=c", "env:a debug:true service:b env:c"),
    ] {
        let settings = invocation(line).settings;
        let found: Vec<_> = settings.iter().map(|(key, value)| format!("{key}:{value}")).collect();
        assert_eq!(found.join(" "), expected, "{line}");
    }
}

#[test]
fn tags_are_separated_by_commas_and_understood_in_either_spelling() {
    for (given, expected) in [
        ("a:1", "a:1"),
        ("a:1,b:2", "a:1,b:2"),
        ("note:two words", "note:two words,"),
        ("note:two words,b:2", "note:two words,b:2"),
        ("team=core,url=http://h:1/?q=1", "team:core,url:http://h:1/?q=1"),
        ("expression:a=b", "expression:a=b"),
        ("flag", "flag"),
        ("", ""),
    ] {
        for flag in ["--tag", "--tags"] {
            assert_eq!(settings_of_tags(&[flag], given), [("tags", expected.to_owned())], "{given}");
        }
    }
    let twice = settings_of_tags(&["--tag", "a:1", "-d", "--tags"], "b:2");
    assert_eq!(twice, [("tags", "a:1".to_owned()), ("debug", "true".to_owned()), ("tags", "b:2".to_owned())]);
}

fn settings_of_tags(flags: &[&str], tags: &str) -> Vec<(&'static str, String)> {
    let line = flags.iter().chain(&[tags, "app"]).map(OsString::from).collect();
    match interpret(line) {
        Ok(Meaning::Act(found)) => found.settings,
        other => panic!("{tags}: {other:?}"),
    }
}

#[test]
fn colours_debug_and_config_apply_to_every_action() {
    for (line, colour, debug, config) in [
        ("app -nc -d --config x", ColourChoice::Auto, false, None),
        ("-nc -d --config x app", ColourChoice::Never, true, Some("x")),
        ("--colorless --color=always app", ColourChoice::Always, false, None),
        ("--colour always -nc app", ColourChoice::Never, false, None),
        ("--config a view --config b -nc", ColourChoice::Never, false, Some("b")),
        ("--config a -d --color never view", ColourChoice::Never, true, Some("a")),
        ("-nc view --color auto", ColourChoice::Auto, false, None),
        ("--config a --config=b -i", ColourChoice::Auto, false, Some("b")),
    ] {
        let found = invocation(line);
        assert_eq!(
            (found.colour, found.debug, found.config_file),
            (colour, debug, config.map(PathBuf::from)),
            "{line}"
        );
    }
}

#[test]
fn errors_name_the_flag_and_what_was_meant() {
    for (line, expected) in [
        ("--servce web app", "unknown flag '--servce'; did you mean '--service'?"),
        ("-x app", "unknown flag '-x'"),
        ("-n app", "unknown flag '-n'"),
        ("--service", "'--service' needs a value"),
        ("--service -- app", "'--service' needs a value"),
        ("--service -d app", "'--service' needs a value"),
        ("--view=yes app", "'--view' takes no value"),
        ("--exporter datdog app", "'--exporter' cannot be 'datdog'; did you mean 'datadog'?"),
        ("--otlp-protocol x app", "'--otlp-protocol' cannot be 'x'; it can be grpc, http/protobuf, http/json"),
        ("--process-spans=yes app", "'--process-spans' cannot be 'yes'; it can be auto, true, false"),
        ("--set service app", "'--set service' is not of the form KEY=VALUE"),
        ("--set servic=a app", "'--set servic=…': there is no such setting; did you mean 'service'?"),
        ("--set DD_ENV=a app", "'--set DD_ENV=…': there is no such setting; did you mean 'env'?"),
        ("--set zz=a app", "'--set zz=…': there is no such setting; 'ddtrace-run --info' lists all"),
        ("view --set env", "'--set env' is not of the form KEY=VALUE"),
        ("--json app", "'--json' has a meaning only with '--info'"),
        ("--info --view app", "'--info' and '--view' exclude each other"),
        ("-d", "no program to start is given"),
        ("-d --", "no program to start is given"),
        ("--service web view", "'--service' has no meaning for 'view', a command of ddtrace-run itself"),
        ("-d completions zsh", "'--debug' has no meaning for 'completions', a command of ddtrace-run itself"),
        ("--info man", "'--info' has no meaning for 'man', a command of ddtrace-run itself"),
        ("view a b", "unexpected word 'b'"),
        ("view --last 0", "'--last' cannot be '0': it must be a whole number, one or more"),
        ("view --limit few", "'--limit' cannot be 'few': it must be a whole number, one or more"),
        ("view --min-duration 5", "'--min-duration' cannot be '5': it needs a unit: ns, us, ms, s, m or h"),
        ("view --sort length", "'--sort' cannot be 'length'; it can be start, duration"),
        ("view --all --limit 3", "'--all' and '--limit' exclude each other"),
        ("view --list --trace 1", "'--list' and '--trace' exclude each other"),
        ("completions fsh", "'SHELL' cannot be 'fsh'; did you mean 'fish'?"),
    ] {
        let found = complaint(line);
        assert!(found.starts_with(expected), "{line}: {found}");
    }
}

#[test]
fn errors_say_where_to_read_more() {
    let lines = |line: &str| complaint(line).lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        lines("-x app")[1..],
        ["Flags of ddtrace-run stand before the program; those of the program, after it.", "Try 'ddtrace-run --help'.",]
    );
    assert_eq!(lines("--service")[1..], ["Try 'ddtrace-run --help'."]);
    assert_eq!(lines("view -x")[1..], ["Try 'ddtrace-run view --help'."]);
}

#[test]
fn what_is_not_utf8_is_named_where_it_is_ours_and_kept_where_it_is_not() {
    let bad = || OsString::from_vec(b"\xff".to_vec());
    let complaint = |flag: &str| match interpret(vec![flag.into(), bad(), "app".into()]) {
        Err(error) => error.to_string(),
        Ok(other) => panic!("{other:?}"),
    };
    assert!(complaint("--service").starts_with(r#"the value of '--service' is not valid UTF-8: "\xFF""#));
    assert!(complaint("--exporter").starts_with(r#""\xFF" is not valid UTF-8"#));

    match interpret(vec!["--config".into(), bad(), bad(), bad()]) {
        Ok(Meaning::Act(found)) => {
            assert_eq!(found.config_file, Some(bad().into()));
            assert_eq!(found.action, Action::Run(Run { command: vec![bad(), bad()], ..Run::default() }));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_parser_is_sound_and_the_cut_knows_all_its_flags() {
    command().debug_assert();
    for arg in command().get_arguments() {
        let takes_value = arg.get_action().takes_values();
        assert!(!takes_value || arg.get_short().is_none(), "{}: the cut takes short flags for switches", arg.get_id());
        assert!(arg.get_long().is_some(), "{}: the cut knows of no word but the program", arg.get_id());
    }
}

/// Any word, with a preference for those that mean something to us.
fn word() -> impl Strategy<Value = OsString> {
    let ours: Vec<String> = command()
        .get_arguments()
        .filter_map(|arg| arg.get_long().map(|long| format!("--{long}")))
        .chain(
            ["-nc", "-d", "-p", "--", "-", "", "view", "man", "completions", "--set=env=a", "--tag", "a:b"]
                .map(String::from),
        )
        .collect();
    prop_oneof![
        proptest::sample::select(ours).prop_map(OsString::from),
        vec(any::<u8>().prop_filter("no argument has a NUL", |byte| *byte != 0), 0..12).prop_map(OsString::from_vec),
        "-{0,2}[a-z=-]{0,12}".prop_map(OsString::from),
    ]
}

fn own_flags() -> impl Strategy<Value = Vec<OsString>> {
    let flags = [
        "-d",
        "-nc",
        "-p",
        "--view",
        "--force",
        "--service=view",
        "--env man",
        "--tag a:b",
        "--set env=--",
        "--exporter otlp",
    ];
    vec(proptest::sample::select(flags.to_vec()), 0..6).prop_map(|flags| words(&flags.join(" ")))
}

fn command_of(line: Vec<OsString>) -> Vec<OsString> {
    match interpret(line) {
        Ok(Meaning::Act(Invocation { action: Action::Run(run), .. })) => run.command,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn no_words_whatever_make_it_panic(line in vec(word(), 0..8)) {
        if let Err(error) = interpret(line) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn what_follows_the_two_dashes_comes_back_byte_for_byte(flags in own_flags(), program in vec(word(), 1..8)) {
        let line = [flags, words("--"), program.clone()].concat();
        prop_assert_eq!(command_of(line), program);
    }

    #[test]
    fn what_follows_the_first_word_that_is_no_flag_comes_back_byte_for_byte(
        flags in own_flags(),
        name in "[a-z./]{1,6}",
        arguments in vec(word(), 0..8),
    ) {
        let program = [vec![OsString::from(name)], arguments].concat();
        prop_assume!(!is_subcommand(&program));
        prop_assert_eq!(command_of([flags, program.clone()].concat()), program);
    }

    #[test]
    fn a_tag_means_the_same_in_the_grammar_of_dd_tags(list in "[a-c:, ]{0,12}") {
        let found = settings_of_tags(&["--tag"], &list);
        let expected: Vec<_> = list.split(',').filter_map(tag).collect();
        prop_assert_eq!(dd_tags(&found[0].1), expected);
    }
}

/// The items of a `DD_TAGS` value: commas separate, or blanks where there is no comma.
fn dd_tags(list: &str) -> Vec<(String, String)> {
    list.split(if list.contains(',') { ',' } else { ' ' }).filter_map(tag).collect()
}

fn tag(item: &str) -> Option<(String, String)> {
    let (key, value) = item.split_once(':').unwrap_or((item, ""));
    (!key.trim().is_empty()).then(|| (key.trim().to_owned(), value.trim().to_owned()))
}
