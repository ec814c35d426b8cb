/* Many reads with one record. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "places.h"

#define PARTS 64
#define BLOCK 4096

static uint8_t memory[UC_READ_MANY_MAX][BLOCK];
static struct uc_read_part parts[UC_READ_MANY_MAX];

/* A file of a pattern, in memory: reading it never waits. */
static int cached(struct uct *t, uint64_t seed, uint32_t blocks)
{
    int fd = uct_peer(t, memfd_create("cached", MFD_CLOEXEC));
    uint8_t block[BLOCK];

    for (uint32_t i = 0; i < blocks; i++) {
        uct_pattern(seed, (uint64_t)i * BLOCK, block, BLOCK);
        assert_int_equal(write(fd, block, BLOCK), BLOCK);
    }
    return fd;
}

static void fill(int fd, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++)
        parts[i] = (struct uc_read_part){
            .fd = fd,
            .bytes = BLOCK,
            .offset = (uint64_t)(first + count - 1 - i) * BLOCK,
            .buffer = memory[i],
        };
}

static void check(uint64_t seed, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        assert_int_equal(parts[i].result, BLOCK);
        assert_true(uct_matches(seed, parts[i].offset, memory[i], BLOCK));
    }
}

static void all_parts_are_read_and_told_by_one_record(void **state)
{
    struct uct *t = *state;
    int fd = cached(t, 1, PARTS);
    uint64_t op = 0;

    for (int round = 0; round < 20; round++) {
        uint64_t before = uct_stats(t).submissions;

        memset(memory, 0, sizeof(memory));
        fill(fd, 0, PARTS);
        assert_int_equal(uc_op_read_many(t->ring, parts, PARTS, 7, &op), 0);
        assert_int_equal(uct_stats(t).submissions, before + PARTS);
        assert_int_equal(uct_outcome(t, 7), PARTS);
        check(1, 0, PARTS);
        assert_int_equal(uc_op_cancel(t->ring, op), -ESTALE);
    }
}

static void more_parts_than_the_queues_hold_are_read_too(void **state)
{
    struct uct *t = *state;
    int fd = cached(t, 2, UC_READ_MANY_MAX);

    fill(fd, 0, UC_READ_MANY_MAX);
    assert_int_equal(uc_op_read_many(t->ring, parts, UC_READ_MANY_MAX, 7, NULL), 0);
    assert_int_equal(uct_outcome(t, 7), UC_READ_MANY_MAX);
    check(2, 0, UC_READ_MANY_MAX);
}

/* A file in the page cache; the test is skipped where the file system cannot say that it is. */
static int file_that_tells(struct uct *t)
{
    struct uct_place place = uct_make_place(t);
    int fd = uct_make_file(t, &place, "file", 3, PARTS * BLOCK);
    const struct iovec all = {.iov_base = memory, .iov_len = PARTS * BLOCK};

    uct_remove_place(&place);
    if (preadv2(fd, &all, 1, 0, RWF_NOWAIT) != PARTS * BLOCK)
        skip();
    return fd;
}

static void what_is_cached_starts_no_thread(void **state)
{
    struct uct *t = *state;
    int fd = file_that_tells(t), threads = uct_count_threads();

    fill(fd, 0, PARTS);
    parts[0].offset = PARTS * BLOCK - 10;
    parts[1].offset = PARTS * BLOCK;
    assert_int_equal(uc_op_read_many(t->ring, parts, PARTS, 7, NULL), 0);
    assert_int_equal(uct_outcome(t, 7), PARTS);
    assert_int_equal(uct_count_threads(), threads);
    assert_int_equal(parts[0].result, 10);
    assert_int_equal(parts[1].result, 0);
    check(3, 2, PARTS - 2);
}

static void what_is_cached_costs_one_kernel_entry(void **state)
{
    struct uct *t = *state;
    int fd = file_that_tells(t);
    uint64_t before;

    if (!uct_is_uring(t))
        skip();
    uct_turn(t, 0);
    before = uct_stats(t).kernel_entries;
    fill(fd, 0, PARTS);
    assert_int_equal(uc_op_read_many(t->ring, parts, PARTS, 7, NULL), 0);
    assert_int_equal(uct_outcome(t, 7), PARTS);
    assert_true(uct_has_cost(t, before, 1));
}

static void a_part_that_fails_is_its_own_affair(void **state)
{
    struct uct *t = *state;
    struct uct_place place = uct_make_place(t);
    int fd = cached(t, 4, PARTS), ends[2];

    uct_pipe(t, ends, 0);
    fill(fd, 0, 8);
    parts[1].fd = 12345;
    parts[2].fd = place.fd;
    parts[3].fd = ends[1];
    parts[4].offset = PARTS * BLOCK;
    parts[5].offset = PARTS * BLOCK - 10;
    assert_int_equal(uc_op_read_many(t->ring, parts, 8, 7, NULL), 0);
    assert_int_equal(uct_outcome(t, 7), 5);
    check(4, 0, 1);
    assert_int_equal(parts[1].result, -EBADF);
    assert_int_equal(parts[2].result, -EISDIR);
    assert_int_equal(parts[3].result, -EBADF);
    assert_int_equal(parts[4].result, 0);
    assert_int_equal(parts[5].result, 10);
    check(4, 6, 2);
    parts[0].fd = parts[6].fd = parts[7].fd = 12345;
    assert_int_equal(uc_op_read_many(t->ring, parts, 3, 7, NULL), 0);
    assert_int_equal(uct_outcome(t, 7), 0);
    uct_remove_place(&place);
}

static void parts_in_a_lease_are_read_without_mapping(void **state)
{
    struct uct *t = *state;
    int fd = cached(t, 5, 16);
    struct uc_lease lease;

    assert_int_equal(uc_pool_lease(t->pool, &lease), 0);
    fill(fd, 0, 16);
    for (uint32_t i = 0; i < 16; i++)
        parts[i].buffer = (uint8_t *)uc_pool_base(t->pool) + lease.offset + (size_t)i * BLOCK;
    assert_int_equal(uc_op_read_many(t->ring, parts, 16, 7, NULL), 0);
    assert_int_equal(uct_outcome(t, 7), 16);
    for (uint32_t i = 0; i < 16; i++)
        assert_true(uct_matches(5, parts[i].offset, parts[i].buffer, BLOCK));
    assert_int_equal(uc_pool_release(t->pool, lease.token), 0);
}

/* Of a file @read blocks, then @waiting reads of a pipe that nothing comes from. */
static uint64_t submit_waiting(struct uct *t, int pipe_end, uint32_t read, uint32_t waiting)
{
    uint64_t op;

    fill(cached(t, 6, read), 0, read);
    for (uint32_t i = read; i < read + waiting; i++)
        parts[i] = (struct uc_read_part){
            .fd = pipe_end,
            .bytes = 1,
            .offset = UC_OFFSET_CURRENT,
            .buffer = memory[i],
        };
    assert_int_equal(uc_op_read_many(t->ring, parts, read + waiting, 7, &op), 0);
    return op;
}

static void what_has_not_ended_is_cancelled_as_a_whole(void **state)
{
    struct uct *t = *state;
    uint64_t op;
    int ends[2];

    uct_pipe(t, ends, 0);
    op = submit_waiting(t, ends[0], 3, 20);
    UCT_UNTIL(t, uct_stats(t).in_flight == 20);
    assert_int_equal(t->operations, 0);
    for (uint32_t i = 3; i < 23; i++)
        assert_int_equal(parts[i].result, -EINPROGRESS);
    assert_int_equal(uc_op_cancel(t->ring, op), 0);
    assert_int_equal(uct_outcome(t, 7), 3);
    check(6, 0, 3);
    for (uint32_t i = 3; i < 23; i++)
        assert_int_equal(parts[i].result, -ECANCELED);
    assert_int_equal(uc_op_cancel(t->ring, op), -ESTALE);
}

static void the_record_waits_for_the_last_part(void **state)
{
    struct uct *t = *state;
    int ends[2];

    uct_pipe(t, ends, 0);
    submit_waiting(t, ends[0], 3, 5);
    for (uint64_t left = 5; left; left--) {
        UCT_UNTIL(t, uct_stats(t).in_flight == left);
        assert_int_equal(t->operations, 0);
        assert_int_equal(write(ends[1], "x", 1), 1);
    }
    assert_int_equal(uct_outcome(t, 7), 8);
    for (uint32_t i = 3; i < 8; i++)
        assert_int_equal(parts[i].result, 1);
}

static void bad_parts_are_refused_and_none_is_submitted(void **state)
{
    struct uct *t = *state;
    uint64_t op = 42;

    fill(0, 0, 3);
    assert_int_equal(uc_op_read_many(t->ring, NULL, 1, 0, &op), -EINVAL);
    assert_int_equal(uc_op_read_many(t->ring, parts, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_read_many(t->ring, parts, UC_READ_MANY_MAX + 1, 0, &op), -EINVAL);
    parts[2].fd = -1;
    assert_int_equal(uc_op_read_many(t->ring, parts, 3, 0, &op), -EBADF);
    fill(0, 2, 1);
    parts[2].bytes = 0;
    assert_int_equal(uc_op_read_many(t->ring, parts, 3, 0, &op), -EINVAL);
    parts[2].bytes = (UINT32_C(1) << 31) - 4095;
    assert_int_equal(uc_op_read_many(t->ring, parts, 3, 0, &op), -EINVAL);
    fill(0, 2, 1);
    parts[2].buffer = NULL;
    assert_int_equal(uc_op_read_many(t->ring, parts, 3, 0, &op), -EINVAL);
    fill(0, 2, 1);
    parts[2].reserved = 1;
    assert_int_equal(uc_op_read_many(t->ring, parts, 3, 0, &op), -EINVAL);
    assert_int_equal(uct_stats(t).submissions, 0);
    assert_int_equal(parts[0].result, 0);
    assert_int_equal(op, 42);
}

/* ASan would tell of a slot that is lost, and tear-down of descriptors. */
static void a_ring_is_freed_with_parts_in_flight(void **state)
{
    struct uct *t = *state;
    int ends[2];

    uct_pipe(t, ends, 0);
    submit_waiting(t, ends[0], 10, 50);
    assert_int_equal(uc_ring_flush(t->ring), 0);
    t->ring = uc_ring_free(t->ring);
    for (uint32_t i = 10; i < 60; i++)
        assert_int_equal(parts[i].result, -ECANCELED);
}

static void *take_over(void *argument)
{
    struct uct *t = argument;
    int r = uc_ring_enable(t->ring);

    if (r == 0)
        UCT_UNTIL(t, t->operations);
    return (void *)(intptr_t)r;
}

static void parts_that_move_to_another_thread_end_as_cancelled(void **state)
{
    struct uct *t = *state;
    pthread_t thread;
    void *result;
    int ends[2];

    uct_pipe(t, ends, 0);
    submit_waiting(t, ends[0], 3, 20);
    UCT_UNTIL(t, uct_stats(t).in_flight == 20);
    assert_int_equal(pthread_create(&thread, NULL, take_over, t), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_null(result);
    assert_int_equal(t->operations, 1);
    assert_int_equal(t->operation_result, 3);
    for (uint32_t i = 3; i < 23; i++)
        assert_int_equal(parts[i].result, -ECANCELED);
    assert_int_equal(uc_ring_enable(t->ring), 0);
}

/* Of a file that is not in memory; some parts wait for the disk when the kernel lets go of the ring. */
static void parts_that_a_disk_is_at_end_as_cancelled_too(void **state)
{
    struct uct *t = *state;
    struct uct_place place = uct_make_place(t);
    int fd = uct_make_file(t, &place, "file", 8, UC_READ_MANY_MAX * BLOCK);
    pthread_t thread;
    void *result;

    for (uint32_t round = 1; round <= 6; round++) {
        assert_int_equal(fdatasync(fd), 0);
        assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        fill(fd, 0, UC_READ_MANY_MAX);
        t->operations = 0;
        assert_int_equal(uc_op_read_many(t->ring, parts, UC_READ_MANY_MAX, 7, NULL), 0);
        assert_int_equal(uc_ring_flush(t->ring), 0);
        assert_int_equal(pthread_create(&thread, NULL, take_over, t), 0);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_null(result);
        assert_int_equal(uc_ring_enable(t->ring), 0);
        for (uint32_t i = 0; i < UC_READ_MANY_MAX; i++)
            if (parts[i].result != -ECANCELED)
                assert_in_range(parts[i].result, 1, BLOCK);
    }
    uct_remove_place(&place);
}

static int use_in_child(void *argument)
{
    struct uct *t = argument;
    uint64_t op = 42;

    UCT_CHECK(uc_op_read_many(t->ring, parts, 1, 0, &op) == -ECHILD);
    UCT_CHECK(uc_op_set_deadline(t->ring, op, 1) == -ECHILD);
    UCT_CHECK(uc_op_truncate(t->ring, 0, 0, 0, &op) == -ECHILD);
    UCT_CHECK(op == 42);
    uc_ring_free(t->ring);
    return 0;
}

static void a_forked_child_has_no_part_in_it(void **state)
{
    struct uct *t = *state;
    int ends[2];

    uct_pipe(t, ends, 0);
    submit_waiting(t, ends[0], 3, 2);
    UCT_UNTIL(t, uct_stats(t).in_flight == 2);
    assert_int_equal(uct_in_child(use_in_child, t), 0);
    assert_int_equal(write(ends[1], "xy", 2), 2);
    assert_int_equal(uct_outcome(t, 7), 5);
}

static void *use_from_here(void *argument)
{
    struct uct *t = argument;
    uint64_t op = 42;
    bool fine = uc_op_read_many(t->ring, parts, 1, 0, &op) == -EPERM &&
                uc_op_set_deadline(t->ring, op, 1) == -EPERM &&
                uc_op_truncate(t->ring, 0, 0, 0, &op) == -EPERM && op == 42;

    return fine ? NULL : t;
}

static void another_thread_is_refused(void **state)
{
    struct uct *t = *state;
    pthread_t thread;
    void *result;

    uct_turn(t, 0);
    fill(0, 0, 1);
    assert_int_equal(pthread_create(&thread, NULL, use_from_here, t), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_null(result);
}

int main(void)
{
    static const struct uct_options registered = {
        .pool = {.buffer_bytes = 65536, .buffer_count = 4, .flags = UC_POOL_REGISTER},
    };
    const struct CMUnitTest tests[] = {
        UCT_FILES(all_parts_are_read_and_told_by_one_record),
        UCT_FILES(more_parts_than_the_queues_hold_are_read_too),
        UCT(what_is_cached_starts_no_thread),
        UCT(what_is_cached_costs_one_kernel_entry),
        UCT_FILES(a_part_that_fails_is_its_own_affair),
        UCT_WITH(parts_in_a_lease_are_read_without_mapping, "", &registered),
        UCT_FILES(what_has_not_ended_is_cancelled_as_a_whole),
        UCT_FILES(the_record_waits_for_the_last_part),
        UCT(bad_parts_are_refused_and_none_is_submitted),
        UCT_FILES(a_ring_is_freed_with_parts_in_flight),
        UCT(parts_that_move_to_another_thread_end_as_cancelled),
        UCT(parts_that_a_disk_is_at_end_as_cancelled_too),
        UCT(a_forked_child_has_no_part_in_it),
        UCT(another_thread_is_refused),
    };

    return UCT_RUN("read many", tests);
}
