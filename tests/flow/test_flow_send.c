/* Sending on a stream. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

#define MIB (UINT64_C(1) << 20)

static int64_t put(struct uct_sink *sink, uint64_t *position, uint32_t bytes)
{
    static uint8_t buffer[1 << 16];
    int64_t r;

    uct_pattern(1, *position, buffer, bytes);
    r = uc_fd_send(sink->fd, buffer, bytes, 0);
    memset(buffer, 0, bytes); /* it was copied: this must not be seen */
    if (r > 0)
        *position += bytes;
    return r;
}

static uint64_t queued(const struct uct_sink *sink)
{
    struct uc_fd_status status = {.size = sizeof(status)};

    assert_int_equal(uc_fd_get_status(sink->fd, &status), 0);
    return status.queued_bytes;
}

static void writes_of_a_turn_leave_in_one_send(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    struct uc_ring_stats before, after;
    uint64_t sent = 0, seen = 0;

    uct_turn(t, 0); /* arms the wake-up */
    before = uct_stats(t);
    for (int i = 0; i < 40; i++)
        assert_true(put(link.sink, &sent, 1 + (uint32_t)i * 50) > 0);
    assert_int_equal(uc_ring_flush(t->ring), 0);
    after = uct_stats(t);
    assert_int_equal(after.submissions - before.submissions, 1);
    assert_true(uct_has_cost(t, before.kernel_entries, 1));
    uct_read_some(link.peer, 1, &seen);
    assert_int_equal(seen, sent);
}

static void flush_sends_without_a_turn(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0, seen = 0;

    assert_true(put(link.sink, &sent, 100) > 0);
    assert_true(uct_read_some(link.peer, 1, &seen));
    assert_int_equal(seen, 0);
    assert_int_equal(uc_ring_flush(t->ring), 0);
    assert_true(uct_read_some(link.peer, 1, &seen));
    assert_int_equal(seen, sent);
}

static void the_answer_is_what_is_queued(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    assert_int_equal(put(link.sink, &sent, 100), 100);
    assert_int_equal(put(link.sink, &sent, 1), 101);
    assert_int_equal(queued(link.sink), 101);
    UCT_UNTIL(t, queued(link.sink) == 0);
    assert_int_equal(put(link.sink, &sent, 7), 7);
}

static void pieces_of_all_sizes_arrive_in_order(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 4096);
    uint64_t sent = 0, seen = 0, number = 1;

    for (int i = 0; i < 3000; i++) {
        number = number * 6364136223846793005u + 1442695040888963407u;
        assert_true(put(link.sink, &sent, 1 + (uint32_t)(number >> 33) % 9000) > 0);
        if (i % 7 == 0)
            uct_turn(t, 0);
        uct_read_some(link.peer, 1, &seen);
    }
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), seen == sent);
    UCT_UNTIL(t, queued(link.sink) == 0);
}

static void references_are_counted_back_in_order(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 4096);
    uint8_t *memory = malloc(40 * 30000);
    uint64_t seen = 0, references;

    assert_non_null(memory);
    uct_pattern(1, 0, memory, 40 * 30000);
    for (uint64_t i = 0; i < 40; i++) /* every fourth piece is copied */
        assert_true(uc_fd_send(link.sink->fd, memory + i * 30000, 30000,
                               i % 4 ? UC_SEND_REFERENCE : 0) > 0);
    UCT_PUMP(
        t,
        do {
            uct_read_some(link.peer, 1, &seen);
            /* What was counted back is no longer read. */
            references = link.sink->references;
            memset(memory, 0, (references + (references + 2) / 3) * 30000);
        } while (0),
        seen == 40 * 30000);
    UCT_UNTIL(t, queued(link.sink) == 0);
    assert_int_equal(link.sink->references, 30);
    free(memory);
}

static void water_marks_pair_exactly(void **state)
{
    struct uct *t = *state;
    struct uc_fd_options options = {
        .size = sizeof(options), .high_water = 20000, .low_water = 5000};
    struct uct_link link = uct_link(t, &options, 4096);
    uint64_t sent = 0, seen = 0;
    uint32_t owed = 0;

    for (int round = 0; round < 50; round++) {
        bool paused = false;

        while (!paused) {
            paused = put(link.sink, &sent, 1500) > 20000;
            uct_turn(t, 0);
            assert_int_equal(link.sink->low_waters, owed);
        }
        owed++;
        UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), link.sink->low_waters == owed);
        assert_true(queued(link.sink) <= 5000);
    }
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), seen == sent);
    UCT_UNTIL(t, queued(link.sink) == 0);
    assert_int_equal(link.sink->low_waters, owed);
}

static void water_marks_can_be_moved(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 4096);
    uint64_t sent = 0, seen = 0;

    assert_int_equal(uc_fd_set_water_marks(link.sink->fd, 10, 11), -EINVAL);
    assert_int_equal(uc_fd_set_water_marks(link.sink->fd, 0, 0), 0);
    assert_true(put(link.sink, &sent, 1) > 0);
    UCT_UNTIL(t, link.sink->low_waters == 1);
    assert_int_equal(queued(link.sink), 0);
    assert_int_equal(uc_fd_set_water_marks(link.sink->fd, 1 << 20, 10), 0);
    while (queued(link.sink) < 50000) {
        assert_true(put(link.sink, &sent, 5000) > 0);
        uct_turn(t, 0);
    }
    assert_int_equal(uc_fd_set_water_marks(link.sink->fd, 100, 10), 0);
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), seen == sent);
    UCT_UNTIL(t, queued(link.sink) == 0);
    assert_int_equal(link.sink->low_waters, 2);
}

static void rst_mid_send_ends_with_an_error_and_drops_the_queue(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 4096);
    static uint8_t memory[100000];
    uint64_t sent = 0;

    for (int i = 0; i < 20; i++)
        assert_true(put(link.sink, &sent, 60000) > 0);
    assert_true(uc_fd_send(link.sink->fd, memory, sizeof(memory), UC_SEND_REFERENCE) > 0);
    uct_turn(t, 0);
    uct_reset(t, link.peer);
    UCT_UNTIL(t, link.sink->failed);
    assert_true(link.sink->failed_result == -ECONNRESET || link.sink->failed_result == -EPIPE);
    assert_int_equal(queued(link.sink), 0);
    assert_int_equal(link.sink->low_waters, 0);
    assert_int_equal(put(link.sink, &sent, 1), -EPIPE);
    assert_int_equal(uc_fd_shutdown(link.sink->fd), -EPIPE);
    assert_int_equal(link.sink->failed, 1);
    assert_int_equal(uc_fd_close(link.sink->fd, 0), 0);
    UCT_UNTIL(t, link.sink->closed);
    assert_int_equal(link.sink->closed_result, link.sink->failed_result);
}

static void shutdown_comes_after_everything_queued(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 4096);
    uint64_t sent = 0, seen = 0, back = 0;
    bool more = true;

    for (int i = 0; i < 10; i++)
        assert_true(put(link.sink, &sent, 50000) > 0);
    assert_int_equal(uc_fd_shutdown(link.sink->fd), 0);
    assert_int_equal(uc_fd_shutdown(link.sink->fd), -EALREADY);
    assert_int_equal(put(link.sink, &sent, 1), -ESHUTDOWN);
    uct_turn(t, 0);
    assert_int_equal(link.sink->shutdowns, 0);
    UCT_PUMP(t, more = more && uct_read_some(link.peer, 1, &seen), !more);
    assert_int_equal(seen, sent);
    UCT_UNTIL(t, link.sink->shutdowns);
    assert_int_equal(link.sink->shutdown_result, 0);
    /* The other direction still works. */
    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    uct_write_all(link.peer, 0, &back, 1000);
    UCT_UNTIL(t, link.sink->received == back);
    assert_int_equal(link.sink->shutdowns, 1);
}

static void shutdown_with_nothing_queued_is_reported(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t seen = 0;

    assert_int_equal(uc_fd_shutdown(link.sink->fd), 0);
    assert_int_equal(uct_turn(t, -1), 1);
    assert_int_equal(link.sink->shutdowns, 1);
    assert_false(uct_read_some(link.peer, 1, &seen));
}

static void one_large_send_arrives(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint8_t *memory = malloc(8 * MIB);
    uint64_t seen = 0;

    assert_non_null(memory);
    uct_pattern(1, 0, memory, 8 * MIB);
    assert_true(uc_fd_send(link.sink->fd, memory, 8 * MIB, UC_SEND_REFERENCE) > 0);
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), seen == 8 * MIB);
    UCT_UNTIL(t, link.sink->references == 1);
    assert_int_equal(uc_fd_send(link.sink->fd, memory, 8 * MIB, 0), 8 * MIB);
    memset(memory, 0, 8 * MIB);
    free(memory);
    seen = 0;
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen), seen == 8 * MIB);
}

static void without_a_receiver_the_queue_waits_and_others_go_on(void **state)
{
    struct uct *t = *state;
    struct uct_link stuck = uct_link(t, NULL, 4096), free_link = uct_link(t, NULL, 4096);
    uint64_t sent = 0, other = 0, seen = 0;

    for (int i = 0; i < 10; i++)
        assert_true(put(stuck.sink, &sent, 60000) > 0);
    for (int i = 0; i < 100; i++) {
        assert_true(put(free_link.sink, &other, 3000) > 0);
        UCT_PUMP(t, uct_read_some(free_link.peer, 1, &seen), seen == other);
    }
    assert_true(queued(stuck.sink) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UCT(writes_of_a_turn_leave_in_one_send),
        UCT(flush_sends_without_a_turn),
        UCT(the_answer_is_what_is_queued),
        UCT(pieces_of_all_sizes_arrive_in_order),
        UCT(references_are_counted_back_in_order),
        UCT(water_marks_pair_exactly),
        UCT(water_marks_can_be_moved),
        UCT(rst_mid_send_ends_with_an_error_and_drops_the_queue),
        UCT(shutdown_comes_after_everything_queued),
        UCT(shutdown_with_nothing_queued_is_reported),
        UCT(one_large_send_arrives),
        UCT(without_a_receiver_the_queue_waits_and_others_go_on),
    };

    return UCT_RUN("send", tests);
}
