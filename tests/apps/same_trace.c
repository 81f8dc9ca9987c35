/* Several requests of one trace in one process. Each argument is a step: `+a` begins request a with nothing decided, `+a=1`
 * with that priority, `a.k` a span k below a, `keep=a`, `drop=a`, `tell=a` injects, `-a` ends. What was told is printed, and
 * whether a decision by hand was still possible. */
#include "ddtrace_run.h"

#include <stdio.h>
#include <string.h>

static ddtrace_span spans[128];

static int32_t get(void *argument, const char *name, size_t index, struct ddtrace_bytes *value) {
    const char *const *line = argument;
    for (; index == 0 && line[0] != NULL; line += 2) {
        if (strcmp(line[0], name) == 0) {
            *value = ddtrace_text(line[1]);
            return 1;
        }
    }
    return 0;
}

static void print(void *argument, const char *name, const char *value, size_t length) {
    if (strcmp(name, "x-datadog-sampling-priority") == 0) {
        printf("told %s %.*s\n", (const char *)argument, (int)length, value);
    }
}

static void begin(char name, const char *priority) {
    const char parent[] = {name == 'a' ? '5' : '6', '\0'};
    const char *headers[] = {"x-datadog-trace-id", "1234567", "x-datadog-parent-id", parent,
                             priority == NULL ? NULL : "x-datadog-sampling-priority", priority, NULL};
    const char label[] = {name, '\0'};
    struct ddtrace_start_options options = ddtrace_options();
    options.kind = DDTRACE_SERVER;
    options.context = ddtrace_extract(get, headers);
    spans[(int)name] = ddtrace_start(label, &options);
}

int main(int argc, char **argv) {
    for (int step = 1; step < argc; step++) {
        const char *word = argv[step], *value = strchr(word, '=');
        char name = value == NULL ? word[1] : value[1];
        if (word[0] == '+') {
            begin(word[1], value == NULL ? NULL : value + 1);
        } else if (word[1] == '.') {
            struct ddtrace_start_options options = ddtrace_options();
            options.parent = spans[(int)word[0]];
            spans[(int)word[2]] = ddtrace_start(word + 2, &options);
        } else if (word[0] == '-') {
            ddtrace_finish(spans[(int)name]);
        } else if (word[0] == 't') {
            ddtrace_inject(spans[(int)name], print, (void *)(value + 1));
        } else {
            int done = word[0] == 'k' ? ddtrace_keep(spans[(int)name]) : ddtrace_drop(spans[(int)name]);
            printf("%s %s\n", word, done == 0 ? "done" : "too late");
        }
    }
    return 0;
}
