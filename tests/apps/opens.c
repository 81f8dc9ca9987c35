/* Begins spans and does not end them: `opens GO PROCESSES TRACES SPANS`. Each process begins so many traces, each with so
   many spans below its root, and waits until the file GO is there. */
#include "ddtrace_run.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int begin(int traces, int spans) {
    for (int trace = 0; trace < traces; trace++) {
        struct ddtrace_start_options options = ddtrace_options();
        options.parent = ddtrace_start("root", NULL);
        if (options.parent == 0) return 3;
        for (int number = 0; number < spans; number++) {
            ddtrace_span span = ddtrace_start("step", &options);
            if (span == 0) return 4;
            ddtrace_tag_int(span, "number", number);
            ddtrace_tag_string(span, "text", "some text that is said of a span, as there often is");
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    int status, code = 0;
    struct stat found;
    for (int number = 0; number < atoi(argv[2]); number++) {
        if (fork() != 0) continue;
        code = begin(atoi(argv[3]), atoi(argv[4]));
        while (stat(argv[1], &found) != 0) usleep(5000);
        _exit(code);
    }
    while (wait(&status) > 0) code |= status;
    return code == 0 ? 0 : 5;
}
