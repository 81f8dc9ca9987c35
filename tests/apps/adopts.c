/* Adopts the orphans of its descendants, as `systemd --user` and init programs do, and becomes the program that is named. */
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 2 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return 125;
    execvp(argv[1], argv + 1);
    return 127;
}
