//! Attribute names, once: those of the semantic conventions and the few of our own.
//!
//! Inside records an attribute is a number, [`Key`]; outside it is its name.

macro_rules! keys {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $constant:ident, $name:literal;)*) => {
        /// An attribute as records carry it. Numbers are part of the ring's format: never reused.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u16)]
        pub enum Key {
            $($(#[$doc])* $variant = $number,)*
        }

        $($(#[$doc])* pub const $constant: &str = $name;)*

        impl Key {
            /// Every key.
            pub const ALL: &[Key] = &[$(Key::$variant,)*];

            /// The attribute's name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Key::$variant => $constant,)*
                }
            }

            /// The key with this number, if there is one.
            #[must_use]
            pub fn from_number(number: u16) -> Option<Key> {
                match number {
                    $($number => Some(Key::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

keys! {
    /// The span's name. Not exported as an attribute.
    Name = 1, NAME, "name";
    /// W3C `tracestate` of the span. Not exported as an attribute.
    TraceState = 2, TRACE_STATE, "tracestate";
    /// Base name of the executable.
    ExecutableName = 10, PROCESS_EXECUTABLE_NAME, "process.executable.name";
    /// Path of the executable.
    ExecutablePath = 11, PROCESS_EXECUTABLE_PATH, "process.executable.path";
    /// The arguments with `argv[0]`, secrets replaced.
    CommandArgs = 12, PROCESS_COMMAND_ARGS, "process.command_args";
    /// How many arguments there were.
    ArgsCount = 13, PROCESS_ARGS_COUNT, "process.args_count";
    /// The directory the program was started in.
    WorkingDirectory = 14, PROCESS_WORKING_DIRECTORY, "process.working_directory";
    /// The process id.
    Pid = 15, PROCESS_PID, "process.pid";
    /// The parent's process id.
    ParentPid = 16, PROCESS_PARENT_PID, "process.parent_pid";
    /// The exit code; 128 + n for a death by signal n.
    ExitCode = 17, PROCESS_EXIT_CODE, "process.exit.code";
    /// What went wrong: a signal's name, or the exit code as text.
    ErrorType = 18, ERROR_TYPE, "error.type";
    /// User CPU time in seconds.
    CpuUser = 19, PROCESS_CPU_TIME_USER, "process.cpu.time.user";
    /// System CPU time in seconds.
    CpuSystem = 20, PROCESS_CPU_TIME_SYSTEM, "process.cpu.time.system";
    /// Largest resident set in bytes.
    MemoryPeak = 21, PROCESS_MEMORY_PEAK, "process.memory.peak";
    /// Why nothing inside of the process can be seen.
    Untraceable = 22, PROCESS_UNTRACEABLE, "ddtrace_run.untraceable";
    /// How many times the process was replaced by another program.
    ExecCount = 23, PROCESS_EXEC_COUNT, "ddtrace_run.exec_count";
    /// True where the process was still running when its trace was sent: the span's end is when it was last seen.
    Unfinished = 24, PROCESS_UNFINISHED, "ddtrace_run.unfinished";
}
