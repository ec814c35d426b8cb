/* Road 1 for one-shot operations: take a slot, describe the operation, queue it. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <uc/op.h>

#include "flow/flow.h"

int uci_flow_submit(uc_ring *ring, struct uci_slot *slot, struct uci_operation *operation,
                    uint64_t *ret_op)
{
    int r;

    operation->user_data = uci_user_data(slot->kind, slot->generation, slot->index);
    r = uci_ring_submit(ring, operation);
    if (r < 0) {
        uci_slot_release(&ring->slots, slot);
        return r;
    }
    if (ret_op)
        *ret_op = operation->user_data;
    return 0;
}

int uci_flow_submit_plain(uc_ring *ring, uint32_t kind, struct uci_operation *operation,
                          uint64_t cookie, uint64_t *ret_op)
{
    struct uci_slot *slot;
    int r = uci_slot_take(&ring->slots, kind, cookie, &slot);

    return r < 0 ? r : uci_flow_submit(ring, slot, operation, ret_op);
}

int uci_flow_submit_paths(uc_ring *ring, uint32_t kind, const char *path, const char *other,
                          struct uci_operation *operation, uint64_t cookie, uint64_t *ret_op)
{
    size_t bytes = strlen(path) + 1, other_bytes = other ? strlen(other) + 1 : 0;
    char *copy = malloc(bytes + other_bytes);
    struct uci_slot *slot;
    int r;

    if (!copy)
        return -ENOMEM;
    r = uci_slot_take(&ring->slots, kind, cookie, &slot);
    if (r < 0) {
        free(copy);
        return r;
    }
    slot->memory = memcpy(copy, path, bytes);
    operation->address = (uint64_t)(uintptr_t)copy;
    if (other)
        operation->offset = (uint64_t)(uintptr_t)memcpy(copy + bytes, other, other_bytes);
    return uci_flow_submit(ring, slot, operation, ret_op);
}

bool uci_flow_is_registered(const uc_ring *ring, const void *buffer, uint32_t bytes)
{
    const uint8_t *base = ring->pool->base, *first = buffer;
    uint64_t registered = ring->pool->registered_bytes;

    return registered && first >= base && (uint64_t)(first - base) + bytes <= registered;
}

UC_EXPORT int uc_op_nop(uc_ring *ring, uint64_t cookie, uint64_t *ret_op)
{
    struct uci_operation operation = {.op = UCI_OP_NOP, .fd = -1};

    CHECK_RING(ring);
    return uci_flow_submit_plain(ring, UCI_KIND_NOP, &operation, cookie, ret_op);
}

static int submit_transfer(uc_ring *ring, uint32_t kind, struct uci_operation *operation,
                           uint64_t cookie, uint64_t *ret_op)
{
    const void *buffer = (const void *)(uintptr_t)operation->address;

    CHECK_RING(ring);
    CHECK_ARG(buffer && operation->length && operation->length <= UCI_FILE_BYTES_MAX);
    if (operation->fd < 0)
        return -EBADF;
    if (uci_flow_is_registered(ring, buffer, operation->length))
        operation->shape = UCI_OPERATION_FIXED;
    return uci_flow_submit_plain(ring, kind, operation, cookie, ret_op);
}

UC_EXPORT int uc_op_read(uc_ring *ring, int fd, void *buffer, uint32_t bytes, uint64_t offset,
                         uint64_t cookie, uint64_t *ret_op)
{
    struct uci_operation operation = {
        .op = UCI_OP_READ,
        .fd = fd,
        .address = (uint64_t)(uintptr_t)buffer,
        .length = bytes,
        .offset = offset,
    };

    return submit_transfer(ring, UCI_KIND_READ, &operation, cookie, ret_op);
}

UC_EXPORT int uc_op_write(uc_ring *ring, int fd, const void *buffer, uint32_t bytes,
                          uint64_t offset, uint64_t cookie, uint64_t *ret_op)
{
    struct uci_operation operation = {
        .op = UCI_OP_WRITE,
        .fd = fd,
        .address = (uint64_t)(uintptr_t)buffer,
        .length = bytes,
        .offset = offset,
    };

    return submit_transfer(ring, UCI_KIND_WRITE, &operation, cookie, ret_op);
}

UC_EXPORT int uc_op_fsync(uc_ring *ring, int fd, uint32_t flags, uint64_t cookie, uint64_t *ret_op)
{
    struct uci_operation operation = {.op = UCI_OP_FSYNC, .fd = fd, .flags = flags};

    CHECK_RING(ring);
    CHECK_ARG(!(flags & ~(uint32_t)UC_FSYNC_DATA));
    if (fd < 0)
        return -EBADF;
    return uci_flow_submit_plain(ring, UCI_KIND_FSYNC, &operation, cookie, ret_op);
}

UC_EXPORT int uc_op_openat(uc_ring *ring, int directory_fd, const char *path, uint32_t flags,
                           uint32_t mode, uint64_t cookie, uint64_t *ret_op)
{
    struct uci_operation operation = {
        .op = UCI_OP_OPENAT,
        .fd = directory_fd,
        .flags = flags,
        .length = mode,
    };

    CHECK_RING(ring);
    CHECK_ARG(path);
    if (directory_fd < 0 && directory_fd != AT_FDCWD)
        return -EBADF;
    return uci_flow_submit_paths(ring, UCI_KIND_OPENAT, path, NULL, &operation, cookie, ret_op);
}

UC_EXPORT int uc_op_close(uc_ring *ring, int fd, uint64_t cookie, uint64_t *ret_op)
{
    struct uci_operation operation = {.op = UCI_OP_CLOSE, .fd = fd};

    CHECK_RING(ring);
    if (fd < 0)
        return -EBADF;
    if (uci_fd_table_find(&ring->fds, (uint32_t)fd))
        return -EBUSY;
    return uci_flow_submit_plain(ring, UCI_KIND_CLOSE, &operation, cookie, ret_op);
}

UC_EXPORT int uc_op_statx(uc_ring *ring, int directory_fd, const char *path, uint32_t flags,
                          uint32_t mask, void *statx, uint64_t cookie, uint64_t *ret_op)
{
    struct uci_operation operation = {
        .op = UCI_OP_STATX,
        .fd = directory_fd,
        .flags = flags,
        .length = mask,
        .offset = (uint64_t)(uintptr_t)statx,
    };

    CHECK_RING(ring);
    CHECK_ARG(path && statx);
    if (directory_fd < 0 && directory_fd != AT_FDCWD)
        return -EBADF;
    return uci_flow_submit_paths(ring, UCI_KIND_STATX, path, NULL, &operation, cookie, ret_op);
}

UC_EXPORT int uc_op_timeout(uc_ring *ring, uint64_t ns, uint64_t cookie, uint64_t *ret_op)
{
    struct uci_operation operation = {.op = UCI_OP_TIMEOUT, .fd = -1};
    struct uci_slot *slot;
    int r;

    CHECK_RING(ring);
    r = uci_slot_take(&ring->slots, UCI_KIND_TIMEOUT, cookie, &slot);
    if (r < 0)
        return r;
    slot->time.tv_sec = (int64_t)(ns / 1000000000);
    slot->time.tv_nsec = (long long)(ns % 1000000000);
    operation.address = (uint64_t)(uintptr_t)&slot->time;
    return uci_flow_submit(ring, slot, &operation, ret_op);
}

UC_EXPORT int uc_op_splice(uc_ring *ring, int fd_in, uint64_t offset_in, int fd_out,
                           uint64_t offset_out, uint32_t bytes, uint32_t flags, uint64_t cookie,
                           uint64_t *ret_op)
{
    struct uci_operation operation = {
        .op = UCI_OP_SPLICE,
        .fd = fd_out,
        .fd_in = fd_in,
        .flags = flags,
        .length = bytes,
        .address = offset_in,
        .offset = offset_out,
    };

    CHECK_RING(ring);
    CHECK_ARG(bytes && bytes <= UCI_FILE_BYTES_MAX);
    CHECK_ARG(!(flags & ~(uint32_t)(UC_SPLICE_NONBLOCK | UC_SPLICE_MORE)));
    if (fd_in < 0 || fd_out < 0)
        return -EBADF;
    return uci_flow_submit_plain(ring, UCI_KIND_SPLICE, &operation, cookie, ret_op);
}

struct uci_slot *uci_flow_find_operation(uc_ring *ring, uint64_t op)
{
    uint32_t kind = uci_user_data_kind(op);

    if (kind <= UCI_KIND_FD_LAST || kind > UCI_KIND_SLOT_LAST)
        return NULL;
    return uci_slot_find(&ring->slots, kind, uci_user_data_generation(op), uci_user_data_index(op));
}

UC_EXPORT int uc_op_cancel(uc_ring *ring, uint64_t op)
{
    struct uci_slot *slot;
    int r;

    CHECK_RING(ring);
    slot = uci_flow_find_operation(ring, op);
    if (!slot)
        return -ESTALE;
    r = uci_flow_cancel_slot(ring, slot);
    slot->is_cancelled |= r == 0;
    return r;
}
