/* Sends requests whose bodies are in many buffers of one byte each: `many_buffers PORT`. Prints what each call says, which
 * is all of it, as there is room: on sockets that block, and on those that are waited for by edges. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static struct iovec buffers[1024];
static char body[1024], head[256];

/* The head in so many pieces, and the body in so many bytes. */
static size_t fill(int count, int of_head, size_t *length) {
    int bytes = count - of_head;
    int size = sprintf(head, "POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", count, bytes);
    memset(body, 'z', sizeof body);
    body[bytes - 1] = '.';
    size_t used = 0;
    for (int piece = 0; piece < of_head; piece++) {
        int start = size * piece / of_head, end = size * (piece + 1) / of_head;
        buffers[used++] = (struct iovec){head + start, (size_t)(end - start)};
    }
    for (int byte = 0; byte < bytes; byte++) {
        buffers[used++] = (struct iovec){body + byte, 1};
    }
    *length = (size_t)(size + bytes);
    return used;
}

int main(int argc, char **argv) {
    static const int counts[] = {4, 60, 92, 93, 94, 95, 96, 97, 98, 300, 1000, 1021, 1022, 1023, 1024};
    if (argc < 2) {
        return 2;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int kind = 0; kind < 6; kind++) {
        for (size_t which = 0; which < sizeof counts / sizeof *counts; which++) {
            int fd = socket(AF_INET, SOCK_STREAM, 0);
            if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
                perror("connect");
                return 1;
            }
            if (kind % 2 == 1) {
                fcntl(fd, F_SETFL, O_NONBLOCK);
            }
            size_t length;
            size_t used = fill(counts[which], kind < 4 ? 1 : 2, &length);
            struct msghdr message = {.msg_iov = buffers, .msg_iovlen = used};
            errno = 77;
            ssize_t sent = kind / 2 % 2 == 0 ? writev(fd, buffers, (int)used) : sendmsg(fd, &message, 0);
            printf("%d %d: %zd of %zu, errno %d\n", kind, counts[which], sent, length, errno);
            fcntl(fd, F_SETFL, 0);
            if (sent < (ssize_t)length) {
                shutdown(fd, SHUT_WR);
            }
            char answer[4096];
            while (read(fd, answer, sizeof answer) > 0) {
            }
            close(fd);
        }
    }
    return 0;
}
