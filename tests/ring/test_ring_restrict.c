/* A ring restricted to the network: it serves sockets, refuses files, and stays so. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ring/ring.h"
#include "support.h"
#include "uring/uring.h"

#define SECOND_NS INT64_C(1000000000)

static const struct uct_options restricted = {.ring.restriction = UC_RESTRICT_NETWORK};
static const struct uct_options with_thread = {
    .ring = {.restriction = UC_RESTRICT_NETWORK, .sqpoll = UC_SQPOLL_TRY, .sqpoll_idle_ms = 10},
};

static void operations_on_names_are_refused(uc_ring *ring, int fd, uint64_t *op)
{
    char memory[256];
    struct uc_read_part part = {.fd = fd, .bytes = 1, .buffer = memory};

    assert_int_equal(uc_op_truncate(ring, fd, 0, 0, op), -EACCES);
    assert_int_equal(uc_op_fallocate(ring, fd, 0, 0, 1, 0, op), -EACCES);
    assert_int_equal(uc_op_rename(ring, fd, "a", fd, "b", 0, 0, op), -EACCES);
    assert_int_equal(uc_op_unlink(ring, fd, "a", 0, 0, op), -EACCES);
    assert_int_equal(uc_op_mkdir(ring, fd, "a", 0, 0, op), -EACCES);
    assert_int_equal(uc_op_symlink(ring, "a", fd, "b", 0, op), -EACCES);
    assert_int_equal(uc_op_link(ring, fd, "a", fd, "b", 0, 0, op), -EACCES);
    assert_int_equal(uc_op_readlink(ring, fd, "a", memory, 256, 0, op), -EACCES);
    assert_int_equal(uc_op_statvfs(ring, fd, NULL, memory, 0, op), -EACCES);
    assert_int_equal(uc_op_list(ring, fd, memory, 256, 0, op), -EACCES);
    assert_int_equal(uc_op_copy_range(ring, fd, 0, fd, 0, 1, 0, 0, op), -EACCES);
    assert_int_equal(uc_op_read_many(ring, &part, 1, 0, op), -EACCES);
}

static void operations_on_files_are_refused_at_once(void **state)
{
    struct uct *t = *state;
    struct uc_ring_stats before = uct_stats(t), after;
    uint64_t op = 7;
    char memory[256];
    int ends[2];

    uct_pipe(t, ends, 0);
    assert_int_equal(uct_info(t->ring).restriction, UC_RESTRICT_NETWORK);
    assert_int_equal(uc_op_read(t->ring, ends[0], memory, 1, UC_OFFSET_CURRENT, 0, &op), -EACCES);
    assert_int_equal(uc_op_write(t->ring, ends[1], memory, 1, UC_OFFSET_CURRENT, 0, &op), -EACCES);
    assert_int_equal(uc_op_fsync(t->ring, ends[0], 0, 0, &op), -EACCES);
    assert_int_equal(uc_op_openat(t->ring, AT_FDCWD, "/", O_RDONLY, 0, 0, &op), -EACCES);
    assert_int_equal(uc_op_close(t->ring, ends[0], 0, &op), -EACCES);
    assert_int_equal(uc_op_statx(t->ring, AT_FDCWD, "/", 0, 0, memory, 0, &op), -EACCES);
    assert_int_equal(
        uc_op_splice(t->ring, ends[0], UC_OFFSET_CURRENT, ends[1], UC_OFFSET_CURRENT, 1, 0, 0, &op),
        -EACCES);
    operations_on_names_are_refused(t->ring, ends[0], &op);
    after = uct_stats(t);
    assert_int_equal(op, 7);
    assert_int_equal(after.submissions, before.submissions);
    assert_int_equal(after.in_flight, 0);
}

/* Bytes both ways through a connection that this ring has made and accepted. */
static void sockets_are_served(void **state)
{
    struct uct *t = *state;
    struct uct_sink *listener = uct_attach(t, uct_listen(0, 8, 0), NULL), *client, *server;
    struct sockaddr_storage address;
    socklen_t bytes = sizeof(address);
    uint64_t op;
    char data[1000];

    assert_int_equal(getsockname(listener->number, (struct sockaddr *)&address, &bytes), 0);
    assert_int_equal(uc_fd_accept_start(listener->fd), 0);
    client = uct_attach(t, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), NULL);
    assert_int_equal(uc_fd_connect(client->fd, &address, bytes), 0);
    UCT_UNTIL(t, client->connects && listener->accepts);
    assert_int_equal(client->connect_result, 0);
    server = uct_attach(t, dup(t->accepted[0]), NULL);
    assert_int_equal(uc_fd_recv_start(server->fd), 0);
    assert_int_equal(uc_fd_recv_once(client->fd, 4096), 0);
    uct_pattern(0, 0, data, sizeof(data));
    assert_true(uc_fd_send(client->fd, data, sizeof(data), 0) > 0);
    assert_true(uc_fd_send(server->fd, data, sizeof(data), UC_SEND_REFERENCE) > 0);
    UCT_UNTIL(t, server->received == sizeof(data) && client->received == sizeof(data));
    assert_int_equal(uc_fd_poll(client->fd, POLLOUT), 0);
    UCT_UNTIL(t, client->polls);
    assert_int_equal(uc_fd_shutdown(server->fd), 0);
    UCT_UNTIL(t, server->shutdowns);
    assert_int_equal(uc_op_nop(t->ring, 1, NULL), 0);
    assert_int_equal(uct_outcome(t, 1), 0);
    assert_int_equal(uc_op_timeout(t->ring, UINT64_C(3600) * 1000000000, 2, &op), 0);
    assert_int_equal(uc_op_cancel(t->ring, op), 0);
    assert_int_equal(uct_outcome(t, 2), -ECANCELED);
}

static void datagrams_are_served(void **state)
{
    const struct uc_fd_options datagrams = {.size = sizeof(datagrams), .flags = UC_FD_DATAGRAM};
    struct uct *t = *state;
    struct uct_sink *sink = uct_attach(t, uct_udp(), &datagrams);
    int peer = uct_peer(t, uct_udp());
    struct sockaddr_storage address;
    socklen_t bytes = sizeof(address);
    char byte;

    assert_int_equal(getsockname(sink->number, (struct sockaddr *)&address, &bytes), 0);
    assert_int_equal(uc_fd_recv_start(sink->fd), 0);
    uct_pattern(0, 0, &byte, 1);
    assert_int_equal(sendto(peer, &byte, 1, 0, (struct sockaddr *)&address, bytes), 1);
    UCT_UNTIL(t, sink->datagrams);
    assert_true(uc_fd_send_to(sink->fd, "x", 1, sink->address, sink->address_bytes) > 0);
    UCT_PUMP(t, (void)0, recv(peer, &byte, 1, MSG_DONTWAIT) == 1);
}

static void *wake(void *argument)
{
    for (int i = 0; i < 1000; i++)
        if (uc_ring_wake(argument) < 0)
            return argument;
    return NULL;
}

static void other_threads_wake_it(void **state)
{
    struct uct *t = *state;
    pthread_t thread;
    void *failed;

    assert_int_equal(pthread_create(&thread, NULL, wake, t->ring), 0);
    UCT_UNTIL(t, uct_stats(t).wakeups > 0);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    for (int i = 0; i < 100; i++) {
        uint64_t before = uct_stats(t).wakeups;

        assert_int_equal(uc_ring_wake(t->ring), 0);
        UCT_TURNS(t, -1, uct_stats(t).wakeups > before);
    }
    assert_true(uct_turn(t, 0) == 0);
}

static void it_can_be_embedded(void **state)
{
    struct uct *t = *state;
    struct pollfd readable = {.fd = uc_ring_event_fd(t->ring), .events = POLLIN};

    assert_true(readable.fd >= 0);
    assert_int_equal(uc_op_nop(t->ring, 5, NULL), 0);
    assert_int_equal(uc_ring_flush(t->ring), 0);
    assert_int_equal(poll(&readable, 1, 5000), 1);
    assert_int_equal(uct_outcome(t, 5), 0);
}

/* 0 if the kernel refuses to read with this ring; else the line. Nothing may be in flight yet. */
static int kernel_refuses_files(uc_ring *ring)
{
    struct uci_uring *uring = uci_uring_of(ring->backend);
    struct uci_completion completion = {0};
    struct io_uring_sqe *sqe;

    if (ring->backend->table != &uci_backend_uring)
        return 0;
    sqe = io_uring_get_sqe(&uring->ring);
    UCT_CHECK(sqe != NULL);
    io_uring_prep_read(sqe, 0, &completion, 0, 0);
    UCT_CHECK(ring->backend->table->enter(ring->backend, true, SECOND_NS) == 0);
    UCT_CHECK(ring->backend->table->reap(ring->backend, &completion, 1) == 1);
    UCT_CHECK(completion.result == -EACCES);
    return 0;
}

static void *move_here(void *argument)
{
    struct uct *t = argument;
    char byte;
    int line = uc_ring_enable(t->ring) ? __LINE__ : kernel_refuses_files(t->ring);

    if (!line && uc_op_read(t->ring, 0, &byte, 1, 0, 0, NULL) != -EACCES)
        line = __LINE__;
    return (void *)(intptr_t)line;
}

static void it_stays_restricted_on_another_thread(void **state)
{
    struct uct *t = *state;
    pthread_t thread;
    void *line;

    assert_int_equal(uc_ring_enable(t->ring), 0);
    assert_int_equal(kernel_refuses_files(t->ring), 0);
    assert_int_equal(pthread_create(&thread, NULL, move_here, t), 0);
    assert_int_equal(pthread_join(thread, &line), 0);
    assert_int_equal((intptr_t)line, 0);
    assert_int_equal(uc_ring_enable(t->ring), 0);
    assert_int_equal(uct_info(t->ring).restriction, UC_RESTRICT_NETWORK);
}

static int begin_anew(void *argument)
{
    struct uct *t = argument;
    struct uc_ring_info info = {.size = sizeof(info)};
    struct uc_event event;
    char byte;

    UCT_CHECK(uc_ring_reinit(t->ring) == 0);
    UCT_CHECK(uc_ring_get_info(t->ring, &info) == 0);
    UCT_CHECK(info.restriction == UC_RESTRICT_NETWORK);
    UCT_CHECK(kernel_refuses_files(t->ring) == 0);
    UCT_CHECK(uc_op_read(t->ring, 0, &byte, 1, 0, 0, NULL) == -EACCES);
    UCT_CHECK(uc_ring_wake(t->ring) == 0);
    UCT_CHECK(uc_ring_wait(t->ring, &event, 1, 20 * SECOND_NS) == 0);
    return 0;
}

static void it_stays_restricted_in_a_forked_child(void **state)
{
    assert_int_equal(uct_in_child(begin_anew, *state), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UCT_WITH(operations_on_files_are_refused_at_once, "", &restricted),
        UCT_WITH(sockets_are_served, "", &restricted),
        UCT_WITH(sockets_are_served, "by a kernel thread", &with_thread),
        UCT_WITH(datagrams_are_served, "", &restricted),
        UCT_WITH(other_threads_wake_it, "", &restricted),
        UCT_WITH(other_threads_wake_it, "by a kernel thread", &with_thread),
        UCT_WITH(it_can_be_embedded, "", &restricted),
        UCT_WITH(it_stays_restricted_on_another_thread, "", &restricted),
        UCT_WITH(it_stays_restricted_in_a_forked_child, "", &restricted),
    };

    return UCT_RUN("restricted", tests);
}
