/*
 * The seam: how operations reach a kernel and completions come back.
 *
 * A backend is a table of functions at the level of operations and completions. State machines,
 * queues, credit, the pool's life cycle and cancellation are above it and know no backend by name.
 *
 * Contract of every backend:
 *   - submit() queues; it enters the kernel only when its queue is full. What an operation points
 *     to stays valid until the terminal completion (the one without UCI_COMPLETION_MORE).
 *   - every submitted operation has exactly one terminal completion, also after cancel and at
 *     close(); an operation of its own is UCI_OP_CANCEL, whose completion says nothing more.
 *   - buffers handed over by provide() come back one by one with completions, or all with close().
 *   - nothing here is called by two threads at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uc/pool.h>
#include <uc/ring.h>

enum uci_op {
    UCI_OP_NOP,
    UCI_OP_RECV,    /* into a provided buffer, or `address` when it is set */
    UCI_OP_RECVMSG, /* as RECV; a datagram, behind struct uci_datagram_head */
    UCI_OP_SEND,
    UCI_OP_SENDMSG, /* address: struct msghdr */
    UCI_OP_ACCEPT,
    UCI_OP_CONNECT, /* address: struct sockaddr, length: its bytes */
    UCI_OP_POLL,    /* flags: the mask */
    UCI_OP_READ,
    UCI_OP_WRITE,
    UCI_OP_FSYNC,  /* flags: UC_FSYNC_* */
    UCI_OP_OPENAT, /* address: path, flags: O_*, length: mode */
    UCI_OP_CLOSE,
    UCI_OP_STATX,      /* address: path, flags: AT_*, length: mask, offset: struct statx */
    UCI_OP_TIMEOUT,    /* address: struct __kernel_timespec */
    UCI_OP_SPLICE,     /* fd_in, address: where in it, offset: where in fd, flags: UC_SPLICE_* */
    UCI_OP_TRUNCATE,   /* offset: the new length */
    UCI_OP_FALLOCATE,  /* flags: FALLOC_FL_*, offset: from where, address: how many bytes */
    UCI_OP_RENAMEAT,   /* fd_in, address: the old path, fd, offset: the new one, flags: RENAME_* */
    UCI_OP_UNLINKAT,   /* address: path, flags: AT_REMOVEDIR */
    UCI_OP_MKDIRAT,    /* address: path, length: mode */
    UCI_OP_SYMLINKAT,  /* address: what it says, offset: path */
    UCI_OP_LINKAT,     /* fd_in, address: the old path, fd, offset: the new one, flags: AT_* */
    UCI_OP_READLINKAT, /* address: path, offset: where to, length: room there */
    UCI_OP_STATVFS,    /* address: path, or 0: of fd itself, offset: struct statvfs */
    UCI_OP_LIST,       /* address, length: room for what getdents64(2) gives */
    UCI_OP_COPY_RANGE, /* fd_in, address: where in it, offset: where in fd */
    UCI_OP_CANCEL,     /* offset: the user_data of the operation to end */
    UCI_OP_COUNT
};

/* Bits of uci_operation.shape. */
enum {
    UCI_OPERATION_MULTISHOT = 1,  /* RECV, RECVMSG, ACCEPT: go on until cancelled; POLL: after the
                                  * first look only changes are told, and it may end with any */
    UCI_OPERATION_PROVIDED = 2,   /* RECV, RECVMSG: into a buffer that provide() handed over */
    UCI_OPERATION_FIXED = 4,      /* READ, WRITE, SEND with ZERO_COPY: `address` lies in the
                                  * registered pool */
    UCI_OPERATION_WHOLE = 8,      /* SEND, SENDMSG: a stream; better all of it than a part */
    UCI_OPERATION_KEPT = 16,      /* the descriptor stays with the ring until forget() */
    UCI_OPERATION_NOW = 32,       /* RECV, RECVMSG: -EAGAIN instead of waiting */
    UCI_OPERATION_ZERO_COPY = 64, /* SEND, SENDMSG: the memory is read until a second completion,
                                   * the notice; without one the first has no MORE. Only with
                                   * UC_FEATURE_SEND_ZERO_COPY */
};

struct uci_operation {
    uint8_t op;    /* enum uci_op */
    uint8_t shape; /* UCI_OPERATION_* */
    int32_t fd;
    int32_t fd_in; /* SPLICE */
    uint32_t flags;
    uint32_t length;
    uint64_t address;
    uint64_t offset;
    uint64_t user_data;
};

/* Bits of uci_completion.flags. */
enum {
    UCI_COMPLETION_MORE = 1,   /* not the last one of its operation */
    UCI_COMPLETION_BUFFER = 2, /* `buffer` came back, whatever the result is */
    UCI_COMPLETION_LOST = 4,   /* made up: nobody knows what the operation did before it ended */
    UCI_COMPLETION_COPIED = 8, /* a notice: nothing was saved */
};

/* What stands in a provided buffer before a datagram: this, then UC_DATAGRAM_ADDRESS_BYTES of room
 * for the sender's address. */
struct uci_datagram_head {
    uint32_t address_bytes;
    uint32_t control_bytes;
    uint32_t payload_bytes;
    uint32_t flags; /* MSG_* */
};

struct uci_completion {
    uint64_t user_data;
    int32_t result;
    uint32_t flags;
    uint32_t buffer; /* index in the pool */
};

struct uci_backend_options {
    uint32_t sq_entries, cq_entries;
    uint32_t sqpoll, sqpoll_idle_ms, sqpoll_cpu;
    uint32_t restriction; /* UC_RESTRICT_* */
    uint64_t features_off;
    uint64_t features_off_by_environment; /* part of them, to be told */
    bool tells_another_loop;              /* for which completions are not deferred, to be told */
    uc_pool *pool;
};

struct uci_backend;

struct uci_backend_table {
    uint32_t id; /* UC_BACKEND_* */

    /* Make one, bound to no thread. Fills `info`, also on failure. */
    int (*open)(const struct uci_backend_options *options, struct uc_ring_info *info,
                struct uci_backend **ret_backend);
    /* Bind it to the calling thread, for good. */
    int (*enable)(struct uci_backend *backend);
    /* Queue an operation. Negative: nothing was queued. */
    int (*submit)(struct uci_backend *backend, const struct uci_operation *operation);
    /* Submit everything queued (with nothing queued and not to wait, it need not enter the kernel
     * unless that would bring completions); if @wait, until a completion is there or @timeout_ns is over
     * (negative: for ever). 0 or negative; -ETIME is 0. */
    int (*enter)(struct uci_backend *backend, bool wait, int64_t timeout_ns);
    /* Whether an enter() that does not wait, or reap(), would bring a completion, as far as shared
     * memory tells. NULL: nothing tells. */
    bool (*has_news)(const struct uci_backend *backend);
    /* As enter() without waiting, but return when the kernel has taken everything, so that a number
     * closed after it reaches no operation submitted before; -EAGAIN when it did not in time. NULL:
     * enter() does that. */
    int (*hand_over)(struct uci_backend *backend);
    /* Take up to @max completions; needs no kernel entry. */
    uint32_t (*reap)(struct uci_backend *backend, struct uci_completion *completions, uint32_t max);
    /* Hand a buffer of the pool to the kernel; visible at the next enter(). */
    void (*provide)(struct uci_backend *backend, uint32_t buffer);
    /* A descriptor is about to be closed or given back; nothing of it is in flight. */
    void (*forget)(struct uci_backend *backend, int fd);
    /* A descriptor that polls readable while completions wait. */
    int (*poll_fd)(struct uci_backend *backend);
    /* One for another loop to sleep on, also for @wake_fd unless the ring writes to it itself; and:
     * let it become readable when a completion arrives. */
    int (*new_event_fd)(int wake_fd);
    int (*set_event_fd)(struct uci_backend *backend, int event_fd);
    /* Any thread, nobody else using it: tell the kernel to end everything. Completions that this
     * causes can still be reaped. */
    void (*stop)(struct uci_backend *backend);
    /* Wait up to @timeout_ns. Return: whether the kernel has let go of everything. */
    bool (*is_stopped)(struct uci_backend *backend, int64_t timeout_ns);
    /* Free a stopped one; or, in a forked child, whatever of it is the child's. */
    void (*free)(struct uci_backend *backend, bool in_child);
    /* Plain system calls on the descriptors that operations are about. */
    int (*shutdown)(int fd);
    int (*close)(int fd);
    int (*reset)(int fd); /* a connection: what was sent and has not arrived is dropped */
    /* Take up to @max connections that wait: none when asking could block. */
    uint32_t (*accept)(int fd, int *connections, uint32_t max);
};

/* What all backends begin with. */
struct uci_backend {
    const struct uci_backend_table *table;
    uint64_t features;        /* UC_FEATURE_* in use */
    uint32_t queued;          /* operations submitted that the kernel has not taken yet */
    bool overflowing;         /* completions wait in the kernel for room */
    uint32_t completions_max; /* how many can wait in memory */
    uint64_t kernel_entries;
    uint64_t overflows;
};

extern const struct uci_backend_table uci_backend_uring;
extern const struct uci_backend_table uci_backend_epoll;
