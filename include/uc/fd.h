/*
 * uc_fd: an attached descriptor, with a state machine, a send queue and a credit budget of its own.
 *
 *   open ----> half-closed ----> draining ----> closing ----> closed
 *      (the peer has ended)   (the queue is    (the kernel      (UC_EVENT_CLOSED)
 *                              being sent)      lets go)
 *
 * The descriptor belongs to the ring from uc_fd_attach() until UC_EVENT_CLOSED: nobody else reads
 * from it, writes to it or closes it. libuc closes it, or with UC_CLOSE_KEEP gives it back, only
 * when nothing of it is in flight, so that no operation can ever reach a stranger who got the same
 * number.
 *
 * Of a stream, one send is in flight at a time; the rest waits in the queue and leaves together.
 * What is received although the caller has stopped receiving is kept and comes first when it starts
 * again.
 *
 * All functions are called by the thread that runs the ring. They answer -ESTALE when the
 * descriptor is closed or the ring has been freed, -ECHILD in a forked child, -EPERM on another
 * thread, and -EINVAL for NULL handles.
 */
#ifndef UC_FD_H
#define UC_FD_H

#include <stdint.h>
#include <uc/export.h>
#include <uc/ring.h>

UC_BEGIN_DECLS

/** uc_fd - an opaque handle, made by uc_fd_attach() */
typedef struct uc_fd uc_fd;

/* Bits of uc_fd_options.flags. */
enum uc_fd_flag {
    UC_FD_DATAGRAM = 1, /* messages with addresses, received as UC_EVENT_DATAGRAM */
    UC_FD_GATHER = 2,   /* pieces that arrive together and lie side by side come as one record of at
                           most UC_GATHER_BYTES; it has no UC_EVENT_PAYLOAD and cannot be kept */
    UC_FD_SHARED = 4,   /* others accept from this listening socket as well: it is asked anew for
                           each connection, so that each of them gets its turn; what a burst has
                           left waiting is taken along if the socket has O_NONBLOCK */
};

/* Of what UC_FD_GATHER puts into one record. */
#define UC_GATHER_BYTES 262144u

/* A lease (uc_pool_keep()) counts with its whole buffer, from the record to uc_pool_release(). At the
 * limit receiving rests, the peer feels it when its window is full, and it goes on by itself when
 * leases have come back. So a consumer that releases nothing stands still alone: others find
 * buffers as long as all credit together is less than the pool may grow to.
 *
 * Of the credit for operations sending comes first: with less than what is asked for at a time, a
 * receive or poll is interrupted for a send and goes on after it. */
struct uc_fd_options {
    uint32_t size;            /* sizeof(struct uc_fd_options) */
    uint32_t flags;           /* UC_FD_* */
    uint64_t cookie;          /* comes back in every record */
    uint64_t credit_bytes;    /* given out in a turn, plus leased: then receiving rests; 0: 1 MiB */
    uint32_t credit_ops;      /* operations in flight at a time: 1 to 16; 0 means 16 */
    uint32_t reserved;        /* 0 */
    uint64_t high_water;      /* queued bytes that owe UC_EVENT_LOW_WATER; 0: 64 KiB */
    uint64_t low_water;       /* at which it is paid; with high_water 0: 16 KiB */
    uint64_t zero_copy_bytes; /* UC_SEND_REFERENCE of at least so many is sent without a copy where
                                 that pays; 0: never */
};

/* Values of uc_fd_status.state. */
enum uc_fd_state {
    UC_FD_OPEN = 1,
    UC_FD_HALF_CLOSED = 2, /* the peer has ended its side */
    UC_FD_DRAINING = 3,    /* close asked for, the queue is being sent */
    UC_FD_CLOSING = 4,     /* waiting for the kernel to let go */
    UC_FD_CLOSED = 5,      /* never seen: a closed handle answers -ESTALE */
};

/* Values of uc_fd_status.zero_copy. */
enum uc_zero_copy_state {
    UC_ZERO_COPY_OFF = 0,    /* nothing was to be sent so yet */
    UC_ZERO_COPY_IN_USE = 1, /* from zero_copy_bytes on */
    UC_ZERO_COPY_LOCAL = 2,  /* does not pay: the peer is on this machine, which copies anyway */
    UC_ZERO_COPY_COPIED = 3, /* does not pay: the kernel reported that it had to copy */
    UC_ZERO_COPY_UNSUPPORTED = 4, /* by the kernel, the backend or this kind of socket: TCP it is */
};

struct uc_fd_status {
    uint32_t size;              /* sizeof(struct uc_fd_status), set by the caller */
    uint32_t state;             /* enum uc_fd_state */
    int32_t fd;                 /* the descriptor */
    uint32_t receiving;         /* 1 while the caller wants to receive or accept */
    uint32_t in_flight;         /* operations in the kernel, and zero-copy sends it still reads */
    uint32_t credit_ops;        /* that may be in flight */
    uint64_t credit_bytes;      /* that may be given out in a turn, and leased */
    uint64_t undelivered_bytes; /* received, kept because the caller has stopped */
    uint64_t queued_bytes;      /* to be sent, including what is in flight */
    uint64_t leased_bytes;      /* of buffers kept from its records and not released */
    uint32_t zero_copy;         /* UC_ZERO_COPY_* */
    uint32_t reserved;          /* 0 */
};

/**
 * uc_fd_attach - give a descriptor to a ring
 * @ring:    a ring
 * @fd:      an open socket; of anything else only uc_fd_poll() works
 * @options: NULL means the defaults
 * @ret_fd:  the handle
 *
 * Return: 0, or
 *   -EINVAL  a NULL argument, a wrong size, an unknown flag, or a number out of its range
 *   -E2BIG   @options has a non-zero tail that this version does not know
 *   -EBADF   @fd is negative or not open
 *   -ERANGE  @fd is 2^24 or more
 *   -EBUSY   @fd is attached to this ring already
 *   -ENOMEM  no memory
 *   -ECHILD, -EPERM
 *
 * Since: 0.1
 */
UC_EXPORT int uc_fd_attach(uc_ring *ring, int fd, const struct uc_fd_options *options,
                           uc_fd **ret_fd);

/**
 * uc_fd_free - give up a handle
 * @fd: a handle, or NULL
 *
 * If the descriptor is still attached, everything is cancelled and the descriptor is given back
 * without a record; what is queued is dropped, and memory queued by reference must stay valid until
 * uc_fd_close() would have reported it, so close first when there is any. A close already asked for
 * goes on. Called on a thread that does not run the ring, the descriptor stays attached, to nobody,
 * until the ring is freed. In a forked child only memory is released.
 *
 * Return: NULL.
 *
 * Since: 0.1
 */
UC_EXPORT uc_fd *uc_fd_free(uc_fd *fd);

/**
 * uc_fd_recv_start - receive until told to stop
 * @fd: a handle
 *
 * Arms before data is there; every piece that arrives becomes a UC_EVENT_RECV (or
 * UC_EVENT_DATAGRAM). What had to be kept since the last uc_fd_recv_stop() comes first.
 *
 * Return: 0, or
 *   -EALREADY   receiving already
 *   -ENOTCONN   the peer's end or an error has been reported; nothing more will come
 *   -EBUSY      the descriptor accepts (or receives)
 *   -ESHUTDOWN  closing
 *   -EINVAL, -ESTALE, -ECHILD, -EPERM
 *
 * Since: 0.1
 */
UC_EXPORT int uc_fd_recv_start(uc_fd *fd);

/**
 * uc_fd_recv_once - receive one piece
 * @fd:        a handle
 * @max_bytes: 1 or more; at most one buffer is filled
 *
 * As uc_fd_recv_start(), for one record; what was kept comes first, cut to @max_bytes (a datagram is
 * not). A record of a part has no UC_EVENT_PAYLOAD: it cannot be kept with uc_pool_keep().
 * uc_fd_recv_stop() calls it off; what arrives all the same is kept for the next time.
 *
 * Return: as uc_fd_recv_start()
 *
 * Since: 0.1
 */
UC_EXPORT int uc_fd_recv_once(uc_fd *fd, uint32_t max_bytes);

/**
 * uc_fd_recv_stop - stop receiving
 * @fd: a handle
 *
 * No record of received data comes after this returns, except those already given out. The peer
 * feels it when its window is full. Nothing is lost.
 *
 * Return: 0, or
 *   -EALREADY   not receiving
 *   -EINVAL, -ESTALE, -ECHILD, -EPERM
 *
 * Since: 0.1
 */
UC_EXPORT int uc_fd_recv_stop(uc_fd *fd);

/* Bits of uc_fd_send()'s flags. */
enum uc_send_flag {
    UC_SEND_REFERENCE = 1, /* do not copy; data stays as it is until UC_EVENT_SENT */
    UC_SEND_ZERO_COPY = 2, /* the same, and without a copy by the kernel, whether it pays or not */
};

/* Sending without a copy. By reference, libuc copies nothing, but the kernel still does, into the
 * socket. Without that copy the network card reads the memory itself: UC_EVENT_SENT comes when the
 * peer has acknowledged the bytes, a round trip later, while the next ones are on their way. Pages
 * are pinned meanwhile, and charged to RLIMIT_MEMLOCK; without memory for that the kernel copies.
 * It pays from some 10 KiB on, over a real network.
 *
 * zero_copy_bytes leaves it to libuc: the kernel copies for peers on this machine, and on a
 * descriptor for which it has reported that it had to (it reports from 6.3 on).
 * uc_fd_status.zero_copy tells. UC_SEND_ZERO_COPY does not ask what pays. Where it cannot be had at
 * all, both copy. Data in the registered part of the pool (UC_POOL_REGISTER) that leaves alone is
 * pinned and charged already. */

/**
 * uc_fd_send - queue bytes for sending
 * @fd:    a stream
 * @data:  @bytes bytes; copied, unless UC_SEND_REFERENCE or UC_SEND_ZERO_COPY is set
 * @bytes: 1 to 2^40
 * @flags: UC_SEND_*
 *
 * Everything queued in a turn leaves together at the next uc_ring_wait() or uc_ring_flush(). Short
 * sends are continued.
 *
 * Return: the bytes now queued and not yet taken by the kernel, these included (above high_water,
 * UC_EVENT_LOW_WATER will follow), or
 *   -EINVAL     a NULL argument, no bytes, too many, an unknown flag, or a datagram descriptor
 *   -ENOMEM     no memory for the copy; nothing was queued
 *   -ESHUTDOWN  the write side is shut down, or closing
 *   -EPIPE      an earlier send failed
 *   -ESTALE, -ECHILD, -EPERM
 *
 * Since: 0.1
 */
UC_EXPORT int64_t uc_fd_send(uc_fd *fd, const void *data, uint64_t bytes, uint32_t flags);

/**
 * uc_fd_send_to - queue one datagram
 * @fd:            a descriptor attached with UC_FD_DATAGRAM
 * @data:          @bytes bytes, copied; may be NULL when @bytes is 0
 * @bytes:         0 to 65536
 * @address:       where to, or NULL for a connected socket
 * @address_bytes: length of @address, at most UC_DATAGRAM_ADDRESS_BYTES
 *
 * A datagram that the kernel refuses is reported as UC_EVENT_SEND_FAILED; those behind it are still
 * sent.
 *
 * Return: as uc_fd_send()
 *
 * Since: 0.1
 */
UC_EXPORT int64_t uc_fd_send_to(uc_fd *fd, const void *data, uint64_t bytes, const void *address,
                                uint32_t address_bytes);

/**
 * uc_fd_shutdown - end the write side once everything queued has been sent
 * @fd: a stream
 *
 * UC_EVENT_SHUTDOWN reports it.
 *
 * Return: 0, or
 *   -EALREADY   asked for already
 *   -ESHUTDOWN  closing
 *   -EPIPE      an earlier send failed
 *   -EINVAL, -ESTALE, -ECHILD, -EPERM
 *
 * Since: 0.1
 */
UC_EXPORT int uc_fd_shutdown(uc_fd *fd);

/**
 * uc_fd_accept_start - accept connections until told to stop
 * @fd: a listening socket
 *
 * Each becomes a UC_EVENT_ACCEPT. uc_fd_recv_stop() stops it; connections that the kernel had
 * accepted by then come first when it is started again, and are closed with the descriptor.
 *
 * Return: as uc_fd_recv_start()
 *
 * Since: 0.1
 */
UC_EXPORT int uc_fd_accept_start(uc_fd *fd);

/**
 * uc_fd_connect - connect a socket
 * @fd:            a handle of a fresh socket
 * @address:       where to; copied
 * @address_bytes: length of @address, at most UC_DATAGRAM_ADDRESS_BYTES
 *
 * UC_EVENT_CONNECT reports it. Until then nothing is sent; what is queued waits.
 *
 * Return: 0, or
 *   -EBUSY      a connect or send is in flight already, or no credit is left
 *   -ESHUTDOWN  closing
 *   -EINVAL, -ENOMEM, -ESTALE, -ECHILD, -EPERM
 *
 * Since: 0.1
 */
UC_EXPORT int uc_fd_connect(uc_fd *fd, const void *address, uint32_t address_bytes);

/**
 * uc_fd_poll - wait for readiness, once
 * @fd:     a handle
 * @events: POLLIN, POLLOUT ... of poll(2)
 *
 * UC_EVENT_POLL reports it. Asked again before that, the new mask replaces the old one.
 *
 * Return: 0, or
 *   -EBUSY      no credit left
 *   -ESHUTDOWN  closing
 *   -EINVAL, -ESTALE, -ECHILD, -EPERM
 *
 * Since: 0.1
 */
UC_EXPORT int uc_fd_poll(uc_fd *fd, uint32_t events);

/**
 * uc_fd_poll_stop - call a poll off
 * @fd: a handle
 *
 * No UC_EVENT_POLL comes after this returns, except those already given out.
 *
 * Return: 0, or
 *   -EALREADY   none was asked for
 *   -EINVAL, -ESTALE, -ECHILD, -EPERM
 *
 * Since: 0.1
 */
UC_EXPORT int uc_fd_poll_stop(uc_fd *fd);

/**
 * uc_fd_set_water_marks - set when the sender is to pause and to go on
 * @fd:   a handle
 * @high: bytes queued above which UC_EVENT_LOW_WATER is owed
 * @low:  bytes at which it is paid; at most @high
 *
 * Return: 0, or -EINVAL, -ESTALE, -ECHILD, -EPERM
 *
 * Since: 0.1
 */
UC_EXPORT int uc_fd_set_water_marks(uc_fd *fd, uint64_t high, uint64_t low);

/**
 * uc_fd_set_credit - set the budget
 * @fd:    a handle
 * @ops:   operations in flight at a time, 1 to 16
 * @bytes: received bytes given out in one turn, and leased, at which receiving rests; 1 or more
 *
 * A smaller budget does not cancel what is in flight.
 *
 * Return: 0, or -EINVAL, -ESTALE, -ECHILD, -EPERM
 *
 * Since: 0.1
 */
UC_EXPORT int uc_fd_set_credit(uc_fd *fd, uint32_t ops, uint64_t bytes);

/**
 * uc_fd_set_gather - choose whether pieces are put together
 * @fd: a handle of a stream
 * @on: 1: as UC_FD_GATHER; 0: each record is one buffer and can be kept
 *
 * Counts from the next record on.
 *
 * Return: 0, or
 *   -EINVAL  also: @on is neither, or the descriptor is one of datagrams
 *   -ESTALE, -ECHILD, -EPERM
 *
 * Since: 0.1
 */
UC_EXPORT int uc_fd_set_gather(uc_fd *fd, uint32_t on);

/**
 * uc_fd_get_status - a snapshot
 * @fd:         a handle
 * @ret_status: size must be set; the rest is filled in
 *
 * Return: 0, or -EINVAL, -ESTALE, -ECHILD, -EPERM
 *
 * Since: 0.1
 */
UC_EXPORT int uc_fd_get_status(uc_fd *fd, struct uc_fd_status *ret_status);

/* Bits of uc_fd_close()'s flags. */
enum uc_close_flag {
    UC_CLOSE_ABORT = 1, /* drop what is queued instead of sending it first; and reset a connection
                           that the kernel still sends to without a copy */
    UC_CLOSE_KEEP = 2,  /* the descriptor stays open, the caller's at UC_EVENT_CLOSED */
    UC_CLOSE_NOW = 4,   /* with UC_CLOSE_ABORT: return when nothing is in flight */
};

/**
 * uc_fd_close - send what is queued, end everything in flight, then close
 * @fd:    a handle
 * @flags: UC_CLOSE_*
 *
 * UC_EVENT_CLOSED is the last record; then the handle can only be freed. After zero-copy sends it
 * comes when the peer has acknowledged them, however long that takes; unless UC_CLOSE_KEEP is set
 * the peer is told of the end at once. May be called again to turn a close that still sends, or
 * waits for that, into an abort.
 *
 * Return: 0, or
 *   -EALREADY  closing already, and this call adds nothing
 *   -EAGAIN    UC_CLOSE_NOW, and the kernel did not let go in time: UC_EVENT_CLOSED will tell when
 *              it did
 *   -EINVAL, -ESTALE, -ECHILD, -EPERM
 *
 * Since: 0.1
 */
UC_EXPORT int uc_fd_close(uc_fd *fd, uint32_t flags);

UC_END_DECLS

#endif
