/* A service that calls back, in C: for each "url" in a request it sends a request there, within the trace of the first. */
#define _GNU_SOURCE
#include "ddtrace_run.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 256 * 1024, MOST_HEADERS = 512 };

/* Reads until the end of the head has come, and what its Content-Length says. Gives the start of the body. */
static char *receive(int fd, char *buffer) {
    size_t length = 0;
    char *body = NULL;
    for (;;) {
        ssize_t count = read(fd, buffer + length, MOST - 1 - length);
        if (count <= 0) return body;
        length += (size_t)count;
        buffer[length] = 0;
        char *end = strstr(buffer, "\r\n\r\n");
        if (end == NULL) continue;
        body = end + 4;
        char *field = strcasestr(buffer, "\ncontent-length:");
        size_t wanted = field != NULL && field < end ? strtoul(field + 16, NULL, 10) : 0;
        if (length - (size_t)(body - buffer) >= wanted) return body;
    }
}

/* The lines of a head as headers. Their texts lie in the head. */
static size_t split(char *head, char *end, struct ddtrace_header *headers) {
    size_t count = 0;
    char *line = strstr(head, "\r\n");
    while (line != NULL && line < end && count < MOST_HEADERS) {
        char *name = line + 2;
        line = strstr(name, "\r\n");
        char *colon = memchr(name, ':', (size_t)(line - name));
        if (colon == NULL) continue;
        headers[count].name = (struct ddtrace_bytes){name, (size_t)(colon - name)};
        headers[count].value = (struct ddtrace_bytes){colon + 1, (size_t)(line - colon - 1)};
        count++;
    }
    return count;
}

static void append(void *to, const char *name, const char *value, size_t length) {
    fprintf(to, "%s: %.*s\r\n", name, (int)length, value);
}

static void call(const char *url) {
    unsigned port = 0;
    if (sscanf(url, "http://127.0.0.1:%u/", &port) != 1) return;
    struct ddtrace_start_options options = ddtrace_options();
    options.kind = DDTRACE_CLIENT;
    ddtrace_span span = ddtrace_start("http.client.request", &options);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        char *text = NULL, answer[1024];
        size_t length = 0;
        FILE *out = open_memstream(&text, &length);
        fprintf(out, "POST /callback HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n");
        ddtrace_inject(span, append, out);
        fprintf(out, "\r\n");
        fclose(out);
        if (write(fd, text, length) == (ssize_t)length) {
            while (read(fd, answer, sizeof answer) > 0) {}
        }
        free(text);
    }
    close(fd);
    ddtrace_finish(span);
}

int main(void) {
    static char buffer[MOST];
    static struct ddtrace_header headers[MOST_HEADERS];
    static const char ok[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 16) != 0) return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        char *body = receive(fd, buffer);
        if (body != NULL) {
            struct ddtrace_start_options options = ddtrace_options();
            options.kind = DDTRACE_SERVER;
            options.context = ddtrace_extract_all(headers, split(buffer, body - 2, headers));
            ddtrace_span span = ddtrace_start("http.server.request", &options);
            ddtrace_activate(span);
            for (char *url = body; (url = strstr(url, "\"url\": \"")) != NULL;) {
                url += 8;
                call(url);
            }
            ddtrace_finish(span);
            if (write(fd, ok, sizeof ok - 1) < 0) return 1;
        }
        close(fd);
    }
}
