/* Makes one span of what the arguments say: first what becomes of it, then, in order, what is said of it, each as
 * what=name=value. Prints its priority where its context leaves the process. */
#define _GNU_SOURCE
#include "ddtrace_run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_priority(void *argument, const char *name, const char *value, size_t length) {
    (void)argument;
    if (strcmp(name, "x-datadog-sampling-priority") == 0) printf("%.*s\n", (int)length, value);
}

static uint32_t kind_of(const char *name) {
    if (strcmp(name, "server") == 0) return DDTRACE_SERVER;
    return strcmp(name, "client") == 0 ? DDTRACE_CLIENT : DDTRACE_INTERNAL;
}

static void say(ddtrace_span span, const char *what, const char *name, const char *value) {
    if (strcmp(what, "text") == 0) ddtrace_tag_string(span, name, value);
    else if (strcmp(what, "integer") == 0) ddtrace_tag_int(span, name, strtoll(value, NULL, 10));
    else if (strcmp(what, "number") == 0) ddtrace_tag_double(span, name, strtod(value, NULL));
    else if (strcmp(what, "truth") == 0) ddtrace_tag_bool(span, name, strcmp(value, "true") == 0);
    else if (strcmp(what, "error") == 0) ddtrace_error(span, name, value, "a line");
    else if (strcmp(what, "nothing") == 0) ddtrace_untag(span, name);
    else if (strcmp(what, "resource") == 0) ddtrace_set_resource(span, value);
    else if (strcmp(what, "service") == 0) ddtrace_set_service(span, value);
}

int main(int argc, char **argv) {
    struct ddtrace_start_options options = ddtrace_options();
    options.kind = kind_of(argv[2]);
    struct ddtrace_header headers[8];
    size_t count = 0;
    for (int index = 3; index < argc && count < 8; index++) {
        char *equals = strchr(argv[index], '=');
        if (strncmp(argv[index], "header=", 7) != 0) continue;
        char *value = strchr(equals + 1, '=');
        *value = 0;
        headers[count].name = ddtrace_text(equals + 1);
        headers[count++].value = ddtrace_text(value + 1);
    }
    if (count != 0) options.context = ddtrace_extract_all(headers, count);
    ddtrace_span span = ddtrace_start("", &options);
    for (int index = 3; index < argc; index++) {
        char *name = strchr(argv[index], '=');
        char *value = strchr(name + 1, '=');
        if (strncmp(argv[index], "header=", 7) == 0 || value == NULL) continue;
        *name++ = 0;
        *value++ = 0;
        say(span, argv[index], name, value);
    }
    if (strcmp(argv[1], "killed") == 0) raise(SIGKILL);
    if (strcmp(argv[1], "injected") == 0) ddtrace_inject(span, print_priority, NULL);
    ddtrace_finish(span);
    return 0;
}
