/* The io_uring backend alone, through the table that everything above it uses. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/backend.h"
#include "backend/uring.h"
#include "pool/pool.h"
#include "support.h"

#define SECOND_NS INT64_C(1000000000)
#define BUFFER_BYTES 4096

struct backend {
    struct uci_backend *it;
    const struct uci_backend_table *table;
    struct uc_ring_info info;
    uc_pool *pool;
    int pair[2];
};

static void open_it(struct backend *b, uint64_t features_off)
{
    struct uc_pool_options pool = {
        .size = sizeof(pool),
        .buffer_bytes = BUFFER_BYTES,
        .buffer_count = 32,
        .buffer_max = 32,
    };
    struct uci_backend_options options = {
        .sq_entries = 8,
        .cq_entries = 64,
        .features_off = features_off,
    };

    *b = (struct backend){.table = &uci_backend_uring};
    assert_int_equal(uc_pool_new(&pool, &b->pool), 0);
    options.pool = b->pool;
    assert_int_equal(b->table->open(&options, &b->info, &b->it), 0);
    assert_int_equal(b->table->enable(b->it), 0);
    uct_tcp_pair(b->pair, 0);
}

static void close_it(struct backend *b)
{
    b->table->free(b->it, false);
    uc_pool_free(b->pool);
    close(b->pair[0]);
    close(b->pair[1]);
}

static void provide_all(struct backend *b)
{
    uint32_t buffer;

    while (uci_pool_take(b->pool, &buffer) == 0)
        b->table->provide(b->it, buffer);
}

static void receive(struct backend *b)
{
    struct uci_operation operation = {
        .op = UCI_OP_RECV,
        .shape = UCI_OPERATION_MULTISHOT | UCI_OPERATION_PROVIDED,
        .fd = b->pair[0],
        .user_data = 7,
    };

    assert_int_equal(b->table->submit(b->it, &operation), 0);
}

static void every_operation_ends_once_also_when_the_queue_is_full(void **state)
{
    struct uci_completion completions[64];
    struct backend b;
    uint32_t n = 0, seen = 0;

    (void)state;
    open_it(&b, 0);
    for (uint64_t i = 0; i < 40; i++) {
        struct uci_operation nop = {.op = UCI_OP_NOP, .fd = -1, .user_data = i + 1};

        assert_int_equal(b.table->submit(b.it, &nop), 0);
    }
    while (seen < 40) {
        assert_int_equal(b.table->enter(b.it, true, SECOND_NS), 0);
        n = b.table->reap(b.it, completions, 3);
        assert_in_range(n, 1, 3);
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(completions[i].user_data, ++seen);
            assert_int_equal(completions[i].result, 0);
            assert_int_equal(completions[i].flags, 0);
        }
    }
    assert_int_equal(b.table->reap(b.it, completions, 64), 0);
    close_it(&b);
}

static void pieces_come_one_buffer_at_a_time_however_few_are_taken(void **state)
{
    struct uci_completion c[2];
    uint8_t expected[BUFFER_BYTES];
    struct backend b;
    uint64_t sent = 0, received = 0;

    (void)state;
    open_it(&b, 0);
    provide_all(&b);
    receive(&b);
    assert_int_equal(b.table->enter(b.it, false, 0), 0);
    uct_write_all(b.pair[1], 5, &sent, 5 * BUFFER_BYTES + 100);
    while (received < sent) {
        uint32_t n = b.table->reap(b.it, c, 1 + received % 2);

        if (n == 0)
            assert_int_equal(b.table->enter(b.it, true, SECOND_NS), 0);
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(c[i].flags, UCI_COMPLETION_BUFFER | UCI_COMPLETION_MORE);
            assert_in_range(c[i].result, 1, BUFFER_BYTES);
            uct_pattern(5, received, expected, (uint64_t)c[i].result);
            assert_memory_equal(b.pool->base + uci_pool_offset(b.pool, c[i].buffer), expected,
                                (size_t)c[i].result);
            received += (uint64_t)c[i].result;
        }
    }
    close_it(&b);
}

static void what_is_stopped_tells_how_it_ended(void **state)
{
    struct uci_operation watch = {.op = UCI_OP_POLL, .flags = POLLIN, .user_data = 9};
    struct uci_completion c[8];
    struct backend b;

    (void)state;
    open_it(&b, 0);
    if (!uci_uring_of(b.it)->memory) {
        close_it(&b);
        print_message("this kernel has no rings in own memory\n");
        skip();
    }
    provide_all(&b);
    receive(&b);
    watch.fd = b.pair[1];
    assert_int_equal(b.table->submit(b.it, &watch), 0);
    assert_int_equal(b.table->enter(b.it, false, 0), 0);
    assert_int_equal(b.table->reap(b.it, c, 8), 0);
    b.table->stop(b.it);
    assert_true(b.table->is_stopped(b.it, SECOND_NS));
    assert_int_equal(b.table->reap(b.it, c, 8), 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(c[i].result, -ECANCELED);
        assert_int_equal(c[i].flags & UCI_COMPLETION_MORE, 0);
    }
    assert_int_equal(b.table->poll_fd(b.it), -EBADF);
    close_it(&b);
}

static void mapped_rings_stop_too_but_tell_nothing(void **state)
{
    struct uci_completion c[8];
    struct backend b;

    (void)state;
    open_it(&b, UCI_FEATURE_OWN_MEMORY);
    assert_null(uci_uring_of(b.it)->memory);
    provide_all(&b);
    receive(&b);
    assert_int_equal(b.table->enter(b.it, false, 0), 0);
    b.table->stop(b.it);
    assert_true(b.table->is_stopped(b.it, SECOND_NS));
    assert_int_equal(b.table->reap(b.it, c, 8), 0);
    close_it(&b);
}

static void what_is_switched_off_is_not_used_and_not_missed(void **state)
{
    const uint64_t off = UC_FEATURE_BUFFER_RING | UC_FEATURE_DEFER_TASKRUN;
    struct backend b;

    (void)state;
    open_it(&b, off);
    assert_int_equal(b.info.features & (off | UC_FEATURE_MULTISHOT_RECV), 0);
    assert_int_equal(
        b.info.features_stripped & (off | UC_FEATURE_MULTISHOT_RECV | UC_FEATURE_RECV_BUNDLE), 0);
    assert_null(strstr(b.info.reason, "multishot-recv"));
    close_it(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_ends_once_also_when_the_queue_is_full),
        cmocka_unit_test(pieces_come_one_buffer_at_a_time_however_few_are_taken),
        cmocka_unit_test(what_is_stopped_tells_how_it_ended),
        cmocka_unit_test(mapped_rings_stop_too_but_tell_nothing),
        cmocka_unit_test(what_is_switched_off_is_not_used_and_not_missed),
    };

    return UCT_RUN_ON_URING("backend", tests);
}
