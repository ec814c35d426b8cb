/*
 * Deadlines of one-shot operations: a timer beside the operation, and whichever ends first calls
 * the other off.
 *
 * The timer is an operation of libuc's own with a slot of its own, because the kernel may look at
 * its time after the other has ended. It names the operation by its identifier, which finds nothing
 * once that has ended. io_uring could link the two, but not one timer with many reads, nor with a
 * call on a worker, nor with what is in flight already.
 */
#include <uc/file.h>

#include "flow/flow.h"

static int submit_timer(uc_ring *ring, uint64_t op, uint64_t ns, uint64_t *ret_timer)
{
    struct uci_operation operation = {.op = UCI_OP_TIMEOUT, .fd = -1};
    struct uci_slot *timer;
    int r = uci_slot_take(&ring->slots, UCI_KIND_DEADLINE, op, &timer);

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
    return submit_timer(ring, op, ns, &slot->deadline);
}

bool uci_flow_complete_deadline(uc_ring *ring, const struct uci_completion *completion)
{
    uint64_t user_data = completion->user_data;
    struct uci_slot *timer =
        uci_slot_find(&ring->slots, UCI_KIND_DEADLINE, uci_user_data_generation(user_data),
                      uci_user_data_index(user_data));
    struct uci_slot *slot;

    if (!timer)
        return false;
    slot = uci_flow_find_operation(ring, timer->cookie);
    uci_slot_release(&ring->slots, timer);
    if (!slot)
        return true;
    slot->deadline = 0;
    /* One that could not be set is one that has passed: better too soon than never. */
    if (completion->result != -ECANCELED && !ring->dying) {
        slot->is_late = !slot->is_cancelled;
        uci_flow_cancel_soon(ring, slot);
    }
    return true;
}

/* Without room for the cancellation it ends in its time, and finds nothing. */
void uci_flow_end_deadline(uc_ring *ring, struct uci_slot *slot)
{
    if (!ring->dying)
        (void)uci_flow_cancel(ring, slot->deadline);
}
