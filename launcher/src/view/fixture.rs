//! Traces to draw in tests.

use super::model::{Trace, ViewSpan};
use ddtrace::ids::{SpanId, TraceId};

/// Where the times of [`span`] begin: not at zero, which stands for an unknown time.
pub const ORIGIN: u64 = 1_000;

/// A span with its times in nanoseconds after [`ORIGIN`].
pub fn span(id: u64, parent: u64, start: u64, end: u64) -> ViewSpan {
    ViewSpan {
        trace_id: TraceId(1),
        span_id: SpanId(id),
        parent_id: SpanId(parent),
        name: format!("s{id}"),
        start_ns: ORIGIN + start,
        end_ns: ORIGIN + end,
        ..ViewSpan::default()
    }
}

/// The one trace of these spans.
pub fn trace(spans: impl IntoIterator<Item = ViewSpan>) -> Trace {
    let mut traces = Trace::build(spans);
    assert_eq!(traces.len(), 1);
    traces.remove(0)
}

/// A build under construction.
#[derive(Default)]
pub struct Build {
    /// The processes so far.
    pub spans: Vec<ViewSpan>,
}

/// When the build began: 2026-11-24 06:40:00 UTC.
const BEGIN: u64 = 1_795_502_400_000_000_000;
const MS: u64 = 1_000_000;

impl Build {
    /// Adds a process; times in milliseconds since the build began. Returns its number, from 1.
    pub fn run(&mut self, parent: u64, start: f64, end: f64, command: &str) -> u64 {
        let id = self.spans.len() as u64 + 1;
        let args = split(command);
        let name = args[0].rsplit('/').next().unwrap_or_default().to_owned();
        let instant = |ms: f64| BEGIN + (ms * MS as f64) as u64;
        let busy = if matches!(name.as_str(), "make" | "sh" | "gcc") { 0.8 } else { 0.96 * (end - start) };
        self.spans.push(ViewSpan {
            trace_id: TraceId(0x6b05_2b40_0000_0000_1c2f_77a9_03d1_5e6b),
            span_id: SpanId(id),
            parent_id: SpanId(parent),
            name,
            args,
            service: "zlib".into(),
            start_ns: instant(start),
            end_ns: instant(end),
            exit_code: Some(0),
            cpu_ns: Some((busy * MS as f64) as u64),
            max_rss_bytes: Some(4 << 20 | ((end - start) as u64) << 15),
            is_process: true,
            pid: Some(4_000 + id as i64),
            working_directory: Some("/home/user/src/zlib".into()),
            ..ViewSpan::default()
        });
        id
    }

    /// `gcc -c` of a file with `cc1` and `as` below it. Returns the numbers of `gcc` and `cc1`.
    fn compile(&mut self, make: u64, start: f64, length: f64, file: &str) -> (u64, u64) {
        let end = start + length;
        let gcc = self.run(
            make,
            start,
            end,
            &format!("gcc -O3 -D_LARGEFILE64_SOURCE=1 -DHAVE_HIDDEN -I. -c -o {file}.o {file}.c"),
        );
        let cc1 = self.run(
            gcc,
            start + 2.1,
            end - 9.0,
            &format!(
                "/usr/libexec/gcc/x86_64-linux-gnu/14/cc1 -quiet -I . -imultiarch x86_64-linux-gnu \
                 -D _LARGEFILE64_SOURCE=1 {file}.c -quiet -dumpbase {file}.c -dumpbase-ext .c -mtune=generic -O3 \
                 -o /tmp/cc{gcc:06}.s"
            ),
        );
        self.run(gcc, end - 8.6, end - 0.7, &format!("as -I . --64 -o {file}.o /tmp/cc{gcc:06}.s"));
        (gcc, cc1)
    }
}

/// Words at blanks; what stands in single quotes is one.
fn split(command: &str) -> Vec<String> {
    let mut args = Vec::new();
    for (number, part) in command.split('\'').enumerate() {
        match number % 2 {
            0 => args.extend(part.split_whitespace().map(str::to_owned)),
            _ => args.push(part.to_owned()),
        }
    }
    args
}

/// `make -j2` of a small C library: 82 processes, two compilers at a time, then archive, links and a test.
pub fn make_build() -> Build {
    let mut build = Build::default();
    let make = build.run(0, 0.0, 1.0, "make -j2");
    let mut clock = 6.0;
    for probe in ["uname -s", "uname -m", "gcc -dumpversion"] {
        build.run(make, clock, clock + 3.0, probe);
        clock += 3.4;
    }
    let sources = [
        ("adler32", 96.0),
        ("crc32", 231.0),
        ("deflate", 612.0),
        ("infback", 187.0),
        ("inffast", 143.0),
        ("inflate", 398.0),
        ("inftrees", 122.0),
        ("trees", 341.0),
        ("zutil", 58.0),
        ("compress", 44.0),
        ("uncompr", 41.0),
        ("gzclose", 37.0),
        ("gzlib", 151.0),
        ("gzread", 204.0),
        ("gzwrite", 217.0),
        ("test/example", 174.0),
        ("test/minigzip", 189.0),
        ("test/infcover", 266.0),
    ];
    let mut lanes = [clock, clock + 1.7];
    for (file, length) in sources {
        let lane = usize::from(lanes[1] < lanes[0]);
        build.compile(make, lanes[lane], length, file);
        lanes[lane] += length + 1.9;
    }
    clock = lanes[0].max(lanes[1]);
    let archive =
        build.run(make, clock, clock + 31.0, "sh -c 'ar rc libz.a adler32.o crc32.o deflate.o; ranlib libz.a'");
    build.run(archive, clock + 1.0, clock + 22.0, "ar rc libz.a adler32.o crc32.o deflate.o infback.o inffast.o");
    build.run(archive, clock + 22.5, clock + 30.4, "ranlib libz.a");
    clock += 32.0;
    for (program, length) in [("example", 88.0), ("minigzip", 93.0), ("infcover", 90.0)] {
        let gcc = build.run(make, clock, clock + length, &format!("gcc -O3 -o {program} test/{program}.o -L. libz.a"));
        let collect = build.run(
            gcc,
            clock + 2.0,
            clock + length - 1.0,
            &format!(
                "/usr/libexec/gcc/x86_64-linux-gnu/14/collect2 -plugin liblto_plugin.so -o {program} test/{program}.o"
            ),
        );
        build.run(
            collect,
            clock + 4.0,
            clock + length - 1.6,
            &format!("/usr/bin/ld -plugin liblto_plugin.so -dynamic-linker /lib64/ld-linux-x86-64.so.2 -o {program} /usr/lib/crt1.o test/{program}.o -lc"),
        );
        clock += length / 2.0 + 2.0;
    }
    clock += 60.0;
    let test =
        build.run(make, clock, clock + 74.0, "sh -c 'echo hello world | ./minigzip | ./minigzip -d && ./example tmp'");
    for (at, length, command) in [(2.0, 9.0, "./minigzip"), (2.4, 9.4, "./minigzip -d"), (13.0, 58.0, "./example tmp")]
    {
        build.run(test, clock + at, clock + at + length, command);
    }
    for file in ["libz.pc", "zconf.h", "Makefile.dep"] {
        clock += 75.0 / 25.0;
        build.run(make, clock + 72.0, clock + 74.1, &format!("sed -e s/@VERSION@/1.3.1/ {file}.in"));
    }
    build.spans[0].end_ns = BEGIN + ((clock + 80.0) * MS as f64) as u64;
    build
}

/// The same build with an error in `inflate.c`: the compiler fails, so does make.
pub fn broken_build() -> Build {
    let mut build = make_build();
    let at = |build: &Build, what: &str| {
        build.spans.iter().position(|span| span.args.iter().any(|arg| arg == what)).expect("it is part of the build")
    };
    let gcc = at(&build, "inflate.c");
    let cut = build.spans[gcc].end_ns - 250 * MS;
    build.spans.retain(|span| span.start_ns < cut);
    for span in &mut build.spans {
        span.end_ns = span.end_ns.min(cut + 70 * MS);
    }
    build.spans[gcc].end_ns = cut;
    build.spans[gcc + 1].end_ns = cut - MS;
    build.spans[gcc + 1].cpu_ns = Some(139 * MS);
    for (id, code) in [(gcc, 1), (gcc + 1, 1), (0, 2)] {
        build.spans[id].exit_code = Some(code);
        build.spans[id].failed = true;
    }
    build
}
