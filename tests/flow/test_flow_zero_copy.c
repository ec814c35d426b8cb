/*
 * Zero-copy sends in the kernel. On this machine they are copied in the end, but late: what the peer
 * has no room for stays where it is, and its notice comes when the peer has read. So a peer that
 * does not read holds notices back for as long as a test wants.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

#define PIECE (UINT64_C(256) << 10)
#define PIECES 16
#define MIB (UINT64_C(1) << 20)

static uint8_t memory[PIECES * PIECE];

/* Whether the kernel has it. */
static bool has_zero_copy(struct uct *t)
{
    return uct_info(t->ring).features & UC_FEATURE_SEND_ZERO_COPY;
}

static void skip_without_zero_copy(struct uct *t)
{
    if (has_zero_copy(t))
        return;
    print_message("there is no zero-copy send here\n");
    skip();
}

static struct uc_fd_status status_of(const struct uct_sink *sink)
{
    struct uc_fd_status status = {.size = sizeof(status)};

    assert_int_equal(uc_fd_get_status(sink->fd, &status), 0);
    return status;
}

/* A connection that takes four MiB at once, of which the peer's side takes 64 KiB. */
static struct uct_link slow_link(struct uct *t)
{
    struct uct_link link = uct_link(t, NULL, 0);
    int much = 2 << 20;

    assert_int_equal(setsockopt(link.sink->number, SOL_SOCKET, SO_SNDBUF, &much, sizeof(much)), 0);
    return link;
}

static void force(struct uct_link *link, uint64_t position, uint64_t bytes)
{
    uct_pattern(1, position, memory + position % sizeof(memory), bytes);
    assert_true(uc_fd_send(link->sink->fd, memory + position % sizeof(memory), bytes,
                           UC_SEND_ZERO_COPY) > 0);
}

/* Three sends that the kernel has taken and still reads. */
static struct uct_link stalled_link(struct uct *t)
{
    struct uct_link link = slow_link(t);

    for (uint64_t i = 0; i < 3; i++) {
        force(&link, i * PIECE, PIECE);
        UCT_UNTIL(t, status_of(link.sink).queued_bytes == 0);
    }
    assert_int_equal(status_of(link.sink).in_flight, 3);
    assert_int_equal(link.sink->references, 0);
    return link;
}

static void references_come_back_when_the_peer_has_taken_the_bytes(void **state)
{
    struct uct *t = *state;
    struct uct_link link;
    struct uc_ring_stats stats;
    uint64_t seen = 0;

    skip_without_zero_copy(t);
    link = stalled_link(t);
    stats = uct_stats(t);
    assert_int_equal(stats.submissions, stats.completions + stats.in_flight);
    assert_int_equal(stats.in_flight, 3);
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), link.sink->references == 3);
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), seen == 3 * PIECE);
    assert_int_equal(status_of(link.sink).in_flight, 0);
    stats = uct_stats(t);
    assert_true(stats.zero_copy_sends >= 3);
    assert_true(stats.zero_copy_copied <= stats.zero_copy_sends);
}

/* Sent over and over from the same memory, which is spoilt as soon as it is counted back. */
static void what_was_counted_back_is_not_read_any_more(void **state)
{
    const uint64_t total = 128 * MIB;
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0, seen = 0, spoilt = 0;

    skip_without_zero_copy(t);
    UCT_PUMP(
        t,
        do {
            for (; spoilt < link.sink->references; spoilt++)
                memset(memory + spoilt % PIECES * PIECE, 0xee, PIECE);
            for (; sent < total && sent / PIECE < spoilt + PIECES; sent += PIECE)
                force(&link, sent, PIECE);
            uct_read_some(link.peer, 1, &seen);
        } while (0),
        seen == total);
    UCT_UNTIL(t, link.sink->references == total / PIECE);
    assert_true(uct_stats(t).zero_copy_sends > 0);
}

static void copies_between_keep_their_place(void **state)
{
    const uint64_t bytes = 30000;
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 65536);
    uint64_t seen = 0;

    uct_pattern(1, 0, memory, 40 * bytes);
    for (uint64_t i = 0; i < 40; i++) {
        static const uint32_t flags[] = {UC_SEND_ZERO_COPY, 0, UC_SEND_REFERENCE};

        assert_true(uc_fd_send(link.sink->fd, memory + i * bytes, bytes, flags[i % 3]) > 0);
        if (i % 5 == 0)
            uct_turn(t, 0);
    }
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), seen == 40 * bytes);
    UCT_UNTIL(t, link.sink->references == 27);
    assert_int_equal(status_of(link.sink).in_flight, 0);
}

static void a_close_comes_after_the_notices_and_the_end_of_the_stream_before(void **state)
{
    struct uct *t = *state;
    struct uct_link link;
    uint64_t seen = 0;
    bool more = true;

    skip_without_zero_copy(t);
    link = stalled_link(t);
    assert_int_equal(uc_fd_close(link.sink->fd, 0), 0);
    for (int i = 0; i < 20; i++)
        uct_turn(t, 1000000);
    assert_int_equal(link.sink->closed, 0);
    UCT_PUMP(t, more = more && uct_read_some(link.peer, 1, &seen), !more);
    assert_int_equal(seen, 3 * PIECE);
    UCT_UNTIL(t, link.sink->closed);
    assert_int_equal(link.sink->closed_result, 0);
}

static int error_of(int fd)
{
    socklen_t bytes = sizeof(int);
    int error = 0;

    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes), 0);
    return error;
}

static void an_abort_resets_the_connection_and_waits_for_no_peer(void **state)
{
    static const uint32_t extra[] = {0, UC_CLOSE_KEEP, UC_CLOSE_NOW};
    struct uct *t = *state;

    skip_without_zero_copy(t);
    for (int i = 0; i < 3; i++) {
        struct uct_link link = stalled_link(t);
        int number = link.sink->number;

        assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
        uct_turn(t, 0);
        assert_int_equal(uc_fd_close(link.sink->fd, UC_CLOSE_ABORT | extra[i]), 0);
        UCT_UNTIL(t, link.sink->closed);
        assert_int_equal(error_of(link.peer), ECONNRESET);
        if (extra[i] == UC_CLOSE_KEEP)
            assert_int_equal(close(number), 0);
    }
}

static void a_close_that_waits_for_the_peer_can_be_turned_into_an_abort(void **state)
{
    struct uct *t = *state;
    struct uct_link link;

    skip_without_zero_copy(t);
    link = stalled_link(t);
    assert_int_equal(uc_fd_close(link.sink->fd, 0), 0);
    assert_int_equal(uc_fd_close(link.sink->fd, 0), -EALREADY);
    uct_turn(t, 0);
    assert_int_equal(link.sink->closed, 0);
    assert_int_equal(uc_fd_close(link.sink->fd, UC_CLOSE_ABORT), 0);
    assert_int_equal(uc_fd_close(link.sink->fd, UC_CLOSE_ABORT), -EALREADY);
    UCT_UNTIL(t, link.sink->closed);
    assert_int_equal(error_of(link.peer), ECONNRESET);
}

static void a_handle_given_up_leaves_the_connection_as_it_is(void **state)
{
    struct uct *t = *state;
    struct uct_link link;
    uint64_t seen = 0, position = 3 * PIECE;
    int number;

    skip_without_zero_copy(t);
    link = stalled_link(t);
    number = link.sink->number;
    link.sink->fd = uc_fd_free(link.sink->fd);
    link.sink->closed = 1; /* no record tells of it */
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), seen == position);
    uct_write_all(number, 1, &position, 1000);
    uct_read_some(link.peer, 1, &seen);
    assert_int_equal(seen, 3 * PIECE + 1000);
    UCT_UNTIL(t, uct_stats(t).in_flight == 0);
    assert_int_equal(uct_stats(t).attached, 0);
    assert_int_equal(close(number), 0);
}

static void a_reset_gives_everything_back_at_once(void **state)
{
    struct uct *t = *state;
    struct uct_link link;
    uint64_t references;

    skip_without_zero_copy(t);
    link = stalled_link(t);
    for (uint64_t i = 3; i < 40; i++)
        force(&link, i * PIECE, PIECE);
    uct_turn(t, 0);
    uct_reset(t, link.peer);
    UCT_UNTIL(t, link.sink->failed);
    references = link.sink->references; /* the others are the caller's since the failure */
    for (int i = 0; i < 20; i++)
        uct_turn(t, 1000000);
    assert_int_equal(link.sink->references, references);
    assert_int_equal(status_of(link.sink).in_flight, 0);
    assert_int_equal(status_of(link.sink).queued_bytes, 0);
    assert_int_equal(uc_fd_send(link.sink->fd, "x", 1, 0), -EPIPE);
}

static void *free_ring(void *argument)
{
    return uc_ring_free(argument);
}

/* Nobody reads: the ring gives its peer a second. */
static void free_stalled(void *(*how)(void *ring))
{
    struct uct *t = uct_open(NULL);
    struct uct_link link;
    int number;

    if (!has_zero_copy(t)) {
        assert_true(uct_close(t));
        skip();
    }
    link = stalled_link(t);
    number = link.sink->number;
    t->ring = how(t->ring);
    assert_int_equal(uc_fd_close(link.sink->fd, 0), -ESTALE);
    link.sink->fd = uc_fd_free(link.sink->fd);
    assert_int_equal(error_of(link.peer), ECONNRESET);
    assert_int_equal(close(number), 0);
    /* Had anything not ended, the ring would have kept its descriptors. */
    assert_true(uct_close(t));
}

static void a_ring_that_is_freed_lets_go_of_everything(void **state)
{
    (void)state;
    free_stalled(free_ring);
}

static void *free_elsewhere(void *ring)
{
    pthread_t thread;
    void *result = ring;

    assert_int_equal(pthread_create(&thread, NULL, free_ring, ring), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    return result;
}

static void a_ring_that_another_thread_frees_lets_go_of_everything(void **state)
{
    (void)state;
    free_stalled(free_elsewhere);
}

static void *move(void *argument)
{
    return (void *)(intptr_t)uc_ring_enable(argument);
}

static intptr_t move_away(struct uct *t)
{
    pthread_t thread;
    void *result = NULL;

    assert_int_equal(pthread_create(&thread, NULL, move, t->ring), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    return (intptr_t)result;
}

static void a_ring_moves_when_the_notices_have_come(void **state)
{
    struct uct *t = *state;
    struct uct_link link;
    uint64_t seen = 0;

    skip_without_zero_copy(t);
    link = stalled_link(t);
    assert_int_equal(move_away(t), -EBUSY);
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), link.sink->references == 3);
    assert_int_equal(move_away(t), 0);
    assert_int_equal(uc_ring_enable(t->ring), 0);
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), seen == 3 * PIECE);
}

static int free_in_child(void *argument)
{
    struct uct *t = argument;

    for (uint32_t i = 0; i < t->sink_count; i++)
        uc_fd_free(t->sinks[i]->fd);
    uc_ring_free(t->ring);
    return 0;
}

static void a_child_changes_nothing(void **state)
{
    struct uct *t = *state;
    struct uct_link link;
    uint64_t seen = 0;

    skip_without_zero_copy(t);
    link = stalled_link(t);
    assert_int_equal(uct_in_child(free_in_child, t), 0);
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), link.sink->references == 3);
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), seen == 3 * PIECE);
}

static void to_this_machine_it_is_done_only_on_demand(void **state)
{
    struct uct *t = *state;
    struct uc_fd_options options = {.size = sizeof(options), .zero_copy_bytes = PIECE};
    struct uct_link link = uct_link(t, &options, 0);
    uint64_t seen = 0;

    uct_pattern(1, 0, memory, 4 * PIECE);
    assert_true(uc_fd_send(link.sink->fd, memory, PIECE - 1, UC_SEND_REFERENCE) > 0);
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), seen == PIECE - 1);
    assert_int_equal(status_of(link.sink).zero_copy, UC_ZERO_COPY_OFF);
    assert_true(uc_fd_send(link.sink->fd, memory + seen, PIECE, UC_SEND_REFERENCE) > 0);
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), seen == 2 * PIECE - 1);
    UCT_UNTIL(t, link.sink->references == 2);
    assert_int_equal(status_of(link.sink).zero_copy,
                     has_zero_copy(t) ? UC_ZERO_COPY_LOCAL : UC_ZERO_COPY_UNSUPPORTED);
    assert_int_equal(uct_stats(t).zero_copy_sends, 0);
    assert_true(uc_fd_send(link.sink->fd, memory + seen, PIECE, UC_SEND_ZERO_COPY) > 0);
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), link.sink->references == 3);
    assert_int_equal(uct_stats(t).zero_copy_sends > 0, has_zero_copy(t));
}

static void a_socket_that_cannot_is_sent_to_with_a_copy(void **state)
{
    struct uct *t = *state;
    struct uct_sink *sink;
    uint64_t seen = 0;
    int pair[2], peer;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    sink = uct_attach(t, pair[0], NULL);
    peer = uct_peer(t, pair[1]);
    uct_pattern(1, 0, memory, PIECE);
    assert_true(uc_fd_send(sink->fd, memory, PIECE, UC_SEND_ZERO_COPY) > 0);
    UCT_PUMP(t, uct_read_some(peer, 1, &seen), seen == PIECE);
    UCT_UNTIL(t, sink->references == 1);
    assert_int_equal(status_of(sink).zero_copy, UC_ZERO_COPY_UNSUPPORTED);
    assert_int_equal(uct_stats(t).zero_copy_sends, 0);
}

static const struct uct_options without = {.ring.features_off = UC_FEATURE_SEND_ZERO_COPY};

static void where_it_is_switched_off_the_kernel_copies(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t seen = 0;

    assert_false(has_zero_copy(t));
    force(&link, 0, PIECE);
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), seen == PIECE);
    UCT_UNTIL(t, link.sink->references == 1);
    assert_int_equal(status_of(link.sink).zero_copy, UC_ZERO_COPY_UNSUPPORTED);
}

static const struct uct_options registering = {.pool = {.size = sizeof(struct uc_pool_options),
                                                        .flags = UC_POOL_REGISTER,
                                                        .buffer_count = 64}};
static const struct uct_options restricted = {.ring.restriction = UC_RESTRICT_NETWORK};

static void a_lease_of_the_registered_pool_is_sent(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    struct uc_lease lease;
    uint64_t seen = 0;

    assert_int_equal(uc_pool_lease(t->pool, &lease), 0);
    uct_pattern(1, 0, (uint8_t *)uc_pool_base(t->pool) + lease.offset, lease.capacity);
    assert_true(uc_fd_send(link.sink->fd, (uint8_t *)uc_pool_base(t->pool) + lease.offset,
                           lease.capacity, UC_SEND_ZERO_COPY) > 0);
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), seen == lease.capacity);
    UCT_UNTIL(t, link.sink->references == 1);
    assert_int_equal(uc_pool_release(t->pool, lease.token), 0);
}

/* What the kernel says it has pinned of this process, in bytes. */
static uint64_t pinned(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    unsigned long kib = 0;
    char line[256];

    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "VmPin: %lu kB", &kib) == 1)
            break;
    assert_int_equal(fclose(file), 0);
    return kib * 1024;
}

/* In a process that has pinned nothing before: what a ring had pinned comes back late. */
static int compare_pinned(void *argument)
{
    struct uc_pool_stats stats = {.size = sizeof(stats)};
    uint64_t before = pinned();
    struct uct *t = uct_open(&registering);

    (void)argument;
    UCT_CHECK(uc_pool_get_stats(t->pool, &stats) == 0);
    UCT_CHECK(pinned() - before == stats.registered_bytes);
    if (uct_info(t->ring).features & UC_FEATURE_REGISTERED_BUFFERS)
        UCT_CHECK(stats.registered_bytes == stats.buffers * stats.buffer_bytes);
    else
        UCT_CHECK(stats.registered_bytes == 0);
    UCT_CHECK(uct_close(t));
    return 0;
}

static void what_is_told_as_registered_is_what_the_kernel_has_pinned(void **state)
{
    (void)state;
    assert_int_equal(uct_in_child(compare_pinned, NULL), 0);
}

static void a_restricted_ring_may(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t seen = 0;

    skip_without_zero_copy(t);
    force(&link, 0, PIECE);
    force(&link, PIECE, PIECE);
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), seen == 2 * PIECE);
    UCT_UNTIL(t, link.sink->references == 2);
    assert_int_equal(uct_stats(t).zero_copy_sends > 0, has_zero_copy(t));
}

/* More than may be pinned, by one who may not pin what he likes. */
static int send_without_memory(void *argument)
{
    struct uct_link link;
    struct uct *t;
    uint64_t seen = 0;
    uint8_t *much = malloc(32 * MIB);

    (void)argument;
    UCT_CHECK(much && uct_become_nobody(8 * MIB));
    t = uct_open(NULL);
    link = uct_link(t, NULL, 0);
    uct_pattern(1, 0, much, 32 * MIB);
    UCT_CHECK(uc_fd_send(link.sink->fd, much, 32 * MIB, UC_SEND_ZERO_COPY) > 0);
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), seen == 32 * MIB);
    UCT_UNTIL(t, link.sink->references == 1);
    UCT_CHECK(uct_stats(t).zero_copy_sends == 0);
    UCT_CHECK(uc_fd_send(link.sink->fd, much, PIECE, UC_SEND_ZERO_COPY) > 0);
    UCT_UNTIL(t, status_of(link.sink).queued_bytes == 0);
    UCT_CHECK(uct_stats(t).zero_copy_sends == has_zero_copy(t));
    UCT_CHECK(uct_close(t));
    free(much);
    return 0;
}

static void without_memory_for_the_pages_the_kernel_copies(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("only root can become nobody\n");
        skip();
    }
    assert_int_equal(uct_in_child(send_without_memory, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UCT(references_come_back_when_the_peer_has_taken_the_bytes),
        UCT(what_was_counted_back_is_not_read_any_more),
        UCT(copies_between_keep_their_place),
        UCT(a_close_comes_after_the_notices_and_the_end_of_the_stream_before),
        UCT(an_abort_resets_the_connection_and_waits_for_no_peer),
        UCT(a_close_that_waits_for_the_peer_can_be_turned_into_an_abort),
        UCT(a_handle_given_up_leaves_the_connection_as_it_is),
        UCT(a_reset_gives_everything_back_at_once),
        cmocka_unit_test(a_ring_that_is_freed_lets_go_of_everything),
        cmocka_unit_test(a_ring_that_another_thread_frees_lets_go_of_everything),
        UCT(a_ring_moves_when_the_notices_have_come),
        UCT(a_child_changes_nothing),
        UCT(to_this_machine_it_is_done_only_on_demand),
        UCT(a_socket_that_cannot_is_sent_to_with_a_copy),
        UCT_WITH(where_it_is_switched_off_the_kernel_copies, "", &without),
        UCT_WITH(a_lease_of_the_registered_pool_is_sent, "", &registering),
        cmocka_unit_test(what_is_told_as_registered_is_what_the_kernel_has_pinned),
        UCT_WITH(a_restricted_ring_may, "", &restricted),
        cmocka_unit_test(without_memory_for_the_pages_the_kernel_copies),
    };

    return UCT_RUN("zero copy", tests);
}
