/* A client and a server of GnuTLS in one program, with pipes between them that take a few bytes at a time:
 * `tls_gnutls CERTIFICATE KEY`. What could not be sent is sent again with the same bytes, or with none. Prints what the server
 * has received. */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pipe {
    char bytes[100000];
    size_t length, room;
    gnutls_session_t writer;
};

static struct pipe pipes[2];
struct end {
    struct pipe *in, *out;
    gnutls_session_t session;
};

static void fail(const char *what, ssize_t error) {
    printf("%s failed: %zd\n", what, error);
    exit(1);
}

static ssize_t push(gnutls_transport_ptr_t data, const void *bytes, size_t length) {
    struct end *end = data;
    size_t room = end->out->room - end->out->length;
    if (room == 0) {
        gnutls_transport_set_errno(end->session, EAGAIN);
        return -1;
    }
    length = length < room ? length : room;
    memcpy(end->out->bytes + end->out->length, bytes, length);
    end->out->length += length;
    return (ssize_t)length;
}

static ssize_t pull(gnutls_transport_ptr_t data, void *bytes, size_t length) {
    struct end *end = data;
    if (end->in->length == 0) {
        gnutls_transport_set_errno(end->session, EAGAIN);
        return -1;
    }
    length = length < end->in->length ? length : end->in->length;
    memcpy(bytes, end->in->bytes, length);
    end->in->length -= length;
    memmove(end->in->bytes, end->in->bytes + length, end->in->length);
    return (ssize_t)length;
}

static char received[200000];
static size_t received_length;

static void serve(gnutls_session_t server) {
    ssize_t count = gnutls_record_recv(server, received + received_length, sizeof received - received_length);
    if (count > 0) {
        received_length += (size_t)count;
    } else if (count != GNUTLS_E_AGAIN) {
        fail("gnutls_record_recv", count);
    }
}

int main(int argc, char **argv) {
    gnutls_certificate_credentials_t own, none;
    gnutls_certificate_allocate_credentials(&own);
    gnutls_certificate_allocate_credentials(&none);
    if (argc != 3 || gnutls_certificate_set_x509_key_file(own, argv[1], argv[2], GNUTLS_X509_FMT_PEM) < 0) {
        fail("the start", 0);
    }
    static const size_t bodies[] = {4, 3000, 40000};
    for (int variant = 0; variant < 3 * 2 * 2 * 2; variant++) {
        size_t body = bodies[variant % 3];
        int is_small = variant / 3 % 2, with_none = variant / 6 % 2, is_corked = variant / 12 % 2;
        gnutls_session_t client, server;
        gnutls_init(&server, GNUTLS_SERVER | GNUTLS_NONBLOCK);
        gnutls_init(&client, GNUTLS_CLIENT | GNUTLS_NONBLOCK);
        struct end near = {.in = &pipes[0], .out = &pipes[1], .session = client};
        struct end far = {.in = &pipes[1], .out = &pipes[0], .session = server};
        gnutls_session_t both[2] = {client, server};
        for (int side = 0; side < 2; side++) {
            pipes[side].length = 0;
            pipes[side].room = is_small ? 200 : 6000;
            gnutls_set_default_priority(both[side]);
            gnutls_credentials_set(both[side], GNUTLS_CRD_CERTIFICATE, side == 0 ? none : own);
            gnutls_transport_set_ptr(both[side], side == 0 ? &near : &far);
            gnutls_transport_set_push_function(both[side], push);
            gnutls_transport_set_pull_function(both[side], pull);
        }
        for (int one = -1, other = -1; one != 0 || other != 0;) {
            one = one == 0 ? 0 : gnutls_handshake(client);
            other = other == 0 ? 0 : gnutls_handshake(server);
            if ((one != 0 && gnutls_error_is_fatal(one)) || (other != 0 && gnutls_error_is_fatal(other))) {
                fail("the handshake", one ? one : other);
            }
        }
        static char request[60000];
        int head = sprintf(request, "POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", variant, body);
        memset(request + head, 'a' + variant % 26, body);
        size_t length = (size_t)head + body;
        received_length = 0;
        if (is_corked) {
            gnutls_record_cork(client);
        }
        int is_again = 0;
        for (size_t sent = 0; sent < length;) {
            int by_none = is_again && with_none;
            ssize_t count = gnutls_record_send(client, by_none ? NULL : request + sent, by_none ? 0 : length - sent);
            is_again = count == GNUTLS_E_AGAIN;
            if (count > 0) {
                sent += (size_t)count;
            } else if (!is_again) {
                fail("gnutls_record_send", count);
            }
            serve(server);
        }
        if (is_corked) {
            int result;
            while ((result = gnutls_record_uncork(client, 0)) < 0) {
                if (result != GNUTLS_E_AGAIN) {
                    fail("gnutls_record_uncork", result);
                }
                serve(server);
            }
        }
        for (size_t before = 0; before != received_length || before < length;) {
            before = received_length;
            serve(server);
        }
        printf("%.*s\n", (int)received_length, received);
        static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes";
        char answered[100];
        ssize_t count = gnutls_record_send(server, answer, sizeof answer - 1), result;
        do {
            result = gnutls_record_recv(client, answered, sizeof answered);
        } while (result == GNUTLS_E_AGAIN);
        printf("%zd answered: %zd\n", count, result);
        gnutls_bye(client, GNUTLS_SHUT_WR);
        gnutls_deinit(client);
        gnutls_deinit(server);
    }
    return 0;
}
