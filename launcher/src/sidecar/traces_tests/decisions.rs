//! Which verdict each part of a trace is sent with.

use super::*;

#[test]
fn one_trace_that_comes_in_twice_is_sent_as_each_request_was_told() {
    for is_overlapping in [false, true] {
        let mut story = Story::new();
        let requests = [(1, 2, &b"rum"[..]), (3, -1, b"")];
        let begin = |story: &mut Story, (id, priority, origin): (u64, i64, &[u8])| {
            story.record(1, |record| record.span_start(SpanId(id), &root(7)));
            story.record(1, |record| {
                record.amend(SpanId(id));
                record.integer(Key::SamplingPriority, priority);
                record.text(Key::Origin, origin);
            });
            story.record(1, |record| record.span(SpanId(id + 1), &body(7, id, 0), &END));
        };
        let end = |story: &mut Story, id: u64| {
            story.record(1, |record| record.span_end(SpanId(id), &END));
        };
        if is_overlapping {
            requests.into_iter().for_each(|request| begin(&mut story, request));
            requests.into_iter().for_each(|(id, ..)| end(&mut story, id));
        } else {
            for request in requests {
                begin(&mut story, request);
                end(&mut story, request.0);
            }
        }
        let chunks = story.chunks(0);
        let told = chunks
            .iter()
            .map(|chunk| (ids(chunk), chunk.sampling_priority, chunk.origin.as_str(), chunk.has_local_root));
        assert_eq!(told.collect::<Vec<_>>(), [(vec![1, 2], 2, "rum", true), (vec![3, 4], -1, "", true)]);
    }
}

#[test]
fn what_came_in_undecided_goes_with_what_is_known_and_takes_nothing_along() {
    let mut story = Story::new();
    for (id, priority) in [(1, Some(-1)), (3, Some(-1)), (5, None)] {
        story.record(1, |record| record.span_start(SpanId(id), &root(7)));
        story.record(1, |record| record.span(SpanId(id + 1), &body(7, id, 0), &END));
        story.record(1, |record| {
            record.span_end(SpanId(id), &END);
            if let Some(priority) = priority {
                record.integer(Key::SamplingPriority, priority);
            }
        });
    }
    for id in [9, 11] {
        story.record(1, |record| {
            record.span(SpanId(id), &root(7), &END);
            record.integer(Key::SamplingPriority, 2);
        });
    }
    let chunks = story.chunks(0);
    let told = chunks.iter().map(|chunk| (ids(chunk), chunk.sampling_priority));
    assert_eq!(told.collect::<Vec<_>>(), [(vec![9, 11], 2), (vec![5, 1, 3, 2, 4, 6], -1)]);
}

#[test]
fn a_request_that_ends_before_its_trace_is_decided_goes_by_the_one_that_tells() {
    // The last one as the rule would decide by itself.
    let drop_all = r#"[{"sample_rate":0}]"#;
    let (rules, _) = ddtrace::sampling::rules::parse_json(drop_all);
    let sampling = SamplingConfig { rules, ..SamplingConfig::default() };
    for is_from_others in [false, true] {
        let mut story = Story::with(None, &sampling, "{}");
        for id in [1, 3, 5] {
            story.record(1, |record| record.span_start(SpanId(id), &root(7)));
        }
        story.record(1, |record| record.span(SpanId(4), &body(7, 3, 0), &END));
        for id in [3, 5, 1] {
            story.record(1, |record| {
                record.span_end(SpanId(id), &END);
                if is_from_others {
                    record.text(Key::LastParent, &SpanId(id + 100).to_hex());
                }
                if id == 1 {
                    record.integer(Key::SamplingPriority, 2);
                    record.text(Key::TraceTags, b"_dd.p.dm=-4");
                }
            });
        }
        let chunks = story.chunks(0);
        for chunk in &chunks {
            let said = (chunk.sampling_priority, chunk.decision_maker.as_ref(), chunk.rule_rate);
            assert_eq!(said, (2, "-4", None), "{:?}", ids(chunk));
        }
        let parents = chunks.iter().map(|chunk| (ids(chunk), chunk.last_parent.map(|parent| parent.0)));
        let apart = vec![(vec![3, 4], Some(103)), (vec![5], Some(105)), (vec![1], Some(101))];
        let expected = if is_from_others { apart } else { vec![(vec![1, 3, 5, 4], None)] };
        assert_eq!(parents.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_local_root_that_has_ended_has_a_last_word_until_it_is_sent() {
    let said = |record: &mut RecordWriter, priority: i64| {
        record.integer(Key::SamplingPriority, priority);
        record.text(Key::TraceTags, b"_dd.p.dm=-4");
    };
    let late = |story: &mut Story, id: u64, priority: i64| {
        story.record(1, |record| {
            record.amend(SpanId(id));
            said(record, priority);
        });
    };
    // A span below it is open.
    let mut story = Story::new();
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    story.record(1, |record| record.span_start(SpanId(2), &body(7, 1, 0)));
    story.record(1, |record| {
        record.span_end(SpanId(1), &END);
        record.integer(Key::SamplingPriority, -1);
        record.float(Key::RuleRate, 0.0);
    });
    assert_eq!(story.chunks(0), []);
    late(&mut story, 1, 2);
    story.record(1, |record| record.span_end(SpanId(2), &END));
    let chunks = story.chunks(0);
    let told = (ids(&chunks[0]), chunks[0].sampling_priority, chunks[0].decision_maker.as_ref(), chunks[0].rule_rate);
    assert_eq!(told, (vec![1, 2], 2, "-4", None));
    late(&mut story, 1, -1);
    assert_eq!(story.chunks(10 * SECOND), [], "it is sent");

    // Another local root of its trace is, and says something else.
    let mut story = Story::new();
    for id in [1, 3, 5] {
        story.record(1, |record| record.span_start(SpanId(id), &root(7)));
        story.record(1, |record| record.span(SpanId(id + 1), &body(7, id, 0), &END));
    }
    for (id, priority) in [(1, -1), (3, 1)] {
        story.record(1, |record| {
            record.span_end(SpanId(id), &END);
            record.integer(Key::SamplingPriority, priority);
        });
    }
    assert_eq!(story.chunks(0), []);
    late(&mut story, 1, 2);
    story.record(1, |record| {
        record.span_end(SpanId(5), &END);
        said(record, -1);
    });
    let chunks = story.chunks(0);
    let told = chunks.iter().map(|chunk| (ids(chunk), chunk.sampling_priority));
    assert_eq!(told.collect::<Vec<_>>(), [(vec![1, 2], 2), (vec![3, 4], 1), (vec![5, 6], -1)]);
}

#[test]
fn what_ends_after_its_request_goes_with_it_whatever_others_of_its_trace_were_told() {
    // Parts are sent as they are finished, though something is open.
    let mut story = Story::with(Some(1), &SamplingConfig::default(), "{}");
    let mut sent = Vec::new();
    for (id, priority) in [(1, 2), (3, -1)] {
        story.record(1, |record| record.span_start(SpanId(id), &root(7)));
        story.record(1, |record| record.span_start(SpanId(id + 10), &body(7, id, 0)));
        story.record(1, |record| {
            record.span_end(SpanId(id), &END);
            record.integer(Key::SamplingPriority, priority);
        });
        sent.extend(story.chunks(0));
    }
    for late in [11, 13] {
        story.record(1, |record| record.span(SpanId(late + 100), &body(7, late, 0), &END));
        story.record(1, |record| record.span_end(SpanId(late), &END));
        sent.extend(story.chunks(0));
    }
    let told = sent.iter().map(|chunk| (ids(chunk), chunk.sampling_priority));
    assert_eq!(told.collect::<Vec<_>>(), [(vec![1], 2), (vec![3], -1), (vec![11, 111], 2), (vec![13, 113], -1)]);
}

#[test]
fn each_of_several_requests_that_were_told_the_same_is_remembered() {
    let mut story = Story::new();
    let request = |story: &mut Story, id: u64, priority: i64| {
        story.record(1, |record| {
            record.span(SpanId(id), &root(7), &END);
            record.integer(Key::SamplingPriority, priority);
        });
        story.chunks(0).iter().map(ids).collect::<Vec<_>>()
    };
    assert_eq!((request(&mut story, 1, 1), request(&mut story, 2, 1)), (vec![vec![1]], vec![vec![2]]));
    story.record(1, |record| record.span_start(SpanId(11), &body(7, 1, 0)));
    assert_eq!(request(&mut story, 3, -1), [[0u64; 0]; 0], "what is below the first one is open");
    story.record(1, |record| record.span_end(SpanId(11), &END));
    let late = story.chunks(0);
    let told = late.iter().map(|chunk| (ids(chunk), chunk.sampling_priority));
    assert_eq!(told.collect::<Vec<_>>(), [(vec![11], 1), (vec![3], -1)]);
}

#[test]
fn what_the_process_decided_stands_and_later_parts_follow_it() {
    let mut story = Story::new();
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    story.record(1, |record| {
        record.amend(SpanId(1));
        record.integer(Key::SamplingPriority, 2);
        record.text(Key::TraceTags, b"_dd.p.dm=-4,_dd.p.usr.id=7");
    });
    story.record(1, |record| record.span_end(SpanId(1), &END));
    let first = story.chunks(0);
    assert_eq!((first[0].sampling_priority, first[0].decision_maker.as_ref()), (2, "-4"));
    assert_eq!(first[0].propagated_tags, [("_dd.p.usr.id".to_owned(), "7".to_owned())]);
    story.record(1, |record| record.span(SpanId(2), &body(7, 1, 0), &END));
    let late = story.chunks(0);
    assert_eq!((late[0].sampling_priority, late[0].decision_maker.as_ref(), late[0].has_local_root), (2, "-4", false));
}

#[test]
fn what_nobody_decided_the_rules_and_the_agents_rates_decide() {
    let (rules, _) = ddtrace::sampling::rules::parse_json(r#"[{"resource":"GET /health","sample_rate":0}]"#);
    let (span_rules, _) = ddtrace::sampling::rules::parse_span_json(r#"[{"name":"important"}]"#);
    let sampling = SamplingConfig { rules, span_rules, ..SamplingConfig::default() };
    let mut story = Story::with(None, &sampling, r#"{"rate_by_service":{"service:run,env:":0}}"#);
    for (id, name) in [(1, "GET /health"), (2, "GET /")] {
        story.record(1, |record| record.span_start(SpanId(id), &root(id.into())));
        story.record(1, |record| {
            record.span(SpanId(id + 10), &body(id.into(), id, 0), &END);
            record.text(Key::OperationName, b"important");
        });
        story.record(1, |record| {
            record.span_end(SpanId(id), &END);
            record.text(Key::Name, name.as_bytes());
        });
    }
    let mut chunks = story.chunks(0);
    chunks.sort_by_key(|chunk| chunk.spans[0].trace_id);
    let said: Vec<_> = chunks
        .iter()
        .map(|chunk| (chunk.sampling_priority, chunk.decision_maker.as_ref(), chunk.rule_rate, chunk.agent_rate))
        .collect();
    assert_eq!(said, [(-1, "-3", Some(0.0), None), (0, "-1", None, Some(0.0))]);
    for chunk in &chunks {
        assert_eq!(chunk.spans.iter().filter(|span| span.span_sampling.is_some()).count(), 1);
    }
}
