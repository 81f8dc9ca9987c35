/* Opens a span, works for a moment below it, and goes on with another program: `goes_on library|kernel PROGRAM [ARGUMENT...]`,
 * by the C library or by a system call of its own. */
#define _GNU_SOURCE
#include "ddtrace_run.h"
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv) {
    (void)argc;
    struct ddtrace_start_options options = ddtrace_options();
    options.parent = ddtrace_start("left open", NULL);
    ddtrace_span work = ddtrace_start("work", &options);
    usleep(300000);
    ddtrace_finish(work);
    if (strcmp(argv[1], "kernel") == 0) {
        syscall(SYS_execve, argv[2], argv + 2, environ);
        return 1;
    }
    execvp(argv[2], argv + 2);
    return 1;
}
