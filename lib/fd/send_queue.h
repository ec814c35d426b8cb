/*
 * What one descriptor still has to send, in order.
 *
 * A queue is a list of chunks. A chunk holds copied bytes (small writes are gathered in one), or
 * points to the caller's memory, or is one datagram with its address. The front of the queue may be
 * in flight: then its bytes belong to the kernel, and only what stands behind them may change.
 * Appending behind bytes in flight, also in the same chunk, is fine: the kernel reads no further
 * than it was told.
 *
 * What a zero-copy send has taken is pinned: the kernel goes on reading it until a notice. Notices
 * have numbers; a chunk stays until all up to its own have come, and what was sent behind it stays
 * with it, so that references come back in the order of sending.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define UCI_SEND_VECTORS 64
#define UCI_CHUNK_SIZES 3

/* How the bytes of a chunk may be sent. */
enum uci_send_wish {
    UCI_SEND_COPYING,
    UCI_SEND_ZERO_COPY_IF_IT_PAYS,
    UCI_SEND_ZERO_COPY,
};

struct uci_chunk {
    struct uci_chunk *next;
    const uint8_t *data;    /* copied bytes follow the struct; a reference points elsewhere */
    uint64_t begin;         /* bytes before it are sent */
    uint64_t end;           /* bytes up to it are filled */
    uint64_t capacity;      /* 0 for a reference */
    uint32_t address_bytes; /* of a datagram: the address stands in `address` */
    bool is_reference;
    bool is_datagram;
    uint8_t wish; /* enum uci_send_wish */
    uint64_t pin; /* number of the last notice that it waits for; 0: none */
    struct sockaddr_storage *address;
};

/* One send in flight: what the kernel reads beside the bytes. */
struct uci_send_vector {
    struct uci_send_vector *next_free;
    struct msghdr message;
    struct iovec parts[UCI_SEND_VECTORS];
};

/* Chunks and vectors to be used again; one for each ring. */
struct uci_send_cache {
    struct uci_chunk *chunks[UCI_CHUNK_SIZES]; /* by size */
    uint32_t chunk_counts[UCI_CHUNK_SIZES];
    struct uci_send_vector *vectors;
    uint32_t vector_count;
};

struct uci_send_queue {
    struct uci_chunk *first, *last;
    uint64_t bytes; /* queued and not yet taken by the kernel */
    uint32_t references;
    uint8_t wish;                   /* the strongest of what uci_send_queue_front() found */
    struct uci_send_vector *vector; /* in flight, when more than one part is */
    struct uci_chunk *pinned_first, *pinned_last; /* taken, and still read */
    uint64_t unpinned;                            /* all notices up to this number have come */
};

void uci_send_cache_finish(struct uci_send_cache *cache);

/* All or nothing: 0 or -ENOMEM. */
int uci_send_queue_copy(struct uci_send_queue *queue, struct uci_send_cache *cache,
                        const void *data, uint64_t bytes);
int uci_send_queue_reference(struct uci_send_queue *queue, const void *data, uint64_t bytes,
                             enum uci_send_wish wish);
int uci_send_queue_datagram(struct uci_send_queue *queue, const void *data, uint64_t bytes,
                            const void *address, uint32_t address_bytes);

static inline bool uci_send_queue_is_empty(const struct uci_send_queue *queue)
{
    return queue->first == NULL;
}

/* Whether the front is a datagram with a payload. */
static inline bool uci_send_queue_has_datagram(const struct uci_send_queue *queue)
{
    return queue->first && queue->first->is_datagram && queue->first->end;
}

/* The front of the queue as one piece of memory, or as a message where it takes several parts or
 * an address. Return: 0 with either *ret_data or *ret_message set, or -ENOMEM. */
int uci_send_queue_front(struct uci_send_queue *queue, struct uci_send_cache *cache,
                         const void **ret_data, uint32_t *ret_bytes,
                         const struct msghdr **ret_message);

/* The kernel has taken @bytes (of a datagram: all of the first chunk).
 * Return: how many references are the caller's again. */
uint32_t uci_send_queue_sent(struct uci_send_queue *queue, struct uci_send_cache *cache,
                             uint64_t bytes);

/* The kernel takes the first @bytes, but reads them until notice @pin. To be said before
 * uci_send_queue_sent(). */
void uci_send_queue_pin(struct uci_send_queue *queue, uint64_t bytes, uint64_t pin);

/* All notices up to @pin have come. Return: how many references are the caller's again. */
uint32_t uci_send_queue_unpin(struct uci_send_queue *queue, struct uci_send_cache *cache,
                              uint64_t pin);

/* The kernel has taken nothing and will not: the front may be sent again. */
void uci_send_queue_retry(struct uci_send_queue *queue, struct uci_send_cache *cache);

/* Forget everything; nothing may be in flight.
 * Return: how many references are the caller's again. */
uint32_t uci_send_queue_drop(struct uci_send_queue *queue, struct uci_send_cache *cache);
