/*
 * What single calls cost a program, alone and with its connections looked at: benches/native.py runs it bare and under the
 * launcher, and compares.
 *
 *     calls [ROUNDS [BEGINNING OF A NAME]]
 *
 * Prints a line for each kind of call: its name, and nanoseconds for one of them, of the fastest batch. All of it is one
 * thread that is both ends of its connections; the end that is not measured makes its system calls itself, so that it is
 * seen by nobody.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 200 };

static const char request[] = "GET /things/7?page=2 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: calls/1.0\r\n"
                              "Accept: text/html,application/json\r\nAccept-Encoding: gzip, deflate\r\n\r\n";
static const char response[] = "HTTP/1.1 200 OK\r\nServer: calls/1.0\r\nDate: Mon, 30 Nov 2026 12:00:00 GMT\r\n"
                               "Content-Type: text/html\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok";

static const char *wanted = "";
static char buffer[4096];
static int file, pipes[2], pair[2], own, peer;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void must(long result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

/* The other end of what is measured. */
static void peer_write(int fd, const char *text, size_t length) {
    must(syscall(SYS_sendto, fd, text, length, 0, NULL, 0), "sendto");
}

static void peer_read(int fd) {
    must(syscall(SYS_recvfrom, fd, buffer, sizeof buffer, 0, NULL, 0), "recvfrom");
}

static void write_null(void) { must(write(file, "x", 1), "write"); }
static void read_null(void) { must(read(file, buffer, 1), "read"); }

static void through_pipe(void) {
    must(write(pipes[1], "x", 1), "write");
    must(read(pipes[0], buffer, 1), "read");
}

static void through_pair(void) {
    must(send(pair[0], "x", 1, 0), "send");
    must(recv(pair[1], buffer, sizeof buffer, 0), "recv");
}

static void serve(void) {
    peer_write(peer, request, sizeof request - 1);
    must(recv(own, buffer, sizeof buffer, 0), "recv");
    must(send(own, response, sizeof response - 1, 0), "send");
    peer_read(peer);
}

static void ask(void) {
    must(send(own, request, sizeof request - 1, 0), "send");
    peer_read(peer);
    peer_write(peer, response, sizeof response - 1);
    must(recv(own, buffer, sizeof buffer, 0), "recv");
}

/* Makes a TCP connection to this process: `own` is the end that is measured. */
static void connect_to_self(int accepts) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    must(bind(listener, (struct sockaddr *)&address, sizeof address), "bind");
    must(listen(listener, 1), "listen");
    must(getsockname(listener, (struct sockaddr *)&address, &length), "getsockname");
    if (accepts) {
        must(syscall(SYS_connect, client, &address, sizeof address), "connect");
        own = accept(listener, NULL, NULL);
        peer = client;
    } else {
        must(connect(client, (struct sockaddr *)&address, sizeof address), "connect");
        peer = (int)syscall(SYS_accept4, listener, NULL, NULL, 0);
        own = client;
    }
    must(own, "accept");
    must(peer, "accept");
}

static void measure(const char *name, void (*call)(void), unsigned rounds, unsigned calls) {
    uint64_t fastest = UINT64_MAX;
    if (strncmp(name, wanted, strlen(wanted)) != 0) {
        return;
    }
    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t start = now();
        for (unsigned round = 0; round < rounds; round++) {
            call();
        }
        uint64_t took = now() - start;
        fastest = took < fastest ? took : fastest;
    }
    printf("%s\t%.1f\n", name, (double)fastest / rounds / calls);
}

int main(int argc, char **argv) {
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 500;
    wanted = argc > 2 ? argv[2] : wanted;
    file = open("/dev/null", O_RDWR);
    must(file, "open");
    must(pipe(pipes), "pipe");
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
    measure("write, /dev/null", write_null, rounds, 1);
    measure("read, /dev/null", read_null, rounds, 1);
    measure("write and read, pipe", through_pipe, rounds, 2);
    measure("send and recv, socket that is no connection", through_pair, rounds, 2);
    connect_to_self(1);
    measure("a request served: recv and send", serve, rounds, 1);
    connect_to_self(0);
    measure("a request made: send and recv", ask, rounds, 1);
    return 0;
}
