/* All kinds of operations at once, cancelled, late and left behind: each ends with one record. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "places.h"

#define OPERATIONS 2000
#define AT_ONCE 100
#define PARTS 5
#define PIPES 4

struct one {
    uint64_t op;
    uint32_t records;
    bool many;
    char text[PARTS][64];
    struct uc_read_part parts[PARTS];
};

struct mix {
    struct uct *t;
    struct uct_place place;
    int file, pipes[PIPES][2];
    uint32_t random, submitted, ended;
    struct one ones[OPERATIONS];
};

static uint32_t next(struct mix *m, uint32_t below)
{
    m->random = m->random * 1664525 + 1013904223;
    return (m->random >> 8) % below;
}

static int submit_many(struct mix *m, struct one *one, uint64_t cookie)
{
    one->many = true;
    for (int i = 0; i < PARTS; i++)
        one->parts[i] = (struct uc_read_part){
            .fd = next(m, 4) ? m->file : m->pipes[next(m, PIPES)][0],
            .bytes = 1 + next(m, 64),
            .offset = UC_OFFSET_CURRENT,
            .buffer = one->text[i],
        };
    return uc_op_read_many(m->t->ring, one->parts, PARTS, cookie, &one->op);
}

static int submit(struct mix *m, struct one *one, uint64_t cookie)
{
    uc_ring *ring = m->t->ring;
    int pipe_end = m->pipes[next(m, PIPES)][0];

    switch (next(m, 7)) {
    case 0:
        return uc_op_readlink(ring, AT_FDCWD, "/proc/self/exe", one->text[0], 64, cookie, &one->op);
    case 1:
        return uc_op_truncate(ring, m->file, 1000 + next(m, 1000), cookie, &one->op);
    case 2:
        return uc_op_read(ring, pipe_end, one->text[0], 8, UC_OFFSET_CURRENT, cookie, &one->op);
    case 3:
        return uc_op_timeout(ring, next(m, 2000000), cookie, &one->op);
    case 4:
        return uc_op_symlink(ring, "/", m->place.fd, "link", cookie, &one->op);
    case 5:
        return uc_op_unlink(ring, m->place.fd, "link", 0, cookie, &one->op);
    default:
        return submit_many(m, one, cookie);
    }
}

static void check_record(struct mix *m, const struct uc_event *event)
{
    struct one *one = &m->ones[event->cookie];
    int32_t fine = 0;

    assert_int_equal(event->kind, UC_EVENT_OPERATION);
    assert_int_equal(++one->records, 1);
    m->ended++;
    for (int i = 0; one->many && i < PARTS; i++) {
        assert_int_not_equal(one->parts[i].result, -EINPROGRESS);
        fine += one->parts[i].result >= 0;
    }
    if (one->many)
        assert_int_equal(event->result, fine);
}

/* Ask something of one that may have ended. */
static void disturb(struct mix *m)
{
    uint64_t op = m->ones[next(m, m->submitted)].op;
    int r;

    switch (next(m, 3)) {
    case 0:
        r = uc_op_cancel(m->t->ring, op);
        assert_true(r == 0 || r == -ESTALE || r == -EAGAIN);
        break;
    case 1:
        r = uc_op_set_deadline(m->t->ring, op, next(m, 1000000));
        assert_true(r == 0 || r == -ESTALE || r == -EALREADY || r == -EAGAIN);
        break;
    default:
        assert_int_equal(write(m->pipes[next(m, PIPES)][1], "abcdefgh", 8), 8);
        break;
    }
}

static void turn(struct mix *m, int64_t timeout_ns)
{
    int n = uc_ring_wait(m->t->ring, m->t->events, m->t->max_events, timeout_ns);

    assert_true(n >= 0 || n == -EINTR);
    for (int i = 0; i < n; i++)
        check_record(m, &m->t->events[i]);
}

static struct mix *begin(struct uct *t, uint32_t seed)
{
    struct mix *m = calloc(1, sizeof(*m));

    assert_non_null(m);
    m->t = t;
    m->random = seed;
    m->place = uct_make_place(t);
    m->file = uct_make_file(t, &m->place, "file", 1, 2000);
    for (int i = 0; i < PIPES; i++)
        uct_pipe(t, m->pipes[i], 0);
    return m;
}

static void step(struct mix *m)
{
    if (m->submitted < OPERATIONS && m->submitted - m->ended < AT_ONCE) {
        assert_int_equal(submit(m, &m->ones[m->submitted], m->submitted), 0);
        m->submitted++;
    }
    if (next(m, 2))
        disturb(m);
    if (next(m, 4) == 0)
        turn(m, 0);
}

static void end(struct mix *m)
{
    uct_remove_place(&m->place);
    free(m);
}

static void each_ends_with_one_record(void **state)
{
    struct uct *t = *state;
    struct mix *m = begin(t, 1);
    uint64_t until = uct_now_ms() + uct_deadline_ms();

    while (m->submitted < OPERATIONS) {
        assert_true(uct_now_ms() < until);
        step(m);
        if (m->submitted - m->ended == AT_ONCE)
            turn(m, 1000000);
    }
    for (uint32_t i = 0; i < OPERATIONS; i++)
        if (!m->ones[i].records)
            (void)uc_op_cancel(t->ring, m->ones[i].op);
    while (m->ended < OPERATIONS) {
        assert_true(uct_now_ms() < until);
        turn(m, 10000000);
    }
    end(m);
}

/* At any moment; ASan would tell of memory that is used or lost. */
static void a_ring_is_freed_in_the_middle(void **state)
{
    struct uct *t = *state;
    struct mix *m = begin(t, 2);

    for (int i = 0; i < 300; i++)
        step(m);
    t->ring = uc_ring_free(t->ring);
    end(m);
}

static void *take_over(void *argument)
{
    struct mix *m = argument;
    uint64_t until = uct_now_ms() + uct_deadline_ms();
    int r = uc_ring_enable(m->t->ring);

    while (r == 0 && m->ended < m->submitted && uct_now_ms() < until)
        turn(m, 10000000);
    return (void *)(intptr_t)r;
}

static void all_end_when_the_ring_moves(void **state)
{
    struct uct *t = *state;
    struct mix *m = begin(t, 3);

    for (int round = 0; round < 4; round++) {
        pthread_t thread;
        void *result;

        for (int i = 0; i < 100; i++)
            step(m);
        assert_int_equal(pthread_create(&thread, NULL, take_over, m), 0);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_null(result);
        assert_int_equal(m->ended, m->submitted);
        assert_int_equal(uc_ring_enable(t->ring), 0);
    }
    end(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UCT_FILES(each_ends_with_one_record),
        UCT_FILES(a_ring_is_freed_in_the_middle),
        UCT(all_end_when_the_ring_moves),
    };

    return UCT_RUN("files mixed", tests);
}
