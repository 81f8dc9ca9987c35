/* A service that answers one request, in several ways. The first argument says which. */
#define _GNU_SOURCE
#include "ddtrace_run.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_unnamed, is_elsewhere;

static void print_priority(void *argument, const char *name, const char *value, size_t length) {
    (void)argument;
    if (strcmp(name, "x-datadog-sampling-priority") == 0) printf("%.*s\n", (int)length, value);
}

/* A request that says what it is by its tags alone. */
static ddtrace_span unnamed_request(void) {
    struct ddtrace_start_options options = ddtrace_options();
    options.kind = DDTRACE_SERVER;
    ddtrace_span span = ddtrace_start("", &options);
    ddtrace_tag_string(span, "http.request.method", "GET");
    ddtrace_tag_string(span, "http.route", "/orders/{id}");
    ddtrace_tag_string(span, "http.response.header.etag", "a");
    return span;
}

static ddtrace_span request(void) {
    if (is_unnamed) return unnamed_request();
    struct ddtrace_start_options options = ddtrace_options();
    options.kind = DDTRACE_SERVER;
    options.resource = ddtrace_text("GET /orders/{id}");
    ddtrace_span span = ddtrace_start("http.server.request", &options);
    if (is_elsewhere) ddtrace_tag_string(span, "env", "elsewhere");
    return span;
}

/* A request of one trace that comes in with a decision, or with none. */
static ddtrace_span incoming(const char *resource, const char *priority) {
    struct ddtrace_header headers[] = {
        {ddtrace_text("x-datadog-trace-id"), ddtrace_text("5")},
        {ddtrace_text("x-datadog-parent-id"), ddtrace_text("6")},
        {ddtrace_text("x-datadog-sampling-priority"), ddtrace_text(priority)},
    };
    struct ddtrace_start_options options = ddtrace_options();
    options.context = ddtrace_extract_all(headers, priority[0] != 0 ? 3 : 2);
    options.kind = DDTRACE_SERVER;
    options.resource = ddtrace_text(resource);
    return ddtrace_start("http.server.request", &options);
}

/* Two at the same time, or one after the other. */
static void serve_both(const char *order) {
    ddtrace_span undecided = 0, decided = 0;
    if (strcmp(order, "undecided first") == 0) undecided = incoming("GET /a", "");
    decided = incoming("GET /b", "0");
    if (strcmp(order, "overridden") == 0) ddtrace_drop(decided);
    ddtrace_inject(decided, print_priority, NULL);
    if (strcmp(order, "over") == 0) ddtrace_finish(decided);
    if (undecided == 0) undecided = incoming("GET /a", "");
    if (strcmp(order, "kept later") == 0 && ddtrace_keep(undecided) == 0) printf("kept\n");
    ddtrace_inject(undecided, print_priority, NULL);
    ddtrace_finish(undecided);
    ddtrace_finish(decided);
}

/* Another thread says all that there is to say. */
static void *help(void *argument) {
    ddtrace_span span = *(ddtrace_span *)argument;
    ddtrace_tag_string(span, "who", "helper");
    ddtrace_event(span, "helped", NULL, 0);
    ddtrace_error(span, "Trouble", "seen by the helper", NULL);
    ddtrace_drop(span);
    ddtrace_inject(span, print_priority, NULL);
    return NULL;
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    is_unnamed = argc > 2 && strcmp(argv[2], "unnamed") == 0;
    is_elsewhere = argc > 2 && strcmp(argv[2], "elsewhere") == 0;
    if (strcmp(how, "ended") == 0) {
        ddtrace_finish(request());
    } else if (strcmp(how, "injected") == 0) {
        ddtrace_span span = request();
        ddtrace_inject(span, print_priority, NULL);
        ddtrace_finish(span);
    } else if (strcmp(how, "kept") == 0 || strcmp(how, "dropped") == 0) {
        ddtrace_span job = ddtrace_start("job", NULL);
        ddtrace_tag_bool(job, strcmp(how, "kept") == 0 ? "manual.keep" : "manual.drop", true);
        struct ddtrace_start_options options = ddtrace_options();
        options.parent = job;
        ddtrace_finish(ddtrace_start("step", &options));
        ddtrace_finish(job);
    } else if (strcmp(how, "killed") == 0) {
        request();
        raise(SIGKILL);
    } else if (strcmp(how, "helped") == 0) {
        for (int number = 0; number < 20; number++) {
            ddtrace_span span = request();
            pthread_t helper;
            pthread_create(&helper, NULL, help, &span);
            pthread_join(helper, NULL);
            ddtrace_finish(span);
        }
        /* Nothing is said by the end of the process. */
        pause();
    } else if (strcmp(how, "twice") == 0) {
        /* The same trace comes in undecided with two requests, of which rules would say different things. */
        const char *resources[] = {"GET /a", "GET /b"};
        for (int number = 0; number < 2; number++) {
            ddtrace_span span = incoming(resources[number], "");
            if (number == 1 && argc > 2 && ddtrace_drop(span) == 0) printf("dropped\n");
            bool is_told = number == 1 || argc < 3 || strcmp(argv[2], "told late") != 0;
            if (is_told) ddtrace_inject(span, print_priority, NULL);
            ddtrace_finish(span);
        }
    } else if (strcmp(how, "both") == 0) {
        serve_both(argc > 2 ? argv[2] : "");
    } else if (strcmp(how, "until dropped") == 0) {
        /* Until the rates of the Agent have come, which answers to what was sent. */
        for (int tries = 0; tries < 600; tries++) {
            ddtrace_span span = request();
            struct ddtrace_ids ids = {.size = sizeof ids};
            ddtrace_inject(span, print_priority, NULL);
            ddtrace_describe(span, &ids);
            ddtrace_finish(span);
            if (ids.priority <= 0) return 0;
            usleep(100 * 1000);
        }
        return 1;
    }
    return 0;
}
