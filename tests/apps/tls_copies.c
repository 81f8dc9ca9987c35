/* Several TLS libraries in one process, all with the same names. Compiled thrice: with -DLIBRARY=N as a library that takes only
 * its own sessions; with -DPLUGIN as what uses one; and as the program: `tls_copies PORT PLUGIN...`. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined LIBRARY

struct ssl {
    int of;
    char written[4096];
    size_t length;
};

static void check(struct ssl *ssl) {
    if (ssl->of != LIBRARY) {
        printf("a session of %d in %d\n", ssl->of, LIBRARY);
        exit(1);
    }
}

struct ssl *SSL_new(void *context) {
    (void)context;
    struct ssl *ssl = calloc(1, sizeof *ssl);
    ssl->of = LIBRARY;
    return ssl;
}

void SSL_free(struct ssl *ssl) {
    check(ssl);
    free(ssl);
}

int SSL_write(struct ssl *ssl, const char *bytes, int length) {
    check(ssl);
    memcpy(ssl->written + ssl->length, bytes, (size_t)length);
    ssl->length += (size_t)length;
    return length;
}

int SSL_read(struct ssl *ssl, char *bytes, int length) {
    check(ssl);
    printf("%d: %.*s", LIBRARY, (int)ssl->length, ssl->written);
    return snprintf(bytes, (size_t)length, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

#elif defined PLUGIN

void *SSL_new(void *context);
void SSL_free(void *ssl);
int SSL_write(void *ssl, const void *bytes, int length);
int SSL_read(void *ssl, void *bytes, int length);

void use(const char *name) {
    char request[200], answer[200];
    int length = sprintf(request, "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", name);
    void *ssl = SSL_new(NULL);
    printf("%d\n", SSL_write(ssl, request, length) == length && SSL_read(ssl, answer, sizeof answer) > 0);
    SSL_free(ssl);
}

#else

/* A program that looks whether it has such a library. */
extern int SSL_write(void *ssl, const void *bytes, int length) __attribute__((weak));

/* As any program does sooner or later. */
static void make_a_connection(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        printf("no connection\n");
    }
    close(fd);
}

int main(int argc, char **argv) {
    printf("%d %d\n", SSL_write != NULL, dlsym(RTLD_DEFAULT, "SSL_write") != NULL);
    for (int round = 0; round < 3; round++) {
        void *plugins[8];
        for (int number = 2; number < argc; number++) {
            plugins[number - 2] = dlopen(argv[number], RTLD_LOCAL | RTLD_LAZY);
            if (plugins[number - 2] == NULL) {
                printf("%s\n", dlerror());
                return 1;
            }
            void (*use)(const char *) = (void (*)(const char *))dlsym(plugins[number - 2], "use");
            /* Its functions are found, or not yet. */
            if (round == 1) {
                use("early");
            }
        }
        make_a_connection(argv[1]);
        for (int number = 2; number < argc; number++) {
            ((void (*)(const char *))dlsym(plugins[number - 2], "use"))("late");
        }
        /* Others may come to where they were. */
        for (int number = argc - 1; number >= 2; number--) {
            dlclose(plugins[number - 2]);
        }
    }
    printf("%d %d\n", SSL_write != NULL, dlsym(RTLD_DEFAULT, "SSL_write") != NULL);
    return 0;
}

#endif
