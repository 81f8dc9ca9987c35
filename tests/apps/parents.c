/* Which span is the parent of which: active spans, contexts, threads, forks. The first argument says which. */
#define _GNU_SOURCE
#include "ddtrace_run.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static ddtrace_span start(const char *name, ddtrace_span parent) {
    struct ddtrace_start_options options = ddtrace_options();
    options.parent = parent;
    return ddtrace_start(name, &options);
}

static ddtrace_span activated(const char *name) {
    ddtrace_span span = start(name, 0);
    ddtrace_activate(span);
    return span;
}

/* Says what is active: its own name, where it is one of these. */
static void tell(const char *when, const char *name, ddtrace_span expected) {
    ddtrace_span active = ddtrace_active();
    printf("%s: %s\n", when, active == expected ? name : active == 0 ? "none" : "another");
}

static void *finish(void *span) {
    ddtrace_finish(*(ddtrace_span *)span);
    return NULL;
}

static void in_thread(void *(*function)(void *), void *argument) {
    pthread_t thread;
    pthread_create(&thread, NULL, function, argument);
    pthread_join(thread, NULL);
}

static void *own_of_thread(void *shared) {
    ddtrace_span own = activated("own");
    ddtrace_activate(*(ddtrace_span *)shared);
    sleep(0);
    ddtrace_span back = ddtrace_activate(own);
    ddtrace_activate(back);
    return NULL;
}

static void many(int count) {
    for (int number = 0; number < count; number++) ddtrace_finish(start("other", DDTRACE_NO_PARENT));
}

static void active(void) {
    ddtrace_span g = activated("g"), x = start("x", 0), o, i;
    ddtrace_span before = ddtrace_activate(x);
    ddtrace_activate(before);
    ddtrace_finish(g);
    tell("outer ended after the inner was left", "none", 0);
    ddtrace_finish(x);

    g = activated("g");
    x = activated("x");
    before = ddtrace_activate(0);
    tell("suspended", "none", 0);
    ddtrace_activate(before);
    ddtrace_finish(x);
    tell("resumed and ended", "g", g);
    x = activated("x");
    before = ddtrace_activate(g);
    ddtrace_activate(before);
    ddtrace_finish(x);
    tell("left, entered again and ended", "g", g);

    in_thread(own_of_thread, &g);
    ddtrace_finish(g);
    tell("activated by another thread as well", "none", 0);

    for (int others = 0; others <= 2000; others += 2000) {
        g = activated("g");
        o = activated("o");
        i = activated("i");
        ddtrace_finish(o);
        many(others);
        ddtrace_finish(i);
        tell("ended out of order", "g", g);
        ddtrace_finish(g);
    }

    g = activated("g");
    i = activated("i");
    in_thread(finish, &i);
    tell("ended by another thread", "g", g);
    i = activated("i");
    o = activated("o");
    in_thread(finish, &i);
    in_thread(finish, &o);
    before = start("next", 0);
    ddtrace_finish(before);
    ddtrace_finish(g);
    tell("all ended", "none", 0);

    g = activated("g");
    o = activated("o");
    before = ddtrace_activate(x = start("x", 0));
    ddtrace_finish(o);
    ddtrace_activate(before);
    tell("given back after its end", "g", g);
    ddtrace_finish(x);
    ddtrace_finish(g);
    tell("at the end", "none", 0);
}

struct lines {
    char **line;
};

static int32_t get(void *argument, const char *name, size_t index, struct ddtrace_bytes *value) {
    for (char **line = ((struct lines *)argument)->line; line[0] != NULL && line[1] != NULL; line += 2) {
        if (strcmp(line[0], name) == 0 && index-- == 0) {
            *value = ddtrace_text(line[1]);
            return 1;
        }
    }
    return 0;
}

static void print_priority(void *argument, const char *name, const char *value, size_t length) {
    if (strcmp(name, "x-datadog-sampling-priority") == 0) printf("%s %.*s\n", (char *)argument, (int)length, value);
}

/* A context that several spans have as their parent; rules would tell them apart by their names. */
static void share(char **headers) {
    struct lines lines = {headers};
    ddtrace_context context = ddtrace_extract(get, &lines);
    ddtrace_span first = start("first", context), second = start("second", context);
    ddtrace_inject(second, print_priority, "second");
    ddtrace_inject(first, print_priority, "first");
    ddtrace_finish(first);
    ddtrace_span third = start("third", context);
    ddtrace_inject(third, print_priority, "third");
    ddtrace_finish(third);
    ddtrace_finish(second);
    ddtrace_release(context);
}

/* A first span that ends without anybody having needed to know whether the trace is kept. */
static void open_end(char **headers) {
    struct lines lines = {headers};
    ddtrace_context context = ddtrace_extract(get, &lines);
    ddtrace_finish(start("first", context));
    struct ddtrace_ids ids;
    ddtrace_describe(context, &ids);
    ddtrace_span second = start("second", context);
    printf("%s, drop %d\n", ids.priority == DDTRACE_UNDECIDED ? "undecided" : "decided", ddtrace_drop(second));
    ddtrace_inject(second, print_priority, "second");
    ddtrace_finish(second);
    ddtrace_release(context);
}

static void tell_ids(const char *who) {
    struct ddtrace_ids ids;
    int told = ddtrace_describe(0, &ids);
    printf("%s %d %d\n", who, told, ids.flags == DDTRACE_IS_CONTEXT && ids.span_id != 0 && ids.trace_id_low != 0);
    fflush(stdout);
}

static void descend(int generations) {
    if (generations == 0) {
        ddtrace_finish(start("work", 0));
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        tell_ids("child");
        descend(generations - 1);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static void forks(char **headers) {
    if (headers[0] != NULL) {
        struct lines lines = {headers};
        ddtrace_activate(ddtrace_extract(get, &lines));
        tell_ids("parent");
        descend(2);
        ddtrace_finish(start("own", 0));
    } else {
        ddtrace_span outer = activated("outer");
        descend(3);
        ddtrace_finish(outer);
    }
}

static void *later(void *parent) {
    ddtrace_span unrelated = start("unrelated", DDTRACE_NO_PARENT);
    ddtrace_activate(unrelated);
    ddtrace_span span = start("later", *(ddtrace_span *)parent);
    ddtrace_inject(span, print_priority, "later");
    ddtrace_finish(span);
    ddtrace_finish(unrelated);
    return NULL;
}

/* Work that begins after the request that asked for it has ended. */
static void outlive(void) {
    ddtrace_span request = start("request", 0);
    ddtrace_span step = start("step", request);
    ddtrace_inject(step, print_priority, "step");
    ddtrace_finish(step);
    ddtrace_finish(request);
    many(100);
    in_thread(later, &step);
    many(2000);
    ddtrace_activate(start("unrelated", DDTRACE_NO_PARENT));
    ddtrace_finish(start("too.late", step));
    ddtrace_finish(ddtrace_active());
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "active") == 0) active();
    else if (strcmp(what, "share") == 0) share(argv + 2);
    else if (strcmp(what, "open") == 0) open_end(argv + 2);
    else if (strcmp(what, "forks") == 0) forks(argv + 2);
    else if (strcmp(what, "outlive") == 0) outlive();
    else return 2;
    return 0;
}
