//! The cases, under the names that the W3C's suite gives them.

use crate::harness::{Call, Harness};

/// A case: fails by a panic.
pub type Case = fn(&Harness);

const TRACE: &str = "12345678901234567890123456789012";
const PARENT: &str = "1234567890123456";
/// Valid, and not to be kept.
const VALID: &str = "00-12345678901234567890123456789012-1234567890123456-00";

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// Names and cases.
        pub const CASES: &[(&str, Case)] = &[$((stringify!($name), $name)),*];
    };
}

cases! {
    both_traceparent_and_tracestate_missing,
    traceparent_included_tracestate_missing,
    traceparent_duplicated,
    traceparent_header_name,
    traceparent_header_name_valid_casing,
    traceparent_version_0x00,
    traceparent_version_0xcc,
    traceparent_version_0xff,
    traceparent_version_illegal_characters,
    traceparent_version_too_long,
    traceparent_version_too_short,
    traceparent_trace_id_all_zero,
    traceparent_trace_id_illegal_characters,
    traceparent_trace_id_too_long,
    traceparent_trace_id_too_short,
    traceparent_parent_id_all_zero,
    traceparent_parent_id_illegal_characters,
    traceparent_parent_id_too_long,
    traceparent_parent_id_too_short,
    traceparent_trace_flags_illegal_characters,
    traceparent_trace_flags_too_long,
    traceparent_trace_flags_too_short,
    traceparent_ows_handling,
    tracestate_included_traceparent_missing,
    tracestate_included_traceparent_included,
    tracestate_header_name,
    tracestate_header_name_valid_casing,
    tracestate_empty_header,
    tracestate_multiple_headers_different_keys,
    tracestate_duplicated_keys,
    tracestate_all_allowed_characters,
    tracestate_ows_handling,
    tracestate_key_illegal_characters,
    tracestate_key_illegal_vendor_format,
    tracestate_member_count_limit,
    tracestate_key_length_limit,
    tracestate_value_illegal_characters,
    multiple_requests_with_valid_traceparent,
    multiple_requests_without_traceparent,
    multiple_requests_with_illegal_traceparent,
    propagates_random_flag,
}

/// The trace goes on, below a span of the service.
#[track_caller]
fn assert_kept(call: &Call) {
    let parent = call.parent();
    assert_eq!(parent.trace, TRACE, "the trace must go on");
    assert_ne!(parent.span, PARENT, "below a span of the service");
}

/// A new trace begins.
#[track_caller]
fn assert_new(harness: &Harness, traceparent: &str) {
    let call = harness.once(&[("traceparent", traceparent)]);
    let sent = traceparent.split('-').nth(1).unwrap_or_default();
    assert!(!sent.contains(&call.parent().trace), "{traceparent:?} must not be continued");
}

/// What a `tracestate` of these headers comes out as, with a valid `traceparent`.
fn state_of(harness: &Harness, states: &[&str]) -> Call {
    let mut headers = vec![("traceparent", VALID)];
    headers.extend(states.iter().map(|state| ("tracestate", *state)));
    let call = harness.once(&headers);
    assert_kept(&call);
    call
}

#[track_caller]
fn assert_members(call: &Call, expected: &[(&str, &str)]) {
    let found = call.state();
    let found: Vec<(&str, &str)> = found.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(found, expected);
}

fn both_traceparent_and_tracestate_missing(harness: &Harness) {
    harness.once(&[]).parent();
}

fn traceparent_included_tracestate_missing(harness: &Harness) {
    assert_kept(&harness.once(&[("traceparent", &format!("00-{TRACE}-{PARENT}-01"))]));
}

fn traceparent_duplicated(harness: &Harness) {
    let call = harness.once(&[
        ("traceparent", "00-12345678901234567890123456789011-1234567890123456-01"),
        ("traceparent", "00-12345678901234567890123456789012-1234567890123456-01"),
    ]);
    let trace = call.parent().trace;
    assert!(trace != "12345678901234567890123456789011" && trace != TRACE);
}

fn traceparent_header_name(harness: &Harness) {
    for name in ["trace-parent", "trace.parent"] {
        assert_ne!(harness.once(&[(name, &format!("00-{TRACE}-{PARENT}-01"))]).parent().trace, TRACE, "{name}");
    }
}

fn traceparent_header_name_valid_casing(harness: &Harness) {
    for name in ["TraceParent", "TrAcEpArEnT", "TRACEPARENT"] {
        assert_kept(&harness.once(&[(name, &format!("00-{TRACE}-{PARENT}-01"))]));
    }
}

fn traceparent_version_0x00(harness: &Harness) {
    for end in ["01.", "01-what-the-future-will-be-like"] {
        assert_new(harness, &format!("00-{TRACE}-{PARENT}-{end}"));
    }
}

fn traceparent_version_0xcc(harness: &Harness) {
    for end in ["01", "01-what-the-future-will-be-like"] {
        assert_kept(&harness.once(&[("traceparent", &format!("cc-{TRACE}-{PARENT}-{end}"))]));
    }
    assert_new(harness, &format!("cc-{TRACE}-{PARENT}-01.what-the-future-will-be-like"));
}

fn traceparent_version_0xff(harness: &Harness) {
    assert_new(harness, &format!("ff-{TRACE}-{PARENT}-01"));
}

fn traceparent_version_illegal_characters(harness: &Harness) {
    for version in [".0", "0."] {
        assert_new(harness, &format!("{version}-{TRACE}-{PARENT}-01"));
    }
}

fn traceparent_version_too_long(harness: &Harness) {
    for version in ["000", "0000"] {
        assert_new(harness, &format!("{version}-{TRACE}-{PARENT}-01"));
    }
}

fn traceparent_version_too_short(harness: &Harness) {
    assert_new(harness, &format!("0-{TRACE}-{PARENT}-01"));
}

fn traceparent_trace_id_all_zero(harness: &Harness) {
    assert_new(harness, &format!("00-{}-{PARENT}-01", "0".repeat(32)));
}

fn traceparent_trace_id_illegal_characters(harness: &Harness) {
    for trace in [".2345678901234567890123456789012", "1234567890123456789012345678901."] {
        assert_new(harness, &format!("00-{trace}-{PARENT}-01"));
    }
}

fn traceparent_trace_id_too_long(harness: &Harness) {
    let call = harness.once(&[("traceparent", &format!("00-{TRACE}3-{PARENT}-01"))]);
    let trace = call.parent().trace;
    assert!(trace != TRACE && trace != "23456789012345678901234567890123");
}

fn traceparent_trace_id_too_short(harness: &Harness) {
    assert_new(harness, &format!("00-{}-{PARENT}-01", &TRACE[..31]));
}

fn traceparent_parent_id_all_zero(harness: &Harness) {
    assert_new(harness, &format!("00-{TRACE}-{}-01", "0".repeat(16)));
}

fn traceparent_parent_id_illegal_characters(harness: &Harness) {
    for parent in [".234567890123456", "123456789012345."] {
        assert_new(harness, &format!("00-{TRACE}-{parent}-01"));
    }
}

fn traceparent_parent_id_too_long(harness: &Harness) {
    assert_new(harness, &format!("00-{TRACE}-{PARENT}7-01"));
}

fn traceparent_parent_id_too_short(harness: &Harness) {
    assert_new(harness, &format!("00-{TRACE}-{}-01", &PARENT[..15]));
}

fn traceparent_trace_flags_illegal_characters(harness: &Harness) {
    for flags in [".0", "0."] {
        assert_new(harness, &format!("00-{TRACE}-{PARENT}-{flags}"));
    }
}

fn traceparent_trace_flags_too_long(harness: &Harness) {
    assert_new(harness, &format!("00-{TRACE}-{PARENT}-001"));
}

fn traceparent_trace_flags_too_short(harness: &Harness) {
    assert_new(harness, &format!("00-{TRACE}-{PARENT}-1"));
}

fn traceparent_ows_handling(harness: &Harness) {
    let value = format!("00-{TRACE}-{PARENT}-01");
    for (before, after) in [(" ", ""), ("\t", ""), ("", " "), ("", "\t"), ("\t ", " \t")] {
        assert_kept(&harness.once(&[("traceparent", &format!("{before}{value}{after}"))]));
    }
}

fn tracestate_included_traceparent_missing(harness: &Harness) {
    let one = harness.once(&[("tracestate", "foo=1")]);
    let two = harness.once(&[("tracestate", "foo=1,bar=2")]);
    one.parent();
    two.parent();
    assert_eq!(one.state().len(), two.state().len());
}

fn tracestate_included_traceparent_included(harness: &Harness) {
    assert_members(&state_of(harness, &["foo=1,bar=2"]), &[("foo", "1"), ("bar", "2")]);
}

fn tracestate_header_name(harness: &Harness) {
    for name in ["trace-state", "trace.state"] {
        let call = harness.once(&[("traceparent", VALID), (name, "foo=1")]);
        assert_eq!(call.member("foo"), None, "{name}");
    }
}

fn tracestate_header_name_valid_casing(harness: &Harness) {
    for name in ["TraceState", "TrAcEsTaTe", "TRACESTATE"] {
        let call = harness.once(&[("traceparent", VALID), (name, "foo=1")]);
        assert_kept(&call);
        assert_members(&call, &[("foo", "1")]);
    }
}

fn tracestate_empty_header(harness: &Harness) {
    assert_members(&state_of(harness, &[""]), &[]);
    assert_members(&state_of(harness, &["foo=1", ""]), &[("foo", "1")]);
    assert_members(&state_of(harness, &["", "foo=1"]), &[("foo", "1")]);
}

fn tracestate_multiple_headers_different_keys(harness: &Harness) {
    let call = state_of(harness, &["foo=1,bar=2", "rojo=1,congo=2", "baz=3"]);
    assert_members(&call, &[("foo", "1"), ("bar", "2"), ("rojo", "1"), ("congo", "2"), ("baz", "3")]);
}

fn tracestate_duplicated_keys(harness: &Harness) {
    for states in [&["foo=1,foo=1"][..], &["foo=1,foo=2"], &["foo=1", "foo=1"], &["foo=1", "foo=2"]] {
        let value = state_of(harness, states).member("foo");
        assert!(matches!(value.as_deref(), Some("1" | "2")), "{states:?}: {value:?}");
    }
}

fn tracestate_all_allowed_characters(harness: &Harness) {
    let letters: String = ('a'..='z').collect();
    let key = format!("{letters}0123456789_-*/");
    let vendor = format!("{key}@a-z0-9_-*/");
    // From the blank to the tilde, without comma and equals sign; a blank must not come last.
    let value: String = (' '..='~').filter(|c| !matches!(c, ',' | '=')).collect();
    for key in [key, vendor] {
        let call = state_of(harness, &[&format!("{key}={value}")]);
        assert_members(&call, &[(&key, &value)]);
    }
}

fn tracestate_ows_handling(harness: &Harness) {
    for state in [
        "foo=1 \t , \t bar=2, \t baz=3",
        "foo=1\t \t,\t \tbar=2,\t \tbaz=3",
        " foo=1,bar=2,baz=3",
        "foo=1,bar=2,baz=3\t",
    ] {
        assert_members(&state_of(harness, &[state]), &[("foo", "1"), ("bar", "2"), ("baz", "3")]);
    }
    let call = state_of(harness, &["foo=1\t \t", "\t \tbar=2", "\t baz=3 \t"]);
    assert_members(&call, &[("foo", "1"), ("bar", "2"), ("baz", "3")]);
}

fn tracestate_key_illegal_characters(harness: &Harness) {
    for (state, key) in [("foo =1", "foo "), ("FOO=1", "FOO"), ("foo.bar=1", "foo.bar")] {
        let call = state_of(harness, &[state]);
        assert_eq!((call.member(key), call.member(key.trim())), (None, None), "{state:?}");
    }
}

fn tracestate_key_illegal_vendor_format(harness: &Harness) {
    assert_members(&state_of(harness, &["@foo=1,bar=2"]), &[]);
    for key in ["foo@", "foo@@bar", "foo@bar@baz"] {
        let call = state_of(harness, &[&format!("{key}=1,bar=2")]);
        assert_members(&call, &[(key, "1"), ("bar", "2")]);
    }
}

fn tracestate_member_count_limit(harness: &Harness) {
    let members = |range: std::ops::RangeInclusive<u32>| {
        range.map(|number| format!("bar{number:02}={number:02}")).collect::<Vec<_>>().join(",")
    };
    let four = [members(1..=10), members(11..=20), members(21..=30), members(31..=32)];
    let four: Vec<&str> = four.iter().map(String::as_str).collect();
    let state = state_of(harness, &four).state();
    assert_eq!(state.len(), 32);
    assert!((1..=32).all(|number| state[number - 1].0 == format!("bar{number:02}")), "{state:?}");
    let one_more = members(33..=33);
    let five: Vec<&str> = four.into_iter().chain([one_more.as_str()]).collect();
    assert_members(&state_of(harness, &five), &[]);
}

fn tracestate_key_length_limit(harness: &Harness) {
    assert_members(&state_of(harness, &["foo=1", &format!("{}=1", "z".repeat(257))]), &[]);
    for key in [
        "z".repeat(256),
        format!("{}@{}", "t".repeat(241), "v".repeat(14)),
        format!("{}@v", "t".repeat(242)),
        format!("t@{}", "v".repeat(15)),
    ] {
        let call = state_of(harness, &["foo=1", &format!("{key}=1")]);
        assert_members(&call, &[("foo", "1"), (&key, "1")]);
    }
}

fn tracestate_value_illegal_characters(harness: &Harness) {
    assert_eq!(state_of(harness, &["foo=bar=baz"]).member("foo"), None);
    assert_members(&state_of(harness, &["foo=,bar=3"]), &[]);
}

/// Three calls of one request: one trace, a span of its own for each.
#[track_caller]
fn assert_three(calls: &[Call]) -> String {
    let parents: Vec<_> = calls.iter().map(Call::parent).collect();
    let [one, two, three] = &parents[..] else { panic!("three calls") };
    assert!(one.trace == two.trace && two.trace == three.trace, "{parents:?}");
    assert!(one.span != two.span && two.span != three.span && one.span != three.span, "{parents:?}");
    one.trace.clone()
}

fn multiple_requests_with_valid_traceparent(harness: &Harness) {
    let calls = harness.times(3, &[("traceparent", &format!("00-{TRACE}-{PARENT}-01"))]);
    assert_eq!(assert_three(&calls), TRACE);
    assert!(calls.iter().all(|call| call.parent().span != PARENT));
}

fn multiple_requests_without_traceparent(harness: &Harness) {
    assert_three(&harness.times(3, &[]));
}

fn multiple_requests_with_illegal_traceparent(harness: &Harness) {
    assert_three(&harness.times(3, &[("traceparent", &format!("00-{}-{PARENT}-01", "0".repeat(32)))]));
}

fn propagates_random_flag(harness: &Harness) {
    let call = harness.once(&[("traceparent", &format!("00-{TRACE}-{PARENT}-02"))]);
    assert_kept(&call);
    assert_eq!(call.parent().flags & 0x02, 0x02, "{:?}", call.parent());
}
