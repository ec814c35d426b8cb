/* What a ring tells about itself. */
#include <errno.h>
#include <string.h>

#include "support.h"

#define FEATURES_MAX 64

static void every_feature_has_a_name_of_its_own(void **state)
{
    int count = 0;

    while (count < FEATURES_MAX && uc_feature_name(UINT64_C(1) << count))
        count++;
    assert_int_equal(count, 12);
    for (int i = count; i < FEATURES_MAX; i++)
        assert_null(uc_feature_name(UINT64_C(1) << i));
    for (int i = 0; i < count; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(uc_feature_name(UINT64_C(1) << i),
                                    uc_feature_name(UINT64_C(1) << j));
    assert_null(uc_feature_name(0));
    assert_null(uc_feature_name(3));
    assert_string_equal(uc_feature_name(UC_FEATURE_MULTISHOT_RECV), "multishot-recv");
}

static void the_defaults_are_told(void **state)
{
    struct uct *t = *state;
    struct uc_ring_info info = uct_info(t->ring);

    assert_true(info.backend == UC_BACKEND_URING || info.backend == UC_BACKEND_EPOLL);
    assert_int_equal(info.sq_entries, 128);
    assert_int_equal(info.cq_entries, 4096);
    assert_int_equal(info.halvings, 0);
    assert_int_equal(info.features & info.features_stripped, 0);
    if (!uct_sqpoll_is_forced())
        assert_int_equal(info.features & UC_FEATURE_SQPOLL, 0);
    assert_int_equal(info.features & UC_FEATURE_REGISTERED_BUFFERS, 0);
}

static void what_is_switched_off_is_not_used(void **state)
{
    for (int bit = 0; bit < 11; bit++) {
        struct uct_options options = {.ring.features_off = UINT64_C(1) << bit};
        struct uct *t = uct_open(&options);
        struct uct_link link = uct_link(t, NULL, 0);
        uint64_t sent = 0;

        assert_int_equal(uct_info(t->ring).features >> bit & 1, 0);
        assert_int_equal(uct_info(t->ring).features_stripped >> bit & 1, 0);
        assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
        uct_write_all(link.peer, 0, &sent, 1000);
        UCT_UNTIL(t, link.sink->received == sent);
        assert_true(uct_close(t));
    }
}

static void with_everything_switched_off_nothing_is_used(void **state)
{
    struct uct *t = *state;

    assert_int_equal(uct_info(t->ring).features, 0);
}

static void sqpoll_is_tried_and_the_outcome_is_told(void **state)
{
    struct uct_options options = {.ring.sqpoll = UC_SQPOLL_TRY, .ring.sqpoll_idle_ms = 10};
    struct uct *t = uct_open(&options);
    struct uc_ring_info info = uct_info(t->ring);
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0, seen = 0, written = 0;
    uint8_t bytes[1000];

    assert_true((info.features & UC_FEATURE_SQPOLL) || info.reason[0]);
    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    for (int i = 0; i < 300; i++) {
        uct_write_all(link.peer, 0, &sent, 1000);
        uct_pattern(1, written, bytes, sizeof(bytes));
        assert_true(uc_fd_send(link.sink->fd, bytes, sizeof(bytes), 0) > 0);
        written += sizeof(bytes);
        if (i % 10 == 0)
            UCT_PUMP(t, uct_read_some(link.peer, 1, &seen),
                     link.sink->received == sent && seen == written);
    }
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(uc_op_nop(t->ring, i, NULL), 0);
    UCT_PUMP(t, uct_read_some(link.peer, 1, &seen),
             link.sink->received == sent && seen == written && t->operations == 1000);
    assert_true(uct_close(t));
}

static void sqpoll_that_is_required_is_had_or_refused(void **state)
{
    struct uc_ring_options options = {.size = sizeof(options), .sqpoll = UC_SQPOLL_REQUIRE};
    struct uc_probe probe = {.size = sizeof(probe)};
    uc_ring *ring = NULL;
    int r = uc_ring_new(&options, &ring), refusal = -EOPNOTSUPP;

    assert_int_equal(uc_probe(&probe), 0);
    if (probe.asked_backend != UC_BACKEND_EPOLL && probe.error)
        refusal = probe.error; /* io_uring's own, where epoll stands in for it */
    if (r == 0)
        assert_true(uct_info(ring).features & UC_FEATURE_SQPOLL);
    else
        assert_int_equal(r, refusal);
    uc_ring_free(ring);
    options.features_off = UC_FEATURE_SQPOLL;
    ring = NULL;
    assert_int_equal(uc_ring_new(&options, &ring), refusal);
    options.sqpoll = UC_SQPOLL_TRY;
    assert_int_equal(uc_ring_new(&options, &ring), 0);
    assert_false(uct_info(ring).features & UC_FEATURE_SQPOLL);
    uc_ring_free(ring);
}

static void the_probe_agrees_with_a_ring(void **state)
{
    struct uct *t = *state;
    struct uc_probe probe = {.size = sizeof(probe)}, wrong = {.size = 1};
    uint64_t features = uct_info(t->ring).features & ~(uint64_t)UC_FEATURE_SQPOLL;

    assert_int_equal(uc_probe(&wrong), -EINVAL);
    assert_int_equal(uc_probe(&probe), 0);
    assert_int_equal(probe.backend, uct_info(t->ring).backend);
    if (probe.backend == UC_BACKEND_URING)
        assert_int_equal(probe.error, 0);
    assert_int_equal(probe.features & features, features);
    assert_true(probe.kernel_major >= 5);
    assert_true(probe.seccomp_mode >= -1 && probe.seccomp_mode <= 2);
}

static void submissions_are_completions_and_what_is_in_flight(void **state)
{
    struct uct *t = *state;
    struct uct_link link = uct_link(t, NULL, 0);
    uint64_t sent = 0;

    assert_int_equal(uc_fd_recv_start(link.sink->fd), 0);
    for (int i = 0; i < 100; i++) {
        struct uc_ring_stats stats;

        uct_write_all(link.peer, 0, &sent, 100);
        if (i % 2)
            assert_true(uc_fd_send(link.sink->fd, "x", 1, 0) > 0);
        if (i % 3)
            assert_int_equal(uc_op_timeout(t->ring, 1000000, 0, NULL), 0);
        uct_turn(t, 0);
        stats = uct_stats(t);
        assert_int_equal(stats.submissions, stats.completions + stats.in_flight);
    }
}

int main(void)
{
    static const struct uct_options plain = {.ring.features_off = UINT64_MAX};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_feature_has_a_name_of_its_own),
        UCT(the_defaults_are_told),
        cmocka_unit_test(what_is_switched_off_is_not_used),
        UCT_WITH(with_everything_switched_off_nothing_is_used, "", &plain),
        cmocka_unit_test(sqpoll_is_tried_and_the_outcome_is_told),
        cmocka_unit_test(sqpoll_that_is_required_is_had_or_refused),
        UCT(the_probe_agrees_with_a_ring),
        UCT(submissions_are_completions_and_what_is_in_flight),
    };

    return UCT_RUN("info", tests);
}
