#include "fd/send_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CACHED_VECTORS 64
#define SEND_BYTES_MAX (UINT32_C(1) << 30) /* in one operation */

/* Chunks that are kept for reuse come in these sizes. The largest holds a received buffer, so that
 * what is sent back does not go through malloc(): glibc gives a heap of such blocks back to the
 * kernel and takes it again, page by page. */
#define CAPACITY(bytes) ((bytes) - sizeof(struct uci_chunk))
static const struct {
    uint64_t capacity;
    uint32_t kept;
} sizes[UCI_CHUNK_SIZES] = {
    {CAPACITY(4 << 10), 256},
    {CAPACITY(16 << 10), 64},
    {CAPACITY(72 << 10), 32},
};

static struct uci_chunk *chunk_new(struct uci_send_cache *cache, uint64_t bytes)
{
    struct uci_chunk *chunk = NULL;
    uint64_t capacity = bytes;
    int size = 0;

    while (size < UCI_CHUNK_SIZES && sizes[size].capacity < bytes)
        size++;
    if (size < UCI_CHUNK_SIZES) {
        capacity = sizes[size].capacity;
        chunk = cache->chunks[size];
    }
    if (chunk) {
        cache->chunks[size] = chunk->next;
        cache->chunk_counts[size]--;
    } else {
        chunk = malloc(sizeof(*chunk) + capacity);
        if (!chunk)
            return NULL;
    }
    *chunk = (struct uci_chunk){.data = (const uint8_t *)(chunk + 1), .capacity = capacity};
    return chunk;
}

static void chunk_free(struct uci_chunk *chunk, struct uci_send_cache *cache)
{
    int size = 0;

    free(chunk->address);
    while (size < UCI_CHUNK_SIZES && sizes[size].capacity != chunk->capacity)
        size++;
    if (size == UCI_CHUNK_SIZES || cache->chunk_counts[size] == sizes[size].kept) {
        free(chunk);
        return;
    }
    chunk->next = cache->chunks[size];
    cache->chunks[size] = chunk;
    cache->chunk_counts[size]++;
}

static void vector_release(struct uci_send_queue *queue, struct uci_send_cache *cache)
{
    struct uci_send_vector *vector = queue->vector;

    queue->vector = NULL;
    if (!vector)
        return;
    if (cache->vector_count >= CACHED_VECTORS) {
        free(vector);
        return;
    }
    vector->next_free = cache->vectors;
    cache->vectors = vector;
    cache->vector_count++;
}

void uci_send_cache_finish(struct uci_send_cache *cache)
{
    for (int size = 0; size < UCI_CHUNK_SIZES; size++) {
        while (cache->chunks[size]) {
            struct uci_chunk *chunk = cache->chunks[size];

            cache->chunks[size] = chunk->next;
            free(chunk);
        }
    }
    while (cache->vectors) {
        struct uci_send_vector *vector = cache->vectors;

        cache->vectors = vector->next_free;
        free(vector);
    }
    *cache = (struct uci_send_cache){0};
}

static void append(struct uci_send_queue *queue, struct uci_chunk *chunk, uint64_t bytes)
{
    if (queue->last)
        queue->last->next = chunk;
    else
        queue->first = chunk;
    queue->last = chunk;
    queue->bytes += bytes;
}

static void fill(struct uci_chunk *chunk, const void *data, uint64_t bytes)
{
    if (bytes)
        memcpy((uint8_t *)(chunk + 1) + chunk->end, data, bytes);
    chunk->end += bytes;
}

int uci_send_queue_copy(struct uci_send_queue *queue, struct uci_send_cache *cache,
                        const void *data, uint64_t bytes)
{
    struct uci_chunk *chunk = queue->last;

    if (chunk && chunk->capacity - chunk->end >= bytes && !chunk->is_reference) {
        fill(chunk, data, bytes);
        queue->bytes += bytes;
        return 0;
    }
    chunk = chunk_new(cache, bytes);
    if (!chunk)
        return -ENOMEM;
    fill(chunk, data, bytes);
    append(queue, chunk, bytes);
    return 0;
}

int uci_send_queue_reference(struct uci_send_queue *queue, const void *data, uint64_t bytes,
                             enum uci_send_wish wish)
{
    struct uci_chunk *chunk = malloc(sizeof(*chunk));

    if (!chunk)
        return -ENOMEM;
    *chunk = (struct uci_chunk){.data = data, .end = bytes, .is_reference = true, .wish = wish};
    append(queue, chunk, bytes);
    queue->references++;
    return 0;
}

int uci_send_queue_datagram(struct uci_send_queue *queue, const void *data, uint64_t bytes,
                            const void *address, uint32_t address_bytes)
{
    struct uci_chunk *chunk = malloc(sizeof(*chunk) + bytes);

    if (!chunk)
        return -ENOMEM;
    *chunk = (struct uci_chunk){
        .data = (const uint8_t *)(chunk + 1),
        .capacity = bytes,
        .is_datagram = true,
        .address_bytes = address_bytes,
    };
    if (address_bytes) {
        chunk->address = malloc(address_bytes);
        if (!chunk->address) {
            free(chunk);
            return -ENOMEM;
        }
        memcpy(chunk->address, address, address_bytes);
    }
    fill(chunk, data, bytes);
    append(queue, chunk, bytes);
    return 0;
}

static int vector_take(struct uci_send_queue *queue, struct uci_send_cache *cache)
{
    if (cache->vectors) {
        queue->vector = cache->vectors;
        cache->vectors = queue->vector->next_free;
        cache->vector_count--;
    } else {
        queue->vector = malloc(sizeof(*queue->vector));
        if (!queue->vector)
            return -ENOMEM;
    }
    queue->vector->message = (struct msghdr){.msg_iov = queue->vector->parts};
    return 0;
}

static struct iovec part_of(const struct uci_chunk *chunk, uint64_t room)
{
    uint64_t bytes = chunk->end - chunk->begin;

    return (struct iovec){
        .iov_base = (void *)(chunk->data + chunk->begin),
        .iov_len = bytes < room ? bytes : room,
    };
}

int uci_send_queue_front(struct uci_send_queue *queue, struct uci_send_cache *cache,
                         const void **ret_data, uint32_t *ret_bytes,
                         const struct msghdr **ret_message)
{
    struct uci_chunk *chunk = queue->first;
    struct iovec part = part_of(chunk, SEND_BYTES_MAX);
    uint64_t room = SEND_BYTES_MAX;
    struct msghdr *message;
    int r;

    queue->wish = chunk->wish;
    if (!chunk->is_datagram && (!chunk->next || part.iov_len == SEND_BYTES_MAX)) {
        *ret_data = part.iov_base;
        *ret_bytes = (uint32_t)part.iov_len;
        *ret_message = NULL;
        return 0;
    }
    r = vector_take(queue, cache);
    if (r < 0)
        return r;
    message = &queue->vector->message;
    if (chunk->is_datagram) {
        message->msg_name = chunk->address;
        message->msg_namelen = chunk->address_bytes;
        queue->vector->parts[message->msg_iovlen++] = part;
    } else {
        for (; chunk && room && message->msg_iovlen < UCI_SEND_VECTORS; chunk = chunk->next) {
            part = part_of(chunk, room);
            queue->vector->parts[message->msg_iovlen++] = part;
            room -= part.iov_len;
            if (chunk->wish > queue->wish)
                queue->wish = chunk->wish;
        }
    }
    *ret_data = NULL;
    *ret_bytes = 0;
    *ret_message = message;
    return 0;
}

static struct uci_chunk *take_first(struct uci_chunk **first, struct uci_chunk **last)
{
    struct uci_chunk *chunk = *first;

    *first = chunk->next;
    if (!*first)
        *last = NULL;
    chunk->next = NULL;
    return chunk;
}

/* Return: 1 if it was a reference. */
static uint32_t give_back(struct uci_send_queue *queue, struct uci_send_cache *cache,
                          struct uci_chunk *chunk)
{
    uint32_t references = chunk->is_reference;

    queue->references -= references;
    chunk_free(chunk, cache);
    return references;
}

static uint32_t remove_first(struct uci_send_queue *queue, struct uci_send_cache *cache)
{
    struct uci_chunk *chunk = take_first(&queue->first, &queue->last);

    if (!queue->pinned_first && chunk->pin <= queue->unpinned)
        return give_back(queue, cache, chunk);
    if (queue->pinned_last)
        queue->pinned_last->next = chunk;
    else
        queue->pinned_first = chunk;
    queue->pinned_last = chunk;
    return 0;
}

uint32_t uci_send_queue_sent(struct uci_send_queue *queue, struct uci_send_cache *cache,
                             uint64_t bytes)
{
    uint32_t references = 0;

    vector_release(queue, cache);
    if (queue->first && queue->first->is_datagram) {
        queue->bytes -= queue->first->end;
        return remove_first(queue, cache);
    }
    queue->bytes -= bytes;
    while (queue->first) {
        struct uci_chunk *chunk = queue->first;
        uint64_t left = chunk->end - chunk->begin;

        if (bytes < left) {
            chunk->begin += bytes;
            break;
        }
        bytes -= left;
        references += remove_first(queue, cache);
    }
    return references;
}

void uci_send_queue_pin(struct uci_send_queue *queue, uint64_t bytes, uint64_t pin)
{
    struct uci_chunk *chunk = queue->first;

    while (bytes) {
        uint64_t left = chunk->end - chunk->begin;

        chunk->pin = pin;
        bytes -= bytes < left ? bytes : left;
        chunk = chunk->next;
    }
}

uint32_t uci_send_queue_unpin(struct uci_send_queue *queue, struct uci_send_cache *cache,
                              uint64_t pin)
{
    uint32_t references = 0;

    queue->unpinned = pin;
    while (queue->pinned_first && queue->pinned_first->pin <= pin)
        references +=
            give_back(queue, cache, take_first(&queue->pinned_first, &queue->pinned_last));
    return references;
}

void uci_send_queue_retry(struct uci_send_queue *queue, struct uci_send_cache *cache)
{
    vector_release(queue, cache);
}

uint32_t uci_send_queue_drop(struct uci_send_queue *queue, struct uci_send_cache *cache)
{
    uint32_t references = 0;

    vector_release(queue, cache);
    while (queue->pinned_first)
        references +=
            give_back(queue, cache, take_first(&queue->pinned_first, &queue->pinned_last));
    while (queue->first)
        references += give_back(queue, cache, take_first(&queue->first, &queue->last));
    queue->bytes = 0;
    return references;
}
