/* Starts a program without LD_PRELOAD in its environment. Linked statically, it has no library of ours in itself that
 * would put the variable back: the program it starts is then like a static one, which has no loader to load it. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    unsetenv("LD_PRELOAD");
    execv(argv[1], argv + 1);
    perror(argv[1]);
    return 127;
}
