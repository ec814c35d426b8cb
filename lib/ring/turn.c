/*
 * One turn: take back, submit, wait, decode.
 *
 * A turn costs one kernel entry, or none when nothing is queued and either there are records
 * already, or it is not to wait and the kernel has nothing to do for us. It costs another only when
 * all that came of the first concerned libuc alone (the end of a send, a wake-up's read), so that
 * the caller is not bothered with nothing; and with busy polling, which submits before it looks.
 */
#include "backend/restriction.h"
#include "base/clock.h"
#include "flow/flow.h"

#define EVENTS_MAX 65536

/* Whether the ring goes on after a submission that failed so. */
static bool is_passing(int error)
{
    return error == -EAGAIN || error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

int uci_ring_submit(uc_ring *ring, const struct uci_operation *operation)
{
    int r;

    if (ring->dying)
        return -ESHUTDOWN;
    if (!uci_restriction_allows(ring->options.restriction, operation->op))
        return -EACCES;
    r = uci_ring_adopt(ring);
    if (r < 0)
        return r;
    r = ring->backend->table->submit(ring->backend, operation);
    if (r < 0)
        return is_passing(r) ? r : uci_ring_fail(ring, r);
    ring->outstanding++;
    ring->stats.submissions++;
    return 0;
}

int uci_ring_enter(uc_ring *ring, bool wait, int64_t timeout_ns)
{
    int r = ring->backend->table->enter(ring->backend, wait, timeout_ns);

    return r < 0 && r != -EINTR ? uci_ring_fail(ring, r) : r;
}

int uci_ring_hand_over(uc_ring *ring)
{
    int (*take_all)(struct uci_backend *) = ring->backend->table->hand_over;
    int r;

    r = take_all ? take_all(ring->backend) : ring->backend->table->enter(ring->backend, false, 0);
    if (r == -EINTR)
        r = 0;
    if (r < 0 && r != -EAGAIN)
        return uci_ring_fail(ring, r);
    return r == 0 && ring->backend->queued ? -EAGAIN : r;
}

int uci_ring_reserve_records(uc_ring *ring, uint32_t completions, uint32_t more_fds)
{
    return uci_events_reserve(&ring->events,
                              completions * UCI_RECORDS_PER_COMPLETION +
                                  (ring->attached_count + more_fds) * UCI_RECORDS_PER_FD);
}

/* The payloads of the last turn's records, unless they were kept. Last ones first: the pool gives
 * out what came back last, so that buffers side by side are provided in order again, and what
 * arrives in them can be one record. */
static void take_back(uc_ring *ring)
{
    if (ring->batch_count)
        ring->mean_payload = ring->batch_bytes / ring->batch_count;
    while (ring->batch_count)
        uci_pool_recycle_token(ring->pool, ring->batch[--ring->batch_count]);
    ring->batch_bytes = 0;
    uci_accounts_settle(ring->pool);
}

static int begin(uc_ring *ring, struct uc_event *events, uint32_t max)
{
    ring->last_count = 0;
    take_back(ring);
    ring->turn++;
    ring->wake.woken = false;
    uci_events_open(&ring->events, events, max);
    return uci_ring_adopt(ring);
}

/* Whether there is anything to return to the caller for. */
static bool must_return(const uc_ring *ring)
{
    return ring->events.out_count || ring->wake.woken;
}

/* Turn what is there into records. Return: how many completions there were, or -ENOMEM. */
static int collect(uc_ring *ring)
{
    int r;

    uci_flow_deliver_held(ring);
    r = uci_ring_carry(ring, true);
    uci_flow_deliver_held(ring);
    return r;
}

/* How long this entry may wait: no longer than until a resting buffer can serve a starved
 * receive. */
static int64_t wait_limit(uc_ring *ring, int64_t timeout_ns)
{
    uint32_t free_before = ring->pool->by_state[UCI_BUFFER_FREE];
    int64_t rest;

    if (!ring->starved)
        return timeout_ns;
    rest = uci_pool_expire(ring->pool);
    if (ring->pool->by_state[UCI_BUFFER_FREE] > free_before)
        return 0;
    return rest >= 0 && (timeout_ns < 0 || rest < timeout_ns) ? rest : timeout_ns;
}

/* Nanoseconds to the deadline, 0 when it is past; timeouts without a deadline stay as they are. */
static int64_t time_left(int64_t timeout_ns, uint64_t deadline)
{
    uint64_t now;

    if (timeout_ns <= 0)
        return timeout_ns;
    now = uci_clock_now_ns();
    return now < deadline ? (int64_t)(deadline - now) : 0;
}

static int take_turn(uc_ring *ring, int64_t timeout_ns)
{
    uint64_t deadline = timeout_ns > 0 ? uci_clock_now_ns() + (uint64_t)timeout_ns : 0;
    int64_t left = timeout_ns, limit;
    int r = collect(ring), carried;
    bool waited_fully;

    while (r >= 0) {
        r = uci_wake_arm(ring);
        if (r == 0)
            r = uci_flow_flush(ring);
        if (r < 0 || (must_return(ring) && !ring->backend->queued))
            return r;
        limit = must_return(ring) ? 0 : wait_limit(ring, left);
        waited_fully = limit == left;
        r = limit ? uci_busy_poll(ring, &limit) : 0;
        if (r < 0)
            return r;
        waited_fully = waited_fully && limit;
        r = uci_ring_enter(ring, limit != 0, limit);
        if (r < 0)
            return r;
        carried = r = collect(ring);
        if (must_return(ring) || (carried == 0 && timeout_ns == 0))
            return r;
        left = time_left(timeout_ns, deadline);
        if (timeout_ns > 0 && left == 0)
            return 0;
        /* Woken by nothing: the kernel hides a signal behind the count of what it submitted. */
        if (carried == 0 && waited_fully)
            return -EINTR;
    }
    return r;
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
    if (ring->last_count)
        return (int)ring->last_count;
    return r < 0 ? r : 0;
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
    if (r == 0)
        r = uci_ring_adopt(ring);
    if (r == 0 && ring->backend->queued)
        r = uci_ring_hand_over(ring);
    return r;
}
