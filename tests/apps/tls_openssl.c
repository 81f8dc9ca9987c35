/* A client and a server of OpenSSL in one program, with pipes between them that take a few bytes at a time:
 * `tls_openssl CERTIFICATE KEY`. Each request is written again and again as OpenSSL demands it, in all of its modes. Prints what
 * the server has read, and what the client was told. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what) {
    printf("%s failed\n", what);
    ERR_print_errors_fp(stdout);
    exit(1);
}

static void want(SSL *ssl, int result, const char *what) {
    int error = SSL_get_error(ssl, result);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        fail(what);
    }
}

static int by_write(SSL *ssl, const char *bytes, size_t length, size_t *written) {
    int result = SSL_write(ssl, bytes, (int)length);
    *written = result > 0 ? (size_t)result : 0;
    return result;
}

static int by_write_ex(SSL *ssl, const char *bytes, size_t length, size_t *written) {
    return SSL_write_ex(ssl, bytes, length, written);
}

static char received[200000];
static size_t received_length;

static void serve(SSL *server) {
    size_t count = 0;
    if (SSL_read_ex(server, received + received_length, sizeof received - received_length, &count)) {
        received_length += count;
    } else {
        want(server, 0, "SSL_read_ex");
    }
}

int main(int argc, char **argv) {
    SSL_CTX *client_context = SSL_CTX_new(TLS_client_method());
    SSL_CTX *server_context = SSL_CTX_new(TLS_server_method());
    if (argc != 3 || SSL_CTX_use_certificate_file(server_context, argv[1], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(server_context, argv[2], SSL_FILETYPE_PEM) != 1) {
        fail("the start");
    }
    static const long modes[] = {0, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, SSL_MODE_ENABLE_PARTIAL_WRITE,
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE};
    static const size_t bodies[] = {4, 3000, 40000};
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (int variant = 0; variant < 4 * 3 * 2 * 2 * 2; variant++) {
        long mode = modes[variant % 4];
        size_t body = bodies[variant / 4 % 3];
        int version = versions[variant / 12 % 2], is_small = variant / 24 % 2, is_ex = variant / 48 % 2;
        SSL *client = SSL_new(client_context), *server = SSL_new(server_context);
        BIO *near, *far;
        if (!BIO_new_bio_pair(&near, is_small ? 300 : 5000, &far, 5000)) {
            fail("BIO_new_bio_pair");
        }
        SSL_set_bio(client, near, near);
        SSL_set_bio(server, far, far);
        SSL_set_mode(client, mode);
        SSL_set_min_proto_version(client, version);
        SSL_set_max_proto_version(client, version);
        SSL_set_max_send_fragment(client, is_small ? 512 : 16384);
        SSL_set_connect_state(client);
        SSL_set_accept_state(server);
        for (int is_done = 0; !is_done;) {
            int one = SSL_do_handshake(client), other = SSL_do_handshake(server);
            if (one != 1) {
                want(client, one, "the client's handshake");
            }
            if (other != 1) {
                want(server, other, "the server's handshake");
            }
            is_done = one == 1 && other == 1;
        }
        static char request[2][60000];
        int head = sprintf(request[0], "POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", variant, body);
        memset(request[0] + head, 'a' + variant % 26, body);
        size_t length = (size_t)head + body, sent = 0, calls = 0;
        received_length = 0;
        while (sent < length) {
            const char *from = request[0] + sent;
            if (mode & SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER) {
                /* Elsewhere in each call, and what is not in use is overwritten. */
                char *to = request[calls % 2] + sent, *old = request[(calls + 1) % 2] + sent;
                if (calls > 0) {
                    memcpy(to, old, length - sent);
                    memset(old, '!', length - sent);
                }
                from = to;
            }
            calls++;
            size_t written = 0;
            int result = (is_ex ? by_write_ex : by_write)(client, from, length - sent, &written);
            if (result <= 0) {
                want(client, result, "the write");
            } else if (written == 0 || (!(mode & SSL_MODE_ENABLE_PARTIAL_WRITE) && written != length)) {
                fail("the count");
            }
            if (mode & SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER && written > 0) {
                memcpy(request[calls % 2] + sent + written, from + written, length - sent - written);
            }
            sent += written;
            serve(server);
        }
        for (size_t before = 0; before != received_length || before < length;) {
            before = received_length;
            serve(server);
        }
        printf("%.*s\n", (int)received_length, received);
        static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes";
        char answered[100];
        size_t count = 0;
        int result;
        while ((result = SSL_write(server, answer, sizeof answer - 1)) <= 0) {
            want(server, result, "the answer");
        }
        while ((result = SSL_read(client, answered + count, (int)(sizeof answered - count))) > 0) {
            count += (size_t)result;
        }
        want(client, result, "SSL_read");
        printf("%d answered: %zu\n", result, count);
        SSL_shutdown(client);
        SSL_free(client);
        SSL_free(server);
    }
    return 0;
}
