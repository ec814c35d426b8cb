/* Zero-copy sends whose notices come when, and in the order, that a test chooses. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "simulated.h"

#define BYTES 1000

static uint8_t memory[SIM_SENDS * BYTES];

struct party {
    struct uct_link link;
    uint64_t sent, seen;
};

static struct uc_fd_status status_of(const struct party *p)
{
    struct uc_fd_status status = {.size = sizeof(status)};

    assert_int_equal(uc_fd_get_status(p->link.sink->fd, &status), 0);
    return status;
}

static void queue(struct party *p, uint32_t flags)
{
    assert_true(p->sent + BYTES <= sizeof(memory));
    uct_pattern(1, p->sent, memory + p->sent, BYTES);
    assert_true(uc_fd_send(p->link.sink->fd, memory + p->sent, BYTES, flags) > 0);
    p->sent += BYTES;
}

static void arrives(struct uct *t, struct party *p)
{
    UCT_PUMP(t, uct_read_some(p->link.peer, 1, &p->seen),
             p->seen == p->sent && status_of(p).queued_bytes == 0);
}

/* One after the other, each in a send of its own. */
static void send_each(struct uct *t, struct party *p, uint32_t count, uint32_t flags)
{
    for (uint32_t i = 0; i < count; i++) {
        queue(p, flags);
        arrives(t, p);
    }
}

static struct party open_party(struct uct *t, const struct uc_fd_options *options)
{
    return (struct party){.link = uct_link(t, options, 0)};
}

/* One whose peer is far away, as far as libuc knows, and which sends so from BYTES on. */
static struct party open_distant(struct uct *t)
{
    struct uc_fd_options options = {.size = sizeof(options), .zero_copy_bytes = BYTES};
    struct party p = open_party(t, &options);

    p.link.sink->fd->zero_copy.state = UC_ZERO_COPY_IN_USE;
    return p;
}

static void give_notice(struct uct *t, struct sim *sim, uint32_t send, bool copied)
{
    uint64_t before = uct_stats(t).completions;

    sim_notice(sim, send, copied);
    UCT_UNTIL(t, uct_stats(t).completions == before + 1);
}

static void finish(struct uct *t, struct sim *sim, struct party *p)
{
    sim_notice_all(sim);
    UCT_UNTIL(t, p->link.sink->fd->zero_copy.outstanding == 0);
    assert_int_equal(t->ring->zero_copy_in_flight, 0);
}

static void the_next_send_leaves_before_the_notice(void **state)
{
    struct uct *t = *state;
    struct sim *sim = sim_install(t);
    struct party p = open_party(t, NULL);

    send_each(t, &p, 3, UC_SEND_ZERO_COPY);
    assert_int_equal(sim->count, 3);
    assert_int_equal(sim->outstanding, 3);
    assert_int_equal(status_of(&p).in_flight, 3);
    assert_int_equal(uct_stats(t).in_flight, 3);
    assert_int_equal(p.link.sink->references, 0);
    finish(t, sim, &p);
    assert_int_equal(p.link.sink->references, 3);
}

static void references_come_back_in_the_order_of_sending(void **state)
{
    /* Of six sends, and how many references are the caller's after each. */
    static const uint32_t order[] = {4, 1, 0, 5, 3, 2}, back[] = {0, 0, 2, 2, 2, 6};
    struct uct *t = *state;
    struct sim *sim = sim_install(t);
    struct party p = open_party(t, NULL);

    send_each(t, &p, 6, UC_SEND_ZERO_COPY);
    for (int i = 0; i < 6; i++) {
        give_notice(t, sim, order[i], false);
        assert_int_equal(p.link.sink->references, back[i]);
        assert_int_equal(status_of(&p).in_flight, 5 - i);
    }
}

static void what_was_copied_behind_one_waits_with_it(void **state)
{
    struct uct *t = *state;
    struct sim *sim = sim_install(t);
    struct party p = open_party(t, NULL);

    send_each(t, &p, 1, UC_SEND_REFERENCE);
    assert_int_equal(p.link.sink->references, 1);
    send_each(t, &p, 1, UC_SEND_ZERO_COPY);
    send_each(t, &p, 2, UC_SEND_REFERENCE);
    assert_int_equal(sim->count, 1);
    assert_int_equal(p.link.sink->references, 1);
    give_notice(t, sim, 0, false);
    assert_int_equal(p.link.sink->references, 4);
}

/* A head that libuc has copied leaves with the body, without a copy: its memory is the kernel's
 * until the notice too, and no later write may land there. */
static void copied_bytes_that_left_with_a_reference_are_not_used_again(void **state)
{
    struct uct *t = *state;
    struct sim *sim = sim_install(t);
    struct party p = open_party(t, NULL);
    const struct msghdr *message;
    const uint8_t *head;

    queue(&p, 0);
    queue(&p, UC_SEND_ZERO_COPY);
    assert_int_equal(uc_ring_flush(t->ring), 0);
    assert_int_equal(sim->count, 1);
    assert_int_equal(sim->sends[0].op, UCI_OP_SENDMSG);
    message = (const struct msghdr *)(uintptr_t)sim->sends[0].address;
    assert_int_equal(message->msg_iovlen, 2);
    head = message->msg_iov[0].iov_base;
    assert_memory_equal(head, memory, BYTES);
    arrives(t, &p);
    send_each(t, &p, 20, 0);
    assert_memory_equal(head, memory, BYTES);
    finish(t, sim, &p);
    assert_int_equal(p.link.sink->references, 1);
}

static void a_short_send_is_continued_and_its_memory_waits_for_both_notices(void **state)
{
    struct uct *t = *state;
    struct sim *sim = sim_install(t);
    struct party p = open_party(t, NULL);

    sim->cut_to = BYTES / 3;
    send_each(t, &p, 1, UC_SEND_ZERO_COPY);
    assert_int_equal(sim->count, 2);
    assert_int_equal(sim->sends[0].result, BYTES / 3);
    assert_int_equal(sim->sends[1].length, BYTES - BYTES / 3);
    give_notice(t, sim, 1, false);
    assert_int_equal(p.link.sink->references, 0);
    give_notice(t, sim, 0, false);
    assert_int_equal(p.link.sink->references, 1);
}

static void notices_take_no_credit(void **state)
{
    struct uc_fd_options options = {.size = sizeof(options), .credit_ops = 1};
    struct uct *t = *state;
    struct sim *sim = sim_install(t);
    struct party p = open_party(t, &options);
    uint64_t position = 0;

    send_each(t, &p, 5, UC_SEND_ZERO_COPY);
    assert_int_equal(sim->outstanding, 5);
    assert_int_equal(uc_fd_recv_start(p.link.sink->fd), 0);
    p.link.sink->seed = 3;
    uct_write_all(p.link.peer, 3, &position, 100);
    UCT_UNTIL(t, p.link.sink->received == 100);
    finish(t, sim, &p);
}

static void beyond_what_is_waited_for_the_kernel_copies(void **state)
{
    struct uct *t = *state;
    struct sim *sim = sim_install(t);
    struct party p = open_party(t, NULL);

    send_each(t, &p, UCI_NOTICES_MAX + 5, UC_SEND_ZERO_COPY);
    assert_int_equal(sim->count, UCI_NOTICES_MAX);
    give_notice(t, sim, 1, false); /* not the oldest: the numbers still span as many */
    send_each(t, &p, 1, UC_SEND_ZERO_COPY);
    assert_int_equal(sim->count, UCI_NOTICES_MAX);
    give_notice(t, sim, 0, false);
    assert_int_equal(p.link.sink->references, 2);
    send_each(t, &p, 3, UC_SEND_ZERO_COPY);
    assert_int_equal(sim->count, UCI_NOTICES_MAX + 2);
    finish(t, sim, &p);
    assert_int_equal(p.link.sink->references, UCI_NOTICES_MAX + 9);
}

static void after_a_report_of_copying_only_demand_counts(void **state)
{
    struct uct *t = *state;
    struct sim *sim = sim_install(t);
    struct party p = open_distant(t);

    send_each(t, &p, 2, UC_SEND_REFERENCE);
    assert_int_equal(sim->count, 2);
    give_notice(t, sim, 0, false);
    assert_int_equal(status_of(&p).zero_copy, UC_ZERO_COPY_IN_USE);
    give_notice(t, sim, 1, true);
    assert_int_equal(status_of(&p).zero_copy, UC_ZERO_COPY_COPIED);
    send_each(t, &p, 1, UC_SEND_REFERENCE);
    assert_int_equal(sim->count, 2);
    send_each(t, &p, 1, UC_SEND_ZERO_COPY);
    assert_int_equal(sim->count, 3);
    assert_int_equal(uct_stats(t).zero_copy_sends, 3);
    assert_int_equal(uct_stats(t).zero_copy_copied, 1);
    finish(t, sim, &p);
}

static void small_and_copied_writes_are_not_asked_about(void **state)
{
    struct uct *t = *state;
    struct sim *sim = sim_install(t);
    struct party p = open_distant(t);

    send_each(t, &p, 1, 0);
    assert_true(uc_fd_send(p.link.sink->fd, memory, 1, UC_SEND_REFERENCE) > 0);
    UCT_UNTIL(t, p.link.sink->references == 1);
    assert_int_equal(sim->count, 0);
}

static void a_refusal_with_or_without_a_notice_is_sent_with_a_copy(void **state)
{
    static const int32_t errors[] = {-EOPNOTSUPP, -EINVAL};
    struct uct *t = *state;
    struct sim *sim = sim_install(t);

    for (int i = 0; i < 4; i++) {
        struct party p = open_party(t, NULL);
        uint32_t before = sim->count;

        sim->refuse_with = errors[i / 2];
        sim->refusal_has_notice = i % 2;
        send_each(t, &p, 2, UC_SEND_ZERO_COPY);
        assert_int_equal(sim->count, before + 1);
        assert_int_equal(status_of(&p).zero_copy, UC_ZERO_COPY_UNSUPPORTED);
        if (i % 2) {
            assert_int_equal(status_of(&p).in_flight, 1);
            give_notice(t, sim, before, true); /* of nothing */
        }
        UCT_UNTIL(t, p.link.sink->references == 2);
        assert_int_equal(status_of(&p).in_flight, 0);
        assert_int_equal(p.link.sink->failed, 0);
    }
    assert_int_equal(uct_stats(t).zero_copy_sends, 0);
    assert_int_equal(uct_stats(t).zero_copy_copied, 0);
}

static void want_of_memory_is_for_one_send(void **state)
{
    struct uct *t = *state;
    struct sim *sim = sim_install(t);
    struct party p = open_distant(t);

    sim->refuse_with = -ENOMEM;
    send_each(t, &p, 3, UC_SEND_REFERENCE);
    assert_int_equal(sim->count, 3); /* the first was refused and copied */
    assert_int_equal(status_of(&p).zero_copy, UC_ZERO_COPY_IN_USE);
    assert_int_equal(uct_stats(t).zero_copy_sends, 2);
    finish(t, sim, &p);
    assert_int_equal(p.link.sink->references, 3);
}

static void an_interruption_with_a_notice_is_tried_again(void **state)
{
    struct uct *t = *state;
    struct sim *sim = sim_install(t);
    struct party p = open_distant(t);

    sim->refuse_with = -EINTR;
    sim->refusal_has_notice = true;
    send_each(t, &p, 1, UC_SEND_REFERENCE);
    assert_int_equal(sim->count, 2);
    assert_int_equal(status_of(&p).in_flight, 2);
    give_notice(t, sim, 0, true); /* of nothing */
    assert_int_equal(status_of(&p).zero_copy, UC_ZERO_COPY_IN_USE);
    assert_int_equal(p.link.sink->references, 0);
    give_notice(t, sim, 1, false);
    assert_int_equal(p.link.sink->references, 1);
}

/* A failure gives every reference back: so it is told when the last notice has come. */
static void a_failure_is_told_after_the_notices(void **state)
{
    struct uct *t = *state;
    struct sim *sim = sim_install(t);
    struct party p = open_party(t, NULL);

    send_each(t, &p, 2, UC_SEND_ZERO_COPY);
    sim->refuse_with = -ECONNRESET;
    sim->refusal_has_notice = true;
    queue(&p, UC_SEND_ZERO_COPY);
    uct_turn(t, 0);
    assert_int_equal(uc_fd_send(p.link.sink->fd, "x", 1, 0), -EPIPE);
    for (uint32_t i = 0; i < 3; i++) {
        uct_turn(t, 0);
        assert_int_equal(p.link.sink->failed, 0);
        give_notice(t, sim, 2 - i, false);
    }
    assert_int_equal(p.link.sink->failed, 1);
    assert_int_equal(p.link.sink->failed_result, -ECONNRESET);
    assert_int_equal(status_of(&p).queued_bytes, 0);
    assert_int_equal(sim->count, 3);
}

static void a_close_waits_for_notices_and_an_abort_fetches_them(void **state)
{
    static const uint32_t flags[] = {0, UC_CLOSE_ABORT};
    struct uct *t = *state;
    struct sim *sim = sim_install(t);

    for (uint32_t i = 0; i < 2; i++) {
        struct party p = open_party(t, NULL);

        send_each(t, &p, 2, UC_SEND_ZERO_COPY);
        assert_int_equal(uc_fd_close(p.link.sink->fd, flags[i]), 0);
        assert_int_equal(sim->resets, i);
        if (flags[i] == 0) {
            for (int turn = 0; turn < 5; turn++)
                uct_turn(t, 0);
            sim_notice(sim, 1, false);
            uct_turn(t, 0);
            assert_int_equal(p.link.sink->closed, 0);
            sim_notice(sim, 0, false);
        }
        UCT_UNTIL(t, p.link.sink->closed);
    }
}

static const struct uct_options registering = {.pool = {.size = sizeof(struct uc_pool_options),
                                                        .flags = UC_POOL_REGISTER,
                                                        .buffer_count = 64}};

static void what_lies_in_the_registered_pool_is_sent_as_that(void **state)
{
    struct uct *t = *state;
    struct sim *sim = sim_install(t);
    struct uc_pool_stats stats = {.size = sizeof(stats)};
    struct party p = open_party(t, NULL);
    struct uc_lease lease;
    uint8_t *bytes;

    assert_int_equal(uc_pool_get_stats(t->pool, &stats), 0);
    if (!stats.registered_bytes) {
        print_message("the pool is not registered here\n");
        skip();
    }
    assert_int_equal(uc_pool_lease(t->pool, &lease), 0);
    bytes = (uint8_t *)uc_pool_base(t->pool) + lease.offset;
    uct_pattern(1, 0, bytes, BYTES);
    assert_true(uc_fd_send(p.link.sink->fd, bytes, BYTES, UC_SEND_ZERO_COPY) > 0);
    p.sent = BYTES;
    arrives(t, &p);
    send_each(t, &p, 1, UC_SEND_ZERO_COPY);
    assert_int_equal(sim->count, 2);
    assert_true(sim->sends[0].shape & UCI_OPERATION_FIXED);
    assert_false(sim->sends[1].shape & UCI_OPERATION_FIXED);
    finish(t, sim, &p);
    assert_int_equal(uc_pool_release(t->pool, lease.token), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UCT(the_next_send_leaves_before_the_notice),
        UCT(references_come_back_in_the_order_of_sending),
        UCT(what_was_copied_behind_one_waits_with_it),
        UCT(copied_bytes_that_left_with_a_reference_are_not_used_again),
        UCT(a_short_send_is_continued_and_its_memory_waits_for_both_notices),
        UCT(notices_take_no_credit),
        UCT(beyond_what_is_waited_for_the_kernel_copies),
        UCT(after_a_report_of_copying_only_demand_counts),
        UCT(small_and_copied_writes_are_not_asked_about),
        UCT(a_refusal_with_or_without_a_notice_is_sent_with_a_copy),
        UCT(want_of_memory_is_for_one_send),
        UCT(an_interruption_with_a_notice_is_tried_again),
        UCT(a_failure_is_told_after_the_notices),
        UCT(a_close_waits_for_notices_and_an_abort_fetches_them),
        UCT_WITH(what_lies_in_the_registered_pool_is_sent_as_that, "", &registering),
    };

    return UCT_RUN("notices", tests);
}
