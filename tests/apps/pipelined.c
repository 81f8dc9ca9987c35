/* Sends several requests in one call, by each call that can send, with few or many bytes in each of at most 64 buffers:
 * `pipelined PORT [BEFORE [BETWEEN]]`, with other bytes before the first one and behind the second one's body. Prints what each call gives. The last request ends with "z.", as the server waits for that. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *const first = "GET /first HTTP/1.1\r\nHost: a\r\n\r\n"
                                   "POST /second HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde";
static const char *const rest = "GET /third HTTP/1.1\r\nHost: a\r\ntraceparent: 00-11111111111111111111111111111111-2222222222222222-01\r\n\r\n"
                                   "POST /fourth HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                                   "POST /last HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nz.";

enum { WRITE, SEND, WRITEV, SENDMSG };

static ssize_t give(int fd, int call, struct iovec *buffers, int count) {
    struct msghdr all = {.msg_iov = buffers, .msg_iovlen = (size_t)count};
    switch (call) {
    case WRITE: return write(fd, buffers->iov_base, buffers->iov_len);
    case SEND: return send(fd, buffers->iov_base, buffers->iov_len, MSG_NOSIGNAL);
    case WRITEV: return writev(fd, buffers, count);
    default: return sendmsg(fd, &all, MSG_NOSIGNAL);
    }
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    static char message[1024];
    snprintf(message, sizeof message, "%s%s%s%s", argc > 2 ? argv[2] : "", first, argc > 3 ? argv[3] : "", rest);
    size_t length = strlen(message);
    static struct iovec buffers[1024];
    for (int call = WRITE; call <= SENDMSG; call++) {
        for (size_t piece = call < WRITEV ? length : 8; piece <= length; piece += piece < 40 ? 1 : 29) {
            for (int blocks = 0; blocks < 2; blocks++) {
                struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr = {htonl(INADDR_LOOPBACK)}};
                int fd = socket(AF_INET, SOCK_STREAM, 0);
                if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) return 3;
                if (!blocks) fcntl(fd, F_SETFL, O_NONBLOCK);
                int count = 0;
                for (size_t at = 0; at < length; at += piece) {
                    size_t size = length - at < piece ? length - at : piece;
                    buffers[count++] = (struct iovec){.iov_base = message + at, .iov_len = size};
                }
                errno = 7;
                ssize_t taken = give(fd, call, buffers, count);
                printf("%d %zu: %zd of %zu, %d\n", call, piece, taken, length, errno);
                char answer[64];
                struct pollfd closed = {.fd = fd, .events = POLLIN};
                poll(&closed, 1, -1);
                while (read(fd, answer, sizeof answer) > 0) {}
                close(fd);
            }
        }
    }
    return 0;
}
