//! A Rust program with native code in it. `hand_over LIBRARY HOW [NAME VALUE]...`; the headers are those of a request that
//! comes in, and those that go out are printed. HOW is
//!
//! - `span`, `context`: native code takes the request, and has a span or only its context active; Rust makes spans within
//! - `rust`: Rust takes the request, and native code makes spans within, one of them with the headers of the Rust span

use ddtrace::interface::{Header, Text};
use opentelemetry::trace::{TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_void};

type Within = unsafe extern "C" fn(*const Header, usize, extern "C" fn());
type Step = unsafe extern "C" fn(*const c_char, *const Header, usize);

fn main() {
    let _tracing = ddtrace::init().inspect_err(|error| eprintln!("hand_over: {error}")).ok();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, how, headers @ ..] = &arguments[..] else { panic!("hand_over LIBRARY HOW [NAME VALUE]...") };
    let headers: BTreeMap<_, _> = headers.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    let library = Library::load(library);
    match how.as_str() {
        "span" => library.within(c"native_request", &headers),
        "context" => library.within(c"native_context", &headers),
        "rust" => serve(&library, headers.into_iter().collect()),
        other => panic!("{other:?} is nothing that it does"),
    }
}

/// What Rust does while native code has something active.
extern "C" fn inside() {
    global::tracer("hand_over").in_span("rust", |context| {
        context.span().set_attribute(KeyValue::new("manual.drop", true));
        global::tracer("hand_over").in_span("rust.inner", |_| {});
        print(&context);
    });
}

fn print(context: &Context) {
    for (name, value) in injected(context) {
        println!("rust {name}: {value}");
    }
}

fn injected(context: &Context) -> BTreeMap<String, String> {
    let mut headers = HashMap::new();
    global::get_text_map_propagator(|propagator| propagator.inject_context(context, &mut headers));
    headers.into_iter().collect()
}

fn serve(library: &Library, headers: HashMap<String, String>) {
    let context = global::get_text_map_propagator(|propagator| propagator.extract(&headers));
    let tracer = global::tracer("hand_over");
    let context = context.with_span(tracer.start_with_context("rust", &context));
    let _active = context.clone().attach();
    print(&context);
    library.step(c"native.alone", &BTreeMap::new());
    library.step(c"native.handed", &injected(&context));
}

struct Library(*mut c_void);

impl Library {
    fn load(path: &str) -> Library {
        let path = CString::new(path).expect("a path");
        // SAFETY: a name that ends with NUL. What runs as it is loaded is the tests' own.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null(), "{path:?} cannot be loaded");
        Library(library)
    }

    fn symbol(&self, name: &CStr) -> *mut c_void {
        // SAFETY: a library that is loaded, and a name that ends with NUL.
        let symbol = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!symbol.is_null(), "{name:?} is not there");
        symbol
    }

    fn within(&self, function: &CStr, headers: &BTreeMap<String, String>) {
        // SAFETY: hand_over.c declares both of these functions so.
        let function = unsafe { std::mem::transmute::<*mut c_void, Within>(self.symbol(function)) };
        let headers = of(headers);
        // SAFETY: as many headers as is said, which outlive the call, as their texts do.
        unsafe { function(headers.as_ptr(), headers.len(), inside) };
    }

    fn step(&self, name: &CStr, headers: &BTreeMap<String, String>) {
        // SAFETY: hand_over.c declares it so.
        let function = unsafe { std::mem::transmute::<*mut c_void, Step>(self.symbol(c"native_step")) };
        let headers = of(headers);
        // SAFETY: as above, and a name that ends with NUL.
        unsafe { function(name.as_ptr(), headers.as_ptr(), headers.len()) };
    }
}

fn of(headers: &BTreeMap<String, String>) -> Vec<Header> {
    let text = |text: &String| Text { bytes: text.as_ptr().cast(), length: text.len() };
    headers.iter().map(|(name, value)| Header { name: text(name), value: text(value) }).collect()
}
