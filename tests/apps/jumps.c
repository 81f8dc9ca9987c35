/* A thread whose work is cut short by a timer, whose handler jumps out of it: mostly in the midst of a record. Then it works on calmly.

   Usage: jumps TIMES */
#define _GNU_SOURCE
#include "ddtrace_run.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

static sigjmp_buf start;

static void jump(int signal) {
    (void)signal;
    siglongjmp(start, 1);
}

static void set_timer(long microseconds) {
    struct itimerval timer = {{0, 0}, {0, microseconds}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

int main(int argc, char **argv) {
    (void)argc;
    struct sigaction action = {.sa_handler = jump};
    if (sigaction(SIGALRM, &action, NULL) != 0) return 2;
    ddtrace_span whole = ddtrace_start("whole", NULL);
    for (volatile int left = atoi(argv[1]); left > 0; left--) {
        if (sigsetjmp(start, 1) == 0) {
            set_timer(200);
            for (;;) ddtrace_tag_int(whole, "left", left);
        }
    }
    for (int i = 0; i < 3000; i++) ddtrace_finish(ddtrace_start("after", NULL));
    ddtrace_finish(whole);
    puts("done");
    return 0;
}
