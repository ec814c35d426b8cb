#include "seam.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "uring/uring.h"

void seam_open(struct backend *b, const struct uci_backend_table *table, uint64_t features_off)
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

    *b = (struct backend){.table = table};
    assert_int_equal(uc_pool_new(&pool, &b->pool), 0);
    options.pool = b->pool;
    assert_int_equal(b->table->open(&options, &b->info, &b->it), 0);
    assert_int_equal(b->table->enable(b->it), 0);
    uct_tcp_pair(b->pair, 0);
}

void seam_close(struct backend *b)
{
    b->table->free(b->it, false);
    uc_pool_free(b->pool);
    close(b->pair[0]);
    close(b->pair[1]);
}

void seam_provide_all(struct backend *b)
{
    uint32_t buffer;

    while (uci_pool_take(b->pool, &buffer) == 0)
        b->table->provide(b->it, buffer);
}

void seam_submit(struct backend *b, const struct uci_operation *operation)
{
    assert_int_equal(b->table->submit(b->it, operation), 0);
}

void seam_receive(struct backend *b, int fd, uint64_t user_data)
{
    struct uci_operation operation = {
        .op = UCI_OP_RECV,
        .shape = UCI_OPERATION_MULTISHOT | UCI_OPERATION_PROVIDED | UCI_OPERATION_KEPT,
        .fd = fd,
        .user_data = user_data,
    };

    seam_submit(b, &operation);
}

void seam_cancel(struct backend *b, uint64_t user_data)
{
    struct uci_operation operation = {
        .op = UCI_OP_CANCEL,
        .fd = -1,
        .offset = user_data,
        .user_data = user_data + 1000,
    };

    seam_submit(b, &operation);
}

struct uci_completion seam_next(struct backend *b)
{
    uint64_t until = uct_now_ms() + uct_deadline_ms();
    struct uci_completion completion;
    int r;

    while (b->table->reap(b->it, &completion, 1) == 0) {
        assert_true(uct_now_ms() < until);
        r = b->table->enter(b->it, true, SECOND_NS);
        assert_true(r == 0 || r == -EINTR);
    }
    return completion;
}

void every_operation_ends_once_also_when_the_queue_is_full(void **state)
{
    struct uci_completion completions[64];
    struct backend b;
    uint32_t n = 0, seen = 0;

    seam_open(&b, *state, 0);
    for (uint64_t i = 0; i < 40; i++) {
        struct uci_operation nop = {.op = UCI_OP_NOP, .fd = -1, .user_data = i + 1};

        seam_submit(&b, &nop);
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
    seam_close(&b);
}

void pieces_come_one_buffer_at_a_time_however_few_are_taken(void **state)
{
    struct uci_completion c[2];
    uint8_t expected[BUFFER_BYTES];
    struct backend b;
    uint64_t sent = 0, received = 0;

    seam_open(&b, *state, 0);
    seam_provide_all(&b);
    seam_receive(&b, b.pair[0], 7);
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
    seam_close(&b);
}

void what_is_stopped_tells_how_it_ended(void **state)
{
    struct uci_operation watch = {.op = UCI_OP_POLL, .flags = POLLIN, .user_data = 9};
    struct uci_completion c[8];
    struct backend b;

    seam_open(&b, *state, 0);
    seam_provide_all(&b);
    seam_receive(&b, b.pair[0], 7);
    watch.fd = b.pair[1];
    seam_submit(&b, &watch);
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
    seam_close(&b);
}

void without_a_buffer_no_byte_is_taken(void **state)
{
    struct uci_completion c;
    struct backend b;
    uint64_t sent = 0;

    seam_open(&b, *state, 0);
    uct_write_all(b.pair[1], 5, &sent, 1000);
    for (int i = 0; i < 3; i++) {
        seam_receive(&b, b.pair[0], 7);
        c = seam_next(&b);
        assert_int_equal(c.result, -ENOBUFS);
        assert_int_equal(c.flags, 0);
    }
    seam_provide_all(&b);
    seam_receive(&b, b.pair[0], 7);
    c = seam_next(&b);
    assert_int_equal(c.result, 1000);
    assert_true(uct_matches(5, 0, b.pool->base + uci_pool_offset(b.pool, c.buffer), 1000));
    seam_close(&b);
}

void what_goes_on_by_itself_does_not_keep_others_waiting(void **state)
{
    struct uci_operation nop = {.op = UCI_OP_NOP, .fd = -1, .user_data = 1};
    struct uci_completion c[8];
    struct backend b;
    uint64_t sent = 0;
    bool received = false;

    seam_open(&b, *state, 0);
    seam_provide_all(&b);
    seam_receive(&b, b.pair[0], 7);
    assert_int_equal(b.table->enter(b.it, false, 0), 0);
    uct_write_all(b.pair[1], 5, &sent, 10);
    for (int turn = 0; turn < 2; turn++) {
        uint32_t n;

        seam_submit(&b, &nop);
        assert_int_equal(b.table->enter(b.it, true, -1), 0);
        n = b.table->reap(b.it, c, 8);
        assert_in_range(n, 1, 2);
        for (uint32_t i = 0; i < n; i++)
            received |= c[i].user_data == 7;
    }
    assert_true(received);
    seam_close(&b);
}

/* Opening runs on a worker, on io_uring too. */
static void call_opens(struct backend *b)
{
    if (b->table == &uci_backend_uring)
        uci_uring_of(b->it)->called |= UINT64_C(1) << UCI_OP_OPENAT;
}

/* Opening one end of a FIFO hangs until somebody opens the other. */
static struct uci_operation open_fifo(char path[64])
{
    static int count;

    snprintf(path, 64, "%s/uc-fifo-%d-%d", P_tmpdir, (int)getpid(), count++);
    assert_int_equal(mkfifo(path, 0600), 0);
    return (struct uci_operation){
        .op = UCI_OP_OPENAT,
        .fd = AT_FDCWD,
        .address = (uint64_t)(uintptr_t)path,
        .flags = O_RDONLY,
        .user_data = 1,
    };
}

/* Return: the other end, once somebody waits at this one. */
static int open_other_end(const char *path)
{
    uint64_t until = uct_now_ms() + uct_deadline_ms();
    int fd = -1;

    while (fd < 0 && uct_now_ms() < until)
        fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

void what_hangs_in_a_worker_is_not_cancelled_and_ends_as_it_may(void **state)
{
    struct uci_operation nop = {.op = UCI_OP_NOP, .fd = -1, .user_data = 2};
    struct uci_operation opening;
    struct uci_completion c;
    struct backend b;
    char path[64];
    int other;

    seam_open(&b, *state, 0);
    call_opens(&b);
    opening = open_fifo(path);
    seam_submit(&b, &opening);
    assert_int_equal(b.table->enter(b.it, false, 0), 0);
    /* It may not have been started yet; the other end cannot be opened before it is. */
    other = open_other_end(path);
    seam_cancel(&b, 1);
    seam_submit(&b, &nop);
    for (int i = 0; i < 3; i++) {
        c = seam_next(&b);
        if (c.user_data != 1)
            continue;
        assert_true(c.result >= 0);
        close(c.result);
    }
    close(other);
    unlink(path);
    seam_close(&b);
}

void a_backend_is_freed_while_a_worker_hangs(void **state)
{
    int fds = uct_count_fds(), other;
    uint64_t until = uct_now_ms() + uct_deadline_ms();
    struct uci_operation opening;
    struct uci_completion c;
    struct backend b;
    static char path[64]; /* whoever hangs may still read it */
    bool hangs;

    seam_open(&b, *state, 0);
    call_opens(&b);
    opening = open_fifo(path);
    seam_submit(&b, &opening);
    assert_int_equal(b.table->enter(b.it, false, 0), 0);
    while (uct_count_threads() == 1)
        ;
    b.table->stop(b.it);
    hangs = b.table->reap(b.it, &c, 1) == 0; /* or it had not been started */
    if (hangs)
        assert_false(b.table->is_stopped(b.it, 1000000));
    seam_close(&b);
    other = hangs ? open_other_end(path) : -1;
    /* A thread that was joined may still be counted for a moment. */
    while (uct_count_threads() > 1)
        assert_true(uct_now_ms() < until);
    if (hangs)
        close(other);
    assert_int_equal(uct_count_fds(), fds);
    unlink(path);
}

void what_workers_have_done_is_taken_one_by_one(void **state)
{
    struct uci_operation asking = {.op = UCI_OP_READLINKAT, .fd = AT_FDCWD, .length = 64};
    char text[20][64];
    struct uci_completion c;
    struct backend b;

    seam_open(&b, *state, 0);
    asking.address = (uint64_t)(uintptr_t)"/proc/self/exe";
    for (int round = 0; round < 10; round++) {
        uint32_t seen = 0;

        for (uint32_t i = 0; i < 20; i++) {
            asking.user_data = i + 1;
            asking.offset = (uint64_t)(uintptr_t)text[i];
            seam_submit(&b, &asking);
        }
        for (uint32_t i = 0; i < 20; i++) {
            c = seam_next(&b);
            assert_true(c.result > 0);
            assert_int_equal(c.flags, 0);
            assert_in_range(c.user_data, 1, 20);
            assert_false(seen & 1u << c.user_data);
            seen |= 1u << c.user_data;
        }
        assert_int_equal(b.table->reap(b.it, &c, 1), 0);
    }
    seam_close(&b);
}

void seam_stop_calls(const struct uci_backend_table *table, uint64_t features_off)
{
    struct uci_operation asking = {.op = UCI_OP_READLINKAT, .fd = AT_FDCWD, .length = 64};
    char text[64][64];
    uint64_t until = uct_now_ms() + uct_deadline_ms();
    struct uci_completion c[64];
    struct backend b;
    uint32_t n = 0;

    seam_open(&b, table, features_off);
    asking.address = (uint64_t)(uintptr_t)"/proc/self/exe";
    for (uint32_t i = 0; i < 60; i++) {
        asking.user_data = i + 1;
        asking.offset = (uint64_t)(uintptr_t)text[i];
        seam_submit(&b, &asking);
        if (i == 40)
            assert_int_equal(b.table->enter(b.it, false, 0), 0);
    }
    b.table->stop(b.it);
    while (!b.table->is_stopped(b.it, SECOND_NS))
        assert_true(uct_now_ms() < until);
    while (n < 60) {
        uint32_t more = b.table->reap(b.it, c + n, 7);

        assert_in_range(more, 1, 7);
        n += more;
    }
    assert_int_equal(b.table->reap(b.it, c, 64), 0);
    seam_close(&b);
}

void what_was_called_and_is_stopped_ends_once(void **state)
{
    seam_stop_calls(*state, 0);
}
