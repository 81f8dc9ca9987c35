/* Does to the descriptors of connections what programs do: `descriptors PORT FILE`. What is sent must arrive as it is, and
 * the file must hold what was written. Prints what came back. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char request[] = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
static struct sockaddr_in address;

static int connected(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("connect");
        exit(1);
    }
    return fd;
}

static void finish(const char *what, int fd) {
    char answer[4096];
    size_t all = 0;
    for (ssize_t got; (got = read(fd, answer + all, sizeof answer - 1 - all)) > 0;) {
        all += (size_t)got;
    }
    answer[all] = 0;
    printf("%s: %s\n", what, all > 3 ? answer + all - 3 : "nothing");
    fflush(stdout);
    close(fd);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        return 2;
    }
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    size_t length = sizeof request - 1;

    /* Closed behind everybody's back, and the number is a file's now. */
    int fd = connected();
    syscall(SYS_close, fd);
    int file = open(argv[2], O_CREAT | O_TRUNC | O_WRONLY, 0600);
    if (file != fd || write(file, request, length) != (ssize_t)length) {
        printf("the number was not used again\n");
    }
    close(file);

    /* Half of it through another number. */
    fd = connected();
    write(fd, request, 10);
    int other = dup(fd);
    write(other, request + 10, length - 10);
    close(fd);
    finish("dup", other);

    /* A number that had a connection gets another one. */
    fd = connected();
    other = connected();
    dup2(other, fd);
    close(other);
    write(fd, request, length);
    finish("dup2", fd);

    /* Connected by the parent, used by the child. */
    fd = connected();
    if (fork() == 0) {
        write(fd, request, length);
        finish("child", fd);
        _exit(0);
    }
    close(fd);
    wait(NULL);

    /* A child closes what its parent goes on with, also where both have one memory. */
    fd = connected();
    write(fd, request, 10);
    if (fork() == 0) {
        close(fd);
        _exit(0);
    }
    wait(NULL);
    if (vfork() == 0) {
        close(fd);
        _exit(0);
    }
    write(fd, request + 10, length - 10);
    finish("parent", fd);

    /* Nothing of the first one was sent when the program thinks better of it. */
    fd = connected();
    send(fd, request, 0, 0);
    write(fd, "HEAD /b HTTP/1.1\r\n\r\n", 20);
    finish("changed", fd);
    return 0;
}
