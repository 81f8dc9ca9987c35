/* Sends a request of which the middle goes out by a way that no library sees, so that its body looks like the end of its head:
 * unseen_writes PORT WAY, with WAY one of stream, child, call. The request ends with "z.", as the server waits for that. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const start = "POST /unseen HTTP/1.1\r\nHost: a\r\n";
static const char *const middle = "Content-Length: 26\r\n\r\n";
static const char *const body = "part: of the body\r\n\r\nend z.";

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) return 3;
    if (write(fd, start, strlen(start)) < 0) return 4;
    if (strcmp(argv[2], "stream") == 0) {
        dprintf(fd, "%s", middle);
    } else if (strcmp(argv[2], "call") == 0) {
        syscall(SYS_write, fd, middle, strlen(middle));
    } else {
        pid_t child = fork();
        if (child == 0) {
            syscall(SYS_write, fd, middle, strlen(middle));
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    if (write(fd, body, strlen(body)) < 0) return 5;
    char answer[64];
    while (read(fd, answer, sizeof answer) > 0) {}
    return 0;
}
