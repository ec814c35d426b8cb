/*
 * How libuc answers.
 *
 * Every function that can fail returns a number: 0 or a count when it worked, else a negative
 * errno. Parameters named ret_... come last and are untouched on failure. A failed call changes
 * nothing. No function reads or writes the calling thread's errno as its answer, prints, or aborts
 * on a caller's mistake.
 *
 * What the codes mean here:
 *
 *   -EINVAL      an argument is wrong: NULL handle, zero or excessive size, unknown flag, wrong
 *                struct size
 *   -E2BIG       an options struct has a non-zero tail that this version does not know: the caller
 *                is newer
 *   -EBADF       the descriptor is negative, or not open
 *   -ERANGE      the descriptor is 2^24 or more, which user_data has no room for
 *   -ECHILD      the handle was made by another process; see uc/fork.h
 *   -EPERM       a ring's function was called from a thread that does not run the ring; or, when a
 *                ring is created, the kernel or its policy refuses io_uring (uc_probe() says which
 *                knob)
 *   -ESTALE      the ring that the handle belonged to was freed, or the lease or operation has
 *                already ended
 *   -EAGAIN      the kernel takes no more operations now: call uc_ring_wait() and try again
 *   -EALREADY    what was asked for is already so: a receive already started, a close already asked
 *                for
 *   -EBUSY       the object is in use: the descriptor has no credit left, is attached already, or
 *                the pool has a ring
 *   -ESHUTDOWN   the write side was shut down or the descriptor is closing
 *   -ENOBUFS     the pool is exhausted and may not grow
 *   -ENOMEM      memory, or the locked-memory limit, ran out
 *   -EOPNOTSUPP  this kernel or backend has no such operation
 *   -EACCES      the ring is restricted to other operations
 *   -EINTR       a signal came while waiting; nothing is lost
 *
 * The result of an event is the kernel's own number, untouched.
 */
#ifndef UC_ERROR_H
#define UC_ERROR_H

#include <uc/export.h>

UC_BEGIN_DECLS

/**
 * uc_error_name - the name of an errno, for messages
 * @error: an errno, positive or negative
 *
 * Return: a name such as "ECHILD", or "unknown error"; a string that lives as long as the library.
 *
 * Since: 0.1
 */
UC_EXPORT const char *uc_error_name(int error);

UC_END_DECLS

#endif
