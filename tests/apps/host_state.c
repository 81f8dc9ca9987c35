/* Writes what a program can see of its own state into a file: `host_state FILE [ARG...]`. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *type_of(mode_t mode) {
    return S_ISREG(mode)    ? "file"
           : S_ISDIR(mode)  ? "directory"
           : S_ISCHR(mode)  ? "device"
           : S_ISFIFO(mode) ? "pipe"
           : S_ISSOCK(mode) ? "socket"
                            : "other";
}

/* Before anything is opened here. */
static void list_descriptors(char *out, size_t size) {
    size_t used = 0;
    for (int fd = 0; fd < 1024 && used < size; fd++) {
        int flags = fcntl(fd, F_GETFD);
        struct stat about;
        if (flags < 0)
            continue;
        const char *type = fstat(fd, &about) == 0 ? type_of(about.st_mode) : "special";
        int written = snprintf(out + used, size - used, "fd %d: %s, flags %d, status %#x\n", fd, type, flags,
                               fcntl(fd, F_GETFL));
        used += written > 0 ? (size_t)written : size;
    }
}

static void copy_lines(FILE *to, const char *path, const char *const *names) {
    FILE *from = fopen(path, "r");
    char line[4096];
    while (from && fgets(line, sizeof line, from))
        for (const char *const *name = names; *name; name++)
            if (strncmp(line, *name, strlen(*name)) == 0)
                fputs(line, to);
    if (from)
        fclose(from);
}

int main(int argc, char **argv) {
    static char descriptors[65536];
    static const char *const names[] = {"SigBlk:", "SigIgn:", "SigCgt:", "SigPnd:", "ShdPnd:", "Threads:",
                                        "NoNewPrivs:", "Seccomp:", "CapEff:", "Uid:", "Gid:", "TracerPid:",
                                        "Cpus_allowed:", NULL};
    if (argc < 2)
        return 64;
    list_descriptors(descriptors, sizeof descriptors);
    FILE *out = fopen(argv[1], "w");
    if (!out)
        return 65;
    fputs(descriptors, out);
    for (int signal_number = 1; signal_number < NSIG; signal_number++) {
        struct sigaction action;
        if (sigaction(signal_number, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
            fprintf(out, "signal %d: %s, flags %#x\n", signal_number,
                    action.sa_handler == SIG_IGN ? "ignored" : "handled", (unsigned)action.sa_flags);
    }
    stack_t stack;
    sigaltstack(NULL, &stack);
    fprintf(out, "alternate stack: %#x\n", (unsigned)stack.ss_flags);
    copy_lines(out, "/proc/self/status", names);
    for (int resource = 0; resource < RLIMIT_NLIMITS; resource++) {
        struct rlimit limit;
        if (getrlimit(resource, &limit) == 0)
            fprintf(out, "limit %d: %llu %llu\n", resource, (unsigned long long)limit.rlim_cur,
                    (unsigned long long)limit.rlim_max);
    }
    char directory[4096];
    fprintf(out, "directory: %s\n", getcwd(directory, sizeof directory) ? directory : strerror(errno));
    mode_t mask = umask(0);
    fprintf(out, "umask: %o\n", (unsigned)mask);
    fprintf(out, "parent: %d\n", (int)getppid());
    fprintf(out, "leads its group: %d\n", getpgrp() == getpid());
    fprintf(out, "group of the parent: %d\n", getpgrp() == getpgid(getppid()));
    fprintf(out, "session of the parent: %d\n", getsid(0) == getsid(getppid()));
    fprintf(out, "leads its session: %d\n", getsid(0) == getpid());
    fprintf(out, "nice: %d, scheduler: %d\n", getpriority(PRIO_PROCESS, 0), sched_getscheduler(0));
    int death_signal = 0, subreaper = 0;
    prctl(PR_GET_PDEATHSIG, &death_signal);
    prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
    fprintf(out, "dumpable: %d, death signal: %d, subreaper: %d, timer slack: %d\n", prctl(PR_GET_DUMPABLE),
            death_signal, subreaper, prctl(PR_GET_TIMERSLACK));
    for (char **variable = environ; *variable; variable++)
        fprintf(out, "variable %s\n", *variable);
    for (int i = 2; i < argc; i++) {
        fprintf(out, "argument %d:", i);
        for (const char *byte = argv[i]; *byte; byte++)
            fprintf(out, " %02x", (unsigned char)*byte);
        fputc('\n', out);
    }
    return fclose(out) == 0 ? 0 : 66;
}
