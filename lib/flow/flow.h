/*
 * The two roads, as their files see each other.
 *
 *   road 1   submit_fd.c, submit_send.c, submit_op.c   public functions: change state, queue
 *            submit_file.c, read_many.c                those on files and names
 *            submit.c                                  once per turn: queues become operations
 *            provide.c                                 and buffers go to the kernel
 *            await.c                                   a wait for data, on both roads
 *            zero_copy.c                               sends without a copy, on both roads
 *   road 2   complete.c                                a completion finds its descriptor or slot
 *            complete_read.c, complete_accept.c, complete_write.c
 *                                                      state moves, records are made
 *            deadline.c                                timers of one-shot operations, on both
 *            close.c                                   the end of a descriptor, from either road
 */
#pragma once

#include "ring/ring.h"
#include "user_data/kind.h"

/* submit.c */
int uci_flow_flush(uc_ring *ring);                      /* arm everything that waits */
void uci_flow_arm_later(uc_fd *fd);                     /* ... of this one, at the next flush */
int uci_flow_cancel(uc_ring *ring, uint64_t user_data); /* ask for it to end */
void uci_flow_cancel_lane(uc_fd *fd, enum uci_lane lane);
int uci_flow_cancel_slot(uc_ring *ring, struct uci_slot *slot);  /* whatever it holds */
void uci_flow_cancel_soon(uc_ring *ring, struct uci_slot *slot); /* also if there is no room now */

/* submit_op.c */
#define UCI_FILE_BYTES_MAX ((UINT32_C(1) << 31) - 4096)

/* The operation in flight that has this identifier, or NULL. */
struct uci_slot *uci_flow_find_operation(uc_ring *ring, uint64_t op);
/* Queue an operation whose slot is filled in; on failure the slot is given back. */
int uci_flow_submit(uc_ring *ring, struct uci_slot *slot, struct uci_operation *operation,
                    uint64_t *ret_op);
/* The common case: an operation that needs nothing kept but its cookie. */
int uci_flow_submit_plain(uc_ring *ring, uint32_t kind, struct uci_operation *operation,
                          uint64_t cookie, uint64_t *ret_op);
/* One on a path, of which a copy is kept: its address. @other: a second one, its offset; or NULL. */
int uci_flow_submit_paths(uc_ring *ring, uint32_t kind, const char *path, const char *other,
                          struct uci_operation *operation, uint64_t cookie, uint64_t *ret_op);
/* Whether memory lies in the part of the pool that is registered as fixed buffers. */
bool uci_flow_is_registered(const uc_ring *ring, const void *buffer, uint32_t bytes);

/* read_many.c. Return of complete_part: whether it is one of those in flight. */
uint64_t uci_flow_part(const struct uci_slot *slot, uint32_t part); /* its user_data */
bool uci_flow_part_has_ended(const struct uci_slot *slot, uint32_t part);
int uci_flow_cancel_parts(uc_ring *ring, struct uci_slot *slot);
bool uci_flow_complete_part(uc_ring *ring, const struct uci_completion *completion);
void uci_flow_complete_cancel_part(uc_ring *ring, const struct uci_completion *completion);

/* deadline.c. Return of complete_timer: as complete_part. */
bool uci_flow_complete_timer(uc_ring *ring, const struct uci_completion *completion);
void uci_flow_end_timers(uc_ring *ring, struct uci_slot *slot);   /* the operation has ended */
void uci_flow_cancel_later(uc_ring *ring, struct uci_slot *slot); /* the kernel did not find it */

/* provide.c */
bool uci_flow_may_provide(const uc_ring *ring); /* or libuc chooses, as of a single buffer */
void uci_flow_provide(uc_ring *ring);           /* let the kernel have as many as it should */

/* await.c */
void uci_flow_prepare_wait(uc_fd *fd, struct uci_operation *operation);
bool uci_flow_goes_on_waiting(uc_fd *fd, const struct uci_completion *completion);
bool uci_flow_has_awaited_error(uc_fd *fd, struct uci_completion *completion); /* changes it */
void uci_flow_end_wait(uc_fd *fd, int32_t result); /* or a receive: what comes next */

/* complete.c */
void uci_flow_complete(uc_ring *ring, const struct uci_completion *completion);
struct uc_event *uci_flow_record(uc_fd *fd, enum uc_event_kind kind, int32_t result);
int32_t uci_flow_result(const struct uci_slot *slot, int32_t result); /* as the caller is told it */
void uci_flow_end_slot(uc_ring *ring, struct uci_slot *slot, int32_t result); /* by a record */

/* As in linux/errno.h: restart codes that are not meant for programs but reach them here. */
#define UCI_RESTART_FIRST 512
#define UCI_RESTART_LAST 516

static inline bool uci_flow_is_restart(int32_t result)
{
    return result <= -UCI_RESTART_FIRST && result >= -UCI_RESTART_LAST;
}

/* Whether an operation ended without having failed: it may be armed again. */
static inline bool uci_flow_is_interruption(int32_t result)
{
    return result == -ECANCELED || result == -EINTR || result == -EAGAIN ||
           uci_flow_is_restart(result);
}

/* complete_read.c */
void uci_flow_complete_read(uc_fd *fd, const struct uci_completion *completion);
void uci_flow_hold(uc_fd *fd); /* what was kept is to be delivered */
void uci_flow_deliver_held(uc_ring *ring);
void uci_flow_drop_kept(uc_fd *fd);

/* complete_accept.c */
bool uci_flow_is_accept_error(int32_t result);
void uci_flow_keep_accept(uc_fd *fd, int connection); /* for when it is wanted */
int uci_flow_take_accept(uc_fd *fd);                  /* the first that was kept */
void uci_flow_accept_more(uc_fd *fd);                 /* one has come: others perhaps wait */
void uci_flow_cancel_accepts(uc_ring *ring);
bool uci_flow_is_accepting(const uc_ring *ring); /* and its end is not parked */
void uci_flow_close_untold(uc_ring *ring);       /* in a child: it will not be told either */

/* complete_write.c */
void uci_flow_complete_send(uc_fd *fd, const struct uci_completion *completion);
void uci_flow_complete_connect(uc_fd *fd, const struct uci_completion *completion);
void uci_flow_complete_poll(uc_fd *fd, const struct uci_completion *completion);
void uci_flow_shutdown_if_drained(uc_fd *fd);
void uci_flow_unpin(uc_fd *fd); /* a notice has come: what is the caller's again? */

/* zero_copy.c */
void uci_flow_prepare_zero_copy(uc_fd *fd, struct uci_operation *operation); /* if it is to be */
void uci_flow_zero_copy_armed(uc_fd *fd);
/* Such a send has left its lane. Return: the number of its notice, 0 if there will be none. */
uint64_t uci_flow_end_zero_copy(uc_fd *fd, const struct uci_completion *completion);
/* Whether it was refused for what it is: then the same bytes are sent with a copy. */
bool uci_flow_must_copy(uc_fd *fd, int32_t result);
bool uci_flow_complete_notice(uc_fd *fd, const struct uci_completion *completion); /* if it is */
void uci_flow_reset(uc_fd *fd); /* so that the kernel lets go of what the peer has not taken */
void uci_flow_hurry_notices(uc_fd *fd); /* at the end of a descriptor */

/* close.c */
void uci_flow_life(uc_fd *fd, enum uci_life_input input);
void uci_flow_detach(uc_fd *fd); /* forget it: nothing may be in flight */
