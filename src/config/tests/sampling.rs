//! Rules, rate and sampler: what is read, how they combine, and what children get.

use super::*;
use crate::sampling::{Base, SamplingConfig};
use std::vec::Vec;

const RULES: (&str, &str) = ("DD_TRACE_SAMPLING_RULES", r#"[{"service":"shop","sample_rate":0.5}]"#);
const RATE: (&str, &str) = ("DD_TRACE_SAMPLE_RATE", "0.25");

fn sampler(name: &'static str) -> (&'static str, &'static str) {
    ("OTEL_TRACES_SAMPLER", name)
}

fn argument(text: &'static str) -> (&'static str, &'static str) {
    ("OTEL_TRACES_SAMPLER_ARG", text)
}

/// The rates of the rules in order.
fn rates(config: &SamplingConfig) -> Vec<f64> {
    let set = config.rules.as_set();
    (0..set.len()).filter_map(|index| set.get(index)).map(|rule| rule.rate).collect()
}

fn told(resolution: &Resolution) -> String {
    warnings(resolution, Path::new("/nowhere"))
}

#[test]
fn samplers_of_opentelemetry() {
    let near = |text: &str, ratio: &str| {
        format!("OTEL_TRACES_SAMPLER=\"{text}\" would fetch its rates from Jaeger, which is not done; using {ratio}")
    };
    let wrong = |text: &str| format!("OTEL_TRACES_SAMPLER_ARG=\"{text}\" is not a ratio from 0 to 1; using 1");
    let none = String::new;
    for (name, arg, base, respects_parent, warning) in [
        ("", "", Base::Agent, true, none()),
        ("always_on", "", Base::Rate(1.0), false, none()),
        ("ALWAYS_ON", "0.5", Base::Rate(1.0), false, none()),
        ("always_off", "", Base::Rate(0.0), false, none()),
        ("traceidratio", "0.25", Base::Ratio(0.25), false, none()),
        ("traceidratio", "", Base::Ratio(1.0), false, none()),
        ("traceidratio", " 0 ", Base::Ratio(0.0), false, none()),
        ("parentbased_always_on", "", Base::Rate(1.0), true, none()),
        ("parentbased_always_off", "", Base::Rate(0.0), true, none()),
        ("parentbased_traceidratio", "0.1", Base::Rate(0.1), true, none()),
        ("parentbased_traceidratio", "1.5", Base::Rate(1.0), true, wrong("1.5")),
        ("parentbased_traceidratio", "-0.1", Base::Rate(1.0), true, wrong("-0.1")),
        ("traceidratio", "half", Base::Ratio(1.0), false, wrong("half")),
        ("traceidratio", "NaN", Base::Ratio(1.0), false, wrong("NaN")),
        (
            "jaeger_remote",
            "endpoint=http://j:14250,pollingIntervalMs=5000,initialSamplingRate=0.25",
            Base::Ratio(0.25),
            false,
            near("jaeger_remote", "traceidratio with 0.25"),
        ),
        (
            "parentbased_jaeger_remote",
            "endpoint=http://j:14250",
            Base::Rate(1.0),
            true,
            near("parentbased_jaeger_remote", "parentbased_traceidratio with 1"),
        ),
        (
            "xray",
            "endpoint=http://x:2000",
            Base::Rate(1.0),
            true,
            "OTEL_TRACES_SAMPLER=\"xray\" would fetch its rules from AWS X-Ray, which is not done; using parentbased_always_on".into(),
        ),
        (
            "sometimes",
            "0.5",
            Base::Agent,
            true,
            "OTEL_TRACES_SAMPLER=\"sometimes\" is none of always_on, always_off, traceidratio, parentbased_always_on, \
             parentbased_always_off, parentbased_traceidratio, jaeger_remote, parentbased_jaeger_remote, xray; using the \
             Agent's rates; everything is kept until there are some"
                .into(),
        ),
    ] {
        let resolution = resolved(&[("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", arg)]);
        let sampling = &resolution.config.sampling;
        assert_eq!((sampling.base, sampling.respects_parent), (base, respects_parent), "{name} {arg}");
        assert_eq!(told(&resolution), warning, "{name} {arg}");
    }
}

#[test]
fn the_families_combine() {
    let bare = "OTEL_TRACES_SAMPLER=\"always_off\" overrules the parent's decision, which rules do not; using parentbased_always_off";
    for (pairs, rates_expected, base, respects_parent, warning) in [
        (&[][..], &[][..], Base::Agent, true, ""),
        (&[RULES], &[0.5], Base::Agent, true, ""),
        (&[RATE], &[0.25], Base::Agent, true, ""),
        (&[RULES, RATE], &[0.5, 0.25], Base::Agent, true, ""),
        (&[RULES, sampler("parentbased_always_off")], &[0.5], Base::Rate(0.0), true, ""),
        (&[RULES, sampler("always_off")], &[0.5], Base::Rate(0.0), true, bare),
        (&[RULES, sampler("parentbased_traceidratio"), argument("0.1")], &[0.5], Base::Rate(0.1), true, ""),
        (
            &[RULES, sampler("jaeger_remote")],
            &[0.5],
            Base::Rate(1.0),
            true,
            "OTEL_TRACES_SAMPLER=\"jaeger_remote\" would fetch its rates from Jaeger, which is not done; using parentbased_traceidratio with 1\n\
             OTEL_TRACES_SAMPLER=\"jaeger_remote\" overrules the parent's decision, which rules do not; using parentbased_traceidratio",
        ),
        (&[RATE, sampler("parentbased_always_on")], &[0.25], Base::Rate(1.0), true, ""),
        (&[("DD_TRACE_SAMPLING_RULES", "[]"), sampler("always_off")], &[], Base::Rate(0.0), false, ""),
        (&[("DD_TRACE_SAMPLING_RULES", ""), sampler("always_on")], &[], Base::Rate(1.0), false, ""),
    ] {
        let resolution = resolved(pairs);
        let sampling = &resolution.config.sampling;
        assert_eq!(rates(sampling), rates_expected, "{pairs:?}");
        assert_eq!((sampling.base, sampling.respects_parent), (base, respects_parent), "{pairs:?}");
        assert_eq!(told(&resolution), warning, "{pairs:?}");
    }
}

#[test]
fn a_sampler_of_a_stronger_source_stands_alone() {
    let file = "[sampling]\nrate = 0.25\nrules = [{ service = \"shop\", sample_rate = 0.5 }]\n";
    let host = Host::new().file(USER, file).envs(&[sampler("always_on")]);
    let resolution = host.resolve();
    assert_eq!(rates(&resolution.config.sampling), [0.0; 0]);
    assert_eq!((resolution.config.sampling.base, resolution.config.sampling.respects_parent), (Base::Rate(1.0), false));
    assert_eq!(
        warnings(&resolution, &host.sources.root),
        "/home/.config/ddtrace/ddtrace.toml:3: sampling.rules is of a weaker source than OTEL_TRACES_SAMPLER=\"always_on\"; going on without it\n\
         /home/.config/ddtrace/ddtrace.toml:2: sampling.rate is of a weaker source than OTEL_TRACES_SAMPLER=\"always_on\"; going on without it"
    );
    assert!(resolution.hand_on.is_empty(), "they would win in a tracer of Datadog's");
    // Rules of the environment go before a sampler of a file.
    let host = Host::new().file(USER, "sampling.sampler = \"parentbased_always_off\"\n").envs(&[RULES]);
    let sampling = host.resolve().config.sampling;
    assert_eq!((rates(&sampling), sampling.base), (std::vec![0.5], Base::Rate(0.0)));
}

#[test]
fn rules_are_json_in_variables_and_json_or_tables_in_files() {
    let tables = "[[sampling.rules]]\nservice = \"shop\"\nsample_rate = 0.5\nmax_per_second = 1_0\n\n\
                  [[sampling.rules]]\ntags = { \"http.status_code\" = 500, error = true }\nsample_rate = 1\n";
    let inline = "sampling.rules = [{ service = \"shop\", sample_rate = 0.5, max_per_second = 10 }, { tags = { \"http.status_code\" = \"500\", error = \"true\" }, sample_rate = 1.0 }]\n";
    let quoted = "sampling.rules = '[{\"service\":\"shop\",\"sample_rate\":0.5,\"max_per_second\":10},{\"tags\":{\"http.status_code\":500,\"error\":true},\"sample_rate\":1}]'\n";
    let in_files = [tables, inline, quoted].map(|file| Host::new().file(USER, file).resolve());
    for resolution in &in_files {
        assert_eq!(told(resolution), "");
        assert_eq!(resolution.config.sampling.rules, in_files[0].config.sampling.rules);
        assert_eq!(rates(&resolution.config.sampling), [0.5, 1.0]);
    }
    // What is handed on is what the variable would have said.
    let child = in_files[0].hand_on.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>();
    assert_eq!(resolved(&child).config.sampling, in_files[0].config.sampling);
}

#[test]
fn mistakes_in_rules_name_their_place() {
    let host = Host::new()
        .file(
            USER,
            "sampling.rules = [{ sample_rate = 2 }, { service = 5, sample_rate = 1 }]\nsampling.rate = \"0.5\"\n",
        )
        .env("DD_TRACE_SAMPLING_RULES", "[{\"sample_rate\":")
        .env("DD_TRACE_RATE_LIMIT", "many");
    let resolution = host.resolve();
    assert_eq!(rates(&resolution.config.sampling), [1.0], "the file's turn");
    assert_eq!(
        warnings(&resolution, &host.sources.root),
        "/home/.config/ddtrace/ddtrace.toml:1: sampling.rules: rule 1 has the sample_rate 2, which is not between 0 and 1; using 1\n\
         /home/.config/ddtrace/ddtrace.toml:1: sampling.rules: rule 2 has a service that is a number, but must be text; going on without it\n\
         DD_TRACE_SAMPLING_RULES=\"[{\\\"sample_rate\\\":\" is not JSON (EOF while parsing a value at line 1 column 16); using \
         [{\"sample_rate\":2},{\"sample_rate\":1,\"service\":5}] (/home/.config/ddtrace/ddtrace.toml:1)\n\
         /home/.config/ddtrace/ddtrace.toml:2: sampling.rate = \"0.5\" is of type string, but must be a number from 0 to 1 without quotes; using none\n\
         DD_TRACE_RATE_LIMIT=\"many\" is not a whole number; using 100"
    );
}

#[test]
fn rates_out_of_range_and_limits_without_use() {
    let resolution = resolved(&[("DD_TRACE_SAMPLE_RATE", "1.5"), ("DD_TRACE_RATE_LIMIT", "-1")]);
    assert_eq!(rates(&resolution.config.sampling), [1.0]);
    assert_eq!(resolution.config.sampling.rate_limit, -1);
    assert_eq!(told(&resolution), "DD_TRACE_SAMPLE_RATE=\"1.5\" is not between 0 and 1; using 1");
    let resolution = resolved(&[("DD_TRACE_RATE_LIMIT", "50")]);
    assert_eq!(told(&resolution), "DD_TRACE_RATE_LIMIT=\"50\" has no effect without sampling rules or a sampling rate");
    assert_eq!(resolved(&[]).config.sampling, SamplingConfig::default());
}

#[test]
fn rules_for_single_spans_are_in_a_variable_or_in_a_file() {
    const JSON: &str = r#"[{"name":"payment.*"}]"#;
    let host = Host::new().file("/rules.json", JSON).file("/bad.json", "{}").file("/poor.json", "[{}]");
    let path = |name| host.path(name).to_str().unwrap().to_string();
    let of = |pairs: &[(&str, &str)]| {
        let resolution = resolved(pairs);
        (resolution.config.sampling.span_rules.as_set().len(), warnings(&resolution, &host.sources.root))
    };
    let file = |name| [("DD_SPAN_SAMPLING_RULES_FILE", path(name))];
    let alone = |name| of(&[("DD_SPAN_SAMPLING_RULES_FILE", &file(name)[0].1)]);
    assert_eq!(of(&[("DD_SPAN_SAMPLING_RULES", JSON)]), (1, String::new()));
    assert_eq!(alone("/rules.json"), (1, String::new()));
    assert_eq!(
        alone("/none.json"),
        (
            0,
            "DD_SPAN_SAMPLING_RULES_FILE=\"/none.json\" does not exist; going on without rules for single spans".into()
        )
    );
    assert_eq!(
        alone("/bad.json"),
        (0, "/bad.json is an object, but must be a JSON list of rules; going on without rules for single spans".into())
    );
    assert_eq!(alone("/poor.json"), (0, "/poor.json: rule 1 has neither service nor name; going on without it".into()));
    let both = [("DD_SPAN_SAMPLING_RULES", "[]"), ("DD_SPAN_SAMPLING_RULES_FILE", &path("/rules.json"))];
    assert_eq!(of(&both), (0, "DD_SPAN_SAMPLING_RULES_FILE is not read, as there is DD_SPAN_SAMPLING_RULES".into()));
}

#[test]
fn children_of_both_dialects_hear_of_it() {
    let check = |host: &Host, expected: &[(&str, &str)]| {
        let mut variables = host.resolve().hand_on;
        variables.sort();
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(variables, expected, "{:?}", host.sources);
    };
    let ratio = ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
    // Rules cannot be said in OpenTelemetry's words; a rate can.
    check(&Host::new().envs(&[RULES]), &[]);
    check(&Host::new().envs(&[RATE]), &[ratio, ("OTEL_TRACES_SAMPLER_ARG", "0.25")]);
    check(&Host::new().envs(&[RATE, sampler("always_on")]), &[]);
    // Datadog's tracers read OpenTelemetry's sampler themselves.
    check(&Host::new().envs(&[sampler("traceidratio"), argument("0.1")]), &[]);
    check(
        &Host::new().file(USER, "[sampling]\nrate = 0.25\nrate_limit = -1\nsampler = \"always_on\"\n"),
        &[("DD_TRACE_RATE_LIMIT", "-1"), ("DD_TRACE_SAMPLE_RATE", "0.25"), ratio, ("OTEL_TRACES_SAMPLER_ARG", "0.25")],
    );
    check(
        &Host::new().file(USER, "[sampling]\nsampler = \"traceidratio\"\nsampler_arg = \"0.1\"\n"),
        &[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.1")],
    );
    // The command line overrules the environment.
    check(
        &Host::new().envs(&[RATE, sampler("always_on")]).cli("sampling.rate", "0.5"),
        &[("DD_TRACE_SAMPLE_RATE", "0.5"), ratio, ("OTEL_TRACES_SAMPLER_ARG", "0.5")],
    );
    let span_rules = "sampling.span_rules = [{ name = \"x\" }]\n";
    check(&Host::new().file(USER, span_rules), &[("DD_SPAN_SAMPLING_RULES", r#"[{"name":"x"}]"#)]);
}
