/* Sends requests to a reader that reads nothing: `stalled time|signal|restart`. Prints which errors the calls end with, and
 * whether the bytes that the reader finds in the end are those of which the calls said that they were taken. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static void on_alarm(int number) { (void)number; }

/* How many bytes are there but those of headers of a tracer. */
static size_t own_bytes(char *bytes, size_t length) {
    size_t own = 0;
    for (char *line = bytes, *end = bytes + length; line < end;) {
        char *next = memchr(line, '\n', (size_t)(end - line));
        next = next ? next + 1 : end;
        size_t size = (size_t)(next - line);
        if ((size < 5 || memcmp(line, "trace", 5) != 0) && (size < 10 || memcmp(line, "x-datadog-", 10) != 0)) {
            own += size;
        }
        line = next;
    }
    return own;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        return 2;
    }
    int by_time = !strcmp(argv[1], "time"), size = 1024, errors[200] = {0}, wrong = 0;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 5) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        perror("listen");
        return 1;
    }
    if (!by_time) {
        struct sigaction action = {.sa_handler = on_alarm};
        sigaction(SIGALRM, &action, NULL);
        struct itimerval often = {.it_interval = {.tv_usec = 4000}, .it_value = {.tv_usec = 4000}};
        setitimer(ITIMER_REAL, &often, NULL);
    }
    for (int turn = 0; turn < 60; turn++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        while (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno == EINTR) {
        }
        int reader;
        while ((reader = accept(listener, NULL, NULL)) < 0) {
        }
        struct timeval patience = {.tv_usec = 4000};
        if (by_time) {
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        }
        char request[9000];
        int head = sprintf(request, "GET /%d HTTP/1.1\r\nHost: x\r\nP: ", turn), filling = 1 + turn * 37;
        memset(request + head, 'p', (size_t)filling);
        strcpy(request + head + filling, "\r\n\r\n");
        size_t all = (size_t)(head + filling + 4), taken = 0;
        for (size_t at = 0;; at %= all) {
            ssize_t sent = send(fd, request + at, all - at, 0);
            if (sent < 0) {
                errors[errno]++;
                break;
            }
            at += (size_t)sent;
            taken += (size_t)sent;
        }
        shutdown(fd, SHUT_WR);
        int large = 1 << 20;
        setsockopt(reader, SOL_SOCKET, SO_RCVBUF, &large, sizeof large);
        static char arrived[1 << 20];
        size_t got = 0;
        /* With a reader that has stood still for longer, that takes the kernel its time. */
        for (ssize_t count; !by_time && (count = read(reader, arrived + got, sizeof arrived - got)) != 0;) {
            got += count > 0 ? (size_t)count : 0;
        }
        /* The last of a tracer's lines may be there in part. */
        size_t own = own_bytes(arrived, got);
        if (!by_time && (own < taken || own > taken + 80)) {
            printf("turn %d: %zu taken, %zu arrived\n", turn, taken, own);
            wrong++;
        }
        close(fd);
        close(reader);
    }
    for (int number = 0; number < 200; number++) {
        if (errors[number]) {
            printf("%s: %d times\n", strerror(number), errors[number]);
        }
    }
    return wrong;
}
