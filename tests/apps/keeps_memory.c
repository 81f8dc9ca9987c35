/* A program that keeps all its memory in place, and then works: prints what `mlockall` has said and, to the second argument's file, how
   many kilobytes it has. The first argument is how many spans it makes. */
#include "ddtrace_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void *work(void *spans) {
    for (int i = atoi(spans); i > 0; i--) ddtrace_finish(ddtrace_start("work", NULL));
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    printf("mlockall: %s\n", mlockall(MCL_CURRENT | MCL_FUTURE) == 0 ? "done" : strerror(errno));
    work(argv[1]);
    char line[256];
    FILE *status = fopen("/proc/self/status", "r"), *out = fopen(argv[2], "w");
    while (status != NULL && out != NULL && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0) fputs(strtok(line + 6, " \t"), out);
    }
    return 0;
}
