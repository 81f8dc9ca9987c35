//! The sidecar's life: from the fork to the last process's end and the last span's delivery.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ddtrace::config::Config;
use ddtrace::span::Resource;
use ddtrace::sys::{monotonic_ns, realtime_ns, usage_of_self};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::collect::Collector;
use super::control::tell;
use super::exporting::{Exporting, Plan};
use super::first_process::FirstProcess;
use super::flush::{SPOOL, spool_bound};
use super::origin::Origin;
use super::pidfd::Watch;
use super::watch::{BUSY_TICK, CONTROL, LISTENER, SIGNALS, watch};
use super::{leftover, log};
use crate::spool::{Account, Counter, RecordsWriter, RunDirectory, Totals, begin_records, counted};

/// The program starts first: whoever connects meanwhile waits at the socket, without noticing.
const STAND_BACK: Duration = Duration::from_millis(25);

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
    for note in &order.notes {
        tracing::warn!("{note}");
    }
    let spool_dir = order.state_dir.as_ref().map(|directory| directory.join(SPOOL));
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
    let mut directory = directory;
    let worked = work_in(order, pid, watched, &mut directory, &account);
    if worked.is_err() {
        // Nobody has ended it, and it leaves nothing.
        account.set(Counter::SidecarPid, 0);
        if let Some(directory) = directory.take_if(|_| account.waiting() == 0) {
            Totals::take_in(directory, &account.counts());
        }
    }
    worked
}

/// As [`run`], for a run with this directory, if it has one, and this account.
fn work_in(
    order: Order,
    pid: u32,
    watched: Watch,
    directory: &mut Option<RunDirectory>,
    account: &Arc<Account>,
) -> nix::Result<()> {
    let debug = order.config.debug;
    let (spool_bound, spool_max_bytes) = (spool_bound(&order.config), order.config.spool_max_bytes);
    let spool_dir = order.state_dir.as_ref().map(|directory| directory.join(SPOOL));
    let clock_offset = i128::from(realtime_ns()) - i128::from(monotonic_ns());
    let origin = Origin { resource: Resource::clone(&order.resource), clock_offset };
    let path = directory.as_ref().map(|directory| directory.path().to_owned());
    let failed = |error| nix::Error::try_from(error).unwrap_or(nix::Error::EIO);
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
        account: Arc::clone(account),
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
        Arc::clone(account),
        order.first.identity.run,
        !order.process_spans,
    );
    if order.process_spans {
        collector.append_own(&order.first.record(pid));
    }
    collector.track(order.first.identity.span_id, pid, watched);
    if order.control.is_some() {
        collector.is_told_of(order.first.identity.span_id);
    }

    let first = order.first.identity.span_id;
    let told_to_go = watch(&epoll, &signals, &mut collector, &exporting, account, first, order.control.as_ref());

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
    let mut ended = exporting.join();
    if ended.left.lost > 0 {
        tracing::error!("{} spans that no receiver took were in memory alone and are dropped", ended.left.lost);
    }
    let count = |counter| account.get(counter);
    if ended.has_failed {
        tracing::error!("spans cannot be delivered, nor counted, here: the system refuses what that takes");
    } else {
        tracing::info!("{}", account.told(""));
    }
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
    if let Some(directory) = ended.left.directory.or_else(|| directory.take()) {
        if ended.is_complete && account.waiting() == 0 {
            Totals::take_in(directory, &account.counts());
        } else {
            let what = match account.waiting() {
                0 => "what was recorded waits".to_owned(),
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
        let told = (debug && !ended.has_failed).then(|| account.told(""));
        if ended.has_failed {
            ended.complaints.push(
                "spans could not be delivered, nor counted; the next run, or `ddtrace-run flush`, does it".to_owned(),
            );
        }
        tell(control, told.as_deref(), &ended.complaints, account.waiting());
    }
    Ok(())
}
