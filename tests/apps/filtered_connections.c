/* Connections from before and behind a system call filter that kills for every call that is not used here. */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define ALLOW(number) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static int must(int result) {
    if (result < 0) _exit(2);
    return result;
}

/* A request and its answer, by different calls on each side. */
static void exchange(int client, int server) {
    static char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n", answer[] = "HTTP/1.1 204 No Content\r\n\r\n";
    char buffer[512];
    struct iovec vector = {request, strlen(request)};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (must(sendmsg(client, &message, 0)) != (int)strlen(request)) _exit(3);
    if (must(read(server, buffer, sizeof buffer)) != (int)strlen(request)) _exit(4);
    if (memcmp(buffer, request, strlen(request))) _exit(5);
    if (must(write(server, answer, strlen(answer))) != (int)strlen(answer)) _exit(6);
    if (must(recv(client, buffer, sizeof buffer, 0)) != (int)strlen(answer)) _exit(7);
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}, peer;
    socklen_t length = sizeof address, peer_length = sizeof peer;
    int listener = must(socket(AF_INET, SOCK_STREAM, 0));
    must(bind(listener, (struct sockaddr *)&address, length));
    must(listen(listener, 4));
    must(getsockname(listener, (struct sockaddr *)&address, &length));
    int client = must(socket(AF_INET, SOCK_STREAM, 0)), later = must(socket(AF_INET, SOCK_STREAM, 0));
    must(connect(client, (struct sockaddr *)&address, length));
    int server = must(accept(listener, NULL, NULL));

    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_read), ALLOW(SYS_write), ALLOW(SYS_sendmsg), ALLOW(SYS_recvfrom), ALLOW(SYS_connect),
        ALLOW(SYS_accept), ALLOW(SYS_dup2), ALLOW(SYS_close), ALLOW(SYS_exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));

    exchange(client, server);
    must(connect(later, (struct sockaddr *)&address, length));
    int last = must(accept(listener, (struct sockaddr *)&peer, &peer_length));
    exchange(later, last);
    must(dup2(server, last));
    must(close(client) | close(server) | close(later) | close(last));
    must(write(1, "fine\n", 5));
    _exit(0);
}
