/*
 * raw_buffers.c - the provided-buffer ring of the raw io_uring server
 */
#include "raw_buffers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

static void *map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

int raw_buffers_init(struct raw_buffers *buffers, struct io_uring *ring, uint32_t count,
                     uint32_t size)
{
    struct io_uring_buf_reg registration = {.ring_entries = count, .bgid = RAW_BUFFER_GROUP};
    int result;

    *buffers = (struct raw_buffers){.count = count, .size = size};
    buffers->ring = map(count * sizeof(struct io_uring_buf));
    buffers->memory = map((size_t)count * size);
    buffers->order = calloc(count, sizeof(*buffers->order));
    buffers->fragments = calloc(count, sizeof(*buffers->fragments));
    if (!buffers->ring || !buffers->memory || !buffers->order || !buffers->fragments)
        return -ENOMEM;
    registration.ring_addr = (uint64_t)(uintptr_t)buffers->ring;
    result = io_uring_register_buf_ring(ring, &registration, 0);
    if (result < 0)
        return result;
    io_uring_buf_ring_init(buffers->ring);
    for (uint32_t i = 0; i < count; i++)
        raw_buffers_give(buffers, i);
    raw_buffers_publish(buffers);
    return 0;
}

void raw_buffers_finish(struct raw_buffers *buffers)
{
    munmap(buffers->ring, buffers->count * sizeof(struct io_uring_buf));
    munmap(buffers->memory, (size_t)buffers->count * buffers->size);
    free(buffers->order);
    free(buffers->fragments);
}

uint32_t raw_buffers_following(const struct raw_buffers *buffers, uint32_t buffer)
{
    return buffers->order[(buffers->fragments[buffer].position + 1) & (buffers->count - 1)];
}

void raw_buffers_give(struct raw_buffers *buffers, uint32_t buffer)
{
    uint32_t position = buffers->tail++ & (buffers->count - 1);

    buffers->order[position] = (uint16_t)buffer;
    buffers->fragments[buffer].position = position;
    io_uring_buf_ring_add(buffers->ring, raw_buffer_at(buffers, buffer), buffers->size,
                          (uint16_t)buffer, (int)buffers->count - 1, (int)buffers->added);
    buffers->added++;
    buffers->with_kernel++;
}

void raw_buffers_publish(struct raw_buffers *buffers)
{
    if (!buffers->added)
        return;
    io_uring_buf_ring_advance(buffers->ring, (int)buffers->added);
    buffers->added = 0;
}
