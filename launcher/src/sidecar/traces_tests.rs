//! Spans that are no processes, from records to chunks. Longer than other files, as all is told through one `Story`, whose parts
//! (threads, processes, decisions, memory) meet in most tests.

use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

use ddtrace::ids::{SpanId, TraceId};
use ddtrace::record::{
    EndBody, Name, RecordWriter, SPAN_DATADOG_TAGS, SPAN_LOCAL_ROOT, SPAN_TAKES_OVER, SpanBody, SpanFields,
};
use ddtrace::sampling::{AgentRateTable, SamplingConfig};
use ddtrace::semconv::{self, Key};
use ddtrace::span::{Attribute, Resource, Status, TraceChunk, Value};
use proptest::prelude::*;

use super::assemble::{Assembler, Policy};
use super::death::Death;
use super::judge::Judge;
use super::traces::HandOn;
use crate::spool::{Frame, FrameKind};

const SECOND: u64 = 1_000_000_000;

struct Story {
    assembler: Assembler,
    recorded: u64,
}

impl Story {
    fn new() -> Story {
        Story::with(None, &SamplingConfig::default(), "{}")
    }

    fn with(partial_flush: Option<usize>, sampling: &SamplingConfig, rates: &str) -> Story {
        let mut table = AgentRateTable::default();
        table.update(rates.as_bytes(), None);
        let judge = Judge::new(sampling, Rc::new(table.into()));
        let name: Attribute = (semconv::SERVICE.into(), "run".into());
        let resource = Arc::new(Resource { attributes: vec![name] });
        let assembler = Assembler::new(Policy { partial_flush, hold_processes: false }, 0, resource, judge);
        Story { assembler, recorded: 0 }
    }

    fn record(&mut self, process: u64, write: impl FnOnce(&mut RecordWriter)) -> &mut Story {
        let bytes = record(write);
        self.feed(process, &bytes)
    }

    fn feed(&mut self, process: u64, bytes: &[u8]) -> &mut Story {
        self.recorded += self.assembler.feed(Frame { kind: FrameKind::Records, producer: process, payload: bytes });
        self
    }

    fn died(&mut self, process: u64, time_ns: u64, status: Option<u32>) -> &mut Story {
        let death = Death { span_id: 999, time_ns, status, usage: None }.format();
        self.assembler.feed(Frame { kind: FrameKind::Death, producer: process, payload: &death });
        self
    }

    /// All rings of a process were looked at.
    fn pass(&mut self, process: u64) {
        self.assembler.feed(Frame { kind: FrameKind::Pass, producer: process, payload: b"" });
    }

    /// What is handed on when all that was said has been read.
    fn chunks(&mut self, now_ns: u64) -> Vec<TraceChunk> {
        for process in [1, 2, 1, 2] {
            self.pass(process);
        }
        self.assembler.collect(now_ns)
    }
}

fn record(write: impl FnOnce(&mut RecordWriter)) -> Vec<u8> {
    let mut bytes = vec![0u8; 4096];
    // SAFETY: the vector's bytes, used by nobody else meanwhile.
    let mut writer = unsafe { RecordWriter::new(NonNull::new(bytes.as_mut_ptr()).unwrap(), 4096) };
    write(&mut writer);
    bytes.truncate(writer.finish().unwrap() as usize);
    bytes
}

fn body(trace: u128, parent: u64, flags: u8) -> SpanBody {
    SpanBody {
        trace_id: TraceId(trace),
        parent_id: SpanId(parent),
        start_unix_ns: SECOND + parent,
        kind: 2,
        trace_flags: 1,
        flags,
    }
}

fn root(trace: u128) -> SpanBody {
    body(trace, 0, SPAN_LOCAL_ROOT)
}

const END: EndBody = EndBody { end_unix_ns: 2 * SECOND, status: 0 };

fn ids(chunk: &TraceChunk) -> Vec<u64> {
    chunk.spans.iter().map(|span| span.span_id.0).collect()
}

/// Whichever of the two is read first, as a thread may have written them into two chunks.
#[test]
fn a_request_is_what_its_own_tracer_says_and_the_rest_is_the_connections() {
    let connection = record(|record| {
        record.span_start(SpanId(1), &body(7, 5, SPAN_LOCAL_ROOT));
        record.text(Key::Name, b"GET");
        record.attribute_text(Name(b"client.address"), b"::1");
        record.attribute_text(Name(b"http.request.method"), b"GET");
        record.attribute_text(Name(b"url.path"), b"/1");
    });
    let tracer = record(|record| {
        let flags = SPAN_LOCAL_ROOT | SPAN_TAKES_OVER | SPAN_DATADOG_TAGS;
        record.span_start(SpanId(1), &SpanBody { kind: 1, start_unix_ns: SECOND + 9, ..body(7, 5, flags) });
        record.text(Key::Name, b"index");
        record.attribute_text(Name(b"http.method"), b"get");
    });
    let end = record(|record| {
        record.span_end(SpanId(1), &END);
        record.attribute_text(Name(b"url.path"), b"/2");
    });
    for order in [[&connection, &tracer, &end], [&tracer, &connection, &end], [&connection, &end, &tracer]] {
        let mut story = Story::new();
        for record in order {
            story.feed(1, record);
        }
        let chunks = story.chunks(SECOND);
        assert_eq!((chunks.len(), chunks[0].spans.len(), story.recorded), (1, 1, 1));
        let span = &chunks[0].spans[0];
        let [name, parent] = [span.name.to_string(), span.parent_id.0.to_string()];
        assert_eq!((name.as_str(), parent.as_str(), span.kind as u8), ("index", "5", 2));
        assert_eq!((span.start_unix_nano, span.end_unix_nano), (SECOND + 9, 2 * SECOND));
        let mut attributes: Vec<_> = span.attributes.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        attributes.sort();
        let expected = ["http.client_ip=String(\"::1\")", "http.method=String(\"get\")", "url.path=String(\"/2\")"];
        assert_eq!(attributes, expected);
    }
}

#[test]
fn a_trace_is_handed_on_when_its_local_root_has_ended() {
    let mut story = Story::new();
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    story.record(1, |record| {
        record.span(SpanId(2), &body(7, 1, 0), &END);
        record.text(Key::Name, b"query");
    });
    assert_eq!(story.chunks(SECOND), []);
    story.record(1, |record| {
        record.amend(SpanId(1));
        record.text(Key::Name, b"GET /");
        record.attribute_text(Name(b"a"), b"1");
        record.attribute_text(Name(b"b"), b"x");
    });
    story.record(1, |record| {
        record.span_end(SpanId(1), &EndBody { end_unix_ns: 3 * SECOND, status: 2 });
        record.text(Key::StatusMessage, b"broken");
        record.attribute_text_continued(Name(b"a"), b"2");
        record.attribute_removed(Name(b"b"));
        record.event(5, Name(b"exception"), |event| event.attribute_bool(Name(b"escaped"), true));
        record.text(Key::ScopeName, b"web");
    });
    let chunks = story.chunks(SECOND);
    let [chunk] = &chunks[..] else { panic!("{chunks:?}") };
    assert_eq!(ids(chunk), [1, 2]);
    assert!(chunk.has_local_root);
    assert_eq!(story.recorded, 2);
    let span = &chunk.spans[0];
    assert_eq!((span.name.as_ref(), span.end_unix_nano), ("GET /", 3 * SECOND));
    assert_eq!(span.status, Status::Error("broken".into()));
    assert_eq!(span.attributes, [("a".into(), Value::from("12"))]);
    assert_eq!(span.events[0].attributes, [("escaped".into(), Value::Bool(true))]);
    assert_eq!(span.scope.as_ref().map(|scope| scope.name.as_str()), Some("web"));
    assert_eq!((chunk.sampling_priority, chunk.decision_maker.as_ref()), (1, "-0"));
}

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
fn what_another_thread_says_of_a_span_may_be_read_after_its_end() {
    let said = record(|record| {
        record.amend(SpanId(1));
        record.attribute_text(Name(b"who"), b"helper");
        record.integer(Key::SamplingPriority, -1);
        record.text(Key::StatusMessage, b"broken");
    });
    // In the pass in which the end was read, or in the next one; and a process that dies has no next one.
    for passes_before in 0..=2 {
        let mut story = Story::new();
        story.record(1, |record| record.span_start(SpanId(1), &root(7)));
        story.pass(1);
        story.record(1, |record| record.span_end(SpanId(1), &EndBody { status: 2, ..END }));
        (0..passes_before).for_each(|_| story.pass(1));
        assert_eq!(story.assembler.collect(0).len(), usize::from(passes_before == 2));
        if passes_before < 2 {
            story.feed(1, &said);
            story.died(1, 3 * SECOND, Some(9));
            let chunks = story.assembler.collect(0);
            let span = &chunks[0].spans[0];
            assert_eq!(span.attribute("who"), Some(&Value::from("helper")));
            assert_eq!((span.end_unix_nano, &span.status), (2 * SECOND, &Status::Error("broken".into())));
            assert_eq!(chunks[0].sampling_priority, -1);
        }
    }
}

#[test]
fn processes_do_not_share_a_chunk_and_each_has_its_resource() {
    let mut story = Story::new();
    story.record(2, |record| {
        record.resource(SpanId(50));
        record.attribute_text(Name(b"service.name"), b"billing");
    });
    for process in [1, 2] {
        story.record(process, |record| record.span_start(SpanId(process), &root(7)));
        story.record(process, |record| record.span_end(SpanId(process), &END));
    }
    let mut services: Vec<_> =
        story.chunks(0).iter().map(|chunk| chunk.resource.text("service.name").unwrap().to_owned()).collect();
    services.sort();
    assert_eq!(services, ["billing", "run"]);
}

#[test]
fn a_process_that_is_killed_ends_its_open_spans() {
    let mut story = Story::new();
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    story.record(1, |record| record.span(SpanId(2), &body(7, 1, 0), &END));
    story.died(1, 5 * SECOND, None);
    assert_eq!(story.chunks(5 * SECOND), [], "the kernel may still tell how");
    story.died(1, 5 * SECOND, Some(9));
    let chunks = story.chunks(5 * SECOND);
    assert_eq!(ids(&chunks[0]), [1, 2]);
    let span = &chunks[0].spans[0];
    assert_eq!(span.end_unix_nano, 5 * SECOND);
    assert_eq!(span.status, Status::Error("the process was killed by SIGKILL".into()));
    assert_eq!(span.attribute("error.type"), Some(&Value::from("SIGKILL")));
}

#[test]
fn a_process_that_ends_without_ending_its_spans_fails_them() {
    let mut story = Story::new();
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    story.died(1, 5 * SECOND, Some(3 << 8));
    let chunks = story.chunks(5 * SECOND);
    let span = &chunks[0].spans[0];
    assert_eq!(span.status, Status::Error("the process exited with code 3 before the span ended".into()));
    assert_eq!(span.attribute(semconv::ERROR_TYPE), Some(&Value::from("process_exit")));
    assert_eq!(span.attribute(semconv::PROCESS_UNFINISHED), None, "nothing runs any more");
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

#[test]
fn enough_finished_spans_are_sent_ahead_under_one_decision() {
    let mut story = Story::with(Some(2), &SamplingConfig::default(), "{}");
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    for id in 2..4 {
        story.record(1, |record| record.span(SpanId(id), &body(7, 1, 0), &END));
    }
    assert_eq!(story.chunks(0), [], "the process decides about a trace of which a part is to be sent");
    story.record(1, |record| {
        record.amend(SpanId(1));
        record.integer(Key::SamplingPriority, -1);
    });
    let ahead = story.chunks(0);
    assert_eq!((ids(&ahead[0]), ahead[0].has_local_root, ahead[0].sampling_priority), (vec![2, 3], false, -1));
    story.record(1, |record| record.span_end(SpanId(1), &END));
    let rest = story.chunks(0);
    assert_eq!((ids(&rest[0]), rest[0].has_local_root, rest[0].sampling_priority), (vec![1], true, -1));
}

#[test]
fn a_process_that_never_decides_is_not_waited_for_for_ever() {
    let (rules, _) = ddtrace::sampling::rules::parse_json(r#"[{"resource":"late","sample_rate":0},{"sample_rate":1}]"#);
    let sampling = SamplingConfig { rules, rate_limit: -1, ..SamplingConfig::default() };
    let mut story = Story::with(Some(2), &sampling, "{}");
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    let many = u64::from(2 * ddtrace::record::DECIDE_AFTER);
    for id in 2..2 + many {
        story.record(1, |record| record.span(SpanId(id), &body(7, 1, 0), &END));
    }
    let ahead = story.chunks(0);
    assert_eq!((ahead[0].spans.len() as u64, ahead[0].has_local_root, ahead[0].sampling_priority), (many, false, 2));
    story.record(1, |record| {
        record.span_end(SpanId(1), &END);
        record.text(Key::Name, b"late");
    });
    assert_eq!(story.chunks(0)[0].sampling_priority, 2, "what was said of the first part holds for all");
}

#[test]
fn spans_without_a_word_of_their_root_wait_a_moment() {
    let mut story = Story::new();
    story.record(1, |record| record.span(SpanId(2), &body(7, 1, 0), &END));
    assert_eq!(story.chunks(SECOND), []);
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    assert_eq!(story.chunks(3 * SECOND), [], "the root has come, and is open");
    story.record(1, |record| record.span_end(SpanId(1), &END));
    assert_eq!(ids(&story.chunks(3 * SECOND)[0]), [1, 2]);
    story.record(1, |record| record.span(SpanId(3), &body(8, 1, 0), &END));
    assert_eq!(story.chunks(4 * SECOND), []);
    assert_eq!(ids(&story.chunks(5 * SECOND)[0]), [3]);
}

#[test]
fn another_program_in_the_same_process_ends_what_was_open() {
    let mut story = Story::new();
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    let open = ddtrace::record::OpenBody {
        trace_id: TraceId(1),
        parent_id: SpanId(0),
        start_ns: 4,
        pid: 10,
        ppid: 1,
        trace_flags: 1,
        role: ddtrace::record::ROLE_SELF,
        remote_parent: false,
    };
    story.record(1, |record| record.open(SpanId(999), &open));
    let chunks = story.chunks(0);
    assert_eq!(ids(&chunks[0]), [1]);
    assert_eq!(chunks[0].spans[0].attribute(semconv::ERROR_TYPE), Some(&Value::from("process_exec")));
}

#[test]
fn what_another_thread_says_of_a_span_may_be_read_before_the_span_begins() {
    let start = record(|record| {
        record.span_start(SpanId(1), &root(7));
        record.attribute_text(Name(b"a"), b"first");
    });
    let amend = record(|record| {
        record.amend(SpanId(1));
        record.attribute_text(Name(b"a"), b"second");
    });
    let end = record(|record| record.span_end(SpanId(1), &END));
    for order in [[&start, &amend, &end], [&amend, &start, &end], [&amend, &end, &start]] {
        let mut story = Story::new();
        for bytes in order {
            story.feed(1, bytes);
            // Another process's span of that number is another span.
            story.feed(2, &amend);
        }
        let chunks = story.chunks(0);
        assert_eq!(chunks.len(), 1);
        assert_eq!(chunks[0].spans[0].attributes, [("a".into(), Value::from("second"))]);
        assert_eq!(story.recorded, 1);
    }
}

#[test]
fn what_is_said_of_a_span_that_never_begins_is_forgotten() {
    let mut story = Story::new();
    story.record(1, |record| record.span_end(SpanId(1), &END));
    assert_eq!(story.chunks(0), []);
    assert_eq!(story.chunks(10 * SECOND), []);
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    assert_eq!(story.chunks(11 * SECOND), [], "it is another span, and open");
}

#[test]
fn a_process_is_known_by_its_id_and_by_that_of_its_runtime() {
    let mut story = Story::new();
    let open = ddtrace::record::OpenBody {
        trace_id: TraceId(1),
        parent_id: SpanId(0),
        start_ns: 4,
        pid: 10,
        ppid: 1,
        trace_flags: 1,
        role: ddtrace::record::ROLE_SELF,
        remote_parent: false,
    };
    story.record(1, |record| record.open(SpanId(999), &open));
    for (process, id) in [(1, 10), (2, 20)] {
        story.record(process, |record| {
            record.resource(SpanId(999));
            record.attribute_text(Name(b"runtime-id"), b"cafe");
            if process == 2 {
                record.attribute_integer(Name(b"process.pid"), 20);
            }
        });
        story.record(process, |record| record.span(SpanId(process), &root(7), &END));
        let chunks = story.chunks(0);
        let attributes = &chunks[0].resource.attributes;
        assert!(attributes.contains(&("process.pid".into(), Value::I64(id))), "{attributes:?}");
        assert_eq!(chunks[0].resource.text("service.instance.id"), Some("cafe"));
    }
}

proptest! {
    /// Records of one process keep their order; how those of several mix changes nothing.
    #[test]
    fn processes_do_not_disturb_each_other(order in proptest::collection::vec(0usize..3, 0..60), seed: u64) {
        let mut stories: Vec<std::collections::VecDeque<Vec<u8>>> = Vec::new();
        for process in 0..3u64 {
            let mut records = std::collections::VecDeque::new();
            for number in 0..4u64 {
                let id = process * 100 + number * 10 + 1;
                let trace = u128::from(seed % 2 * number + 1);
                records.push_back(record(|record| record.span_start(SpanId(id), &root(trace))));
                records.push_back(record(|record| record.span(SpanId(id + 1), &body(trace, id, 0), &END)));
                records.push_back(record(|record| {
                    record.amend(SpanId(id));
                    record.attribute_integer(Name(b"n"), number as i64);
                }));
                records.push_back(record(|record| record.span_end(SpanId(id), &END)));
            }
            stories.push(records);
        }
        let mut story = Story::new();
        let mut chunks = Vec::new();
        for process in order.into_iter().chain((0..3).flat_map(|process| std::iter::repeat_n(process, 16))) {
            if let Some(bytes) = stories[process].pop_front() {
                story.feed(process as u64, &bytes);
                chunks.extend(story.chunks(0));
            }
        }
        chunks.extend(story.assembler.end());
        let mut spans: Vec<_> = chunks.into_iter().flat_map(|chunk| chunk.spans).collect();
        spans.sort_by_key(|span| span.span_id);
        prop_assert_eq!(story.recorded, 24);
        prop_assert_eq!(spans.len(), 24);
        for span in spans.iter().filter(|span| span.span_id.0 % 10 == 1) {
            let number = (span.span_id.0 % 100 / 10) as i64;
            prop_assert_eq!(span.attribute("n"), Some(&Value::I64(number)));
        }
    }
}

/// Begins spans of a process, each a trace of its own, and does not end them.
fn begin_many(story: &mut Story, process: u64, spans: std::ops::Range<u64>) {
    for id in spans {
        story.record(process, |record| {
            record.span_start(SpanId(id), &body(u128::from(id), 0, SPAN_LOCAL_ROOT));
            record.text(Key::Name, b"request");
        });
    }
}

fn all_ids(chunks: &[TraceChunk]) -> Vec<u64> {
    let mut ids: Vec<u64> = chunks.iter().flat_map(|chunk| chunk.spans.iter().map(|span| span.span_id.0)).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn where_memory_is_short_the_heaviest_process_gives_up_its_oldest_spans() {
    let mut story = Story::new();
    begin_many(&mut story, 1, 1..11);
    begin_many(&mut story, 2, 101..901);
    assert_eq!(story.assembler.cut_oldest(SECOND), Some(100));
    let chunks = story.assembler.hand_on_finished(SECOND);
    assert_eq!(all_ids(&chunks), (101..201).collect::<Vec<_>>());
    let unfinished = chunks[0].spans[0].attribute(semconv::PROCESS_UNFINISHED);
    assert_eq!(unfinished, Some(&Value::Bool(true)));
    let mut cut = 100;
    while let Some(more) = story.assembler.cut_oldest(SECOND) {
        cut += more;
    }
    assert_eq!((cut, story.recorded), (810, 810));
    assert_eq!(all_ids(&story.assembler.hand_on_finished(SECOND)).len(), 710);
    assert!(story.assembler.segments().is_empty(), "nothing is left");
}

#[test]
fn where_memory_is_short_what_is_finished_does_not_wait_for_its_trace() {
    let mut story = Story::new();
    begin_many(&mut story, 1, 1..2);
    story.record(1, |record| record.span(SpanId(2), &body(1, 1, 0), &END));
    assert!(story.chunks(SECOND).is_empty());
    assert_eq!(all_ids(&story.assembler.hand_on_finished(SECOND)), [2]);
    story.record(1, |record| record.span_end(SpanId(1), &END));
    assert_eq!(all_ids(&story.chunks(SECOND)), [1]);
}

#[test]
fn more_than_any_receiver_takes_is_not_kept_of_a_span() {
    let mut story = Story::new();
    begin_many(&mut story, 1, 1..2);
    let text = vec![b'x'; 3000];
    for number in 0..2000u32 {
        story.record(1, |record| {
            record.amend(SpanId(1));
            record.attribute_text(Name(format!("name{number}").as_bytes()), &text);
        });
    }
    story.record(1, |record| record.span_end(SpanId(1), &END));
    let chunks = story.chunks(SECOND);
    let span = &chunks[0].spans[0];
    assert!((1000..1500).contains(&span.attributes.len()), "{}", span.attributes.len());
    assert_eq!(span.attributes.len() + span.dropped_attributes as usize, 2000);
}

#[test]
fn what_is_withdrawn_is_not_seen() {
    let mut story = Story::new();
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    story.record(1, |record| record.span(SpanId(2), &body(7, 1, 0), &END));
    story.record(1, |record| {
        record.span_end(SpanId(1), &END);
        record.boolean(Key::Withdrawn, true);
        record.integer(Key::SamplingPriority, 2);
    });
    let chunks = story.chunks(SECOND);
    let [chunk] = &chunks[..] else { panic!("{chunks:?}") };
    // What the local root has said of the trace holds all the same.
    assert_eq!((ids(chunk), chunk.has_local_root, chunk.sampling_priority), (vec![2], false, 2));
    assert_eq!((story.recorded, story.assembler.take_withdrawn(), story.assembler.take_withdrawn()), (2, 1, 0));

    story.record(1, |record| record.span_start(SpanId(3), &root(8)));
    story.record(1, |record| {
        record.span_end(SpanId(3), &END);
        record.boolean(Key::Withdrawn, true);
    });
    assert_eq!(story.chunks(SECOND), []);
    assert_eq!(story.assembler.take_withdrawn(), 1);
    story.died(1, 3 * SECOND, Some(0));
    assert_eq!(story.chunks(4 * SECOND), []);
}

/// Traces are handed on in portions. One of which all was withdrawn gives nothing, and is no sign that there is no more.
#[test]
fn what_is_withdrawn_hides_nothing_that_comes_after_it() {
    for is_over in [false, true] {
        let mut story = Story::new();
        for id in 1..=1000 {
            story.record(1, |record| record.span_start(SpanId(id), &root(id.into())));
            story.record(1, |record| {
                record.span_end(SpanId(id), &END);
                if id % 4 == 0 {
                    record.boolean(Key::Withdrawn, true);
                }
            });
        }
        if is_over {
            story.died(1, 3 * SECOND, Some(0));
        }
        for _ in 0..2 {
            story.pass(1);
        }
        let (mut handed_on, mut portions) = (0, 0);
        loop {
            let (chunks, is_more) = story.assembler.portion(4 * SECOND, HandOn::Ready);
            handed_on += chunks.len();
            portions += 1;
            if !is_more {
                break;
            }
        }
        assert_eq!((handed_on, portions, story.assembler.take_withdrawn()), (750, 4, 250), "{is_over}");
    }
}

#[test]
fn a_span_may_turn_out_to_have_started_earlier() {
    let mut story = Story::new();
    story.record(1, |record| record.span_start(SpanId(1), &root(7)));
    story.record(1, |record| {
        record.span_end(SpanId(1), &END);
        record.integer(Key::StartTime, 5);
    });
    let chunks = story.chunks(SECOND);
    let span = &chunks[0].spans[0];
    assert_eq!((span.start_unix_nano, span.end_unix_nano), (5, 2 * SECOND));
}
