//! Where a program that `ddtrace-run` started records its spans: in shared memory, from where the sidecar takes them.
//!
//! [`Recorder::find`] looks for the preload library, which has a ring already, through its [interface](crate::interface);
//! where there is none, as in static programs, it makes a ring of its own, for the run that `_DDTRACE_RUN` names. Nothing
//! is to be flushed or shut down: a record is safe as soon as it is written, however the process ends.
//!
//! Unlike the rest of the core this has state of the whole process and of each thread, as the process itself is the thing
//! described here.

mod absent;
#[cfg(test)]
pub(crate) mod memory;
mod native;
mod own;
mod preload;
mod process;

pub use absent::Absent;
pub use process::Process;

use crate::record::RecordWriter;
use crate::sampling::AgentRates;
use own::Run;
use preload::Preload;
use process::Processes;

/// Records into the memory that is shared with the sidecar.
#[derive(Debug)]
pub struct Recorder {
    outlet: Outlet,
    processes: Processes,
}

/// What the sidecar has told this process.
impl AgentRates for Recorder {
    fn rate(&self, service: &[u8], env: &[u8]) -> Option<f64> {
        match &self.outlet {
            Outlet::Preload(preload) => preload.agent_rate(service, env),
            Outlet::Own(_) => own::rates_of(self.process()).and_then(|rates| rates.rate(service, env)),
            Outlet::Nowhere => None,
            #[cfg(test)]
            Outlet::Memory(memory) => *memory.rate.lock().unwrap(),
        }
    }
}

/// Through what it is recorded.
#[derive(Debug)]
enum Outlet {
    Preload(Preload),
    Own(Run),
    /// Nothing is recorded.
    Nowhere,
    #[cfg(test)]
    Memory(memory::Memory),
}

impl Recorder {
    /// Finds where this process records.
    ///
    /// # Errors
    ///
    /// [`Absent`] says why nothing can be recorded; the program then runs on without.
    pub fn find() -> Result<Recorder, Absent> {
        match Preload::find()? {
            Some((preload, process)) => {
                Ok(Recorder { outlet: Outlet::Preload(preload), processes: Processes::new(process)? })
            }
            None => {
                let (run, process) = Run::join()?;
                Ok(Recorder { outlet: Outlet::Own(run), processes: Processes::new(process)? })
            }
        }
    }

    /// For a program whose spans go nowhere, but that still hands contexts on.
    #[must_use]
    pub fn nowhere() -> Recorder {
        Recorder { outlet: Outlet::Nowhere, processes: Processes::of_nobody() }
    }

    /// The process that this is. A forked child is another than its parent, and is noticed here.
    #[must_use]
    pub fn process(&self) -> &'static Process {
        self.processes.current(|before| match &self.outlet {
            Outlet::Preload(preload) => preload.process().unwrap_or_else(|| Process::untold(before)),
            Outlet::Own(_) => own::forked(before),
            Outlet::Nowhere => Process::untold(before),
            #[cfg(test)]
            Outlet::Memory(_) => memory::forked(before),
        })
    }

    /// Writes one record, of at most [`MAX_RECORD`](crate::ring::layout::MAX_RECORD) bytes. Gives whether it was taken; if
    /// not, that is counted where the sidecar sees it.
    pub fn record(&self, build: impl FnOnce(&mut RecordWriter)) -> bool {
        match &self.outlet {
            Outlet::Preload(preload) => preload.record(build),
            Outlet::Own(run) => run.record(self.process(), build),
            Outlet::Nowhere => false,
            #[cfg(test)]
            Outlet::Memory(memory) => memory.record(build),
        }
    }

    /// Whether the preload library takes the records; else this process has a ring that it made itself.
    #[must_use]
    pub fn is_preload(&self) -> bool {
        matches!(self.outlet, Outlet::Preload(_))
    }
}
