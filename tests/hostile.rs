//! Who comes to the sidecar need not be what it seems: whatever is sent to it or written into shared memory, the others
//! are recorded as ever, and the sidecar goes when they have gone.

use ddtrace::handshake::{HELLO_LENGTH, Hello, open_ring, socket_name};
use ddtrace::identity::{Holder, Identity};
use ddtrace::ids::{SpanId, TraceId};
use ddtrace::record::{OpenBody, ROLE_CHILD};
use ddtrace::ring::layout::{CHUNK_COUNT, CHUNK_SIZE, HEADER_SIZE, RING_SIZE};
use ddtrace::ring::{Ring, ThreadSlot};
use ddtrace::sys;
use ddtrace_test_support::outcome::Outcome;
use ddtrace_test_support::{Sandbox, Span, wait_for};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs;
use std::os::fd::RawFd;
use std::process::{Child, Stdio};

/// What the hostile process does.
const WAY: &str = "DDTRACE_TEST_HOSTILE_WAY";
/// The identity of a process of the run that it comes to.
const TARGET: &str = "DDTRACE_TEST_HOSTILE_TARGET";

/// An honest program with its sidecar.
struct Run {
    sandbox: Sandbox,
    child: Child,
    identity: String,
    sidecar: u32,
}

impl Run {
    fn begin() -> Run {
        let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
        let script = "echo ready > ready; while [ ! -e go ]; do sleep 0.05; done; \
                      for i in 1 2 3; do sh -c 'exit 5'; done; exit 4";
        let mut command = sandbox.traced(["sh", "-c", script]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the launcher starts");
        let _ = sandbox.wait_for_file(&sandbox.work().join("ready"));
        let environment = fs::read(format!("/proc/{}/environ", child.id())).expect("it is ours");
        let identity = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"_DDTRACE_RUN="));
        let identity = String::from_utf8(identity.expect("it is traced").to_vec()).expect("text");
        let is_sidecar = |pid: u32| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "ddtrace-sidecar")
        };
        let sidecar = wait_for("the sidecar", || {
            sandbox.processes().into_iter().map(|(pid, _)| pid).find(|pid| is_sidecar(*pid))
        });
        Run { sandbox, child, identity, sidecar }
    }

    fn identity(&self) -> Identity {
        Identity::parse(self.identity.as_bytes()).expect("an identity")
    }

    /// A hostile process, to its end.
    fn meets(&self, way: &str) {
        let this = std::env::current_exe().expect("a test is a program");
        let mut command = self.sandbox.bare([this.to_str().expect("a plain path"), "--exact", "hostile_process"]);
        let outcome = Outcome::of(command.env(WAY, way).env(TARGET, &self.identity));
        assert_eq!(outcome.code, Some(0), "{way}: {outcome:?}");
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.sidecar)).map_or(0, Iterator::count)
    }

    /// Lets the honest program go on, and gives all spans. That the sidecar ends is waited for, too.
    fn end(self, what: &str) -> Vec<Span> {
        fs::write(self.sandbox.work().join("go"), "").expect("the sandbox can be written");
        let outcome = Outcome::finish(self.child, "the honest program");
        assert_eq!((outcome.code, outcome.err().as_str()), (Some(4), ""), "{what}");
        let spans = self.sandbox.spans();
        let honest = spans.iter().filter(|span| span.exit_code() == Some(5)).count();
        assert_eq!(honest, 3, "{what}: {spans:#?}");
        assert!(spans.iter().any(|span| span.exit_code() == Some(4)), "{what}: {spans:#?}");
        spans
    }
}

fn connect(run: u128) -> Option<RawFd> {
    let socket = sys::seqpacket_socket().ok()?;
    match sys::connect_abstract(socket, &socket_name(run)) {
        Ok(()) => Some(socket),
        Err(_) => {
            sys::close(socket);
            None
        }
    }
}

fn hello(pid: u32, span: u64) -> Hello {
    Hello { pid, ppid: sys::getppid(), speaker: pid, span_id: SpanId(span), ring_size: RING_SIZE as u64 }
}

/// A memfd as it should be, but for what is said.
fn memory(size: usize, seals: usize) -> RawFd {
    let memory = sys::memfd_create(c"hostile").expect("a memfd");
    sys::ftruncate(memory, size).expect("room");
    sys::add_seals(memory, seals).expect("it can be sealed");
    memory
}

/// Numbers that are as good as random, and the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Not a test by itself, but what the others start.
#[test]
fn hostile_process() {
    let Ok(way) = std::env::var(WAY) else { return };
    let target = std::env::var(TARGET).expect("set with the way");
    let target = Identity::parse(target.as_bytes()).expect("an identity");
    let pid = sys::getpid();
    let open = |span: u64| open_ring(target.run, &hello(pid, span), CHUNK_COUNT).expect("the sidecar is there");
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    match way.as_str() {
        "greetings" => greet_wrongly(&target),
        // Every word of header, chunk headers and records, while they are read.
        "scribble" => {
            let ring = open(0x5c41);
            let slot = ThreadSlot::new();
            let base = ring.base().as_ptr();
            for round in 0..400_000u64 {
                if round % 64 == 0 {
                    let _ = ring.append(&slot, |record| record.close(SpanId(round), round));
                }
                let places = [HEADER_SIZE, HEADER_SIZE + 64, HEADER_SIZE + 4 * CHUNK_SIZE];
                // The magic and the sizes stay, so that it is read at all.
                let place = 40 + numbers.next() as usize % (places[numbers.next() as usize % 3] - 48);
                // SAFETY: inside of our own mapping.
                unsafe { base.add(place & !7).cast::<u64>().write_volatile(numbers.next() >> (numbers.next() % 64)) };
            }
        }
        // All of it at once, again and again: as much to read as there can be.
        "flood" => {
            let ring = open(0xf100d);
            let base = ring.base().as_ptr();
            for round in 0..20u64 {
                for chunk in 0..1023usize {
                    // SAFETY: inside of our own mapping: the committed length and the state of each chunk.
                    unsafe {
                        let chunk = base.add(HEADER_SIZE + chunk * CHUNK_SIZE);
                        core::ptr::write_bytes(chunk.add(64), round as u8, 4096);
                        chunk.cast::<u64>().write_volatile(32_000 | 2 << 32);
                        chunk.add(16).cast::<u64>().write_volatile(numbers.next() % 4);
                    }
                }
                // SAFETY: every chunk is taken, so many have been.
                unsafe {
                    core::ptr::write_bytes(base.add(192), 0, 128);
                    base.add(88).cast::<u64>().write_volatile(1 << 20);
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        // Lengths that do not fit, in records that are committed.
        "lengths" => {
            for length in [0u32, 1, 7, 8, 15, 0x7fff_ffff, 0x8000_0000, u32::MAX, 16_384, 32_768, 65_536] {
                let ring = open(0x1e00 + u64::from(length % 4096));
                let slot = ThreadSlot::new();
                let _ = ring.append(&slot, |record| record.close(SpanId(1), 1));
                // SAFETY: the first record's own length.
                unsafe { ring.base().add(HEADER_SIZE + 64).cast::<u32>().write_volatile(length) };
            }
        }
        // Losses that nobody had.
        "counters" => {
            let ring = open(0xc0);
            // SAFETY: the counters of the header.
            unsafe { core::ptr::write_bytes(ring.base().add(64).as_ptr(), 0xff, 24) };
        }
        // The honest program's own span, and its children's parent.
        "impostor" => {
            for _ in 0..10 {
                let ring = open(target.span_id.0);
                let _ = ring.append(&ThreadSlot::new(), |record| record.close(target.span_id, 1));
                // As a vfork child would speak for it.
                let Holder::Process(honest) = target.holder else { panic!("the program has stamped it") };
                let claimed = Hello { pid: honest, ..hello(pid, target.span_id.0) };
                let claimed = Hello { speaker: pid, ..claimed };
                let _ = open_ring(target.run, &claimed, CHUNK_COUNT);
            }
        }
        // Many processes in one.
        "many" => {
            for span in 1..200 {
                let _ = open_ring(target.run, &hello(pid, 0xaa00 + span), CHUNK_COUNT);
            }
        }
        // Children that are not: init, the kernel's, and numbers that nobody has.
        "children" => adopt_everybody(&open(0xcd), &target, pid),
        other => panic!("unknown way {other}"),
    }
}

fn adopt_everybody(ring: &Ring, target: &Identity, own: u32) {
    let slot = ThreadSlot::new();
    for pid in (1..2000).chain([u32::MAX, i32::MAX as u32]) {
        let body = OpenBody {
            trace_id: TraceId(7),
            parent_id: target.span_id,
            start_ns: 1,
            pid,
            ppid: own,
            trace_flags: 1,
            role: ROLE_CHILD,
            remote_parent: false,
        };
        let _ = ring.append(&slot, |record| record.open(SpanId(0xbad_0000 + u64::from(pid)), &body));
    }
}

/// Each thing that can be wrong with what is said first.
fn greet_wrongly(target: &Identity) {
    let pid = sys::getpid();
    let right = hello(pid, 0x6e).format();
    let sealed = sys::SEAL_SHRINK | sys::SEAL_GROW | sys::SEAL_SEAL;
    let mut version = right;
    version[8] ^= 0xff;
    let size = Hello { ring_size: 4096, ..hello(pid, 0x6f) }.format();
    let long = [right.as_slice(), &[0; 4000]].concat();
    let good = memory(RING_SIZE, sealed);
    for message in [&right[..HELLO_LENGTH - 1], &[0u8; HELLO_LENGTH], &[][..], &version, &size, &long, b"x"] {
        if let Some(socket) = connect(target.run) {
            let _ = sys::send_with_fd(socket, message, good);
            sys::close(socket);
        }
    }
    // Memory that may shrink, is too small or too large, or none at all; and a zeroed one, which is no ring.
    let null = sys::open_read(c"/dev/null").expect("it is there");
    let directory = sys::open_read(c"/").expect("it is there");
    let file = sys::open_read(c"/proc/self/exe").expect("it is there");
    let socket = sys::seqpacket_socket().expect("a socket");
    for wrong in [
        memory(RING_SIZE, 0),
        memory(4096, sealed),
        memory(2 * RING_SIZE, sealed),
        memory(0, sealed),
        good,
        null,
        directory,
        file,
        socket,
    ] {
        if let Some(socket) = connect(target.run) {
            let _ = sys::send_with_fd(socket, &right, wrong);
            sys::close(socket);
        }
    }
    // And no memory.
    if let Some(socket) = connect(target.run) {
        // SAFETY: the bytes are readable for their length.
        unsafe { libc::send(socket, right.as_ptr().cast(), right.len(), libc::MSG_NOSIGNAL) };
        sys::close(socket);
    }
}

#[test]
fn nothing_that_is_said_or_written_harms_the_others() {
    for way in ["greetings", "scribble", "lengths", "counters", "impostor", "children"] {
        let run = Run::begin();
        run.meets(way);
        let spans = run.end(way);
        // What is claimed of processes that were there before is nobody's child here, and what is not there has no name.
        assert!(spans.len() < 4200, "{way}: {} spans", spans.len());
    }
}

#[test]
fn a_flood_stays_within_the_bound_of_the_spool() {
    let run = Run::begin();
    run.meets("flood");
    run.end("flood");
}

#[test]
fn one_process_is_not_many() {
    let run = Run::begin();
    run.meets("many");
    // Each would be a mapping and a descriptor in the sidecar.
    assert!(run.descriptors() < 60, "{} descriptors", run.descriptors());
    run.end("many");
}

#[test]
fn who_connects_and_says_nothing_is_in_nobodys_way() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("as many as are allowed");
    let run = Run::begin();
    let crowd: Vec<RawFd> = (0..1500).filter_map(|_| connect(run.identity().run)).collect();
    assert!(crowd.len() > 600, "{} could connect", crowd.len());
    wait_for("the sidecar to have looked at them", || (run.descriptors() > 200).then_some(()));
    assert!(run.descriptors() < 600, "the sidecar holds {} descriptors", run.descriptors());
    run.end("crowd");
    crowd.into_iter().for_each(sys::close);
}

#[test]
fn a_thousand_processes_at_once_are_all_there() {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_ddtrace-run"));
    let script = "i=0; while [ $i -lt 1000 ]; do (exit 5) & i=$((i+1)); done; wait; exit 4";
    assert_eq!(sandbox.run_traced(["sh", "-c", script]).code, Some(4));
    let spans = sandbox.spans();
    assert_eq!(spans.iter().filter(|span| span.exit_code() == Some(5)).count(), 1000);
    assert_eq!(spans.len(), 1001);
}
