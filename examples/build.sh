#!/bin/sh
# A small job as builds have them: parts compiled at the same time, linked, tested (one test fails and is expected to),
# packed. It needs a C compiler and leaves nothing behind. To see what it does:
#
#     ddtrace-run --view sh examples/build.sh
set -eu

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"

cat >primes.c <<'SOURCE'
#include <stdlib.h>
int count_primes(int below) {
    char *composite = calloc((size_t)below + 1, 1);
    int count = 0;
    for (long n = 2; n < below; n++) {
        if (composite[n])
            continue;
        count++;
        for (long multiple = n * n; multiple < below; multiple += n)
            composite[multiple] = 1;
    }
    free(composite);
    return count;
}
SOURCE

cat >words.c <<'SOURCE'
#include <ctype.h>
#include <stdio.h>
int count_words(FILE *text) {
    int count = 0, within = 0, c;
    while ((c = getc(text)) != EOF) {
        count += !isspace(c) && !within;
        within = !isspace(c);
    }
    return count;
}
SOURCE

cat >main.c <<'SOURCE'
#include <stdio.h>
#include <stdlib.h>
int count_primes(int below);
int count_words(FILE *text);
int main(int argc, char **argv) {
    if (argc < 2)
        return printf("%d words\n", count_words(stdin)) < 0;
    int below = atoi(argv[1]);
    if (below < 2) {
        fprintf(stderr, "demo: there are no primes below %s\n", argv[1]);
        return 3;
    }
    return printf("%d primes below %d\n", count_primes(below), below) < 0;
}
SOURCE

echo "compiling"
cc -O2 -c primes.c &
primes=$!
cc -O2 -c words.c &
words=$!
cc -O2 -c main.c
wait "$primes"
wait "$words"

echo "linking"
cc -o demo primes.o words.o main.o

echo "testing"
./demo 20000000
cat ./*.c | tr -s ' ' '\n' | sort | ./demo
if ./demo 0; then
    echo "this test should have failed" >&2
    exit 1
else
    echo "refused, as it should be (exit code $?)"
fi

echo "packing"
tar -cf - demo ./*.c | gzip -9 | wc -c
