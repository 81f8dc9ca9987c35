/* More threads than the memory between a program and its sidecar has parts, all alive at once. Each makes some spans with a part each, and one is busy
   meanwhile. With a fourth argument all memory is kept in place first.

   Usage: crowd THREADS SPANS PAUSE_US [lock] */
#define _GNU_SOURCE
#include "ddtrace_run.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static pthread_barrier_t all_live;
static atomic_int is_over;
static int spans, pause_us;

static void *live(void *unused) {
    (void)unused;
    pthread_barrier_wait(&all_live);
    for (int i = 0; i < spans; i++) {
        ddtrace_span work = ddtrace_start("work", NULL);
        ddtrace_tag_int(work, "number", i);
        ddtrace_finish(ddtrace_start("part", &(struct ddtrace_start_options){.size = sizeof(struct ddtrace_start_options), .parent = work}));
        ddtrace_finish(work);
        if (pause_us > 0) usleep((useconds_t)pause_us);
    }
    pthread_barrier_wait(&all_live);
    return NULL;
}

static void *be_busy(void *unused) {
    (void)unused;
    while (!is_over) {
        for (int i = 0; i < 50; i++) ddtrace_finish(ddtrace_start("busy", NULL));
        usleep(10000);
    }
    return NULL;
}

int main(int argc, char **argv) {
    int count = atoi(argv[1]);
    spans = atoi(argv[2]);
    pause_us = atoi(argv[3]);
    if (argc > 4 && mlockall(MCL_CURRENT | MCL_FUTURE) != 0) return 2;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_barrier_init(&all_live, NULL, (unsigned)count);
    pthread_t *threads = calloc((size_t)count, sizeof *threads), busy;
    if (threads == NULL || pthread_create(&busy, NULL, be_busy, NULL) != 0) return 3;
    for (int i = 0; i < count; i++)
        if (pthread_create(&threads[i], &small, live, NULL) != 0) return 4;
    for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
    is_over = 1;
    pthread_join(busy, NULL);
    puts("done");
    return 0;
}
