/*
 * Deadlines of one-shot operations: a timer beside the operation, and whichever ends first calls
 * the other off.
 *
 * The timer is an operation of libuc's own with a slot of its own, because the kernel may look at
 * its time after the other has ended. It names the operation by its identifier, which finds nothing
 * once that has ended. io_uring could link the two, but not one timer with many reads, nor with a
 * call on a worker, nor with what is in flight already.
 *
 * The same timers put off a cancellation that found nothing although the operation has not ended. A
 * kernel finds it nowhere while it hands it to a worker (seen on 6.1), and as long as a disk is at
 * it. So it is asked again after a pause, which doubles: the first is found or has ended by then,
 * and the other, if the disk hangs, must not keep us busy.
 */
#include <uc/file.h>

#include "flow/flow.h"

#define PAUSE_NS UINT64_C(1000000)
#define PAUSE_DOUBLINGS 10 /* to about a second */

static int submit_timer(uc_ring *ring, uint32_t kind, const struct uci_slot *slot, uint64_t ns,
                        uint64_t *ret_timer)
{
    struct uci_operation operation = {.op = UCI_OP_TIMEOUT, .fd = -1};
    uint64_t op = uci_user_data(slot->kind, slot->generation, slot->index);
    struct uci_slot *timer;
    int r = uci_slot_take(&ring->slots, kind, op, &timer);

    if (r < 0)
        return r;
    timer->time.tv_sec = (int64_t)(ns / 1000000000);
    timer->time.tv_nsec = (long long)(ns % 1000000000);
    operation.address = (uint64_t)(uintptr_t)&timer->time;
    return uci_flow_submit(ring, timer, &operation, ret_timer);
}

UC_EXPORT int uc_op_set_deadline(uc_ring *ring, uint64_t op, uint64_t ns)
{
    struct uci_slot *slot;

    CHECK_RING(ring);
    slot = uci_flow_find_operation(ring, op);
    if (!slot)
        return -ESTALE;
    if (slot->deadline || slot->is_late)
        return -EALREADY;
    return submit_timer(ring, UCI_KIND_DEADLINE, slot, ns, &slot->deadline);
}

void uci_flow_cancel_later(uc_ring *ring, struct uci_slot *slot)
{
    uint64_t pause = PAUSE_NS << slot->in_vain;

    if (slot->later)
        return;
    if (submit_timer(ring, UCI_KIND_CANCEL_LATER, slot, pause, &slot->later) < 0)
        slot->cancel_owed = ring->cancels_owed = true;
    else
        slot->in_vain += slot->in_vain < PAUSE_DOUBLINGS;
}

static void pass_deadline(uc_ring *ring, struct uci_slot *slot, int32_t result)
{
    slot->deadline = 0;
    /* One that could not be set is one that has passed: better too soon than never. */
    if (result != -ECANCELED && !ring->dying) {
        slot->is_late = !slot->is_cancelled;
        uci_flow_cancel_soon(ring, slot);
    }
}

static void cancel_now(uc_ring *ring, struct uci_slot *slot)
{
    slot->later = 0;
    if (!ring->dying)
        uci_flow_cancel_soon(ring, slot);
}

bool uci_flow_complete_timer(uc_ring *ring, const struct uci_completion *completion)
{
    uint32_t kind = uci_user_data_kind(completion->user_data);
    struct uci_slot *timer =
        uci_slot_find(&ring->slots, kind, uci_user_data_generation(completion->user_data),
                      uci_user_data_index(completion->user_data));
    struct uci_slot *slot;

    if (!timer)
        return false;
    slot = uci_flow_find_operation(ring, timer->cookie);
    uci_slot_release(&ring->slots, timer);
    if (slot && kind == UCI_KIND_DEADLINE)
        pass_deadline(ring, slot, completion->result);
    else if (slot)
        cancel_now(ring, slot);
    return true;
}

/* Without room for the cancellation one ends in its time, and finds nothing. */
void uci_flow_end_timers(uc_ring *ring, struct uci_slot *slot)
{
    if (slot->deadline && !ring->dying)
        (void)uci_flow_cancel(ring, slot->deadline);
    if (slot->later && !ring->dying)
        (void)uci_flow_cancel(ring, slot->later);
}
