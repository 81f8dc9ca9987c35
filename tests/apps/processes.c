/* Makes processes in each way there is: `processes WAY`. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static char *const FAILING[] = {"sh", "-c", "exit 3", NULL};

static void report(const char *what, pid_t child) {
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        printf("%s: failed: %s\n", what, strerror(errno));
    } else {
        printf("%s: %s %d\n", what, WIFEXITED(status) ? "exit" : "signal",
               WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    }
}

static void with_fork(void) {
    pid_t child = fork();
    if (child == 0)
        _exit(5);
    report("fork", child);
    child = fork();
    if (child == 0) {
        execv("/bin/sh", FAILING);
        _exit(127);
    }
    report("fork and exec", child);
}

static void with_vfork(void) {
    pid_t child = vfork();
    if (child == 0) {
        execv("/bin/sh", FAILING);
        _exit(127);
    }
    report("vfork and exec", child);
    child = vfork();
    if (child == 0)
        _exit(6);
    report("vfork", child);
}

static void with_posix_spawn(void) {
    pid_t child = -1;
    errno = posix_spawn(&child, "/bin/sh", NULL, NULL, FAILING, environ);
    report("posix_spawn", child);
    errno = posix_spawnp(&child, "sh", NULL, NULL, FAILING, environ);
    report("posix_spawnp", child);
}

static void with_vain_posix_spawn(void) {
    pid_t child = -1;
    printf("missing: %d\n", posix_spawn(&child, "/nonexistent", NULL, NULL, FAILING, environ));
    printf("not found: %d\n", posix_spawnp(&child, "no-such-program", NULL, NULL, FAILING, environ));
    printf("not executable: %d\n", posix_spawn(&child, "/etc/passwd", NULL, NULL, FAILING, environ));
}

static void with_the_shell(void) {
    printf("system: %d\n", WEXITSTATUS(system("exit 4")));
    fflush(stdout);
    FILE *pipe = popen("echo from popen; exit 7", "r");
    char line[64] = "";
    if (pipe && fgets(line, sizeof line, pipe))
        printf("popen: %s", line);
    printf("pclose: %d\n", WEXITSTATUS(pclose(pipe)));
}

static void with_raw_calls(void) {
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        execv("/bin/sh", FAILING);
        _exit(127);
    }
    report("clone", child);
}

static void with_daemon(void) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (daemon(1, 0) != 0)
            _exit(1);
        execl("/bin/sh", "sh", "-c", "exit 8", (char *)NULL);
        _exit(127);
    }
    report("daemon", child);
}

static void with_double_fork(void) {
    pid_t child = fork();
    if (child == 0) {
        pid_t parent = getpid();
        setsid();
        if (fork() == 0) {
            /* Outlives its parent, and so has another one when it ends. */
            while (getppid() == parent)
                usleep(1000);
            execl("/bin/sh", "sh", "-c", "exit 9", (char *)NULL);
            _exit(127);
        }
        _exit(0);
    }
    report("double fork", child);
}

static void with_forkpty(void) {
    int terminal;
    pid_t child = forkpty(&terminal, NULL, NULL, NULL);
    if (child == 0) {
        execv("/bin/sh", FAILING);
        _exit(127);
    }
    report("forkpty", child);
}

static void *spawn_some(void *unused) {
    (void)unused;
    for (int i = 0; i < 5; i++) {
        pid_t child = fork();
        if (child == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(127);
        }
        waitpid(child, NULL, 0);
    }
    return NULL;
}

static void from_threads(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, spawn_some, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    printf("threads: done\n");
}

/* Nobody waits for the child while its parent lives. */
static void unreaped(void) {
    if (fork() == 0) {
        execl("/bin/sh", "sh", "-c", "exit 2", (char *)NULL);
        _exit(127);
    }
    sleep(1);
}

static void ignoring_children(void) {
    signal(SIGCHLD, SIG_IGN);
    if (fork() == 0)
        _exit(2);
    printf("wait: %d\n", (int)wait(NULL));
}

/* Each process has one child, and each ends with another code. */
static void deep(void) {
    for (int level = 1; level <= 20; level++) {
        pid_t child = fork();
        if (child != 0) {
            waitpid(child, NULL, 0);
            _exit(level);
        }
    }
    _exit(21);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } ways[] = {
        {"fork", with_fork},           {"vfork", with_vfork},
        {"spawn", with_posix_spawn},   {"shell", with_the_shell},
        {"raw", with_raw_calls},       {"daemon", with_daemon},
        {"double-fork", with_double_fork}, {"forkpty", with_forkpty},
        {"threads", from_threads},     {"unreaped", unreaped},
        {"ignored", ignoring_children}, {"deep", deep},
        {"vain-spawn", with_vain_posix_spawn},
    };
    const char *way = argc > 1 ? argv[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (strcmp(way, ways[i].name) == 0) {
            ways[i].run();
            return 0;
        }
    }
    fprintf(stderr, "processes: unknown way %s\n", way);
    return 64;
}
