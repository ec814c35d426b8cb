/*
 * Road 1, the second half: once per turn, what the public functions asked for becomes operations.
 *
 * Descriptors with something to arm are on the ring's waiting list. What cannot be armed for want
 * of credit comes back to the list with the completion that returns the credit; what cannot be
 * armed for want of a buffer stays on it.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "flow/flow.h"

static const uint8_t lane_of_kind[] = {
    [UCI_KIND_RECV] = UCI_LANE_READ,  [UCI_KIND_ACCEPT] = UCI_LANE_READ,
    [UCI_KIND_SEND] = UCI_LANE_WRITE, [UCI_KIND_CONNECT] = UCI_LANE_WRITE,
    [UCI_KIND_POLL] = UCI_LANE_POLL,
};

void uci_flow_arm_later(uc_fd *fd)
{
    if (!uci_list_has(&fd->waiting))
        uci_list_append(&fd->ring->waiting, &fd->waiting);
}

/* Of a one-shot operation, one that found nothing is asked again. */
static uint32_t kind_of_cancel(uint32_t target)
{
    if (target == UCI_KIND_PART)
        return UCI_KIND_CANCEL_PART;
    return target > UCI_KIND_FD_LAST && target <= UCI_KIND_SLOT_LAST ? UCI_KIND_CANCEL_SLOT
                                                                     : UCI_KIND_CANCEL;
}

int uci_flow_cancel(uc_ring *ring, uint64_t user_data)
{
    uint32_t kind = kind_of_cancel(uci_user_data_kind(user_data));
    struct uci_operation operation = {
        .op = UCI_OP_CANCEL,
        .fd = -1,
        .offset = user_data,
        .user_data = uci_user_data(kind, uci_user_data_generation(user_data),
                                   uci_user_data_index(user_data)),
    };

    return uci_ring_submit(ring, &operation);
}

int uci_flow_cancel_slot(uc_ring *ring, struct uci_slot *slot)
{
    if (slot->kind == UCI_KIND_READ_MANY)
        return uci_flow_cancel_parts(ring, slot);
    return uci_flow_cancel(ring, uci_user_data(slot->kind, slot->generation, slot->index));
}

void uci_flow_cancel_soon(uc_ring *ring, struct uci_slot *slot)
{
    slot->cancel_owed = uci_flow_cancel_slot(ring, slot) < 0;
    ring->cancels_owed |= slot->cancel_owed;
}

/* Cancellations of one-shot operations that found no room. */
static void cancel_slots_again(uc_ring *ring)
{
    struct uci_slot *slot;

    ring->cancels_owed = false;
    for (uint32_t i = 0; (slot = uci_slot_at(&ring->slots, i)); i++)
        if (slot->kind && slot->cancel_owed)
            uci_flow_cancel_soon(ring, slot);
}

void uci_flow_cancel_lane(uc_fd *fd, enum uci_lane lane)
{
    uint32_t bit = UINT32_C(1) << lane;

    fd->cancels_owed &= ~bit;
    if (!fd->lanes[lane] || uci_flow_cancel(fd->ring, fd->lanes[lane]) == 0)
        return;
    fd->cancels_owed |= bit;
    uci_flow_arm_later(fd);
}

/* Cancellations that found no room. */
static void cancel_again(uc_fd *fd)
{
    uint32_t owed = fd->cancels_owed;

    for (uint32_t lane = 0; lane < UCI_LANES; lane++)
        if (owed & UINT32_C(1) << lane)
            uci_flow_cancel_lane(fd, lane);
}

/* Submit an operation of a descriptor under a new generation. */
static int arm(uc_fd *fd, uint32_t kind, struct uci_operation *operation)
{
    struct uci_fd_entry *entry = &fd->ring->fds.entries[fd->fd];
    int r;

    operation->fd = fd->fd;
    if (lane_of_kind[kind] == UCI_LANE_READ)
        operation->shape |= UCI_OPERATION_KEPT;
    operation->user_data = uci_user_data(kind, entry->generation + 1, (uint32_t)fd->fd);
    r = uci_ring_submit(fd->ring, operation);
    if (r < 0)
        return r;
    entry->generation++;
    fd->lanes[lane_of_kind[kind]] = operation->user_data;
    fd->in_flight++;
    return 0;
}

static bool has_credit(const uc_fd *fd)
{
    return fd->in_flight < fd->credit_ops;
}

/* Sending comes first: what only waits gives its credit up, and is armed again afterwards. */
static void make_credit(uc_fd *fd)
{
    if (uci_fd_read(fd, UCI_READ_THROTTLE).action == UCI_READ_CANCEL)
        uci_flow_cancel_lane(fd, UCI_LANE_READ);
    else if (fd->read != UCI_READ_RESTARTING)
        uci_flow_cancel_lane(fd, UCI_LANE_POLL);
}

static bool uses(const uc_fd *fd, uint64_t feature)
{
    return (fd->ring->backend->features & feature) != 0;
}

/* A datagram receive points to a msghdr that says how much room the sender's address has. */
static int prepare_message(uc_fd *fd, struct uci_operation *operation)
{
    struct iovec *part;
    uint8_t *buffer;

    if (!fd->message)
        fd->message = calloc(1, sizeof(*fd->message) + sizeof(struct iovec));
    if (!fd->message)
        return -ENOMEM;
    fd->message->msg_namelen = UC_DATAGRAM_ADDRESS_BYTES;
    if (fd->read_buffer != UCI_BUFFER_NONE) {
        buffer = fd->ring->pool->base + uci_pool_offset(fd->ring->pool, fd->read_buffer);
        part = (struct iovec *)(fd->message + 1);
        part->iov_base = buffer + UC_DATAGRAM_ADDRESS_BYTES;
        part->iov_len = fd->ring->pool->buffer_bytes - UC_DATAGRAM_ADDRESS_BYTES;
        fd->message->msg_name = buffer;
        fd->message->msg_iov = part;
        fd->message->msg_iovlen = 1;
    }
    operation->op = UCI_OP_RECVMSG;
    operation->address = (uint64_t)(uintptr_t)fd->message;
    return 0;
}

/* A buffer of our choice, when there may be data for it. */
static int choose_buffer(uc_fd *fd, struct uci_operation *operation)
{
    uc_pool *pool = fd->ring->pool;
    int r;

    if (fd->dry) {
        uci_flow_prepare_wait(fd, operation);
        return 0;
    }
    r = uci_pool_take(pool, &fd->read_buffer);
    if (r < 0)
        return r;
    operation->shape = UCI_OPERATION_NOW;
    operation->address = (uint64_t)(uintptr_t)(pool->base + uci_pool_offset(pool, fd->read_buffer));
    operation->length = pool->buffer_bytes;
    return 0;
}

/* The buffer of a receive: chosen by the kernel when data is there, or by us. */
static int prepare_receive(uc_fd *fd, struct uci_operation *operation)
{
    uc_ring *ring = fd->ring;
    bool datagram = fd->flags & UC_FD_DATAGRAM;
    /* A single datagram receive has no room for the address in a provided buffer. */
    bool multishot = uses(fd, UC_FEATURE_MULTISHOT_RECV) && !fd->once_bytes;
    int r;

    if (uci_flow_may_provide(ring) && (multishot || !datagram)) {
        if (!ring->provided)
            return -ENOBUFS;
        operation->shape = UCI_OPERATION_PROVIDED | (multishot ? UCI_OPERATION_MULTISHOT : 0);
    } else {
        r = choose_buffer(fd, operation);
        if (r < 0)
            return r;
    }
    if (fd->awaits_data)
        return 0;
    if (fd->once_bytes)
        operation->length =
            fd->once_bytes < ring->pool->buffer_bytes ? fd->once_bytes : ring->pool->buffer_bytes;
    operation->op = UCI_OP_RECV;
    return datagram ? prepare_message(fd, operation) : 0;
}

static int arm_read(uc_fd *fd)
{
    struct uci_operation operation = {0};
    int r = 0;

    if (fd->read != UCI_READ_WAITING || fd->life > UC_FD_HALF_CLOSED || !has_credit(fd))
        return 0;
    /* What was kept comes first. */
    if (uci_list_has(&fd->held)) {
        uci_flow_arm_later(fd);
        return 0;
    }
    /* Whoever holds too many leases waits for one to come back: take_returned(). */
    if (fd->account->leased_bytes >= fd->credit_bytes)
        return 0;
    if (fd->read_kind == UCI_KIND_ACCEPT) {
        operation.op = UCI_OP_ACCEPT;
        /* A multishot accept keeps its place at the head of the kernel's queue. */
        if (uses(fd, UC_FEATURE_MULTISHOT_ACCEPT) && !(fd->flags & UC_FD_SHARED))
            operation.shape = UCI_OPERATION_MULTISHOT;
    } else {
        r = prepare_receive(fd, &operation);
    }
    if (r == 0)
        r = arm(fd, fd->read_kind, &operation);
    if (r == 0) {
        uci_fd_read(fd, UCI_READ_ARM);
        return 0;
    }
    if (fd->read_buffer != UCI_BUFFER_NONE)
        uci_pool_recycle(fd->ring->pool, fd->read_buffer);
    fd->read_buffer = UCI_BUFFER_NONE;
    fd->awaits_data = false;
    if (r != -ENOBUFS && r != -ENOMEM)
        return r;
    fd->ring->starved = true;
    uci_flow_arm_later(fd);
    return 0;
}

static int arm_send(uc_fd *fd)
{
    const struct msghdr *message;
    const void *data;
    uint32_t bytes;
    struct uci_operation operation = {0};
    int r;

    r = uci_send_queue_front(&fd->queue, &fd->ring->send_cache, &data, &bytes, &message);
    if (r == 0) {
        operation.op = message ? UCI_OP_SENDMSG : UCI_OP_SEND;
        operation.address = (uint64_t)(uintptr_t)(message ? (const void *)message : data);
        operation.length = bytes;
        operation.shape = fd->flags & UC_FD_DATAGRAM ? 0 : UCI_OPERATION_WHOLE;
        uci_flow_prepare_zero_copy(fd, &operation);
        r = arm(fd, UCI_KIND_SEND, &operation);
    }
    if (r == 0 && (operation.shape & UCI_OPERATION_ZERO_COPY))
        uci_flow_zero_copy_armed(fd);
    if (r < 0)
        uci_send_queue_retry(&fd->queue, &fd->ring->send_cache);
    return r;
}

static int arm_write(uc_fd *fd)
{
    struct uci_operation operation = {.op = UCI_OP_CONNECT, .length = fd->connect_bytes};

    if (fd->lanes[UCI_LANE_WRITE] || fd->life > UC_FD_DRAINING)
        return 0;
    if (!fd->connect_bytes && (uci_send_queue_is_empty(&fd->queue) || fd->send_error))
        return 0;
    if (!has_credit(fd)) {
        make_credit(fd);
        return 0;
    }
    if (fd->connect_bytes) {
        operation.address = (uint64_t)(uintptr_t)fd->connect_address;
        return arm(fd, UCI_KIND_CONNECT, &operation);
    }
    return arm_send(fd);
}

static int arm_poll(uc_fd *fd)
{
    struct uci_operation operation = {.op = UCI_OP_POLL, .flags = fd->poll_events};

    if (!fd->poll_events || fd->lanes[UCI_LANE_POLL] || fd->life > UC_FD_HALF_CLOSED ||
        !has_credit(fd))
        return 0;
    return arm(fd, UCI_KIND_POLL, &operation);
}

/* Receives that rest because of what was leased from them may go on. */
static void take_returned(uc_ring *ring)
{
    uc_fd *fd;

    while ((fd = uci_accounts_next_returned(ring->pool)))
        uci_flow_arm_later(fd);
}

int uci_flow_flush(uc_ring *ring)
{
    struct uci_link batch;
    int r = 0;

    ring->starved = false;
    take_returned(ring);
    if (ring->cancels_owed)
        cancel_slots_again(ring);
    uci_flow_provide(ring);
    uci_list_take(&batch, &ring->waiting);
    while (!uci_list_is_empty(&batch)) {
        uc_fd *fd = UCI_CONTAINER(batch.next, uc_fd, waiting);

        if (r < 0) {
            uci_list_remove(&fd->waiting);
            uci_list_append(&ring->waiting, &fd->waiting);
            continue;
        }
        uci_list_remove(&fd->waiting);
        cancel_again(fd);
        r = arm_write(fd);
        if (r == 0)
            r = arm_read(fd);
        if (r == 0)
            r = arm_poll(fd);
        if (r < 0)
            uci_flow_arm_later(fd);
    }
    return r;
}
