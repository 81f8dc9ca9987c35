/* Native code in a Rust program, which loads it: see hand_over.rs. */
#include "ddtrace_run.h"

#include <stdio.h>

static void print(void *prefix, const char *name, const char *value, size_t length) {
    printf("%s %s: %.*s\n", (const char *)prefix, name, (int)length, value);
}

/* Goes on with the trace of a request by a span that is active while `inside` runs. */
void native_request(const struct ddtrace_header *headers, size_t count, void (*inside)(void)) {
    struct ddtrace_start_options options = ddtrace_options();
    options.kind = DDTRACE_SERVER;
    options.context = ddtrace_extract_all(headers, count);
    ddtrace_span span = ddtrace_start("native.request", &options);
    ddtrace_span before = ddtrace_activate(span);
    inside();
    ddtrace_activate(before);
    ddtrace_finish(span);
}

/* Makes what came in with a request the active context while `inside` runs, and no span. */
void native_context(const struct ddtrace_header *headers, size_t count, void (*inside)(void)) {
    ddtrace_context context = ddtrace_extract_all(headers, count);
    ddtrace_span before = ddtrace_activate(context);
    inside();
    ddtrace_activate(before);
    ddtrace_release(context);
}

/* A span wherever it belongs, or below the sender of the headers, if there are any. */
void native_step(const char *name, const struct ddtrace_header *headers, size_t count) {
    struct ddtrace_start_options options = ddtrace_options();
    if (count > 0) options.context = ddtrace_extract_all(headers, count);
    ddtrace_span span = ddtrace_start(name, &options);
    ddtrace_inject(span, print, (void *)name);
    ddtrace_finish(span);
    fflush(stdout);
}
