/* The epoll backend, seen by its own files only. */
#pragma once

#include <sys/epoll.h>

#include "backend/backend.h"
#include "base/list.h"
#include "work/workers.h"

struct uci_epoll;

/* An operation from its start to its end: it waits for readiness, for a time, or for a worker. */
struct uci_epoll_op {
    struct uci_operation operation;
    struct uci_epoll *epoll;
    struct uci_link waiting;   /* in its node's list */
    struct uci_epoll_op *next; /* in the table by user_data, or of those that are free */
    int waits_on;              /* descriptor; -1: none */
    uint32_t wants;            /* EPOLL* */
    uint32_t timer;            /* 1 + its place in the heap; 0: none */
    uint64_t deadline;         /* of the monotonic clock, in nanoseconds */
    bool tabled;
    bool connecting; /* the kernel is at it */
    bool working;    /* with the workers */
    bool called_off; /* while it was with them */
    struct uci_work work;
    int32_t result; /* of the work */
    int32_t moved;  /* SPLICE: until now */
};

/* What is known of a descriptor number. */
struct uci_epoll_node {
    struct uci_link waiting; /* operations, first come first served */
    uint32_t mask;           /* as registered in the set; 0: it is not */
    uint32_t life;           /* raised when the descriptor is given back */
    uint32_t fruitless;      /* events in a row that moved nothing */
    bool kept;               /* the registration may outlive the operations */
};

/* Descriptors that become readable when the set has something: our own, and the other loop's. */
enum {
    UCI_EPOLL_OWN_FRONT,
    UCI_EPOLL_GIVEN_FRONT,
    UCI_EPOLL_FRONTS
};

struct uci_epoll {
    struct uci_backend base;
    uc_pool *pool;
    int set;  /* epoll(7) */
    int bell; /* an eventfd in the set: work has finished, or completions wait in memory */
    int fronts[UCI_EPOLL_FRONTS]; /* -1: none */
    int alarm;                    /* a timerfd in the set, once there is a front; -1: none */
    uint64_t alarm_at;            /* 0: it is off */
    bool skipped;                 /* the last entry did not look at the set */
    bool renew;                   /* something is in the set that goes only with the set */
    bool coarse;                  /* no epoll_pwait2(): whole milliseconds */
    bool stopped;

    struct uci_operation *queue; /* submitted, not started */
    uint32_t queue_capacity;

    struct uci_completion *completions;
    uint32_t completion_first, completion_count, completion_capacity;
    uint32_t owed; /* operations without their terminal completion; there is room for it */

    uint32_t *provided; /* buffers to receive into, the next one last */
    uint32_t provided_count;

    struct uci_epoll_node **nodes; /* by descriptor */
    uint32_t node_count;

    struct uci_epoll_op **table; /* by user_data: a power of two of chains */
    uint32_t table_size, table_count;
    struct uci_epoll_op *free_ops;

    struct uci_epoll_op **timers; /* a heap, the earliest first */
    uint32_t timer_count, timer_capacity;

    struct uci_workers *workers; /* NULL until needed */
};

static inline struct uci_epoll *uci_epoll_of(struct uci_backend *backend)
{
    return (struct uci_epoll *)backend;
}

/* queue.c: operations in, completions out. */
int uci_epoll_submit(struct uci_backend *backend, const struct uci_operation *operation);
uint32_t uci_epoll_reap(struct uci_backend *backend, struct uci_completion *completions,
                        uint32_t max);
bool uci_epoll_has_room(struct uci_epoll *epoll); /* for a completion that is not the last */
void uci_epoll_complete(struct uci_epoll *epoll, const struct uci_completion *completion);
void uci_epoll_start_queued(struct uci_epoll *epoll);

/* ops.c: from start to end. */
void uci_epoll_start(struct uci_epoll *epoll, const struct uci_operation *operation);
bool uci_epoll_resume(struct uci_epoll_op *op, uint32_t ready); /* whether anything moved */
void uci_epoll_end(struct uci_epoll_op *op, int32_t result);
void uci_epoll_drop(struct uci_epoll_op *op); /* its terminal completion is made */
void uci_epoll_work(struct uci_epoll_op *op); /* on a worker, and from there to */
void uci_epoll_take_finished(struct uci_epoll *epoll);
void uci_epoll_wait_or_end(struct uci_epoll_op *op, int fd, uint32_t wants);
void uci_epoll_end_all(struct uci_epoll *epoll);
void uci_epoll_free_ops(struct uci_epoll *epoll, bool in_child);

/* table.c: finding an operation by its user_data. */
void uci_epoll_table_add(struct uci_epoll_op *op);
void uci_epoll_table_remove(struct uci_epoll_op *op);
struct uci_epoll_op *uci_epoll_table_find(const struct uci_epoll *epoll, uint64_t user_data);

/* calls.c: one system call that does not block. Return: its result, or -EAGAIN. @ready is
 * EPOLL* as reported, 0 when nothing was. */
int32_t uci_epoll_call(struct uci_epoll_op *op, uint32_t ready);
bool uci_epoll_is_non_blocking(int fd);
int32_t uci_epoll_splice(const struct uci_operation *operation); /* only a file may block */

/* files.c: what may take any time, on the workers. */
bool uci_epoll_is_file(int fd);
int32_t uci_epoll_read_cached(const struct uci_operation *operation); /* negative: a worker's */
void uci_epoll_run(struct uci_work *work);
void uci_epoll_abandon(struct uci_work *work);

/* splice.c: both sides have to be ready. */
void uci_epoll_splice_finished(struct uci_epoll_op *op);

/* receive.c: what makes more than one completion, or takes a provided buffer. */
bool uci_epoll_receives(const struct uci_operation *operation);
bool uci_epoll_receive(struct uci_epoll_op *op); /* whether anything moved */
void uci_epoll_provide(struct uci_backend *backend, uint32_t buffer);

/* set.c: descriptors in the set, and waiting for it. */
int uci_epoll_set_open(struct uci_epoll *epoll);
int uci_epoll_wait_for(struct uci_epoll_op *op, int fd, uint32_t wants);
void uci_epoll_wait_no_more(struct uci_epoll_op *op);
bool uci_epoll_is_kept(const struct uci_epoll *epoll, int fd);
void uci_epoll_forget(struct uci_backend *backend, int fd);
int uci_epoll_enter(struct uci_backend *backend, bool wait, int64_t timeout_ns);

/* fronts.c: what another loop sleeps on. */
#define UCI_EPOLL_ALARM (UINT64_MAX - 1) /* its tag in the set */
int uci_epoll_new_front(int wake_fd);
int uci_epoll_front(struct uci_epoll *epoll, int which, int fd);
int uci_epoll_add_to_set(int set, int fd, uint64_t tag);
int uci_epoll_show_set(struct uci_epoll *epoll, int set); /* on all fronts */
void uci_epoll_show_completions(struct uci_epoll *epoll);
void uci_epoll_show_next_time(struct uci_epoll *epoll);

/* timers.c */
int uci_epoll_timer_add(struct uci_epoll_op *op, uint64_t deadline);
void uci_epoll_timer_remove(struct uci_epoll_op *op);
int64_t uci_epoll_timers_left(const struct uci_epoll *epoll); /* nanoseconds; -1: no timer */
void uci_epoll_timers_expire(struct uci_epoll *epoll);
