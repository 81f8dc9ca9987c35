/* What programs do with include/ddtrace_run.h, rightly and wrongly. The first argument says which. */
#define _GNU_SOURCE
#include "ddtrace_run.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct headers {
    const char *const *lines; /* name, value, name, value, …, NULL */
};

static int32_t get(void *argument, const char *name, size_t index, struct ddtrace_bytes *value) {
    const char *const *line = ((const struct headers *)argument)->lines;
    for (; line[0] != NULL; line += 2) {
        if (strcmp(line[0], name) == 0 && index-- == 0) {
            *value = ddtrace_text(line[1]);
            return 1;
        }
    }
    return 0;
}

static void print(void *argument, const char *name, const char *value, size_t length) {
    const char *prefix = argument;
    printf("%s%s: %.*s\n", prefix, name, (int)length, value);
}

static void print_priority(void *argument, const char *name, const char *value, size_t length) {
    if (strcmp(name, "x-datadog-sampling-priority") == 0) printf("%s%.*s\n", (char *)argument, (int)length, value);
}

static void print_trace(const char *what, ddtrace_span span) {
    struct ddtrace_ids ids;
    ddtrace_describe(span, &ids);
    printf("%s %016llx%016llx\n", what, (unsigned long long)ids.trace_id_high, (unsigned long long)ids.trace_id_low);
}

/* argv: name, value, name, value, … of headers that come in; those that go out are printed. */
static void propagate(char **argv) {
    struct headers headers = {(const char *const *)argv};
    ddtrace_context context = ddtrace_extract(get, &headers);
    printf("context %d\n", context != 0);
    ddtrace_inject(context, print, "passed on ");
    struct ddtrace_start_options options = ddtrace_options();
    options.context = context;
    ddtrace_span span = ddtrace_start("work", &options);
    printf("used up %d\n", ddtrace_inject(context, print, "?"));
    ddtrace_span child = ddtrace_start("child", &(struct ddtrace_start_options){.size = sizeof options, .parent = span});
    ddtrace_inject(child, print, "");
    ddtrace_finish(child);
    ddtrace_finish(span);
}

/* What sampling rules see: everything that is said before the context leaves. */
static void sample(char **argv) {
    ddtrace_span span = ddtrace_start("http.request", NULL);
    ddtrace_set_resource(span, "GET /health");
    ddtrace_tag_string(span, "tier", "gold");
    ddtrace_tag_int(span, "shard", 7);
    ddtrace_tag_int(span, "http.response.status_code", 503);
    ddtrace_tag_string(span, "http.request.header.x-kind", "probe");
    ddtrace_tag_string(span, "operation.name", "health.check");
    if (argv[0] != NULL && strcmp(argv[0], "keep") == 0) printf("keep %d\n", ddtrace_keep(span));
    if (argv[0] != NULL && strcmp(argv[0], "drop") == 0) printf("drop %d\n", ddtrace_drop(span));
    if (argv[0] != NULL && strcmp(argv[0], "tag") == 0) ddtrace_tag_bool(span, "manual.keep", 1);
    struct ddtrace_ids ids;
    ddtrace_describe(span, &ids);
    printf("before %s\n", ids.priority == DDTRACE_UNDECIDED ? "undecided" : "decided");
    ddtrace_inject(span, print_priority, "");
    printf("too late %d\n", ddtrace_drop(span));
    ddtrace_inject(span, print_priority, "");
    ddtrace_finish(span);
}

enum { THREADS = 8, EACH = 125 };

static void *work(void *argument) {
    struct ddtrace_start_options options = ddtrace_options();
    options.parent = *(ddtrace_span *)argument;
    for (int number = 0; number < EACH; number++) {
        ddtrace_span span = ddtrace_start("step", &options);
        ddtrace_span before = ddtrace_activate(span);
        ddtrace_tag_int(ddtrace_active(), "number", number);
        ddtrace_activate(before);
        ddtrace_finish(span);
    }
    return NULL;
}

static void threads(void) {
    pthread_t threads[THREADS];
    ddtrace_span root = ddtrace_start("root", NULL);
    for (int thread = 0; thread < THREADS; thread++) pthread_create(&threads[thread], NULL, work, &root);
    for (int thread = 0; thread < THREADS; thread++) pthread_join(threads[thread], NULL);
    ddtrace_finish(root);
    puts("done");
}

static void exhaust(void) {
    static ddtrace_span spans[100000];
    struct ddtrace_start_options options = ddtrace_options();
    options.parent = spans[0] = ddtrace_start("root", NULL);
    int count = 1;
    while (count < 100000 && (spans[count] = ddtrace_start("many", &options)) != 0) count++;
    printf("spans %d\n", count);
    while (count > 0) ddtrace_finish(spans[--count]);
    for (count = 0; count < 100000; count++) {
        options.parent = DDTRACE_NO_PARENT;
        if ((spans[count] = ddtrace_start("own", &options)) == 0) break;
    }
    printf("traces %d\n", count);
    while (count > 0) ddtrace_finish(spans[--count]);
    ddtrace_span again = ddtrace_start("again", NULL);
    printf("again %d\n", again != 0);
    ddtrace_finish(again);
}

/* Everything with handles that lead nowhere. */
static void stale(void) {
    ddtrace_span ended = ddtrace_start("ended", NULL);
    ddtrace_activate(ended);
    ddtrace_finish(ended);
    const ddtrace_span handles[] = {0, ended, 1, 0x8001, 12345, UINT64_MAX, UINT64_MAX - 1};
    for (size_t index = 0; index < sizeof handles / sizeof *handles; index++) {
        ddtrace_span span = handles[index];
        struct ddtrace_ids ids;
        struct ddtrace_named_value tag = ddtrace_tag_of("a", ddtrace_int(1));
        ddtrace_finish(span);
        ddtrace_tag_string(span, "a", "b");
        ddtrace_untag(span, "a");
        ddtrace_set_resource(span, "r");
        ddtrace_event(span, "e", &tag, 1);
        ddtrace_error(span, "t", "m", "s");
        ddtrace_activate(span);
        ddtrace_release(span);
        printf("%d %d %d %d\n", ddtrace_active() != 0, ddtrace_keep(span), ddtrace_describe(span, &ids),
               ddtrace_inject(span, print, "?"));
    }
    /* Values that make no sense. */
    ddtrace_span span = ddtrace_start(NULL, NULL);
    struct ddtrace_value value = ddtrace_int(1);
    value.type = 99;
    ddtrace_tag(span, "a", value);
    ddtrace_tag_string(span, NULL, "b");
    ddtrace_tag_string(span, "b", NULL);
    ddtrace_set(span, (enum ddtrace_part)9, "x");
    ddtrace_event(span, NULL, NULL, 5);
    ddtrace_error(span, NULL, NULL, NULL);
    ddtrace_inject(span, NULL, NULL);
    ddtrace_extract(NULL, NULL);
    ddtrace_finish(span);
    puts("done");
}

static void forks(void) {
    ddtrace_span parent = ddtrace_start("parent", NULL);
    ddtrace_activate(parent);
    ddtrace_inject(parent, print_priority, "parent ");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        ddtrace_tag_string(parent, "written.by", "child");
        ddtrace_finish(parent);
        ddtrace_span span = ddtrace_start("in.child", NULL);
        ddtrace_tag_int(span, "child", 1);
        ddtrace_inject(span, print_priority, "child ");
        ddtrace_finish(span);
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    child = vfork();
    if (child == 0) _exit(ddtrace_start("in.vfork", NULL) == 0 ? 7 : 8);
    int status = 0;
    waitpid(child, &status, 0);
    printf("vfork %d\n", WEXITSTATUS(status));
    ddtrace_tag_string(parent, "written.by", "parent");
    ddtrace_finish(parent);
}

static void hang(void) {
    ddtrace_span root = ddtrace_start("unlucky", NULL);
    ddtrace_activate(root);
    ddtrace_tag_string(root, "said", "before the end");
    ddtrace_span child = ddtrace_start("inner", NULL);
    ddtrace_event(child, "last", NULL, 0);
    ddtrace_inject(child, print_priority, "");
    puts("ready");
    fflush(stdout);
    pause();
}

static volatile sig_atomic_t handled;

static void on_signal(int signal) {
    (void)signal;
    ddtrace_span span = ddtrace_start("in.handler", NULL);
    ddtrace_tag_int(span, "signal", signal);
    ddtrace_finish(span);
    handled++;
}

/* A handler makes spans in the middle of the program's own. */
static void signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGALRM, &action, NULL);
    ddtrace_span root = ddtrace_start("root", NULL);
    ddtrace_activate(root);
    ualarm(500, 200);
    for (long spans = 0; handled < 100; spans++) {
        ddtrace_span span = ddtrace_start("outside", NULL);
        ddtrace_tag_string(span, "a", "b");
        ddtrace_finish(span);
    }
    ualarm(0, 0);
    ddtrace_finish(root);
    puts("done");
}

static void all_of_it(void) {
    struct ddtrace_start_options options = ddtrace_options();
    options.kind = DDTRACE_CONSUMER;
    options.service = ddtrace_text("other");
    options.resource = ddtrace_text("orders");
    options.type = ddtrace_text("queue");
    options.start_unix_ns = 1700000000000000000u;
    ddtrace_span span = ddtrace_start("receive", &options);
    ddtrace_tag_string(span, "text", "größe");
    ddtrace_tag_int(span, "integer", -42);
    ddtrace_tag_double(span, "double", 0.25);
    ddtrace_tag_bool(span, "yes", 1);
    ddtrace_tag_string(span, "gone", "x");
    ddtrace_untag(span, "gone");
    char *text = malloc(20001);
    memset(text, 'x', 20000);
    text[20000] = '\0';
    ddtrace_tag_string(span, "long", text);
    struct ddtrace_named_value tags[3] = {ddtrace_tag_of("k", ddtrace_string("v")), ddtrace_tag_of("n", ddtrace_int(3)),
                                  ddtrace_tag_of("long", ddtrace_string(text))};
    ddtrace_event_at(span, "moment", 1700000000500000000u, tags, 3);
    ddtrace_error(span, "Timeout", "it took too long", "here\nthere");
    ddtrace_set_name(span, "receive.batch");
    ddtrace_finish_at(span, 1700000001000000000u);
    free(text);
    print_trace("after", span);
}

/* The functions that other tracers of the project use: whole records, what the process is, what is active. */
static void table(void) {
    const struct ddtrace_interface *tracer = ddtrace_find();
    if (tracer == NULL) return;
    struct ddtrace_process process = {.size = sizeof process};
    printf("process %d", tracer->process(&process));
    printf(" %d\n", process.pid == (uint32_t)getpid());
    struct ddtrace_process small = {.size = 8, .span_id = 77};
    printf("small %d", tracer->process(&small));
    printf(" %d %d\n", small.pid == (uint32_t)getpid(), small.span_id == 77);
    struct ddtrace_ids ids = {.size = sizeof ids};
    printf("current %d", tracer->current(&ids));
    ddtrace_span span = ddtrace_start("decided.by.asking", NULL);
    ddtrace_activate(span);
    printf(" %d", tracer->current(&ids));
    printf(" %d %d\n", ids.priority, ddtrace_drop(span));
    ddtrace_finish(span);
    /* A span from its beginning to its end, with a name; the head, the two bodies, one field, and two bytes to align. */
    struct __attribute__((packed)) {
        uint32_t length;
        uint8_t kind, zero[3];
        uint64_t span_id, trace_low, trace_high, parent, start;
        uint8_t span_kind, flags[3];
        uint64_t end;
        uint8_t status[4];
        uint16_t key;
        uint8_t type, more;
        uint32_t name_length;
        char name[6], padding[2];
    } record = {sizeof record, 7, {0}, 4242, 77, 0, 0, 1700000000000000000u, 1, {0, 2, 0}, 1700000001000000000u,
                {0}, 1, 1, 0, 6, {'m', 'a', 'n', 'u', 'a', 'l'}, {0}};
    const uint8_t *bytes = (const uint8_t *)&record;
    printf("record %d %d", tracer->record(bytes, sizeof record), tracer->record(bytes, 0));
    printf(" %d", tracer->record(bytes, sizeof record - 8));
    for (uint32_t length = 0; length < 100000; length = length * 3 + 5) {
        record.length = length;
        if (tracer->record(bytes, sizeof record) != -1) printf(" %u", length);
    }
    puts("");
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void measure(long count) {
    ddtrace_span root = ddtrace_start("root", NULL);
    ddtrace_activate(root);
    double start = seconds();
    for (long number = 0; number < count; number++) {
        ddtrace_span span = ddtrace_start("step", NULL);
        ddtrace_tag_int(span, "number", number);
        ddtrace_finish(span);
    }
    printf("%.0f ns\n", (seconds() - start) / (double)count * 1e9);
    ddtrace_finish(root);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "propagate") == 0) propagate(argv + 2);
    else if (strcmp(what, "sample") == 0) sample(argv + 2);
    else if (strcmp(what, "threads") == 0) threads();
    else if (strcmp(what, "exhaust") == 0) exhaust();
    else if (strcmp(what, "stale") == 0) stale();
    else if (strcmp(what, "forks") == 0) forks();
    else if (strcmp(what, "hang") == 0) hang();
    else if (strcmp(what, "signals") == 0) signals();
    else if (strcmp(what, "all") == 0) all_of_it();
    else if (strcmp(what, "table") == 0) table();
    else if (strcmp(what, "measure") == 0) measure(argc > 2 ? atol(argv[2]) : 1000000);
    else return 2;
    return 0;
}
