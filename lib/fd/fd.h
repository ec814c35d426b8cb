/* One attached descriptor, and the table that finds it by its number. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uc/fd.h>

#include "base/list.h"
#include "fd/life_state.h"
#include "fd/read_state.h"
#include "fd/send_queue.h"
#include "fd/zero_copy.h"

/* An operation of a descriptor: at most one of each lane is in flight. */
enum uci_lane {
    UCI_LANE_READ,  /* receive or accept */
    UCI_LANE_WRITE, /* send or connect */
    UCI_LANE_POLL,
    UCI_LANES
};

struct uci_kept_accepts {
    int *fds;
    uint32_t count, capacity;
};

struct uc_fd {
    uint64_t origin;
    uc_ring *ring; /* NULL once the ring is freed, or the descriptor is closed */
    int fd;
    uint32_t flags; /* UC_FD_* */
    uint64_t cookie;
    uint8_t life;         /* enum uc_fd_state */
    uint8_t read;         /* enum uci_read_state */
    bool handle_freed;    /* nobody refers to it but the ring */
    bool keep_descriptor; /* UC_CLOSE_KEEP */
    bool silent;          /* no record at the end: uc_fd_free() was called before */
    bool leaked;          /* the kernel may still use its memory, which is never freed */

    uint64_t lanes[UCI_LANES]; /* user_data of what is in flight, 0: nothing */
    uint32_t in_flight;
    uint32_t credit_ops;
    uint32_t cancels_owed; /* bit of each lane whose cancellation found no room in the queue */

    /* read side */
    uint8_t read_kind;     /* UCI_KIND_RECV or UCI_KIND_ACCEPT */
    uint32_t once_bytes;   /* of uc_fd_recv_once(); 0: until stopped */
    uint32_t read_buffer;  /* given to a receive where the kernel does not choose one */
    bool dry;              /* nothing may be there: such a receive waits before it gets a buffer */
    bool awaits_data;      /* what is armed is that wait; see flow/await.c */
    bool misled;           /* it has ended for an error alone, which may stay */
    bool change_seen;      /* there is something to be received: the wait is being cancelled */
    int32_t awaited_error; /* ... and it is this; 0: it is not an error */
    int32_t end_result;    /* why the read side ended */
    int32_t kept_error;    /* of a datagram socket, to be told before what was kept; 0: none */
    uint64_t credit_bytes;
    struct uci_account *account; /* what was kept of its records; NULL once it is detached */
    uint64_t turn; /* of the ring, in which turn_bytes, or a connection, were given out */
    uint64_t turn_bytes;
    uint32_t stash_first, stash_last; /* buffers kept while stopped */
    uint64_t stash_bytes;
    uint64_t part_turn; /* of the ring, in which a part of the first kept buffer was given out */
    struct uci_kept_accepts accepts;
    struct msghdr *message; /* what a datagram receive points to */

    /* write side */
    struct uci_send_queue queue;
    struct sockaddr_storage *connect_address; /* kernel's while a connect is in flight */
    uint32_t connect_bytes;
    uint64_t high_water, low_water;
    bool low_water_owed;
    bool shutdown_asked, shutdown_done;
    int32_t send_error; /* of a stream: nothing more can be sent */
    bool aborted;       /* UC_CLOSE_ABORT: what the kernel has taken need not arrive either */
    struct uci_zero_copy zero_copy;

    /* poll */
    uint32_t poll_events; /* asked for; 0: nothing */

    struct uci_link attached; /* in ring->attached */
    struct uci_link waiting;  /* in ring->waiting: something is to be armed at the next turn */
    struct uci_link held;     /* in ring->held: what was kept is to be delivered */
};

/* By number. The generation outlives what is attached: it tells one life of a number from the
 * next, and one arming from the next. */
struct uci_fd_entry {
    uc_fd *fd;
    uint32_t generation;
};

struct uci_fd_table {
    struct uci_fd_entry *entries;
    uint32_t capacity;
};

int uci_fd_table_reserve(struct uci_fd_table *table, int fd); /* -ENOMEM */
void uci_fd_table_finish(struct uci_fd_table *table);

static inline uc_fd *uci_fd_table_find(const struct uci_fd_table *table, uint32_t number)
{
    return number < table->capacity ? table->entries[number].fd : NULL;
}

uc_fd *uci_fd_new(uc_ring *ring, int fd, const struct uc_fd_options *options);
void uci_fd_delete(uc_fd *fd);

/* Step the read side. Return: what is to be done. */
struct uci_read_step uci_fd_read(uc_fd *fd, enum uci_read_input input);

/* Whether nothing is in flight, not even a zero-copy send whose notice is to come. */
static inline bool uci_fd_is_quiet(const uc_fd *fd)
{
    return fd->in_flight == 0 && fd->zero_copy.outstanding == 0;
}

/* Whether the caller wants what the read side brings. */
static inline bool uci_fd_wants(const uc_fd *fd)
{
    return fd->read == UCI_READ_WAITING || fd->read == UCI_READ_ARMED ||
           fd->read == UCI_READ_RESTARTING;
}
