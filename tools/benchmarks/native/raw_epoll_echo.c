/*
 * raw_epoll_echo.c - the best plain epoll echo server: what readiness costs with nothing around it
 *
 *   raw_epoll_echo [PORT] [--buffer-size BYTES]
 *
 * One thread, edge-triggered: no system call but receive, send and one wait per turn. When a send
 * does not take everything, the connection keeps the buffer, the server goes on with a spare one,
 * and the connection is not read again until the rest has left: nothing is copied. SIGTERM ends it
 * with one line of JSON: system calls, bytes, receives, sends.
 */
#include "raw_listener.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_PER_TURN 512
#define SPARES_MAX 64
#define BUFFER_BYTES_DEFAULT (1u << 17)

struct connection {
    int fd;
    char *rest; /* a buffer with what is not yet sent; NULL when all has left */
    size_t rest_at;
    size_t rest_bytes; /* its end */
};

static struct {
    int epoll_fd;
    int listen_fd;
    char *buffer;
    size_t buffer_bytes;
    char *spares[SPARES_MAX];
    unsigned n_spares;
    unsigned long long system_calls, bytes, receives, sends, accepted;
} server;

static void put_spare(char *buffer)
{
    if (buffer && server.n_spares < SPARES_MAX)
        server.spares[server.n_spares++] = buffer;
    else
        free(buffer);
}

static void drop(struct connection *connection)
{
    server.system_calls++;
    close(connection->fd);
    put_spare(connection->rest);
    free(connection);
}

static void accept_all(void)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};

    for (;;) {
        int fd = accept4(server.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct connection *connection;

        server.system_calls++;
        if (fd < 0)
            return;
        connection = calloc(1, sizeof(*connection));
        if (!connection) {
            close(fd);
            return;
        }
        connection->fd = fd;
        server.accepted++;
        server.system_calls++;
        event.data.ptr = connection;
        if (epoll_ctl(server.epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
            drop(connection);
    }
}

/* Sends without waiting; the number of bytes taken, or -1 when the connection is dead. */
static ssize_t send_some(struct connection *connection, const char *bytes, size_t length)
{
    ssize_t sent;

    do {
        server.system_calls++;
        server.sends++;
        sent = send(connection->fd, bytes, length, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN ? 0 : -1;
    server.bytes += (unsigned long long)sent;
    return sent;
}

/* Hands the shared buffer, with the bytes from @at to @end to be sent, to the connection. */
static bool keep_rest(struct connection *connection, size_t at, size_t end)
{
    char *fresh = server.n_spares ? server.spares[--server.n_spares] : malloc(server.buffer_bytes);

    if (!fresh)
        return false;
    connection->rest = server.buffer;
    connection->rest_at = at;
    connection->rest_bytes = end;
    server.buffer = fresh;
    return true;
}

/* Sends what is left over; false when the connection is dead. */
static bool flush_rest(struct connection *connection)
{
    ssize_t sent = send_some(connection, connection->rest + connection->rest_at,
                             connection->rest_bytes - connection->rest_at);
    if (sent < 0)
        return false;
    connection->rest_at += (size_t)sent;
    if (connection->rest_at == connection->rest_bytes) {
        put_spare(connection->rest);
        connection->rest = NULL;
    }
    return true;
}

/*
 * Echoes until the socket is empty or full. A short receive means empty, unless the peer has shut
 * down: then only a receive of nothing ends it. False when the connection is over.
 */
static bool echo(struct connection *connection, bool to_the_end)
{
    if (connection->rest && !flush_rest(connection))
        return false;
    while (!connection->rest) {
        ssize_t got = recv(connection->fd, server.buffer, server.buffer_bytes, 0);
        ssize_t sent;

        server.system_calls++;
        server.receives++;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno == EAGAIN;
        if (got == 0)
            return false;
        sent = send_some(connection, server.buffer, (size_t)got);
        if (sent < 0)
            return false;
        if (sent < got && !keep_rest(connection, (size_t)sent, (size_t)got))
            return false;
        if ((size_t)got < server.buffer_bytes && !to_the_end)
            return true;
    }
    return true;
}

static void serve(void)
{
    struct epoll_event events[EVENTS_PER_TURN];

    while (!raw_stopped) {
        int n = epoll_wait(server.epoll_fd, events, EVENTS_PER_TURN, 1000);

        server.system_calls++;
        for (int i = 0; i < n; i++) {
            struct connection *connection = events[i].data.ptr;

            if (!connection)
                accept_all();
            else if (!echo(connection, events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
                drop(connection);
        }
    }
}

int main(int argc, char **argv)
{
    struct epoll_event event = {.events = EPOLLIN};
    uint16_t port = 0;

    server.buffer_bytes = BUFFER_BYTES_DEFAULT;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--buffer-size") && i + 1 < argc)
            server.buffer_bytes = raw_number("raw_epoll_echo", argv[++i], 1, 1u << 26);
        else
            port = (uint16_t)raw_number("raw_epoll_echo", argv[i], 0, 65535);
    }
    server.buffer = malloc(server.buffer_bytes);
    server.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server.listen_fd = raw_listen("raw_epoll_echo", port, SOCK_NONBLOCK);
    if (!server.buffer || server.epoll_fd < 0 || server.listen_fd < 0 ||
        epoll_ctl(server.epoll_fd, EPOLL_CTL_ADD, server.listen_fd, &event) < 0)
        return 1;
    serve();
    printf("{\"server\": \"raw_epoll_echo\", \"kernel_entries\": %llu, \"bytes\": %llu, "
           "\"receives\": %llu, \"sends\": %llu, \"accepted\": %llu}\n",
           server.system_calls, server.bytes, server.receives, server.sends, server.accepted);
    close(server.listen_fd);
    close(server.epoll_fd);
    while (server.n_spares)
        free(server.spares[--server.n_spares]);
    free(server.buffer);
    return 0;
}
