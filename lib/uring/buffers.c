/*
 * The ring of provided buffers: we put buffers in at its tail, the kernel takes them from its head
 * when data is there. It holds at most all buffers that the pool can grow to, so it is never full.
 *
 * A bundle is one completion over several buffers: the first is named, the others are those that
 * stood behind it in the ring. Hence the memory of what stands where.
 */
#include "uring/uring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "pool/pool.h"

static size_t ring_bytes(const struct uci_uring *uring)
{
    return uring->buffer_entries * sizeof(struct io_uring_buf);
}

int uci_uring_buffers_open(struct uci_uring *uring)
{
    struct io_uring_buf_reg registration = {.bgid = UCI_URING_BUFFER_GROUP};
    void *memory;
    int r;

    uring->buffer_entries = 1;
    while (uring->buffer_entries < uring->pool->max)
        uring->buffer_entries *= 2;
    memory =
        mmap(NULL, ring_bytes(uring), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -ENOMEM;
    (void)madvise(memory, ring_bytes(uring), MADV_DONTFORK);
    uring->buffer_order = calloc(uring->buffer_entries, sizeof(*uring->buffer_order));
    uring->buffer_position = calloc(uring->buffer_entries, sizeof(*uring->buffer_position));
    registration.ring_addr = (uint64_t)(uintptr_t)memory;
    registration.ring_entries = uring->buffer_entries;
    if (!uring->buffer_order || !uring->buffer_position)
        r = -ENOMEM;
    else
        r = io_uring_register_buf_ring(&uring->ring, &registration, 0);
    if (r < 0) {
        munmap(memory, ring_bytes(uring));
        uci_uring_buffers_free(uring, true);
        return r;
    }
    uring->buffers = memory;
    return 0;
}

void uci_uring_buffers_free(struct uci_uring *uring, bool in_child)
{
    if (uring->buffers && !in_child)
        munmap(uring->buffers, ring_bytes(uring));
    uring->buffers = NULL;
    free(uring->buffer_order);
    free(uring->buffer_position);
    uring->buffer_order = uring->buffer_position = NULL;
}

void uci_uring_provide(struct uci_backend *backend, uint32_t buffer)
{
    struct uci_uring *uring = uci_uring_of(backend);
    uint16_t position = uring->buffer_tail & (uring->buffer_entries - 1);
    struct io_uring_buf *entry = &uring->buffers->bufs[position];

    entry->addr = (uint64_t)(uintptr_t)(uring->pool->base + uci_pool_offset(uring->pool, buffer));
    entry->len = uring->pool->buffer_bytes;
    entry->bid = (uint16_t)buffer;
    uring->buffer_order[position] = (uint16_t)buffer;
    uring->buffer_position[buffer] = position;
    __atomic_store_n(&uring->buffers->tail, ++uring->buffer_tail, __ATOMIC_RELEASE);
}
