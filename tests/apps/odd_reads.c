/* Reads an answer in a way of which there are few: `odd_reads PORT recvmmsg|stream`. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) return 3;
    char all[4096] = "";
    if (strcmp(argv[2], "stream") == 0) {
        FILE *stream = fdopen(fd, "r");
        if (send(fd, request, sizeof request - 1, 0) < 0) return 4;
        char line[256];
        while (fgets(line, sizeof line, stream)) strncat(all, line, sizeof all - strlen(all) - 1);
        fclose(stream);
    } else {
        if (send(fd, request, sizeof request - 1, 0) < 0) return 4;
        size_t used = 0;
        for (;;) {
            struct iovec pieces[2] = {{all + used, 10}, {all + used + 10, 500}};
            struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = &pieces[0], .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = &pieces[1], .msg_iovlen = 1}}};
            int count = recvmmsg(fd, messages, 2, MSG_WAITFORONE, NULL);
            if (count <= 0 || messages[0].msg_len == 0) break;
            used += messages[0].msg_len;
            if (count == 2 && messages[1].msg_len != 0) {
                memmove(all + used, pieces[1].iov_base, messages[1].msg_len);
                used += messages[1].msg_len;
            }
        }
        close(fd);
    }
    puts(all);
    usleep(100000);
    return 0;
}
