/*
 * One turn: take back, submit, wait, decode.
 *
 * A turn costs one kernel entry. It costs another only when all that came of the first concerned
 * libuc alone (the end of a send, a wake-up's read), so that the caller is not bothered with
 * nothing.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "flow/flow.h"

#define EVENTS_MAX 65536

int uci_ring_submit(uc_ring *ring, const struct uci_operation *operation)
{
    int r;

    if (ring->dying)
        return -ESHUTDOWN;
    r = uci_ring_adopt(ring);
    if (r == 0)
        r = ring->backend->table->submit(ring->backend, operation);
    if (r < 0)
        return r;
    ring->outstanding++;
    ring->unsubmitted++;
    ring->stats.submissions++;
    return 0;
}

int uci_ring_enter(uc_ring *ring, bool wait, int64_t timeout_ns)
{
    int r = ring->backend->table->enter(ring->backend, wait, timeout_ns);

    if (r == 0)
        ring->unsubmitted = 0;
    else if (r != -EINTR)
        ring->fatal = r;
    return r;
}

int uci_ring_reserve_records(uc_ring *ring, uint32_t completions, uint32_t more_fds)
{
    return uci_events_reserve(&ring->events,
                              completions * UCI_RECORDS_PER_COMPLETION +
                                  (ring->attached_count + more_fds) * UCI_RECORDS_PER_FD);
}

/* The payloads of the last turn's records, unless they were kept. */
static void take_back(uc_ring *ring)
{
    for (uint32_t i = 0; i < ring->batch_count; i++)
        uci_pool_recycle_token(ring->pool, ring->batch[i]);
    ring->batch_count = 0;
}

static int begin(uc_ring *ring, struct uc_event *events, uint32_t max)
{
    uint64_t *batch;
    int r;

    ring->last_count = 0;
    take_back(ring);
    if (ring->batch_capacity < max) {
        batch = realloc(ring->batch, max * sizeof(*batch));
        if (!batch)
            return -ENOMEM;
        ring->batch = batch;
        ring->batch_capacity = max;
    }
    r = uci_ring_adopt(ring);
    if (r < 0)
        return r;
    ring->turn++;
    ring->wake.woken = false;
    uci_events_open(&ring->events, events, max);
    uci_flow_deliver_held(ring);
    return uci_ring_carry(ring, true);
}

/* How long this entry may wait: no longer than until a resting buffer can serve a starved
 * receive. */
static int64_t wait_limit(uc_ring *ring, int64_t timeout_ns)
{
    int64_t rest = ring->starved ? uci_pool_expire(ring->pool) : -1;

    if (rest < 0)
        return timeout_ns;
    return timeout_ns < 0 || rest < timeout_ns ? rest : timeout_ns;
}

static int take_turn(uc_ring *ring, int64_t timeout_ns)
{
    uint64_t deadline = timeout_ns > 0 ? uci_clock_now_ns() + (uint64_t)timeout_ns : 0;
    int64_t left = timeout_ns;
    int r;

    for (;;) {
        r = uci_wake_arm(ring);
        if (r == 0)
            r = uci_flow_flush(ring);
        if (r < 0)
            return r;
        if (ring->events.out_count && !ring->unsubmitted)
            return 0;
        r = uci_ring_enter(ring, ring->events.out_count == 0 && left != 0, wait_limit(ring, left));
        if (r < 0)
            return r;
        r = uci_ring_carry(ring, true);
        if (r < 0 || ring->events.out_count || ring->wake.woken || timeout_ns == 0)
            return r;
        if (timeout_ns > 0) {
            left = (int64_t)(deadline - uci_clock_now_ns());
            if (left <= 0)
                return 0;
        }
    }
}

UC_EXPORT int uc_ring_wait(uc_ring *ring, struct uc_event *events, uint32_t max, int64_t timeout_ns)
{
    int r;

    CHECK_RING(ring);
    CHECK_ARG(events && max && max <= EVENTS_MAX);
    r = begin(ring, events, max);
    if (r == 0)
        r = take_turn(ring, timeout_ns);
    ring->last_count = uci_events_close(&ring->events);
    return ring->last_count ? (int)ring->last_count : r;
}

UC_EXPORT int uc_ring_last_count(uc_ring *ring)
{
    CHECK_RING(ring);
    return (int)ring->last_count;
}

UC_EXPORT int uc_ring_flush(uc_ring *ring)
{
    int r;

    CHECK_RING(ring);
    r = uci_flow_flush(ring);
    if (r == 0 && ring->unsubmitted)
        r = uci_ring_enter(ring, false, 0);
    return r == -EINTR ? 0 : r;
}
