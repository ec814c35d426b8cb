/*
 * Many reads with one record.
 *
 * One slot counts the parts; a part is an operation of its own without one. Its 64 bits have the
 * slot's index, and where the generation stands 22 bits of the slot's and 10 that say which part.
 * Results go into the caller's array, where -EINPROGRESS says that a part has not ended.
 */
#include <uc/file.h>

#include "flow/flow.h"

#define PART_BITS 10
#define PART_MASK (UC_READ_MANY_MAX - 1)

_Static_assert(UC_READ_MANY_MAX == 1u << PART_BITS, "a part's number has its bits");

uint64_t uci_flow_part(const struct uci_slot *slot, uint32_t part)
{
    return uci_user_data(UCI_KIND_PART, slot->generation << PART_BITS | part, slot->index);
}

bool uci_flow_part_has_ended(const struct uci_slot *slot, uint32_t part)
{
    return slot->many.parts[part].result != -EINPROGRESS;
}

static int check_parts(const struct uc_read_part *parts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        CHECK_ARG(parts[i].buffer && parts[i].bytes && parts[i].bytes <= UCI_FILE_BYTES_MAX);
        CHECK_ARG(!parts[i].reserved);
        if (parts[i].fd < 0)
            return -EBADF;
    }
    return 0;
}

/* A ring that is smaller than all parts has to give completions away before it takes more. */
static int submit_part(uc_ring *ring, const struct uci_operation *operation)
{
    int r = uci_ring_submit(ring, operation);

    if (r == -EAGAIN && uci_ring_park_all(ring) == 0)
        r = uci_ring_submit(ring, operation);
    return r;
}

/* Return: how many were submitted; all, unless *@ret_error says why not. */
static uint32_t submit_parts(uc_ring *ring, struct uci_slot *slot, int *ret_error)
{
    struct uc_read_part *parts = slot->many.parts;

    for (uint32_t i = 0; i < slot->many.count; i++) {
        struct uci_operation operation = {
            .op = UCI_OP_READ,
            .fd = parts[i].fd,
            .address = (uint64_t)(uintptr_t)parts[i].buffer,
            .length = parts[i].bytes,
            .offset = parts[i].offset,
            .user_data = uci_flow_part(slot, i),
        };

        if (uci_flow_is_registered(ring, parts[i].buffer, parts[i].bytes))
            operation.shape = UCI_OPERATION_FIXED;
        *ret_error = submit_part(ring, &operation);
        if (*ret_error < 0)
            return i;
        parts[i].result = -EINPROGRESS;
    }
    return slot->many.count;
}

UC_EXPORT int uc_op_read_many(uc_ring *ring, struct uc_read_part *parts, uint32_t count,
                              uint64_t cookie, uint64_t *ret_op)
{
    struct uci_slot *slot;
    uint32_t submitted;
    int r;

    CHECK_RING(ring);
    CHECK_ARG(parts && count && count <= UC_READ_MANY_MAX);
    r = check_parts(parts, count);
    if (r == 0)
        r = uci_slot_take(&ring->slots, UCI_KIND_READ_MANY, cookie, &slot);
    if (r < 0)
        return r;
    slot->many = (struct uci_slot_many){.parts = parts, .count = count};
    submitted = submit_parts(ring, slot, &r);
    if (!submitted) {
        uci_slot_release(&ring->slots, slot);
        return r;
    }
    for (uint32_t i = submitted; i < count; i++)
        parts[i].result = r;
    slot->many.left = submitted;
    slot->many.failed = count - submitted;
    if (ret_op)
        *ret_op = uci_user_data(slot->kind, slot->generation, slot->index);
    return 0;
}

int uci_flow_cancel_parts(uc_ring *ring, struct uci_slot *slot)
{
    int r = 0;

    for (uint32_t i = 0; i < slot->many.count && r == 0; i++)
        if (!uci_flow_part_has_ended(slot, i))
            r = uci_flow_cancel(ring, uci_flow_part(slot, i));
    return r;
}

/* Return: the slot of a part that is in flight, or NULL. */
static struct uci_slot *slot_of(uc_ring *ring, uint64_t user_data, uint32_t *ret_part)
{
    struct uci_slot *slot = uci_slot_at(&ring->slots, uci_user_data_index(user_data));
    uint32_t part = uci_user_data_generation(user_data) & PART_MASK;

    if (!slot || slot->kind != UCI_KIND_READ_MANY || part >= slot->many.count ||
        uci_user_data_generation(user_data) != (slot->generation << PART_BITS | part) ||
        uci_flow_part_has_ended(slot, part))
        return NULL;
    *ret_part = part;
    return slot;
}

bool uci_flow_complete_part(uc_ring *ring, const struct uci_completion *completion)
{
    uint32_t part;
    struct uci_slot *slot = slot_of(ring, completion->user_data, &part);
    struct uci_slot_many *many;

    if (!slot)
        return false;
    many = &slot->many;
    many->parts[part].result = uci_flow_result(slot, completion->result);
    many->failed += completion->result < 0;
    if (--many->left == 0)
        uci_flow_end_slot(ring, slot, (int32_t)(many->count - many->failed));
    return true;
}

void uci_flow_complete_cancel_part(uc_ring *ring, const struct uci_completion *completion)
{
    uint32_t part;
    struct uci_slot *slot;

    if (completion->result != -ENOENT || ring->dying)
        return;
    slot = slot_of(ring, completion->user_data, &part);
    if (slot)
        uci_flow_cancel_later(ring, slot);
}
