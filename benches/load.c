#define _GNU_SOURCE
#include "ddtrace_run.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static long each;
static void *work(void *a) {
    (void)a;
    for (long n = 0; n < each;) {
        ddtrace_span root = ddtrace_start("request", NULL);
        struct ddtrace_start_options o = ddtrace_options(); o.parent = root;
        n++;
        for (int c = 0; c < 9 && n < each; c++, n++) {
            ddtrace_span s = ddtrace_start("step", &o);
            ddtrace_tag_int(s, "number", n);
            ddtrace_tag_string(s, "key", "some value");
            ddtrace_finish(s);
        }
        ddtrace_finish(root);
    }
    return NULL;
}
int main(int argc, char **argv) {
    int procs = atoi(argv[1]), threads = atoi(argv[2]); each = atol(argv[3]) / procs / threads;
    struct timespec a, b; clock_gettime(CLOCK_MONOTONIC, &a);
    for (int p = 0; p < procs; p++) if (fork() == 0) {
        pthread_t t[64];
        for (int i = 0; i < threads; i++) pthread_create(&t[i], NULL, work, NULL);
        for (int i = 0; i < threads; i++) pthread_join(t[i], NULL);
        _exit(0);
    }
    while (wait(NULL) > 0);
    clock_gettime(CLOCK_MONOTONIC, &b);
    fprintf(stderr, "%.0f ns per span\n", ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / (each * procs * threads));
    return 0;
}
