/* A server and a client in threads with the smallest stacks that there are, and a client in a signal's handler with half of that. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char request[] = "GET /small HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
static char taken[8192], given[8192];
static int listener;
static struct sockaddr_in address = {.sin_family = AF_INET};

static void *serve(void *unused) {
    int fd = accept(listener, NULL, NULL);
    if (recv(fd, taken, sizeof taken, 0) < 0 || send(fd, answer, sizeof answer - 1, 0) < 0) _exit(3);
    close(fd);
    return unused;
}

static void *ask(void *unused) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) _exit(4);
    if (send(fd, request, sizeof request - 1, 0) < 0) _exit(5);
    size_t used = 0;
    for (ssize_t count; (count = recv(fd, given + used, sizeof given - used, 0)) > 0;) used += (size_t)count;
    close(fd);
    return unused;
}

static void handle(int unused) {
    (void)unused;
    ask(NULL);
}

int main(void) {
    pthread_attr_t small;
    pthread_t server, client;
    pthread_attr_init(&small);
    if (pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN) != 0) return 2;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&address, sizeof address);
    listen(listener, 2);
    socklen_t length = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &length);
    pthread_create(&server, &small, serve, NULL);
    pthread_create(&client, &small, ask, NULL);
    pthread_join(client, NULL);
    pthread_join(server, NULL);
    puts(strstr(given, "\r\n\r\n") + 4);
    static char stack[8192];
    stack_t aside = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
    sigaltstack(&aside, NULL);
    sigaction(SIGUSR1, &action, NULL);
    memset(given, 0, sizeof given);
    pthread_create(&server, &small, serve, NULL);
    raise(SIGUSR1);
    pthread_join(server, NULL);
    puts(strstr(given, "\r\n\r\n") + 4);
    return 0;
}
