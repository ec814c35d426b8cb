/*
 * What comes out of uc_ring_wait(): plain records of one size, written into the caller's array.
 *
 * A record is about an attached descriptor (fd >= 0) or about a one-shot operation (fd is -1).
 * cookie is the number that the caller gave when it attached the descriptor or submitted the
 * operation. Of one descriptor, CLOSED is always the last record.
 */
#ifndef UC_EVENT_H
#define UC_EVENT_H

#include <stdint.h>
#include <uc/export.h>

UC_BEGIN_DECLS

/* What a record is about: the values of uc_event.kind. */
enum uc_event_kind {
    /* Bytes have arrived: result > 0 of them stand in the pool at offset. 0: the peer will send no
     * more. Negative: the receive failed and is over. */
    UC_EVENT_RECV = 1,
    /* A datagram has arrived: as RECV, but 0 is an empty datagram; bits 31..16 of flags are the
     * length of the sender's address, which stands in the pool UC_DATAGRAM_ADDRESS_BYTES before
     * offset. UC_EVENT_TRUNCATED: it was longer than what a buffer holds beside address and head.
     * Negative: an error of the socket, such as a refused port; the receive goes on unless
     * UC_EVENT_ENDED is set. */
    UC_EVENT_DATAGRAM = 2,
    /* A connection was accepted: result is its descriptor, non-blocking and close-on-exec, now the
     * caller's. Negative: accepting failed and is over (-EMFILE: close something, start again). */
    UC_EVENT_ACCEPT = 3,
    /* A connect ended: 0 or negative. */
    UC_EVENT_CONNECT = 4,
    /* The send queue moved: result payloads that were queued by reference are the caller's again,
     * counted in the order they were sent in; after a zero-copy send that is when the peer has
     * acknowledged it. UC_EVENT_LOW_WATER: the queue has sunk to the low-water mark. */
    UC_EVENT_SENT = 5,
    /* A send failed with result < 0. Of a stream, what was queued is dropped and every reference is
     * the caller's again. */
    UC_EVENT_SEND_FAILED = 6,
    /* The write side is shut down: 0 or negative. */
    UC_EVENT_SHUTDOWN = 7,
    /* A poll ended: result is the mask of ready events, or negative. */
    UC_EVENT_POLL = 8,
    /* The last record of a descriptor: nothing of it is in flight any more, every reference is the
     * caller's again. 0, or negative when what was queued could not be sent. */
    UC_EVENT_CLOSED = 9,
    /* A one-shot operation ended: result as its description says. */
    UC_EVENT_OPERATION = 10,
};

/* Bits of uc_event.flags. */
enum uc_event_flag {
    UC_EVENT_PAYLOAD = 1,   /* buffer is valid: see uc_pool_keep() */
    UC_EVENT_LOW_WATER = 2, /* the send queue was above its high-water mark and is low now */
    UC_EVENT_ENDED = 4,     /* what was started (a receive, an accept) has stopped by itself */
    UC_EVENT_TRUNCATED = 8, /* only the head of the datagram is here; the rest is lost */
};

/* Room for the sender's address in front of a datagram's payload. */
#define UC_DATAGRAM_ADDRESS_BYTES 128u

struct uc_event {
    uint32_t kind;   /* UC_EVENT_* */
    int32_t fd;      /* the attached descriptor, or -1 */
    int32_t result;  /* a count, or a negative errno */
    uint32_t flags;  /* UC_EVENT_PAYLOAD ... */
    uint64_t offset; /* of the payload, from uc_pool_base(); until the next uc_ring_wait() */
    uint64_t cookie; /* given at uc_fd_attach() or at submission */
    uint64_t buffer; /* names the payload's buffer to uc_pool_keep() */
};

UC_END_DECLS

#endif
