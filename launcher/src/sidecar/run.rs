//! The sidecar's life: from the fork to the last process's end and the last span's delivery.

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ddtrace::config::Config;
use ddtrace::context::TraceContext;
use ddtrace::identity::{FLAG_REMOTE_PARENT, Identity};
use ddtrace::ids::SpanId;
use ddtrace::propagation::Extracted;
use ddtrace::record::{Name, OpenBody, ROLE_CHILD, RecordWriter, SpanFields};
use ddtrace::ring::layout::MAX_RECORD;
use ddtrace::sampling::Decision;
use ddtrace::scrub::ArgScrubber;
use ddtrace::semconv::Key;
use ddtrace::span::Resource;
use ddtrace::sys::{monotonic_ns, realtime_ns, usage_of_self};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{MsgFlags, recv};

use super::collect::{Collector, DOORBELL, PORTION};
use super::exporting::{Exporting, Plan};
use super::flush::{SPOOL, spool_bound};
use super::origin::Origin;
use super::pidfd::Watch;
use super::{leftover, log};
use crate::spool::{Account, Counter, RecordsWriter, RunDirectory, Totals, begin_records, counted};

const LISTENER: u64 = u64::MAX;
const SIGNALS: u64 = u64::MAX - 1;
const CONTROL: u64 = u64::MAX - 2;

/// How often rings are looked at while something happens in them, and at most while nothing does.
const BUSY_TICK: Duration = Duration::from_millis(20);
const IDLE_TICK: Duration = Duration::from_millis(160);
/// At most, where no process can say that its ring fills up: it takes less than a tenth of a second.
const DEAF_TICK: Duration = Duration::from_millis(20);
/// What happens within this time is handled in one go: fewer turns on the processor that the traced program needs.
const GATHER: Duration = Duration::from_millis(2);
/// How long the sidecar waits for another process to come, after the last one has gone.
const LINGER: Duration = Duration::from_millis(50);
/// The program starts first: whoever connects meanwhile waits at the socket, without noticing.
const STAND_BACK: Duration = Duration::from_millis(25);
/// Whoever tells the sidecar to go (SIGTERM) tells the programs as well, mostly, which record what they do as they stop. So
/// long their records are still taken in; whoever insists tells it twice.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// How long a supervised command's orphans are waited for.
const ORPHAN_WAIT: Duration = Duration::from_millis(500);

/// The process that the launcher becomes, or starts.
pub struct FirstProcess {
    /// Whose span it is.
    pub identity: Identity,
    /// Path of the program.
    pub executable: Vec<u8>,
    /// Its arguments.
    pub arguments: Vec<Vec<u8>>,
    /// The directory it starts in.
    pub directory: Vec<u8>,
    /// Why it cannot be seen from inside.
    pub untraceable: Option<String>,
    /// The incoming `tracestate`.
    pub trace_state: Vec<u8>,
    /// What its trace carries.
    pub context: TraceContext,
    /// How it was decided whether the trace is kept, where the launcher did.
    pub decision: Option<Decision>,
    /// What was handed in, with the traces that are not continued.
    pub incoming: Extracted,
    /// Tags that show some of the incoming baggage.
    pub baggage_tags: Vec<(String, String)>,
}

/// What the sidecar says to the supervising launcher at last: without it, it has not come to its end.
pub const LAST_WORD: u8 = 0x04;

/// What the sidecar is to do.
pub struct Order {
    /// Where processes connect.
    pub listener: OwnedFd,
    /// The configuration.
    pub config: Config,
    /// What makes the spans.
    pub resource: Arc<Resource>,
    /// Where spool, local store and log are.
    pub state_dir: Option<PathBuf>,
    /// The command's first process, if processes are recorded.
    pub first: FirstProcess,
    /// Whether processes become spans at all.
    pub process_spans: bool,
    /// See [`Plan::hold`].
    pub hold: Option<Duration>,
    /// The supervising launcher: it says when the command has ended by closing its side, and sees when we have.
    pub control: Option<OwnedFd>,
    /// Gets the spans for the view.
    pub view: Option<OwnedFd>,
    /// What the launcher had to say and could not say on a terminal.
    pub notes: Vec<String>,
}

/// Runs the sidecar to its end. `pid` is the first process, `watched` tells of its end.
pub fn run(order: Order, pid: u32, watched: Watch) -> nix::Result<()> {
    work(order, pid, watched)
        .inspect_err(|error| tracing::error!("the sidecar cannot work ({error}); nothing is recorded"))
}

fn work(order: Order, pid: u32, watched: Watch) -> nix::Result<()> {
    if order.control.is_none() {
        std::thread::sleep(STAND_BACK);
    }
    log::begin(&order.config, order.state_dir.as_deref());
    let debug = order.config.debug;
    for note in &order.notes {
        tracing::warn!("{note}");
    }
    let (spool_bound, spool_max_bytes) = (spool_bound(&order.config), order.config.spool_max_bytes);
    let spool_dir = order.state_dir.as_ref().map(|directory| directory.join(SPOOL));
    let clock_offset = i128::from(realtime_ns()) - i128::from(monotonic_ns());
    let origin = Origin { resource: Resource::clone(&order.resource), clock_offset };
    let directory = spool_dir.as_deref().and_then(|spool| match RunDirectory::create(spool) {
        Ok(directory) => Some(directory),
        Err(error) => {
            tracing::warn!("cannot keep spans in {}: {error}; keeping them in memory", spool.display());
            None
        }
    });
    let path = directory.as_ref().map(|directory| directory.path().to_owned());
    let failed = |error| nix::Error::try_from(error).unwrap_or(nix::Error::EIO);
    let account = Arc::new(Account::begin(path.as_deref()).map_err(failed)?);
    account.set(Counter::SidecarPid, std::process::id().into());
    let (records, reader, reason) = begin_records(path.as_deref(), spool_bound, &origin.format()).map_err(failed)?;
    if let Some(reason) = reason {
        tracing::warn!("{reason}");
    }
    if let Some(path) = &path {
        tracing::debug!("spooling to {}", path.display());
    }
    let plan = Plan {
        clock_offset,
        spool: spool_dir.clone(),
        directory: path,
        account: Arc::clone(&account),
        config: order.config,
        resource: order.resource,
        state_dir: order.state_dir,
        shown: order.view.is_some(),
        view: order.view,
        attended: order.control.is_some(),
        hold: order.hold,
        first: order.first.identity.span_id,
    };
    let exporting =
        Exporting::start(reader, plan).map_err(|error| nix::Error::try_from(error).unwrap_or(nix::Error::EAGAIN))?;

    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(order.listener.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGTERM);
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    epoll.add(signals.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, SIGNALS))?;
    if let Some(control) = &order.control {
        epoll.add(control.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP, CONTROL))?;
    }
    // A second handle, as the collector adds processes to it.
    let for_collector = Epoll(epoll.0.try_clone().map_err(|_| nix::Error::EMFILE)?);
    let mut collector = Collector::new(
        order.listener,
        for_collector,
        records,
        Arc::clone(&account),
        order.first.identity.run,
        !order.process_spans,
    );
    let first = SpanRecord::of(&order.first, pid);
    if order.process_spans {
        collector.append_own(&first.bytes);
    }
    collector.track(order.first.identity.span_id, pid, watched);

    let first = order.first.identity.span_id;
    let told_to_go = watch(&epoll, &signals, &mut collector, &exporting, &account, first, order.control.as_ref());

    account.set(Counter::Over, 1);
    if told_to_go {
        exporting.hurry();
    }
    collector.accept_all();
    let is_complete = collector.end(|| {
        exporting.wake();
        !exporting.is_finished()
    });
    if !is_complete {
        exporting.end_without_word();
    }
    // Who comes now is not traced by this run any more, and may have one of its own.
    let mut records = Some(collector.into_records());
    exporting.wake();
    while !exporting.is_finished() {
        if exporting.asks_for_room() {
            records.take().into_iter().for_each(RecordsWriter::delete);
            exporting.tell_of_room();
        }
        // SIGTERM while delivering: what is left stays in the spool.
        let mut events = [EpollEvent::empty()];
        let woken = epoll.wait(&mut events, EpollTimeout::from(20u16));
        if signals.read_signal().is_ok_and(|told| told.is_some()) {
            exporting.hurry();
        } else if woken != Ok(0) {
            std::thread::sleep(BUSY_TICK);
        }
    }
    let ended = exporting.join();
    if ended.left.lost > 0 {
        tracing::error!("{} spans that no receiver took were in memory alone and are dropped", ended.left.lost);
    }
    let count = |counter| account.get(counter);
    tracing::info!("{}", account.told(""));
    let (in_processes, in_spool) = (count(Counter::LostInProcesses), count(Counter::LostInSpool));
    let lost = in_processes + in_spool;
    if lost > 0 {
        let (records, were) = if lost == 1 { ("record", "was") } else { ("records", "were") };
        tracing::warn!(
            "{lost} {records} {were} lost before delivery: {in_processes} in processes, {in_spool} in the spool"
        );
    }
    let usage = usage_of_self();
    tracing::debug!(
        "the sidecar used {:.1} ms of CPU and {:.1} MiB of memory for {} bytes of records",
        (usage.user_ns + usage.system_ns) as f64 / 1e6,
        usage.max_rss as f64 / f64::from(1 << 20),
        account.get(Counter::RecordBytes)
    );
    account.set(Counter::SidecarPid, 0);
    if let Some(directory) = ended.left.directory.or(directory) {
        if ended.is_complete && account.waiting() == 0 {
            Totals::take_in(directory, &account.counts());
        } else {
            let what = match account.waiting() {
                0 => "what nobody could read waits".to_owned(),
                1 => "1 span waits".to_owned(),
                waiting => format!("{} wait", counted(waiting, "span")),
            };
            tracing::warn!("{what} in {}", directory.path().display());
            records.iter_mut().for_each(RecordsWriter::leave);
            drop(directory);
            if let Some(spool) = &spool_dir {
                leftover::keep_within(spool, spool_max_bytes);
            }
        }
    }
    if let Some(control) = order.control {
        let told = debug.then(|| account.told(""));
        tell(control, told.as_deref(), &ended.complaints, account.waiting());
    }
    Ok(())
}

/// Tells the supervising launcher what became of the spans: the account where it is wanted, what was not hoped for, and
/// that this was all.
fn tell(control: OwnedFd, account: Option<&str>, complaints: &[String], waiting: u64) {
    let mut stream = UnixStream::from(control);
    if let Some(account) = account {
        let _ = writeln!(stream, "{account}");
    }
    for line in complaints {
        let _ = writeln!(stream, "{line}");
    }
    if waiting > 0 {
        let _ = writeln!(
            stream,
            "{waiting} {} not delivered yet; the next run that reaches the backend does it",
            if waiting == 1 { "span is" } else { "spans are" }
        );
    }
    let _ = stream.write_all(&[LAST_WORD]);
}

/// Whether the supervising launcher has closed its side, or is gone.
fn is_closed(control: &OwnedFd) -> bool {
    recv(control.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK) == Ok(0)
}

/// Collects until the last process is gone, or somebody says that it is enough. Gives whether the sidecar was told to go.
fn watch(
    epoll: &Epoll,
    signals: &SignalFd,
    collector: &mut Collector,
    exporting: &Exporting,
    account: &Account,
    first: SpanId,
    control: Option<&OwnedFd>,
) -> bool {
    let mut supervised = control.is_some();
    let mut tick = BUSY_TICK;
    let mut is_flooded = false;
    let mut last_drain = Instant::now();
    let mut quiet_since: Option<Instant> = None;
    let mut command_ended: Option<Instant> = None;
    let mut told_no_processes = false;
    let mut told_to_go: Option<Instant> = None;
    let mut is_blind = false;
    loop {
        let mut events = [EpollEvent::empty(); 64];
        if collector.is_expectant() {
            collector.accept_all();
        }
        let wait = match () {
            () if is_flooded => Duration::ZERO,
            () if collector.is_expectant() || quiet_since.is_some() => BUSY_TICK,
            () => tick,
        };
        let looked_ns = monotonic_ns();
        let count = match epoll.wait(&mut events, EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::ZERO)) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => {
                // Of a filter of system calls that the launcher was started under. All is looked at instead.
                if !std::mem::replace(&mut is_blind, true) {
                    tracing::warn!("cannot wait for events ({error}): processes are looked at every {BUSY_TICK:?}");
                }
                std::thread::sleep(BUSY_TICK);
                0
            }
        };
        let (mut active, mut is_rung) = (false, false);
        if is_blind {
            active |= collector.accept_all() > 0;
            if signals.read_signal().is_ok_and(|told| told.is_some()) && told_to_go.replace(Instant::now()).is_some() {
                return true;
            }
            if control.is_some_and(is_closed) {
                command_ended.get_or_insert_with(Instant::now);
            }
        }
        for event in events.iter().take(count) {
            match event.data() {
                DOORBELL => {
                    collector.answer_doorbell();
                    is_rung = true;
                }
                LISTENER => active |= collector.accept_all() > 0,
                SIGNALS => {
                    if let Ok(Some(_)) = signals.read_signal()
                        && told_to_go.replace(Instant::now()).is_some()
                    {
                        return true;
                    }
                }
                CONTROL if event.events().contains(EpollFlags::EPOLLHUP) => {
                    // The launcher is gone, with or before the command: nobody waits, and it goes on as without a launcher.
                    (supervised, command_ended) = (false, None);
                    if let Some(control) = control {
                        let _ = epoll.delete(control);
                    }
                }
                CONTROL => {
                    command_ended.get_or_insert_with(Instant::now);
                }
                span => {
                    active = true;
                    collector.woken(SpanId(span), event.events().contains(EpollFlags::EPOLLHUP));
                }
            }
        }
        if last_drain.elapsed() >= BUSY_TICK || count == 0 || is_rung {
            let bytes = collector.drain_all();
            // After so much the next look follows at once. Where there is no room for more, the exporting thread needs the
            // processor.
            is_flooded = bytes >= PORTION && !collector.is_cut_short();
            active |= bytes > 0 || collector.is_cut_short();
            last_drain = Instant::now();
        }
        collector.look_at_unwatched(is_blind);
        collector.bury_unreaped(false);
        if let Some(which) = exporting.gives_up()
            && !told_no_processes
        {
            // Where there is no room yet, it is tried again.
            told_no_processes = collector.give_up_processes(which);
            active |= told_no_processes;
        }
        if let Some(rates) = exporting.new_rates() {
            collector.set_rates(&rates);
        }
        if active {
            tick = BUSY_TICK;
            exporting.wake();
        } else {
            let is_told_all = collector.has_doorbell() && !collector.has_unwatched();
            let longest = if is_told_all { IDLE_TICK } else { DEAF_TICK };
            tick = (tick * 2).min(longest);
        }
        let is_over = collector.living() == 0 && !collector.finds_silent_processes();
        account.set(Counter::Over, (is_over || collector.has_only_unmapped()).into());
        account.set(Counter::CommandOver, (!collector.knows(first)).into());
        if count < events.len() {
            account.set(Counter::Looked, looked_ns);
        }
        if told_to_go.is_some_and(|told| is_over || told.elapsed() >= LAST_WORDS) {
            return true;
        }
        if is_over {
            let since = *quiet_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= LINGER || (supervised && command_ended.is_some()) {
                return false;
            }
        } else {
            quiet_since = None;
        }
        if command_ended.is_some_and(|ended| ended.elapsed() >= ORPHAN_WAIT) {
            collector.stop();
            return false;
        }
        if count > 0 && !is_rung {
            std::thread::sleep(GATHER);
        }
    }
}

/// The record of the first process, as its parent, the launcher, knows it.
struct SpanRecord {
    bytes: Vec<u8>,
}

impl SpanRecord {
    fn of(first: &FirstProcess, pid: u32) -> SpanRecord {
        let mut bytes = vec![0u8; MAX_RECORD];
        let start = NonNull::new(bytes.as_mut_ptr()).unwrap_or(NonNull::dangling());
        // SAFETY: the vector's own bytes, used by nobody else until the record is finished.
        let mut record = unsafe { RecordWriter::new(start, bytes.len()) };
        let identity = &first.identity;
        let body = OpenBody {
            trace_id: identity.trace_id,
            parent_id: identity.parent_id,
            start_ns: identity.start_ns,
            pid,
            ppid: 0,
            trace_flags: identity.trace_flags,
            role: ROLE_CHILD,
            remote_parent: identity.flags & FLAG_REMOTE_PARENT != 0,
        };
        record.open(identity.span_id, &body);
        record.text(Key::ExecutablePath, &first.executable);
        record.text(Key::WorkingDirectory, &first.directory);
        if !first.trace_state.is_empty() {
            record.text(Key::TraceState, &first.trace_state);
        }
        if let Some(reason) = &first.untraceable {
            record.text(Key::Untraceable, reason.as_bytes());
        }
        record.verdict(&first.context, first.decision.as_ref());
        record.incoming(&first.context);
        record.terminated_links(&first.incoming);
        for (name, value) in &first.baggage_tags {
            record.attribute_text(Name(name.as_bytes()), value.as_bytes());
        }
        record.integer(Key::ArgsCount, first.arguments.len() as i64);
        record.text_list(Key::CommandArgs, |list| {
            let mut scrubber = ArgScrubber::new();
            for argument in &first.arguments {
                if list.room() < argument.len() + 1024 {
                    break;
                }
                for piece in scrubber.scrub(argument).pieces() {
                    list.push(piece);
                }
                list.end_item();
            }
        });
        let length = record.finish().unwrap_or(0) as usize;
        bytes.truncate(length);
        SpanRecord { bytes }
    }
}
