/* Tells of each signal that it gets, with the value that came with it: `signals [CODE]`. SIGTERM ends it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    printf("ready %d\n", (int)getppid());
    fflush(stdout);
    for (;;) {
        siginfo_t info;
        int got = sigwaitinfo(&all, &info);
        if (got < 0)
            continue;
        printf("got %d", got);
        if (info.si_code == SI_QUEUE)
            printf(" with %d", info.si_value.sival_int);
        printf("\n");
        fflush(stdout);
        if (got == SIGTERM)
            return argc > 1 ? atoi(argv[1]) : 0;
    }
}
