/*
 * Spans from C and whatever can call C.
 *
 * The functions find the tracer that `ddtrace-run` has put into the process, at run time and at the first call. Where
 * there is none they do nothing, at the price of one load. Nothing is linked: all is `static inline`, and `dlsym` is
 * referred to weakly (a glibc before 2.34 has it in libdl: link with `-ldl`).
 *
 * C99, C++11, or later, with GCC or Clang, on Linux. docs/c-interface.md tells more, examples/c-service.c shows it all.
 *
 * Unstable: both sides must be of the same release. A program that was compiled with another one records nothing.
 *
 * Rules for all functions: a handle of 0, or of something that has ended, is accepted, and nothing happens. They may be
 * called from any thread at any time, and never wait. Texts are copied. Times are nanoseconds since the Unix epoch, and 0
 * is now.
 */
#ifndef DDTRACE_RUN_H
#define DDTRACE_RUN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What lies behind the symbol `ddtrace_run_interface`: for other languages, too. ---- */

#define DDTRACE_VERSION 0u

/* A span, until it is finished; 0 is none. */
typedef uint64_t ddtrace_span;
/* A context that came with a request, until a span is started from it or it is released; 0 is none. */
typedef uint64_t ddtrace_context;

/* `ddtrace_options.parent`: the span begins a trace of its own, whatever is active. */
#define DDTRACE_NO_PARENT UINT64_MAX
/* `ddtrace_ids.priority` while nothing is decided. */
#define DDTRACE_UNDECIDED INT32_MIN
/* `ddtrace_ids.flags`: an extracted context, or the span that a forked child comes from. */
#define DDTRACE_IS_CONTEXT 1u
/* `ddtrace_ids.flags`: another tracer of the process tells of it. */
#define DDTRACE_IS_LENT 2u

enum ddtrace_kind {
    DDTRACE_INTERNAL = 1,
    DDTRACE_SERVER = 2,
    DDTRACE_CLIENT = 3,
    DDTRACE_PRODUCER = 4,
    DDTRACE_CONSUMER = 5
};

enum ddtrace_part { DDTRACE_NAME = 1, DDTRACE_RESOURCE = 2, DDTRACE_SERVICE = 3, DDTRACE_TYPE = 4, DDTRACE_KIND = 5 };

enum ddtrace_tag_type {
    DDTRACE_TEXT = 1,
    DDTRACE_INTEGER = 2,
    DDTRACE_DOUBLE = 3,
    DDTRACE_BOOL = 4,
    DDTRACE_REMOVED = 5
};

/* Bytes, best UTF-8. Need not end with NUL. */
struct ddtrace_bytes {
    const char *bytes;
    size_t length;
};

/* How a span begins. Everything but `size` may be zero; `DDTRACE_OPTIONS` is that. */
struct ddtrace_start_options {
    uint32_t size;
    /* A `ddtrace_kind`. */
    uint32_t kind;
    /* Zero: the span that is active on this thread. */
    ddtrace_span parent;
    /* From `ddtrace_extract`: its sender is the parent. Used up. */
    ddtrace_context context;
    uint64_t start_unix_ns;
    /* Where it is not the process's. */
    struct ddtrace_bytes service;
    /* What was done to what, such as `GET /users/{id}`: one of few values. Without it, the name. */
    struct ddtrace_bytes resource;
    /* Datadog's span type, such as `web`, `http`, `sql`, `cache`, `worker`. */
    struct ddtrace_bytes type;
};

struct ddtrace_value {
    /* A `ddtrace_tag_type`. */
    uint32_t type;
    uint32_t reserved;
    union {
        struct ddtrace_bytes text;
        /* For DDTRACE_BOOL as well. */
        int64_t integer;
        double number;
    } as;
};

struct ddtrace_named_value {
    struct ddtrace_bytes name;
    struct ddtrace_value value;
};

/* A header of a request: the name in any case, or as CGI and WSGI have it (`HTTP_X_DATADOG_TRACE_ID`). */
struct ddtrace_header {
    struct ddtrace_bytes name;
    struct ddtrace_bytes value;
};

struct ddtrace_error_info {
    struct ddtrace_bytes type;
    struct ddtrace_bytes message;
    struct ddtrace_bytes stack;
};

struct ddtrace_process {
    uint32_t size;
    uint32_t pid;
    uint64_t trace_id_high;
    uint64_t trace_id_low;
    uint64_t span_id;
    uint32_t trace_flags;
    /* Bit 0: the process itself is a span that is sent. */
    uint32_t flags;
};

struct ddtrace_ids {
    uint32_t size;
    /* W3C trace flags. */
    uint32_t trace_flags;
    uint64_t trace_id_high;
    uint64_t trace_id_low;
    uint64_t span_id;
    /* Above zero: the trace is kept. DDTRACE_UNDECIDED: not decided yet. */
    int32_t priority;
    /* DDTRACE_IS_CONTEXT, DDTRACE_IS_LENT or 0. */
    uint32_t flags;
};

/* For other tracers in the process: a request that came in over a connection, whose span is nobody's yet. */
struct ddtrace_request {
    uint32_t size;
    /* Bit 0: the parent is in another process. Bit 1: a context came in with it. */
    uint32_t flags;
    ddtrace_span span;
    uint64_t trace_id_high;
    uint64_t trace_id_low;
    uint64_t span_id;
    uint64_t parent_id;
};

/* For other tracers in the process: a span of theirs, that spans here can be below. */
struct ddtrace_lent {
    uint32_t size;
    uint32_t kind;
    /* A span of the same trace that is known here; 0 for the first one, with what the trace has brought along. */
    ddtrace_span of;
    uint64_t trace_id_high;
    uint64_t trace_id_low;
    uint64_t span_id;
    uint64_t local_root;
    const struct ddtrace_header *headers;
    size_t count;
    int32_t priority;
    uint32_t reserved;
};

/* For other tracers in the process: what they have decided about a trace. */
struct ddtrace_decided {
    uint32_t size;
    int32_t priority;
    /* As in _dd.p.dm; UINT32_MAX: somebody before this process. */
    uint32_t mechanism;
    /* Not zero: it has left the process. */
    uint32_t is_final;
    /* Below zero for none. */
    double rate;
};

/* For other tracers in the process: what is active while `*entered` is not zero. A null `entered` ends a list. */
struct ddtrace_place {
    const int *entered;
    ddtrace_span span;
};

/* Takes a header: `name` ends with NUL, `value` does not. Both are the tracer's, and gone after the call. */
typedef void (*ddtrace_set_header)(void *argument, const char *name, const char *value, size_t value_length);

/*
 * Gives the value number `index`, from 0 on, of the header `name` (lower case; case does not matter): fills in `value` and
 * returns 1, or returns 0 where there are not so many. The text must stay until `ddtrace_extract` is back.
 */
typedef int32_t (*ddtrace_get_header)(void *argument, const char *name, size_t index, struct ddtrace_bytes *value);

/* The table. It grows at its end; `size` tells how far it goes. */
struct ddtrace_interface {
    uint32_t size;
    uint32_t version;
    int32_t (*record)(const uint8_t *records, size_t length);
    int32_t (*process)(struct ddtrace_process *out);
    int32_t (*current)(struct ddtrace_ids *out);
    ddtrace_span (*start)(const char *name, size_t name_length, const struct ddtrace_start_options *options);
    void (*finish)(ddtrace_span span, uint64_t end_unix_ns);
    void (*set)(ddtrace_span span, uint32_t part, const char *text, size_t length);
    void (*tag)(ddtrace_span span, const char *name, size_t name_length, const struct ddtrace_value *value);
    void (*event)(ddtrace_span span, const char *name, size_t name_length, uint64_t time_unix_ns,
                  const struct ddtrace_named_value *tags, size_t count);
    void (*error)(ddtrace_span span, const struct ddtrace_error_info *error);
    ddtrace_span (*activate)(ddtrace_span span);
    ddtrace_span (*active)(void);
    int32_t (*inject)(ddtrace_span span, ddtrace_set_header set, void *argument);
    ddtrace_context (*extract)(ddtrace_get_header get, void *argument);
    void (*release)(ddtrace_context context);
    int32_t (*keep)(ddtrace_span span, int32_t keep);
    int32_t (*describe)(ddtrace_span span, struct ddtrace_ids *out);
    /* For tracers that decide by themselves: the Agent's sampling rate, below 0 where none was told. */
    double (*rate)(const char *service, size_t service_length, const char *env, size_t env_length);
    /* For other tracers in the process: as `inject`, in the styles datadog, tracecontext and baggage, with all that the
     * trace carries, whatever is configured. */
    int32_t (*hand_over)(ddtrace_span span, ddtrace_set_header set, void *argument);
    ddtrace_context (*extract_all)(const struct ddtrace_header *headers, size_t count);
    /* For other tracers in the process: see `docs/architecture.md`. */
    ddtrace_span (*surroundings)(void);
    int32_t (*request)(ddtrace_span span, struct ddtrace_request *out);
    ddtrace_span (*take_over)(ddtrace_span span);
    ddtrace_span (*lend)(const struct ddtrace_lent *span);
    void (*give_back)(ddtrace_span span);
    int32_t (*decide)(ddtrace_span span, const struct ddtrace_decided *decided);
    ddtrace_span (*request_from)(const uint8_t *address, uint32_t port);
    void (*places)(const struct ddtrace_place *places);
    void (*leave)(uint32_t what);
};

/* ---- Finding it. ---- */

/*
 * A program that has its own way to look symbols up (a plug-in whose host loads it in a name space of its own, say) defines
 * DDTRACE_LOOKUP(name) before it includes this file.
 */
#ifndef DDTRACE_LOOKUP
/* A weak reference: a program without `dlsym`, such as a static one, links as well, and has no tracer in it. */
static void *ddtrace_dlsym(void *, const char *) __attribute__((weakref("dlsym"), unused));
/* A null handle is RTLD_DEFAULT, which <dlfcn.h> shows only to those who ask for GNU's extensions. */
#define DDTRACE_LOOKUP(name) (ddtrace_dlsym ? ddtrace_dlsym((void *)0, (name)) : (void *)0)
#endif

#define DDTRACE_INLINE static inline __attribute__((unused))

/* The tracer, or null. */
DDTRACE_INLINE const struct ddtrace_interface *ddtrace_find(void) {
    /* Stands for "there is none", so that it is looked for only once. */
    static const struct ddtrace_interface none = {0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                                                  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                                                  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL};
    static const struct ddtrace_interface *found = NULL;
    const struct ddtrace_interface *known = __atomic_load_n(&found, __ATOMIC_RELAXED);
    if (known == NULL) {
        known = (const struct ddtrace_interface *)DDTRACE_LOOKUP("ddtrace_run_interface");
        if (known == NULL || known->version != DDTRACE_VERSION || known->size < sizeof(struct ddtrace_interface)) {
            known = &none;
        }
        __atomic_store_n(&found, known, __ATOMIC_RELAXED);
    }
    return known->size != 0 ? known : NULL;
}

/* ---- What programs call. ---- */

/* A text that ends with NUL; null is none. */
DDTRACE_INLINE struct ddtrace_bytes ddtrace_text(const char *text) {
    struct ddtrace_bytes result;
    result.bytes = text;
    result.length = text != NULL ? strlen(text) : 0;
    return result;
}

/* Options with nothing set. */
DDTRACE_INLINE struct ddtrace_start_options ddtrace_options(void) {
    struct ddtrace_start_options options;
    memset(&options, 0, sizeof options);
    options.size = (uint32_t)sizeof options;
    return options;
}

/* Whether there is a tracer: for what is only worth computing then. */
DDTRACE_INLINE int ddtrace_is_traced(void) { return ddtrace_find() != NULL; }

/* Begins a span. `name` is the kind of work, such as `http.request`; `options` may be null. It is not active by that. */
DDTRACE_INLINE ddtrace_span ddtrace_start(const char *name, const struct ddtrace_start_options *options) {
    const struct ddtrace_interface *tracer = ddtrace_find();
    return tracer != NULL ? tracer->start(name, name != NULL ? strlen(name) : 0, options) : 0;
}

/* Ends a span. If it is active on this thread, the one before it is so again. */
DDTRACE_INLINE void ddtrace_finish_at(ddtrace_span span, uint64_t end_unix_ns) {
    const struct ddtrace_interface *tracer = ddtrace_find();
    if (tracer != NULL) tracer->finish(span, end_unix_ns);
}

DDTRACE_INLINE void ddtrace_finish(ddtrace_span span) { ddtrace_finish_at(span, 0); }

/*
 * Makes a span, or an extracted context, the active one of this thread (0: none), and gives the one that was, to be
 * activated again. Of what has ended, the one that was active before it is.
 */
DDTRACE_INLINE ddtrace_span ddtrace_activate(ddtrace_span span) {
    const struct ddtrace_interface *tracer = ddtrace_find();
    return tracer != NULL ? tracer->activate(span) : 0;
}

/* The span that is active on this thread. */
DDTRACE_INLINE ddtrace_span ddtrace_active(void) {
    const struct ddtrace_interface *tracer = ddtrace_find();
    return tracer != NULL ? tracer->active() : 0;
}

DDTRACE_INLINE void ddtrace_set(ddtrace_span span, enum ddtrace_part part, const char *text) {
    const struct ddtrace_interface *tracer = ddtrace_find();
    if (tracer != NULL) tracer->set(span, (uint32_t)part, text, text != NULL ? strlen(text) : 0);
}

DDTRACE_INLINE void ddtrace_set_name(ddtrace_span span, const char *name) { ddtrace_set(span, DDTRACE_NAME, name); }

DDTRACE_INLINE void ddtrace_set_resource(ddtrace_span span, const char *resource) {
    ddtrace_set(span, DDTRACE_RESOURCE, resource);
}

DDTRACE_INLINE void ddtrace_set_service(ddtrace_span span, const char *service) {
    ddtrace_set(span, DDTRACE_SERVICE, service);
}

DDTRACE_INLINE void ddtrace_set_type(ddtrace_span span, const char *type) { ddtrace_set(span, DDTRACE_TYPE, type); }

/* Values for `ddtrace_tag` and for the tags of events. */
DDTRACE_INLINE struct ddtrace_value ddtrace_string_of_length(const char *text, size_t length) {
    struct ddtrace_value value;
    memset(&value, 0, sizeof value);
    value.type = DDTRACE_TEXT;
    value.as.text.bytes = text;
    value.as.text.length = length;
    return value;
}

DDTRACE_INLINE struct ddtrace_value ddtrace_string(const char *text) {
    return ddtrace_string_of_length(text, text != NULL ? strlen(text) : 0);
}

DDTRACE_INLINE struct ddtrace_value ddtrace_int(int64_t number) {
    struct ddtrace_value value;
    memset(&value, 0, sizeof value);
    value.type = DDTRACE_INTEGER;
    value.as.integer = number;
    return value;
}

DDTRACE_INLINE struct ddtrace_value ddtrace_double(double number) {
    struct ddtrace_value value;
    memset(&value, 0, sizeof value);
    value.type = DDTRACE_DOUBLE;
    value.as.number = number;
    return value;
}

DDTRACE_INLINE struct ddtrace_value ddtrace_bool(int truth) {
    struct ddtrace_value value;
    memset(&value, 0, sizeof value);
    value.type = DDTRACE_BOOL;
    value.as.integer = truth != 0;
    return value;
}

/* A tag of an event. */
DDTRACE_INLINE struct ddtrace_named_value ddtrace_tag_of(const char *name, struct ddtrace_value value) {
    struct ddtrace_named_value tag;
    tag.name = ddtrace_text(name);
    tag.value = value;
    return tag;
}

/* Sets a tag; the last value counts. */
DDTRACE_INLINE void ddtrace_tag(ddtrace_span span, const char *name, struct ddtrace_value value) {
    const struct ddtrace_interface *tracer = ddtrace_find();
    if (tracer != NULL) tracer->tag(span, name, name != NULL ? strlen(name) : 0, &value);
}

DDTRACE_INLINE void ddtrace_tag_string(ddtrace_span span, const char *name, const char *text) {
    ddtrace_tag(span, name, ddtrace_string(text));
}

DDTRACE_INLINE void ddtrace_tag_int(ddtrace_span span, const char *name, int64_t number) {
    ddtrace_tag(span, name, ddtrace_int(number));
}

DDTRACE_INLINE void ddtrace_tag_double(ddtrace_span span, const char *name, double number) {
    ddtrace_tag(span, name, ddtrace_double(number));
}

DDTRACE_INLINE void ddtrace_tag_bool(ddtrace_span span, const char *name, int truth) {
    ddtrace_tag(span, name, ddtrace_bool(truth));
}

/* Takes a tag away. */
DDTRACE_INLINE void ddtrace_untag(ddtrace_span span, const char *name) {
    struct ddtrace_value value;
    memset(&value, 0, sizeof value);
    value.type = DDTRACE_REMOVED;
    ddtrace_tag(span, name, value);
}

/* Adds something that happened at one instant. `tags` are `count` of them, or null. */
DDTRACE_INLINE void ddtrace_event_at(ddtrace_span span, const char *name, uint64_t time_unix_ns,
                                     const struct ddtrace_named_value *tags, size_t count) {
    const struct ddtrace_interface *tracer = ddtrace_find();
    if (tracer != NULL) tracer->event(span, name, name != NULL ? strlen(name) : 0, time_unix_ns, tags, count);
}

DDTRACE_INLINE void ddtrace_event(ddtrace_span span, const char *name, const struct ddtrace_named_value *tags, size_t count) {
    ddtrace_event_at(span, name, 0, tags, count);
}

/* The span has failed. `message` and `stack` may be null. */
DDTRACE_INLINE void ddtrace_error(ddtrace_span span, const char *type, const char *message, const char *stack) {
    const struct ddtrace_interface *tracer = ddtrace_find();
    if (tracer != NULL) {
        struct ddtrace_error_info error;
        error.type = ddtrace_text(type);
        error.message = ddtrace_text(message);
        error.stack = ddtrace_text(stack);
        tracer->error(span, &error);
    }
}

/*
 * Writes headers for a request, so that its receiver continues the trace. 0 is the active span; an extracted context is
 * passed on as it came. Decides whether the trace is kept. Gives 0, or -1 where there is nothing to write.
 */
DDTRACE_INLINE int ddtrace_inject(ddtrace_span span, ddtrace_set_header set, void *argument) {
    const struct ddtrace_interface *tracer = ddtrace_find();
    return tracer != NULL ? tracer->inject(span, set, argument) : -1;
}

/* Reads the headers of a request, for `ddtrace_options.context`. Gives 0 where they continue nothing. */
DDTRACE_INLINE ddtrace_context ddtrace_extract(ddtrace_get_header get, void *argument) {
    const struct ddtrace_interface *tracer = ddtrace_find();
    return tracer != NULL ? tracer->extract(get, argument) : 0;
}

/* As `ddtrace_extract`, from all `count` headers of a request: finds those too whose names end in a key of baggage. */
DDTRACE_INLINE ddtrace_context ddtrace_extract_all(const struct ddtrace_header *headers, size_t count) {
    const struct ddtrace_interface *tracer = ddtrace_find();
    return tracer != NULL ? tracer->extract_all(headers, count) : 0;
}

/* Gives back an extracted context that no span was started from. */
DDTRACE_INLINE void ddtrace_release(ddtrace_context context) {
    const struct ddtrace_interface *tracer = ddtrace_find();
    if (tracer != NULL) tracer->release(context);
}

/* Keeps the span's trace, whatever the sampling rules say. -1: too late, another process has been told otherwise. */
DDTRACE_INLINE int ddtrace_keep(ddtrace_span span) {
    const struct ddtrace_interface *tracer = ddtrace_find();
    return tracer != NULL ? tracer->keep(span, 1) : -1;
}

/* Drops it. */
DDTRACE_INLINE int ddtrace_drop(ddtrace_span span) {
    const struct ddtrace_interface *tracer = ddtrace_find();
    return tracer != NULL ? tracer->keep(span, 0) : -1;
}

/* Says which span of which trace it is; 0 is what is active. Decides nothing. Gives 0, or -1 and zeros. */
DDTRACE_INLINE int ddtrace_describe(ddtrace_span span, struct ddtrace_ids *out) {
    const struct ddtrace_interface *tracer = ddtrace_find();
    if (out == NULL) return -1;
    memset(out, 0, sizeof *out);
    out->size = (uint32_t)sizeof *out;
    return tracer != NULL ? tracer->describe(span, out) : -1;
}

#ifdef __cplusplus
}
#endif

#endif
