//! The cases of W3C's own test suite for Trace Context, Level 2, and what the `tracestate` may grow to.

use super::*;

const T: &str = "12345678901234567890123456789012";
const P: &str = "1234567890123456";

/// Both dialects must pass the suite.
fn each_dialect(check: impl Fn(Propagation)) {
    check(styles(&[Style::TraceContext]));
    check(of_otel(&[Style::TraceContext]));
}

/// What a service that was sent these sends on, if it continued the trace.
fn sent_on(propagation: Propagation, headers: &[(&str, &str)]) -> Option<Headers> {
    let found = read(propagation, headers).context?;
    let sent = written_by_child(propagation, &found, 0xc41d);
    assert!(sent.get("traceparent").unwrap().starts_with(&format!("00-{T}-000000000000c41d-0")));
    Some(sent)
}

fn state_of(propagation: Propagation, states: &[&str]) -> String {
    let parent = format!("00-{T}-{P}-00");
    let mut headers = Headers::of(&[("traceparent", &parent)]);
    for state in states {
        headers = headers.and(&[("tracestate", state)]);
    }
    let found = propagation.extract(&headers, &mut NoBaggage).context.expect("a bad tracestate voids no traceparent");
    let sent = written_by_child(propagation, &found, 0xc41d);
    let own = "dd=p:000000000000c41d;s:0";
    let state = sent.get("tracestate").unwrap_or_default();
    state.strip_prefix(own).unwrap_or(state).trim_start_matches(',').to_string()
}

#[test]
fn traceparents() {
    let (long, short) = (format!("{T}0"), &T[..31]);
    let kept = [
        format!("00-{T}-{P}-01"),
        format!("00-{T}-{P}-00"),
        format!("cc-{T}-{P}-01"),
        format!("cc-{T}-{P}-01-what-the-future-will-be-like"),
        format!("01-{T}-{P}-01-xx"),
        format!(" 00-{T}-{P}-01"),
        format!("\t00-{T}-{P}-01"),
        format!("00-{T}-{P}-01 "),
        format!("00-{T}-{P}-01\t"),
        format!("\t 00-{T}-{P}-01 \t"),
    ];
    let new = [
        String::new(),
        format!("00-{T}-{P}-01."),
        format!("00-{T}-{P}-01-what-the-future-will-be-like"),
        format!("cc-{T}-{P}-01.what-the-future-will-be-like"),
        format!("ff-{T}-{P}-01"),
        format!(".0-{T}-{P}-01"),
        format!("0.-{T}-{P}-01"),
        format!("000-{T}-{P}-01"),
        format!("0000-{T}-{P}-01"),
        format!("0-{T}-{P}-01"),
        format!("00-00000000000000000000000000000000-{P}-01"),
        format!("00-.{}-{P}-01", &T[1..]),
        format!("00-{}.-{P}-01", &T[1..]),
        format!("00-{long}-{P}-01"),
        format!("00-{short}-{P}-01"),
        format!("00-{T}-0000000000000000-01"),
        format!("00-{T}-.{}-01", &P[1..]),
        format!("00-{T}-{}.-01", &P[1..]),
        format!("00-{T}-{P}0-01"),
        format!("00-{T}-{}-01", &P[1..]),
        format!("00-{T}-{P}-.0"),
        format!("00-{T}-{P}-0."),
        format!("00-{T}-{P}-001"),
        format!("00-{T}-{P}-1"),
        format!("00-{T}-ABCDEF0123456789-01"),
        format!("00-{T}-{P}-01\n"),
    ];
    each_dialect(|propagation| {
        for parent in &kept {
            assert!(sent_on(propagation, &[("traceparent", parent)]).is_some(), "{parent:?}");
        }
        for parent in &new {
            let found = read(propagation, &[("traceparent", parent), ("tracestate", "foo=1")]);
            assert_eq!(found.context, None, "{parent:?}");
        }
    });
}

#[test]
fn names_and_numbers_of_headers() {
    let parent = format!("00-{T}-{P}-01");
    let other = format!("00-{T}-{P}-00");
    each_dialect(|propagation| {
        for name in ["TraceParent", "TrAcEpArEnT", "TRACEPARENT"] {
            assert!(sent_on(propagation, &[(name, &parent)]).is_some());
        }
        for name in ["trace-parent", "trace.parent"] {
            assert!(sent_on(propagation, &[(name, &parent)]).is_none());
        }
        assert!(sent_on(propagation, &[("traceparent", &parent), ("traceparent", &other)]).is_none());
        assert!(sent_on(propagation, &[("traceparent", &parent), ("TraceParent", &parent)]).is_none());
        for name in ["TraceState", "TrAcEsTaTe", "TRACESTATE"] {
            let sent = sent_on(propagation, &[("traceparent", &parent), (name, "foo=1")]).unwrap();
            assert!(sent.get("tracestate").unwrap().ends_with(",foo=1"));
        }
        for name in ["trace-state", "trace.state"] {
            let sent = sent_on(propagation, &[("traceparent", &parent), (name, "foo=1")]).unwrap();
            assert!(!sent.get("tracestate").unwrap().contains("foo"));
        }
        assert!(sent_on(propagation, &[("tracestate", "foo=1")]).is_none());
    });
}

#[test]
fn the_random_flag_goes_on_and_unknown_ones_do_not() {
    each_dialect(|propagation| {
        for (flags, expected) in [("00", "00"), ("01", "01"), ("02", "02"), ("03", "03"), ("ff", "03"), ("fe", "02")] {
            let sent = sent_on(propagation, &[("traceparent", &format!("00-{T}-{P}-{flags}"))]).unwrap();
            assert_eq!(&sent.get("traceparent").unwrap()[53..], expected);
        }
    });
}

#[test]
fn a_malformed_member_of_datadogs_discards_only_itself() {
    let parent = format!("00-{T}-{P}-01");
    let long = format!("dd={}", "x".repeat(300));
    each_dialect(|propagation| {
        for member in ["dd=", "dd=zzz", "dd=o:a=b", "dd=s:2\u{7f}", &long] {
            let state = format!("{member},foo=1");
            let sent = sent_on(propagation, &[("traceparent", &parent), ("tracestate", &state)]).unwrap();
            assert!(sent.get("tracestate").unwrap().ends_with(",foo=1"), "{state:?}");
            assert!(!sent.get("tracestate").unwrap().contains("s:2"), "{state:?}");
        }
        // Of several the first counts, whatever it is.
        let sent = sent_on(propagation, &[("traceparent", &parent), ("tracestate", "dd=,foo=1,dd=s:2")]).unwrap();
        assert!(!sent.get("tracestate").unwrap().contains("s:2"));
    });
}

#[test]
fn tracestates() {
    let all_keys = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
    let all_values: String = (' '..='~').filter(|c| !",=".contains(*c)).collect();
    let everything = format!("{all_keys}={all_values},{all_keys}@a-z0-9_-*/={all_values}");
    let vendor = |tenant: usize, system: usize| format!("foo=1,{}@{}=1", "t".repeat(tenant), "v".repeat(system));
    let key = |length: usize| format!("foo=1,{}=1", "z".repeat(length));
    let kept: [&[&str]; 14] = [
        &["foo=1,bar=2"],
        &["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
        &["foo=1,foo=1"],
        &["foo=1,foo=2"],
        &["foo=1", "foo=1"],
        &["foo=1", "foo=2"],
        &[&everything],
        &["foo= 1"],
        &["foo@=1,bar=2"],
        &["foo@@bar=1,bar=2"],
        &["foo@bar@baz=1,bar=2"],
        &["0foo=1"],
        &[&key(256)],
        &[&vendor(241, 14)],
    ];
    let changed = [
        (&["", ""][..], ""),
        (&["foo=1", ""], "foo=1"),
        (&["", "foo=1"], "foo=1"),
        (&["foo=1,,bar=2,"], "foo=1,bar=2"),
        (&["foo=1 \t , \t bar=2, \t baz=3"], "foo=1,bar=2,baz=3"),
        (&["foo=1\t \t,\t \tbar=2,\t \tbaz=3"], "foo=1,bar=2,baz=3"),
        (&[" foo=1", "foo=2\t"], "foo=1,foo=2"),
    ];
    let dropped = [
        "foo =1",
        "FOO=1",
        "foo.bar=1",
        "@foo=1,bar=2",
        "foo=bar=baz",
        "foo=,bar=3",
        "foo,bar=3",
        "=1",
        "_foo=1",
        "foo=a\u{e9}",
        "foo=a\u{7f}",
    ];
    each_dialect(|propagation| {
        for states in kept {
            assert_eq!(state_of(propagation, states), states.join(","));
        }
        for (states, expected) in changed {
            assert_eq!(state_of(propagation, states), expected, "{states:?}");
        }
        for state in dropped {
            assert_eq!(state_of(propagation, &[state]), "", "{state}");
            assert_eq!(state_of(propagation, &["baz=1", state]), "", "{state}");
        }
        assert_eq!(state_of(propagation, &[&vendor(242, 1)]), vendor(242, 1));
        assert_eq!(state_of(propagation, &["foo=1,t@vvvvvvvvvvvvvvv=1"]), "foo=1,t@vvvvvvvvvvvvvvv=1");
        assert_eq!(state_of(propagation, &[&key(257)]), "");
        assert_eq!(state_of(propagation, &[&format!("a={}", "v".repeat(256))]), format!("a={}", "v".repeat(256)));
        assert_eq!(state_of(propagation, &[&format!("a={}", "v".repeat(257))]), "");
    });
}

fn members(count: usize) -> String {
    let all: Vec<String> = (0..count).map(|number| format!("bar{number:02}={number:02}")).collect();
    all.join(",")
}

#[test]
fn at_most_32_members() {
    let all = members(32);
    let four: Vec<&str> = [(0, 72), (72, 144), (144, 216), (216, all.len())].iter().map(|(a, b)| &all[*a..*b]).collect();
    each_dialect(|propagation| assert_eq!(state_of(propagation, &[&members(33)]), ""));
    // OpenTelemetry: the members of others go before our own. Datadog: its own is never dropped.
    assert_eq!(state_of(of_otel(&[Style::TraceContext]), &four), all);
    assert_eq!(state_of(styles(&[Style::TraceContext]), &four), members(31));
    let with_ot = format!("{},ot=th:8", members(31));
    let otel = of_otel(&[Style::TraceContext]);
    assert_eq!(state_of(otel, &[&with_ot]), members(31), "one of the two own members has room");
    assert_eq!(state_of(styles(&[Style::TraceContext]), &[&with_ot]), format!("ot=th:8,{}", members(30)));
}

#[test]
fn what_is_too_long_is_shortened_by_whole_members() {
    let long = |key: &str, length: usize| format!("{key}={}", "v".repeat(length - key.len() - 1));
    let own = "dd=p:000000000000c41d;s:0,".len();
    each_dialect(|propagation| {
        // Exactly 512 with our own.
        let fits = [long("a", 128), long("b", 128), long("c", 512 - own - 2 * 129)].join(",");
        assert_eq!(state_of(propagation, &[&fits]), fits);
        // One byte more: the member above 128 bytes goes, although it is not the last.
        let over = [long("a", 258), long("b", 128), long("c", 512 - own - 259 - 129 + 1)].join(",");
        assert_eq!(state_of(propagation, &[&over]), over.split_once(',').unwrap().1);
        // None is above 128: the last goes.
        let short = [long("a", 128), long("b", 128), long("c", 128), long("d", 128)].join(",");
        assert_eq!(state_of(propagation, &[&short]), short[..3 * 129 - 1]);
        // More than is ever kept.
        let huge = [long("x", 250), short.clone(), long("y", 20), long("z", 250)].join(",");
        assert_eq!(state_of(propagation, &[&huge]), short[..3 * 129 - 1]);
        let only = [long("x", 258), long("y", 258)].join(",");
        assert_eq!(state_of(propagation, &[&only]), long("x", 258));
    });
}

#[test]
fn an_empty_tracestate_is_not_written() {
    each_dialect(|propagation| {
        let context = TraceContext { span: span(1, 1, None), ..TraceContext::default() };
        assert_eq!(written(propagation, &context, &Baggage::default()).names(), ["traceparent"]);
    });
}

/// Found by fuzzing.
#[test]
fn empty_members_of_a_programs_own_state_are_not_written() {
    let mut context = TraceContext { span: span(1, 1, Some(1)), ..TraceContext::default() };
    for (state, expected) in [(",,,", "dd=s:1"), (",a=1,,b=2,", "dd=s:1,a=1,b=2"), ("", "dd=s:1")] {
        context.trace_state.set(state.as_bytes()).unwrap();
        each_dialect(|propagation| {
            assert_eq!(written(propagation, &context, &Baggage::default()).get("tracestate"), Some(expected));
        });
    }
}

#[test]
fn a_program_cannot_end_the_header() {
    let mut context = TraceContext { span: span(1, 1, Some(1)), ..TraceContext::default() };
    context.trace_state.set(b"a=1\r\nx: y").unwrap();
    for ot in ["\n", "th:8,x=y", ","] {
        context.ot.set(ot.as_bytes()).unwrap();
        each_dialect(|propagation| {
            assert_eq!(written(propagation, &context, &Baggage::default()).get("tracestate"), Some("dd=s:1"));
        });
    }
}
