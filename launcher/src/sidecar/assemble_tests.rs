//! The assembler hears of one process from several others, in any order.

use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

use ddtrace::ids::{SpanId, TraceId};
use ddtrace::record::{ChildExitBody, OpenBody, ROLE_CHILD, ROLE_SELF, RecordWriter, SPAN_LOCAL_ROOT, SpanBody};
use ddtrace::sampling::SamplingConfig;
use ddtrace::semconv::{self, Key};
use ddtrace::span::{Span, Status, Value};

use super::assemble::{Assembler, Policy};
use super::death::Death;
use super::given_up::GivenUp;
use super::judge::Judge;
use crate::spool::{Frame, FrameKind};

const SECOND: u64 = 1_000_000_000;

struct Story(Assembler);

impl Story {
    fn new(partial_flush: Option<usize>) -> Story {
        let judge = Judge::new(&SamplingConfig::default(), Rc::default());
        Story(Assembler::new(Policy { partial_flush, hold_processes: false }, 0, Arc::default(), judge))
    }

    fn record(&mut self, write: impl FnOnce(&mut RecordWriter)) -> &mut Story {
        let mut bytes = vec![0u8; 1024];
        // SAFETY: the vector's bytes, used by nobody else meanwhile.
        let mut writer = unsafe { RecordWriter::new(NonNull::new(bytes.as_mut_ptr()).unwrap(), 1024) };
        write(&mut writer);
        bytes.truncate(writer.finish().unwrap() as usize);
        self.0.feed(Frame { kind: FrameKind::Records, producer: 1, payload: &bytes });
        self
    }

    fn open(&mut self, span: u64, parent: u64, pid: u32, role: u8, start_ns: u64, program: &str) -> &mut Story {
        let body = OpenBody {
            trace_id: TraceId(1),
            parent_id: SpanId(parent),
            start_ns,
            pid,
            ppid: 1,
            trace_flags: 1,
            role,
            remote_parent: false,
        };
        self.record(|record| {
            record.open(SpanId(span), &body);
            if !program.is_empty() {
                record.text(Key::ExecutablePath, program.as_bytes());
            }
        })
    }

    fn waited(&mut self, parent: u64, pid: u32, status: u32, time_ns: u64) -> &mut Story {
        self.record(|record| record.child_exit(SpanId(parent), &ChildExitBody { time_ns, pid, status, usage: None }))
    }

    fn died(&mut self, span: u64, time_ns: u64, status: Option<u32>) -> &mut Story {
        let death = Death { span_id: span, time_ns, status, usage: None };
        self.0.feed(Frame { kind: FrameKind::Death, producer: 1, payload: &death.format() });
        self
    }

    fn spans(&mut self, now_ns: u64) -> Vec<Span> {
        self.0.collect(now_ns).into_iter().flat_map(|finished| finished.spans).collect()
    }
}

fn code(span: &Span) -> Option<i64> {
    match span.attribute(semconv::PROCESS_EXIT_CODE) {
        Some(Value::I64(code)) => Some(*code),
        _ => None,
    }
}

#[test]
fn whoever_speaks_first_a_child_carries_what_its_parent_does() {
    for child_first in [false, true] {
        let mut story = Story::new(None);
        story.open(1, 0, 10, ROLE_SELF, 100, "/bin/sh").record(|record| {
            record.amend(SpanId(1));
            record.text(Key::TraceState, b"ot=th:8");
        });
        let (first, second) = if child_first { (ROLE_SELF, ROLE_CHILD) } else { (ROLE_CHILD, ROLE_SELF) };
        story.open(2, 1, 11, first, 200, "").open(2, 1, 11, second, 205, "/bin/true");
        story.died(2, 300, Some(0)).died(1, 400, Some(0));
        let states: Vec<String> = story.spans(500).into_iter().map(|span| span.trace_state).collect();
        assert_eq!(states, ["ot=th:8", "ot=th:8"], "{child_first}");
    }
}

#[test]
fn a_child_that_spoke_before_its_parent_did_is_one_span() {
    let mut story = Story::new(None);
    story.open(1, 0, 10, ROLE_SELF, 100, "/bin/sh");
    story.open(2, 1, 11, ROLE_SELF, 205, "/bin/true").died(2, 300, None);
    // The parent is scheduled again only now.
    story.open(2, 1, 11, ROLE_CHILD, 200, "").waited(1, 11, 3 << 8, 310).died(1, 400, Some(0));
    let spans = story.spans(500);
    assert_eq!(spans.len(), 2);
    assert_eq!((spans[1].name.as_ref(), code(&spans[1])), ("true", Some(3)));
    assert_eq!((spans[1].start_unix_nano, spans[1].end_unix_nano), (200, 300));
    assert_eq!(spans[1].status, Status::Error("".into()));
}

#[test]
fn what_is_said_of_a_finished_span_opens_no_other() {
    let mut story = Story::new(None);
    story.open(2, 0, 11, ROLE_SELF, 200, "/bin/true").died(2, 300, Some(0));
    assert_eq!(story.spans(400).len(), 1);
    story.open(2, 0, 11, ROLE_CHILD, 199, "");
    assert_eq!(story.spans(100 * SECOND).len(), 0);
}

#[test]
fn a_status_may_come_before_the_process_is_known() {
    let mut story = Story::new(None);
    story.waited(1, 11, 9, 300).open(2, 0, 11, ROLE_SELF, 200, "/bin/sleep").died(2, 290, None);
    let spans = story.spans(400);
    assert_eq!(code(&spans[0]), Some(137));
    assert_eq!(spans[0].attribute(semconv::ERROR_TYPE), Some(&Value::from("SIGKILL")));
}

#[test]
fn a_status_of_an_earlier_process_with_the_same_id_is_not_taken() {
    let mut story = Story::new(None);
    story.waited(1, 11, 3 << 8, 100).open(2, 0, 11, ROLE_SELF, 200, "/bin/true").died(2, 300, Some(0));
    assert_eq!(code(&story.spans(400)[0]), Some(0));
}

#[test]
fn a_status_that_nobody_tells_is_waited_for_only_so_long() {
    let mut story = Story::new(None);
    story.open(2, 1, 11, ROLE_SELF, 200, "/bin/true").died(2, 300, None);
    assert_eq!(story.spans(SECOND).len(), 0);
    let spans = story.spans(3 * SECOND);
    assert_eq!((code(&spans[0]), &spans[0].status), (None, &Status::Unset));
}

#[test]
fn programs_that_follow_each_other_in_a_process_are_one_span_named_by_the_last() {
    let mut story = Story::new(None);
    story.open(1, 0, 10, ROLE_SELF, 100, "/bin/sh").open(1, 0, 10, ROLE_SELF, 100, "/usr/bin/make");
    story.died(1, 400, Some(0));
    let spans = story.spans(500);
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].name, "make");
    assert_eq!(spans[0].attribute(semconv::PROCESS_EXEC_COUNT), Some(&Value::I64(1)));
}

#[test]
fn a_forked_child_is_what_its_parent_was() {
    let mut story = Story::new(None);
    story.open(1, 0, 10, ROLE_SELF, 100, "/bin/sh").open(2, 1, 11, ROLE_CHILD, 200, "");
    story.died(2, 300, Some(0)).died(1, 400, Some(0));
    assert_eq!(story.spans(500)[1].name, "sh");
}

#[test]
fn enough_finished_spans_do_not_wait_for_the_rest() {
    let mut story = Story::new(Some(2));
    story.open(1, 0, 10, ROLE_SELF, 100, "/bin/sh");
    for child in 2..4 {
        story.open(child, 1, 10 + child as u32, ROLE_SELF, 200, "/bin/true").died(child, 300, Some(0));
    }
    assert_eq!(story.spans(SECOND).len(), 2);
    story.died(1, 2 * SECOND, Some(0));
    assert_eq!(story.spans(3 * SECOND).len(), 1);
}

#[test]
fn a_parent_that_is_there_may_say_when_its_child_ended() {
    let mut story = Story::new(None);
    story.open(1, 0, 10, ROLE_SELF, 100, "/bin/sh").open(2, 1, 11, ROLE_SELF, 200, "/bin/true");
    story.died(2, SECOND, Some(0));
    assert_eq!(story.0.collect(SECOND + 1), vec![]);
    assert_eq!(story.0.open_spans(), 2, "it waits for the parent's word");
    story.waited(1, 11, 0, 300);
    assert_eq!(story.0.collect(SECOND + 2), vec![]);
    assert_eq!(story.0.open_spans(), 1);
    story.open(3, 1, 12, ROLE_SELF, 400, "/bin/true").died(3, 2 * SECOND, Some(0)).died(1, 2 * SECOND, Some(0));
    let ends = story.spans(2 * SECOND).into_iter().map(|span| span.end_unix_nano);
    assert_eq!(ends.collect::<Vec<_>>(), [2 * SECOND, 300, 2 * SECOND], "nobody waits for the dead");
}

#[test]
fn at_the_end_nothing_stays_open() {
    let mut story = Story::new(None);
    story.open(1, 0, 10, ROLE_SELF, 100, "/usr/bin/daemon");
    let finished = story.0.end();
    assert_eq!(finished.len(), 1);
    assert_eq!(story.0.end(), vec![]);
}

/// Whether it is read as it is written, or all at once by whoever comes later.
#[test]
fn what_is_given_up_is_the_same_for_whoever_reads_the_records() {
    for (which, handed_on, given_up) in [(GivenUp::All, 1, 3), (GivenUp::Unfinished, 2, 2)] {
        for is_live in [true, false] {
            let mut story = Story::new(None);
            let mut spans = 0;
            let mut look = |story: &mut Story, second: u64| {
                if is_live {
                    spans += story.spans(second * SECOND).len();
                }
            };
            story.open(1, 0, 10, ROLE_SELF, SECOND, "/bin/sh").open(2, 1, 11, ROLE_SELF, SECOND, "/bin/true");
            // A trace of its own, which is over before that.
            story.record(|record| {
                record.open(
                    SpanId(3),
                    &OpenBody {
                        trace_id: TraceId(2),
                        parent_id: SpanId(0),
                        start_ns: SECOND,
                        pid: 12,
                        ppid: 1,
                        trace_flags: 1,
                        role: ROLE_SELF,
                        remote_parent: false,
                    },
                )
            });
            story.died(3, SECOND, Some(0));
            look(&mut story, 2);
            // Nobody tells how this one has ended, so that it takes a while.
            story.died(2, 2 * SECOND, None);
            look(&mut story, 3);
            look(&mut story, 4);
            story.open(4, 1, 13, ROLE_SELF, 2 * SECOND, "/bin/sleep");
            let payload = which.format(4 * SECOND);
            for _ in 0..2 {
                story.0.feed(Frame { kind: FrameKind::ProcessesGivenUp, producer: 0, payload: &payload });
            }
            assert_eq!(story.0.take_given_up(), Some((which, given_up)), "{which:?} {is_live}");
            story.open(5, 1, 14, ROLE_SELF, 4 * SECOND, "/bin/true").died(1, 5 * SECOND, Some(0));
            assert_eq!(story.0.take_given_up(), None);
            spans += story.0.end().iter().map(|chunk| chunk.spans.len()).sum::<usize>();
            assert_eq!(spans, handed_on, "{which:?} {is_live}");
        }
    }
}

#[test]
fn a_process_that_is_heard_of_late_goes_with_its_trace() {
    let mut story = Story::new(None);
    story.record(|record| {
        let body = OpenBody {
            trace_id: TraceId(1),
            parent_id: SpanId(0),
            start_ns: 100,
            pid: 10,
            ppid: 1,
            trace_flags: 0,
            role: ROLE_CHILD,
            remote_parent: false,
        };
        record.open(SpanId(1), &body);
        record.text(Key::TraceState, b"ot=th:0");
        record.integer(Key::SamplingPriority, -1);
        record.text(Key::TraceTags, b"_dd.p.dm=-3");
    });
    story.died(1, 200, Some(0));
    assert_eq!(story.0.collect(300)[0].sampling_priority, -1);
    story.open(2, 1, 11, ROLE_SELF, 150, "/bin/true").died(2, 200, Some(0));
    let late = story.0.collect(400);
    assert_eq!((late[0].sampling_priority, late[0].decision_maker.as_ref()), (-1, "-3"));
    assert_eq!(late[0].spans[0].trace_state, "ot=th:0");
}

#[test]
fn a_process_below_a_span_waits_for_a_word_of_who_started_it() {
    let mut story = Story::new(None);
    story.open(2, 7, 11, ROLE_SELF, 200, "/bin/true").died(2, 300, Some(0));
    assert_eq!(story.0.collect(400), [], "it may be in a ring that was looked at before");
    story.record(|record| {
        let body = SpanBody {
            trace_id: TraceId(1),
            parent_id: SpanId(0),
            start_unix_ns: 100,
            kind: 1,
            trace_flags: 1,
            flags: SPAN_LOCAL_ROOT,
        };
        record.span_start(SpanId(7), &body);
        record.integer(Key::SamplingPriority, 2);
        record.text(Key::TraceTags, b"_dd.p.dm=-4");
    });
    let chunks = story.0.collect(500);
    assert_eq!((chunks[0].sampling_priority, chunks[0].decision_maker.as_ref()), (2, "-4"));
    let mut alone = Story::new(None);
    alone.open(3, 8, 12, ROLE_SELF, 600, "/bin/true").died(3, 700, Some(0));
    assert_eq!(alone.spans(SECOND).len(), 1, "nobody says anything");
}

/// The process goes on with another program after that, which says so all the same.
#[test]
fn what_is_open_at_an_exec_ends_there_whether_processes_are_wanted_or_not() {
    let mut story = Story::new(None);
    story.open(1, 0, 10, ROLE_SELF, 100, "/bin/sh");
    let body = SpanBody {
        trace_id: TraceId(2),
        parent_id: SpanId(0),
        start_unix_ns: 200,
        kind: 1,
        trace_flags: 1,
        flags: SPAN_LOCAL_ROOT,
    };
    story.record(|record| record.span_start(SpanId(7), &body));
    story.0.feed(Frame { kind: FrameKind::ProcessesGivenUp, producer: 0, payload: &GivenUp::All.format(300) });
    story.record(|record| {
        record.amend(SpanId(1));
        record.integer(Key::ExecTime, 400);
    });
    story.open(1, 0, 10, ROLE_SELF, 500, "/bin/true");
    let spans = story.spans(SECOND);
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert_eq!(spans[0].attribute(semconv::ERROR_TYPE), Some(&Value::from("process_exec")));
    assert_eq!(spans[0].end_unix_nano, 400);
}
