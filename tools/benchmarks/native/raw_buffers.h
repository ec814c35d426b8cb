/*
 * raw_buffers.h - the provided-buffer ring of the raw io_uring server
 *
 * Knows in which order buffers lie in the ring, because a bundled receive names only the first of
 * the buffers that it filled.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <liburing.h>

#define RAW_BUFFER_GROUP 0
#define RAW_BUFFERS_MAX 32768u
#define RAW_BUFFER_NONE UINT32_MAX

/* What a buffer holds while it is not the kernel's. */
struct raw_fragment {
    uint32_t next; /* in its connection's queue */
    uint32_t offset;
    uint32_t length;
    uint32_t position; /* where in the ring it was put last */
};

struct raw_buffers {
    struct io_uring_buf_ring *ring;
    char *memory;
    uint16_t *order; /* ring position -> buffer */
    struct raw_fragment *fragments;
    uint32_t count; /* a power of two */
    uint32_t size;
    uint32_t tail;
    uint32_t added; /* since the last publish */
    uint32_t with_kernel;
};

/* Returns 0 or a negative errno. */
int raw_buffers_init(struct raw_buffers *buffers, struct io_uring *ring, uint32_t count,
                     uint32_t size);
void raw_buffers_finish(struct raw_buffers *buffers);

static inline char *raw_buffer_at(const struct raw_buffers *buffers, uint32_t buffer)
{
    return buffers->memory + (size_t)buffer * buffers->size;
}

/* The buffer that follows @buffer in the order of the ring. */
uint32_t raw_buffers_following(const struct raw_buffers *buffers, uint32_t buffer);

/* Gives @buffer back; the kernel sees it after raw_buffers_publish(). */
void raw_buffers_give(struct raw_buffers *buffers, uint32_t buffer);
void raw_buffers_publish(struct raw_buffers *buffers);
