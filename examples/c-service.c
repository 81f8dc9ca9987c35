/*
 * A small HTTP/1.0 service and its client, traced through include/ddtrace_run.h.
 *
 *     cc -Iinclude -o c-service examples/c-service.c
 *     ddtrace-run ./c-service serve 8080 &
 *     ddtrace-run ./c-service get 8080 /users/7
 *
 * `serve PORT [COUNT]` answers COUNT requests, or goes on for ever; port 0 takes a free one, and the first line of its
 * output says which. `/users/<id>` is answered, `/via/<port>/<path>` asks another service, all else is an error.
 *
 * Without ddtrace-run it behaves the same, and no call of the tracer does anything.
 */
#include "ddtrace_run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* A whole message: headers and body are short here. */
struct message {
    char text[16384];
    size_t length;
};

/* Adds to a message what fits. */
static void add(struct message *message, const char *text, size_t length) {
    size_t room = sizeof message->text - 1 - message->length;
    if (length > room) length = room;
    memcpy(message->text + message->length, text, length);
    message->length += length;
    message->text[message->length] = '\0';
}

/* ---- The two functions by which the tracer reads and writes headers. ---- */

static void set_header(void *argument, const char *name, const char *value, size_t value_length) {
    struct message *request = (struct message *)argument;
    add(request, name, strlen(name));
    add(request, ": ", 2);
    add(request, value, value_length);
    add(request, "\r\n", 2);
}

static int32_t get_header(void *argument, const char *name, size_t index, struct ddtrace_bytes *value) {
    const struct message *request = (const struct message *)argument;
    size_t name_length = strlen(name);
    const char *line = strstr(request->text, "\r\n");
    while (line != NULL && line[2] != '\r' && line[2] != '\0') {
        line += 2;
        const char *end = strstr(line, "\r\n");
        if (end != NULL && strncasecmp(line, name, name_length) == 0 && line[name_length] == ':' && index-- == 0) {
            value->bytes = line + name_length + 1;
            value->length = (size_t)(end - value->bytes);
            return 1;
        }
        line = end;
    }
    return 0;
}

/* ---- Plain sockets. ---- */

static void send_all(int socket, const struct message *message) {
    size_t sent = 0;
    while (sent < message->length) {
        ssize_t now = send(socket, message->text + sent, message->length - sent, MSG_NOSIGNAL);
        if (now <= 0) return;
        sent += (size_t)now;
    }
}

/* Reads to the end of the headers, or of everything. */
static void receive(int socket, struct message *message, int to_the_end) {
    message->length = 0;
    message->text[0] = '\0';
    while (message->length < sizeof message->text - 1) {
        char bytes[1024];
        ssize_t now = recv(socket, bytes, sizeof bytes, 0);
        if (now <= 0) return;
        add(message, bytes, (size_t)now);
        if (!to_the_end && strstr(message->text, "\r\n\r\n") != NULL) return;
    }
}

static struct sockaddr_in local_address(int port) {
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* Sends a request below the span that is active, and gives the status; the body is left in `answer`. */
static int fetch(int port, const char *path, struct message *answer) {
    struct ddtrace_start_options options = ddtrace_options();
    options.kind = DDTRACE_CLIENT;
    options.resource = ddtrace_text("GET");
    options.type = ddtrace_text("http");
    ddtrace_span span = ddtrace_start("http.request", &options);
    ddtrace_tag_string(span, "http.request.method", "GET");
    ddtrace_tag_string(span, "url.path", path);
    ddtrace_tag_int(span, "server.port", port);

    int status = 0;
    struct sockaddr_in address = local_address(port);
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(connection, (struct sockaddr *)&address, sizeof address) != 0) {
        ddtrace_error(span, "connect", strerror(errno), NULL);
    } else {
        struct message request = {.length = 0};
        char line[2048];
        snprintf(line, sizeof line, "GET %s HTTP/1.0\r\n", path);
        add(&request, line, strlen(line));
        /* The receiver continues the trace. */
        ddtrace_inject(span, set_header, &request);
        add(&request, "\r\n", 2);
        send_all(connection, &request);
        receive(connection, answer, 1);
        if (sscanf(answer->text, "HTTP/1.%*d %d", &status) != 1) {
            ddtrace_error(span, "protocol", "the answer is no HTTP", NULL);
        }
    }
    close(connection);
    ddtrace_tag_int(span, "http.response.status_code", status);
    if (status >= 400) ddtrace_error(span, "http", "the service answered with an error", NULL);
    ddtrace_finish(span);
    return status;
}

/* ---- The service. ---- */

static int answer_user(ddtrace_span request, const char *id, struct message *body) {
    ddtrace_set_resource(request, "GET /users/{id}");
    ddtrace_tag_string(request, "usr.id", id);
    ddtrace_span query = ddtrace_start("users.find", NULL);
    ddtrace_tag_double(query, "users.share", 0.5);
    ddtrace_tag_bool(query, "users.cached", 0);
    struct ddtrace_named_value tags[2];
    tags[0] = ddtrace_tag_of("cache.key", ddtrace_string(id));
    tags[1] = ddtrace_tag_of("cache.size", ddtrace_int(0));
    ddtrace_event(query, "cache.miss", tags, 2);
    add(body, "user ", 5);
    add(body, id, strlen(id));
    add(body, "\n", 1);
    ddtrace_finish(query);
    return 200;
}

static void serve(int connection) {
    static struct message request, answer;
    receive(connection, &request, 0);
    char path[1024] = "";
    sscanf(request.text, "GET %1023s", path);

    struct ddtrace_start_options options = ddtrace_options();
    options.kind = DDTRACE_SERVER;
    options.type = ddtrace_text("web");
    /* What the client wrote: its span becomes the parent. */
    options.context = ddtrace_extract(get_header, &request);
    ddtrace_span span = ddtrace_start("http.request", &options);
    ddtrace_span before = ddtrace_activate(span);
    ddtrace_tag_string(span, "http.request.method", "GET");
    ddtrace_tag_string(span, "url.path", path);

    struct message body = {.length = 0};
    int port, status, start = 0;
    if (strncmp(path, "/users/", 7) == 0) {
        status = answer_user(span, path + 7, &body);
    } else if (sscanf(path, "/via/%d/%n", &port, &start) == 1 && start > 0) {
        ddtrace_set_resource(span, "GET /via/{port}/{path}");
        status = fetch(port, path + start - 1, &answer);
        const char *inner = strstr(answer.text, "\r\n\r\n");
        if (inner != NULL) add(&body, inner + 4, strlen(inner + 4));
        if (status == 0) status = 502;
    } else {
        status = 404;
        add(&body, "not found\n", 10);
        ddtrace_error(span, "not_found", "there is no such path", "serve()\nmain()");
    }
    ddtrace_tag_int(span, "http.response.status_code", status);

    struct message reply = {.length = 0};
    char head[128];
    snprintf(head, sizeof head, "HTTP/1.0 %d -\r\nContent-Length: %zu\r\n\r\n", status, body.length);
    add(&reply, head, strlen(head));
    add(&reply, body.text, body.length);
    send_all(connection, &reply);
    ddtrace_activate(before);
    ddtrace_finish(span);
}

static int run_server(int port, long count) {
    struct sockaddr_in address = local_address(port);
    socklen_t length = sizeof address;
    int yes = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 16) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        perror("c-service");
        return 1;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (long served = 0; count < 0 || served < count; served++) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0) continue;
        serve(connection);
        close(connection);
    }
    close(listener);
    return 0;
}

int main(int argc, char **argv) {
    if (argc >= 3 && strcmp(argv[1], "serve") == 0) {
        return run_server(atoi(argv[2]), argc > 3 ? atol(argv[3]) : -1);
    }
    if (argc == 4 && strcmp(argv[1], "get") == 0) {
        static struct message answer;
        int status = fetch(atoi(argv[2]), argv[3], &answer);
        const char *body = strstr(answer.text, "\r\n\r\n");
        printf("%d %s", status, body != NULL ? body + 4 : "\n");
        return status == 200 ? 0 : 1;
    }
    fprintf(stderr, "usage: %s serve PORT [COUNT] | get PORT PATH\n", argv[0]);
    return 2;
}
