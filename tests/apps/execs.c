/* Executes a program by each function there is: `execs FORM`. What goes wrong is told by its errno. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static char *const ARGV[] = {"sh", "-c", "echo \"$0 $1 $ONLY\"; exit 3", "zero", "one", NULL};
static char *const ENVP[] = {"ONLY=this", NULL};

static void *from_thread(void *unused) {
    (void)unused;
    execv("/bin/sh", ARGV);
    return NULL;
}

/* As a shell does it: one attempt for each directory, all but the last in vain. */
static void search(void) {
    static const char *const places[] = {"/nonexistent/a/sh", "/nonexistent/b/sh", "/etc/passwd/sh", "/bin/sh"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        execve(places[i], ARGV, environ);
        printf("%s: %d\n", places[i], errno);
    }
}

/* What the kernel answers with EFAULT must not be a crash in between. */
static void bad_pointers(void) {
    char *const *volatile unreadable = (char *const *)8;
    const char *volatile no_path = NULL;
    printf("path: %d\n", execv(no_path, ARGV) == -1 ? errno : 0);
    printf("argv: %d\n", execve("/bin/sh", unreadable, environ) == -1 ? errno : 0);
    printf("envp: %d\n", execve("/bin/sh", ARGV, unreadable) == -1 ? errno : 0);
    exit(3);
}

static void failing(void) {
    unlink("plain");
    int file = open("plain", O_CREAT | O_WRONLY, 0600);
    close(file);
    printf("missing: %d\n", execv("/nonexistent", ARGV) == -1 ? errno : 0);
    printf("directory: %d\n", execv("/", ARGV) == -1 ? errno : 0);
    printf("not executable: %d\n", execv("plain", ARGV) == -1 ? errno : 0);
    chmod("plain", 0700);
    printf("no format: %d\n", execv("plain", ARGV) == -1 ? errno : 0);
    printf("bad descriptor: %d\n", fexecve(-1, ARGV, environ) == -1 ? errno : 0);
    printf("not found: %d\n", execvp("no-such-program", ARGV) == -1 ? errno : 0);
    printf("empty name: %d\n", execvp("", ARGV) == -1 ? errno : 0);
    printf("then: ");
    fflush(stdout);
    execv("/bin/sh", ARGV);
}

/* A file without a first line that names an interpreter: only the `p` forms hand it to a shell. */
static void headless_script(void) {
    int file = open("headless", O_CREAT | O_WRONLY, 0700);
    if (write(file, "echo headless \"$@\"; exit 6\n", 27) != 27)
        return;
    close(file);
    setenv("PATH", ".", 1);
    execlp("headless", "headless", "argument", (char *)NULL);
}

static void large_environment(void) {
    enum { COUNT = 5000 };
    static char *variables[COUNT + 1];
    for (int i = 0; i < COUNT; i++)
        if (asprintf(&variables[i], "VARIABLE_%d=%d", i, i) < 0)
            return;
    variables[0] = "ONLY=first";
    execve("/bin/sh", ARGV, variables);
}

static void chain(int left) {
    char count[16];
    if (left == 0)
        execl("/bin/sh", "sh", "-c", "exit 3", (char *)NULL);
    snprintf(count, sizeof count, "%d", left - 1);
    execl("/proc/self/exe", "execs", "chain", count, (char *)NULL);
}

static void run(const char *form) {
    char *const bare_name[] = {NULL};
    if (strcmp(form, "execl") == 0)
        execl("/bin/sh", "sh", "-c", ARGV[2], "zero", "one", (char *)NULL);
    else if (strcmp(form, "execlp") == 0)
        execlp("sh", "sh", "-c", ARGV[2], "zero", "one", (char *)NULL);
    else if (strcmp(form, "execle") == 0)
        execle("/bin/sh", "sh", "-c", ARGV[2], "zero", "one", (char *)NULL, ENVP);
    else if (strcmp(form, "execv") == 0)
        execv("/bin/sh", ARGV);
    else if (strcmp(form, "execvp") == 0)
        execvp("sh", ARGV);
    else if (strcmp(form, "execvpe") == 0)
        execvpe("sh", ARGV, ENVP);
    else if (strcmp(form, "execve") == 0)
        execve("/bin/sh", ARGV, ENVP);
    else if (strcmp(form, "execve-null-env") == 0)
        execve("/bin/sh", ARGV, NULL);
    else if (strcmp(form, "execve-empty-argv") == 0)
        execve("/bin/true", bare_name, environ);
    else if (strcmp(form, "fexecve") == 0)
        fexecve(open("/bin/sh", O_RDONLY | O_CLOEXEC), ARGV, environ);
    else if (strcmp(form, "execveat") == 0)
        syscall(SYS_execveat, open("/bin", O_PATH | O_CLOEXEC), "sh", ARGV, environ, 0);
#if __GLIBC_PREREQ(2, 34)
    else if (strcmp(form, "execveat-libc") == 0)
        execveat(open("/bin", O_PATH | O_CLOEXEC), "sh", ARGV, environ, 0);
#endif
    else if (strcmp(form, "search") == 0)
        search();
    else if (strcmp(form, "failing") == 0)
        failing();
    else if (strcmp(form, "bad-pointers") == 0)
        bad_pointers();
    else if (strcmp(form, "headless") == 0)
        headless_script();
    else if (strcmp(form, "large-environment") == 0)
        large_environment();
    else if (strcmp(form, "thread") == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, from_thread, NULL);
        pthread_join(thread, NULL);
    } else {
        fprintf(stderr, "execs: unknown form %s\n", form);
        exit(64);
    }
    fprintf(stderr, "execs: %s: %s\n", form, strerror(errno));
    exit(65);
}

int main(int argc, char **argv) {
    const char *form = argc > 1 ? argv[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(form, "chain") == 0) {
        chain(argc > 2 ? atoi(argv[2]) : 5);
        return 65;
    }
    /* Both from a child and, at the end, in this very process. */
    pid_t child = fork();
    if (child == 0)
        run(form);
    int status = 0;
    waitpid(child, &status, 0);
    printf("child: %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    run(form);
}
