/* Brings its process into a state and executes a program in it:
 * `start_with [close=FD] [open=FD] [ignore=SIGNAL] [block=SIGNAL] [limit=RESOURCE:VALUE] [umask=OCTAL] [session]
 * [group] -- PROGRAM ARG...`. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int apply(const char *wish) {
    const char *value = strchr(wish, '=');
    int number = value ? atoi(value + 1) : 0;
    if (strncmp(wish, "close=", 6) == 0) {
        return close(number);
    } else if (strncmp(wish, "open=", 5) == 0) {
        int fd = open("/dev/null", O_RDWR);
        return fd == number ? 0 : dup2(fd, number) == number ? close(fd) : -1;
    } else if (strncmp(wish, "ignore=", 7) == 0) {
        return signal(number, SIG_IGN) == SIG_ERR ? -1 : 0;
    } else if (strncmp(wish, "block=", 6) == 0) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, number);
        return sigprocmask(SIG_BLOCK, &set, NULL);
    } else if (strncmp(wish, "limit=", 6) == 0) {
        int resource = strncmp(value + 1, "nofile:", 7) == 0  ? RLIMIT_NOFILE
                       : strncmp(value + 1, "fsize:", 6) == 0 ? RLIMIT_FSIZE
                       : strncmp(value + 1, "as:", 3) == 0    ? RLIMIT_AS
                                                              : RLIM_NLIMITS;
        rlim_t most = (rlim_t)atoll(strchr(wish, ':') + 1);
        struct rlimit limit = {most, most};
        return setrlimit(resource, &limit);
    } else if (strncmp(wish, "umask=", 6) == 0) {
        umask((mode_t)strtol(value + 1, NULL, 8));
        return 0;
    } else if (strcmp(wish, "session") == 0) {
        /* The leader of a group cannot lead a session; a test's child is none. */
        return setsid() < 0 ? -1 : 0;
    } else if (strcmp(wish, "group") == 0) {
        return setpgid(0, 0);
    }
    return -1;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0 && i + 1 < argc) {
            execvp(argv[i + 1], argv + i + 1);
            return 126;
        }
        if (apply(argv[i]) != 0)
            return 125;
    }
    return 124;
}
