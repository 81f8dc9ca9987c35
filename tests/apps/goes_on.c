/* Opens a span, waits for a moment, and goes on with another program: `goes_on PROGRAM [ARGUMENT...]`. */
#include "ddtrace_run.h"
#include <unistd.h>

int main(int argc, char **argv) {
    (void)argc;
    ddtrace_start("left open", NULL);
    usleep(300000);
    execvp(argv[1], argv + 1);
    return 1;
}
