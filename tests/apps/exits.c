/* Ends in each way a process can end: `exits WAY [NUMBER]`. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int number;

static void *exit_from_thread(void *unused) {
    (void)unused;
    exit(number);
}

static void *outlive_the_first_thread(void *first) {
    pthread_join(*(pthread_t *)first, NULL);
    _exit(number);
}

/* Waits for a child that did its work, and so dies with everything of its own still in memory. */
static void run_child(void) {
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(127);
    }
    waitpid(child, NULL, 0);
}

int main(int argc, char **argv) {
    const char *way = argc > 1 ? argv[1] : "";
    number = argc > 2 ? atoi(argv[2]) : 0;
    printf("%s\n", way);
    fflush(stdout);
    if (strcmp(way, "return") == 0) {
        return number;
    } else if (strcmp(way, "exit") == 0) {
        exit(number);
    } else if (strcmp(way, "_exit") == 0) {
        _exit(number);
    } else if (strcmp(way, "_Exit") == 0) {
        _Exit(number);
    } else if (strcmp(way, "quick_exit") == 0) {
        quick_exit(number);
    } else if (strcmp(way, "raw") == 0) {
        syscall(SYS_exit_group, number);
    } else if (strcmp(way, "abort") == 0) {
        abort();
    } else if (strcmp(way, "segv") == 0) {
        *(volatile int *)8 = 1;
    } else if (strcmp(way, "signal") == 0) {
        kill(getpid(), number);
        sleep(60);
    } else if (strcmp(way, "signal-after-child") == 0) {
        run_child();
        kill(getpid(), number);
        sleep(60);
    } else if (strcmp(way, "_exit-after-child") == 0) {
        run_child();
        _exit(number);
    } else if (strcmp(way, "fork-_exit") == 0) {
        pid_t child = fork();
        if (child == 0)
            _exit(number);
        waitpid(child, NULL, 0);
    } else if (strcmp(way, "thread-exit") == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, exit_from_thread, NULL);
        pthread_join(thread, NULL);
    } else if (strcmp(way, "first-thread-leaves") == 0) {
        static pthread_t first;
        pthread_t thread;
        first = pthread_self();
        pthread_create(&thread, NULL, outlive_the_first_thread, &first);
        pthread_exit(NULL);
    } else {
        fprintf(stderr, "exits: unknown way %s\n", way);
        return 64;
    }
    return 0;
}
