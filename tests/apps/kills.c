/* Records spans until it is killed: `kills FILE ROUNDS SEED`. Each round is a forked child with some threads, which is
   killed after a while that nobody can foresee. FILE is shared with it, and says how many spans each thread had ended. */
#define _GNU_SOURCE
#include "ddtrace_run.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 3 };
static volatile unsigned *ended;
static long current;

static void spend(long nanoseconds) {
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - begin.tv_sec) * 1000000000L + now.tv_nsec - begin.tv_nsec < nanoseconds);
}

static void *record(void *argument) {
    long thread = (long)argument;
    for (unsigned number = 1;; number++) {
        char name[64];
        snprintf(name, sizeof name, "%ld/%ld/%u", current, thread, number);
        struct ddtrace_start_options options = ddtrace_options();
        options.resource = ddtrace_text(name);
        ddtrace_finish(ddtrace_start("work", &options));
        ended[current * THREADS + thread] = number;
        spend(20000);
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 64;
    long rounds = atol(argv[2]);
    size_t size = (size_t)rounds * THREADS * sizeof *ended;
    int file = open(argv[1], O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, (off_t)size) != 0)
        return 65;
    ended = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (ended == MAP_FAILED)
        return 66;
    close(file);
    srand48(atol(argv[3]));
    for (current = 0; current < rounds; current++) {
        pid_t child = fork();
        if (child == 0) {
            pthread_t threads[THREADS - 1];
            for (long thread = 1; thread < THREADS; thread++)
                pthread_create(&threads[thread - 1], NULL, record, (void *)thread);
            record(NULL);
        }
        usleep((unsigned)(drand48() * 1500));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    return 0;
}
