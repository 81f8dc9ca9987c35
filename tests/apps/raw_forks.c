/* Children that the C library does not know of, each of which first does something else than to record: raw_forks COUNT
 * With a second word: a vfork child that records, or spans before another program. */
#define _GNU_SOURCE
#include "ddtrace_run.h"

#include <linux/sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static char *const arguments[] = {"true", NULL};
static int count;

static void record(const char *name) {
    for (int number = 0; number < count; number++) ddtrace_finish(ddtrace_start(name, NULL));
}

static void nothing(void) {}

static void fork_first(void) {
    pid_t pid = fork();
    if (pid == 0) {
        record("grandchild");
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static void vfork_first(void) {
    pid_t pid = vfork();
    if (pid == 0) {
        execve("/bin/true", arguments, environ);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

static void spawn_first(void) {
    pid_t pid;
    if (posix_spawn(&pid, "/bin/true", NULL, NULL, arguments, environ) == 0) waitpid(pid, NULL, 0);
}

static pid_t raw_fork(void) { return (pid_t)syscall(SYS_fork); }

static pid_t raw_clone(void) {
    struct clone_args how = {.exit_signal = SIGCHLD};
    return (pid_t)syscall(SYS_clone3, &how, sizeof how);
}

static void raw_fork_first(void) {
    pid_t pid = raw_fork();
    if (pid == 0) {
        vfork_first();
        record("grandchild");
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static void child(pid_t (*make)(void), void (*first)(void)) {
    pid_t pid = make();
    if (pid == 0) {
        first();
        record("child");
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

int main(int argc, char **argv) {
    count = argc > 1 ? atoi(argv[1]) : 1;
    if (argc > 2 && argv[2][0] == 'v') {
        ddtrace_span parent = ddtrace_start("parent", NULL);
        pid_t pid = vfork();
        if (pid == 0) {
            record("vforked");
            _exit(0);
        }
        waitpid(pid, NULL, 0);
        ddtrace_finish(parent);
        return 0;
    }
    record("before");
    if (argc > 2) return execve("/bin/true", arguments, environ);
    void (*const firsts[])(void) = {nothing, fork_first, vfork_first, spawn_first, raw_fork_first};
    for (size_t which = 0; which < sizeof firsts / sizeof *firsts; which++) {
        child(raw_fork, firsts[which]);
        child(raw_clone, firsts[which]);
    }
    record("after");
    return 0;
}
