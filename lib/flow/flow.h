/*
 * The two roads, as their files see each other.
 *
 *   road 1   submit_fd.c, submit_send.c, submit_op.c   public functions: change state, queue
 *            submit.c                                  once per turn: queues become operations
 *            provide.c                                 and buffers go to the kernel
 *            await.c                                   a wait for data, on both roads
 *   road 2   complete.c                                a completion finds its descriptor or slot
 *            complete_read.c, complete_accept.c, complete_write.c
 *                                                      state moves, records are made
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

/* close.c */
void uci_flow_life(uc_fd *fd, enum uci_life_input input);
void uci_flow_detach(uc_fd *fd); /* forget it: nothing may be in flight */
