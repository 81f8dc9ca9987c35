/* Starts a program with an environment that not only variables are in; without arguments, prints what of that it got. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
    if (argc > 1) {
        char *odd[] = {"FOO", "=bar", "A=1", "PATH=/usr/bin:/bin", "HOME=/nowhere", "DD_TRACE_EXPORTER=local", NULL};
        execve(argv[1], argv + 1, odd);
        return 9;
    }
    for (char **entry = environ; *entry != NULL; entry++) {
        if (strchr(*entry, '=') == NULL || **entry == '=' || **entry == 'A') puts(*entry);
    }
    return 0;
}
