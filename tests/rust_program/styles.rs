//! Every style of propagation, and what is taken of a request: through Rust, and from there through C.

use super::native::{Run, SENDER, TRACE};
use ddtrace_test_support::Agent;

/// The headers of a request.
type Request = Vec<(&'static str, String)>;

/// The span of a name, as its id is written.
fn id(run: &Run, name: &str) -> String {
    run.span(name).span_id.clone()
}

#[test]
fn each_style_is_read_and_written_by_both() {
    let low = &TRACE[16..];
    let trace_of_xray = format!("Root=1-{}-{}", &TRACE[..8], &TRACE[8..]);
    let cases: [(&str, Request, &str, String); 6] = [
        (
            "tracecontext",
            vec![("traceparent", format!("00-{TRACE}-{SENDER}-01"))],
            "traceparent",
            format!("00-{TRACE}-@-01"),
        ),
        ("b3", vec![("b3", format!("{TRACE}-{SENDER}-1"))], "b3", format!("{TRACE}-@-1")),
        (
            "b3multi",
            vec![("x-b3-traceid", TRACE.into()), ("x-b3-spanid", SENDER.into()), ("x-b3-sampled", "1".into())],
            "x-b3-spanid",
            "@".into(),
        ),
        (
            "jaeger",
            vec![("uber-trace-id", format!("{TRACE}:{SENDER}:0:1"))],
            "uber-trace-id",
            format!("{TRACE}:@:0:01"),
        ),
        (
            "xray",
            vec![("x-amzn-trace-id", format!("{trace_of_xray};Parent={SENDER};Sampled=1"))],
            "x-amzn-trace-id",
            format!("{trace_of_xray};Parent=@;Sampled=1"),
        ),
        (
            "ottrace",
            vec![
                ("ot-tracer-traceid", low.into()),
                ("ot-tracer-spanid", SENDER.into()),
                ("ot-tracer-sampled", "true".into()),
                ("ot-baggage-user", "7".into()),
            ],
            "ot-tracer-spanid",
            "@".into(),
        ),
    ];
    let agent = Agent::start();
    for (style, request, header, expected) in &cases {
        let request: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let run = Run::with(&agent, "rust", &request, &[("DD_TRACE_PROPAGATION_STYLE", style)]);
        let (rust, handed) = (run.span("rust"), run.span("native.handed"));
        // That style has the low half only.
        let trace = if *style == "ottrace" { format!("{:0>32}", low) } else { TRACE.to_owned() };
        assert_eq!((&rust.trace_id, rust.parent_id.as_deref()), (&trace, Some(SENDER)), "{style}: {rust:#?}");
        assert_eq!(
            (&handed.trace_id, handed.parent_id.as_ref()),
            (&trace, Some(&rust.span_id)),
            "{style}: {handed:#?}"
        );
        for who in ["rust", "native.handed"] {
            let sent = &run.sent[who];
            let value =
                sent.iter().find(|(name, _)| name.eq_ignore_ascii_case(header)).map(|(_, value)| value.as_str());
            assert_eq!(value, Some(expected.replace('@', &id(&run, who)).as_str()), "{style}: {who}: {sent:#?}");
            let baggage = sent.get("ot-baggage-user").map(String::as_str);
            assert_eq!(baggage, (*style == "ottrace").then_some("7"), "{style}: {who}: {sent:#?}");
        }
    }
}

/// A request in Datadog's style, with baggage.
const REQUEST: [(&str, &str); 5] = [
    ("x-datadog-trace-id", "11803532876627986230"),
    ("x-datadog-parent-id", "67667974448284343"),
    ("x-datadog-sampling-priority", "2"),
    ("x-datadog-tags", "_dd.p.tid=4bf92f3577b34da6"),
    ("baggage", "user.id=7"),
];

#[test]
fn none_is_nothing_or_turns_all_off() {
    let agent = Agent::start();
    for (settings, goes_on) in [
        (&[("DD_TRACE_PROPAGATION_STYLE", "none")][..], false),
        (&[("OTEL_PROPAGATORS", "none,tracecontext,datadog")], false),
        (&[("DD_TRACE_PROPAGATION_STYLE_EXTRACT", "none"), ("DD_TRACE_PROPAGATION_STYLE_INJECT", "none")], false),
        (&[("DD_TRACE_PROPAGATION_STYLE", "none,datadog")], true),
    ] {
        let run = Run::with(&agent, "rust", &REQUEST, settings);
        let rust = run.span("rust");
        assert_eq!((rust.trace_id == TRACE, rust.parent_id.is_some()), (goes_on, goes_on), "{settings:?}: {rust:#?}");
        assert_eq!(run.sent.contains_key("rust"), goes_on, "{settings:?}: {:#?}", run.sent);
        assert_eq!(run.span("native.handed").parent_id.is_some(), goes_on, "{settings:?}");
    }
}

#[test]
fn of_several_styles_the_first_alone_counts_where_it_is_said_so() {
    let styles = ("DD_TRACE_PROPAGATION_STYLE", "tracecontext,datadog");
    let agent = Agent::start();
    for (first, goes_on) in [("false", true), ("true", false)] {
        let run = Run::with(&agent, "rust", &REQUEST, &[styles, ("DD_TRACE_PROPAGATION_EXTRACT_FIRST", first)]);
        let rust = run.span("rust");
        assert_eq!((rust.trace_id == TRACE, rust.parent_id.is_some()), (goes_on, goes_on), "{first}: {rust:#?}");
    }
}

#[test]
fn a_trace_is_continued_restarted_or_ignored() {
    let agent = Agent::start();
    for (behaviour, goes_on, links, baggage) in
        [("continue", true, 0, true), ("restart", false, 1, true), ("ignore", false, 0, false)]
    {
        for how in ["rust", "span"] {
            let run = Run::with(&agent, how, &REQUEST, &[("DD_TRACE_PROPAGATION_BEHAVIOR_EXTRACT", behaviour)]);
            // Of the one who takes the request.
            let root = run.span(if how == "rust" { "rust" } else { "native.request" });
            assert_eq!(
                (root.trace_id == TRACE, root.parent_id.is_some()),
                (goes_on, goes_on),
                "{behaviour}: {root:#?}"
            );
            assert_eq!(root.links.len(), links, "{behaviour}: {root:#?}");
            for (trace, span, attributes) in &root.links {
                assert_eq!((trace.as_str(), span.as_str()), (TRACE, SENDER), "{root:#?}");
                assert_eq!(attributes["reason"], "propagation_behavior_extract", "{root:#?}");
            }
            assert_eq!(root.text("baggage.user.id"), baggage.then_some("7"), "{behaviour}: {root:#?}");
            assert_eq!(run.sent["rust"].contains_key("baggage"), baggage, "{behaviour}: {how}: {:#?}", run.sent);
        }
    }
}
