/* Sends a request by each call that can send, cut in two at each byte: `requests PORT REQUEST`. Prints for each the name of
 * the call, the place, and how many bytes came back. */
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

static struct iovec cut[2];

static ssize_t by_write(int fd, const char *bytes, size_t length) { return write(fd, bytes, length); }

static ssize_t by_send(int fd, const char *bytes, size_t length) { return send(fd, bytes, length, MSG_NOSIGNAL); }

static ssize_t by_sendto(int fd, const char *bytes, size_t length) { return sendto(fd, bytes, length, 0, NULL, 0); }

static int vectors_of(const char *bytes, size_t length) {
    /* A long one and an empty one: servers and clients send so. */
    cut[0] = (struct iovec){.iov_base = (void *)bytes, .iov_len = length};
    cut[1] = (struct iovec){.iov_base = NULL, .iov_len = 0};
    return 2;
}

static ssize_t by_writev(int fd, const char *bytes, size_t length) {
    return writev(fd, cut, vectors_of(bytes, length));
}

/* A line in each buffer, as Apache sends. */
static ssize_t by_lines(int fd, const char *bytes, size_t length) {
    struct iovec lines[32];
    int count = 0;
    while (length > 0 && count < 32) {
        const char *end = memchr(bytes, '\n', length);
        size_t line = end ? (size_t)(end - bytes) + 1 : length;
        lines[count++] = (struct iovec){.iov_base = (void *)bytes, .iov_len = line};
        bytes += line;
        length -= line;
    }
    return writev(fd, lines, count);
}

static ssize_t by_sendmsg(int fd, const char *bytes, size_t length) {
    struct msghdr message = {.msg_iov = cut, .msg_iovlen = (size_t)vectors_of(bytes, length)};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static const struct {
    const char *name;
    ssize_t (*call)(int, const char *, size_t);
} calls[] = {{"write", by_write}, {"send", by_send}, {"sendto", by_sendto}, {"writev", by_writev}, {"sendmsg", by_sendmsg}, {"lines", by_lines}};

/* Sends all of it, whatever each call takes. */
static void send_all(int fd, ssize_t (*call)(int, const char *, size_t), const char *bytes, size_t length) {
    while (length > 0) {
        errno = 77;
        ssize_t sent = call(fd, bytes, length);
        if (sent > (ssize_t)length || (sent >= 0 && errno != 77)) {
            printf("wrong: %zd of %zu, errno %d\n", sent, length, errno);
            exit(1);
        }
        if (sent < 0 && errno != EAGAIN) {
            perror("send");
            exit(1);
        }
        if (sent < 0) {
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        } else {
            bytes += sent;
            length -= (size_t)sent;
        }
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        return 2;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const char *request = argv[2];
    size_t length = strlen(request);
    for (size_t which = 0; which < sizeof calls / sizeof *calls; which++) {
        for (size_t place = 0; place <= length; place++) {
            int fd = socket(AF_INET, SOCK_STREAM, 0);
            if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
                perror("connect");
                return 1;
            }
            fcntl(fd, F_SETFL, O_NONBLOCK);
            if (place > 0) {
                send_all(fd, calls[which].call, request, place);
            }
            send_all(fd, calls[which].call, request + place, length - place);
            fcntl(fd, F_SETFL, 0);
            char answer[4096];
            size_t all = 0;
            for (ssize_t got; (got = read(fd, answer, sizeof answer)) > 0;) {
                all += (size_t)got;
            }
            printf("%s %zu %zu\n", calls[which].name, place, all);
            close(fd);
        }
    }
    errno = 0;
    if (write(9999, request, 1) != -1 || errno != EBADF || send(0, request, 1, 0) != -1 || errno != ENOTSOCK) {
        printf("wrong errno %d\n", errno);
    }
    return 0;
}
