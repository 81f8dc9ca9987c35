/* Threads that do nothing but make spans, all at once, after a time in which nothing happened: argument 1 is how many
 * threads, argument 2 how many spans each, argument 3 a file, if any, that has to be there before the end. */
#include "ddtrace_run.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static long each;

static void *work(void *unused) {
    (void)unused;
    for (long number = 0; number < each; number++) {
        ddtrace_span span = ddtrace_start("step", NULL);
        ddtrace_tag_int(span, "number", number);
        ddtrace_tag_string(span, "key", "some value");
        ddtrace_finish(span);
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    int count = atoi(argv[1]);
    each = atol(argv[2]);
    pthread_t threads[64];
    if (count > 64) return 2;
    usleep(500 * 1000);
    for (int number = 0; number < count; number++) pthread_create(&threads[number], NULL, work, NULL);
    for (int number = 0; number < count; number++) pthread_join(threads[number], NULL);
    while (argc > 3 && access(argv[3], F_OK) != 0) usleep(5000);
    return 0;
}
