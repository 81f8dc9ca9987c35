/*
 * Records spans, notes the id of each in a file as soon as it is recorded, and ends as it is told:
 * dies WAY LEDGER COUNT
 */
#define _GNU_SOURCE
#include "ddtrace_run.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int ledger;
static int count;

static void note(ddtrace_span span) {
    struct ddtrace_ids ids;
    char line[32];
    ddtrace_describe(span, &ids);
    int length = snprintf(line, sizeof line, "%016" PRIx64 "\n", ids.span_id);
    if (write(ledger, line, (size_t)length) != length) _exit(99);
}

/* Text that cannot be compressed much. */
static const char *noise(void) {
    static _Thread_local char text[257];
    static _Thread_local uint32_t state = 1;
    for (int place = 0; place < 256; place++) {
        state = state * 1664525 + 1013904223;
        text[place] = "0123456789abcdef"[state >> 28];
    }
    return text;
}

/* A root that is left open, and spans below it that have ended. */
static void record(void) {
    struct ddtrace_start_options options = ddtrace_options();
    options.parent = ddtrace_start("root", NULL);
    note(options.parent);
    for (int number = 0; number < count; number++) {
        ddtrace_span span = ddtrace_start("step", &options);
        ddtrace_tag_int(span, "number", number);
        ddtrace_tag_string(span, "noise", noise());
        note(span);
        ddtrace_finish(span);
    }
}

static void *record_for_ever(void *unused) {
    for (;;) {
        record();
        usleep(1000);
    }
    return unused;
}

static int overflow(int depth) {
    volatile char page[4096];
    page[0] = (char)depth;
    return overflow(depth + 1) + page[0];
}

static void wait_for(const char *name) {
    struct stat found;
    while (stat(name, &found) != 0) usleep(5000);
}

/* A child records as well, and ends by `status` or a signal. */
static void child(pid_t (*make)(void), int number) {
    pid_t pid = make();
    if (pid == 0) {
        record();
        if (number != 0) kill(getpid(), number);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static void become_daemon(void) {
    if (fork() != 0) _exit(0);
    setsid();
    if (fork() != 0) _exit(0);
    record();
    usleep(100000);
    record();
    _exit(0);
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    const char *way = argv[1];
    ledger = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    count = atoi(argv[3]);
    pthread_t thread;
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    if (strcmp(way, "thread") == 0) {
        pthread_create(&thread, NULL, record_for_ever, NULL);
        usleep(20000);
    }
    record();
    if (strcmp(way, "exit") == 0) exit(0);
    if (strcmp(way, "_exit") == 0) _exit(0);
    if (strcmp(way, "quick_exit") == 0) quick_exit(0);
    if (strcmp(way, "abort") == 0) abort();
    if (strcmp(way, "segv") == 0) *(volatile int *)8 = 1;
    if (strcmp(way, "stack") == 0) return overflow(0);
    if (strcmp(way, "term") == 0) kill(getpid(), SIGTERM);
    if (strcmp(way, "kill") == 0) kill(getpid(), SIGKILL);
    if (strcmp(way, "exec") == 0) execl("/bin/true", "true", (char *)NULL);
    if (strcmp(way, "exec-self") == 0) execl("/proc/self/exe", argv[0], "return", argv[2], argv[3], (char *)NULL);
    if (strcmp(way, "fork") == 0) child(fork, 0);
    if (strcmp(way, "fork-kill") == 0) child(fork, SIGKILL);
    if (strcmp(way, "_Fork") == 0) child(_Fork, SIGSEGV);
    if (strcmp(way, "daemon") == 0) become_daemon();
    if (strcmp(way, "killed") == 0) {
        /* By somebody else, at any instant, as the kernel does when memory is out. */
        pid_t victim = fork();
        if (victim == 0) record_for_ever(NULL);
        usleep(30000);
        kill(victim, SIGKILL);
        waitpid(victim, NULL, 0);
    }
    if (strcmp(way, "wait") == 0) {
        /* Until it is told to go on. */
        char name[4096];
        snprintf(name, sizeof name, "%s.go", argv[2]);
        wait_for(name);
        record();
    }
    return 0;
}
