/* Filters its own system calls, then ends: `sandbox prctl|syscall|syscall-prctl return|_exit|exec`. A call that the filter does not
   know kills the program. With `vfork-exec` and `vfork-_exit` a vfork child does it for itself alone, and the program
   starts another one afterwards. */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What `true`, a dynamic program without a tracer, needs to start and end. */
static const int KNOWN[] = {
    SYS_write, SYS_exit_group, SYS_execve, SYS_brk, SYS_access, SYS_openat, SYS_newfstatat, SYS_fstat, SYS_mmap,
    SYS_close, SYS_read, SYS_pread64, SYS_arch_prctl, SYS_set_tid_address, SYS_set_robust_list, SYS_rseq,
    SYS_mprotect, SYS_prlimit64, SYS_munmap, SYS_getrandom,
};
enum { COUNT = sizeof KNOWN / sizeof *KNOWN };

static int filter_by(const char *way) {
    struct sock_filter filter[2 * COUNT + 2];
    struct sock_fprog program = {.len = 2 * COUNT + 2, .filter = filter};
    filter[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < COUNT; i++) {
        filter[1 + 2 * i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, KNOWN[i], 0, 1);
        filter[2 + 2 * i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    filter[1 + 2 * COUNT] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return 65;
    long failed;
    if (strcmp(way, "prctl") == 0)
        failed = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
    else if (strcmp(way, "syscall") == 0)
        failed = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
    else
        failed = syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
    if (failed)
        return 66;
    write(1, "filtered\n", 9);
    return 0;
}

static int by_vfork(const char *way, int ends) {
    int status = 0;
    pid_t child = vfork();
    if (child == 0) {
        if (filter_by(way) != 0)
            _exit(66);
        if (!ends)
            execl("/bin/true", "true", (char *)NULL);
        _exit(7);
    }
    waitpid(child, &status, 0);
    printf("the filtered child: %#x\n", status);
    child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", "exit 3", (char *)NULL);
        _exit(127);
    }
    waitpid(child, &status, 0);
    printf("the other child: %#x\n", status);
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 64;
    if (strncmp(argv[2], "vfork", 5) == 0)
        return by_vfork(argv[1], strcmp(argv[2], "vfork-_exit") == 0);
    int failed = filter_by(argv[1]);
    if (failed)
        return failed;
    if (strcmp(argv[2], "_exit") == 0)
        _exit(7);
    if (strcmp(argv[2], "exec") == 0)
        execl("/bin/true", "true", (char *)NULL);
    return 7;
}
