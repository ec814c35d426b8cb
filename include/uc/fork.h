/*
 * What fork() does to every handle.
 *
 * A child process inherits copies of all handles, and none of them works there: every function
 * answers -ECHILD before it touches anything, found out by a page that the kernel wipes in the
 * child (one memory read, no system call). The parent goes on undisturbed.
 *
 * In the child,
 *   - uc_ring_free(), uc_fd_free() and uc_pool_free() release the child's memory and its copies of
 *     libuc's own descriptors (the ring's and the eventfd's), and talk to nobody: what was in
 *     flight is the parent's business;
 *   - a new ring works at once;
 *   - uc_ring_reinit() makes an inherited ring work again, empty: the descriptors that were
 *     attached to it are detached, operations forgotten, and the pool's generation is raised, so
 *     that leases of the parent are refused.
 *
 * vfork() and posix_spawn() children must not call libuc.
 */
#ifndef UC_FORK_H
#define UC_FORK_H

#include <uc/export.h>
#include <uc/ring.h>

UC_BEGIN_DECLS

/**
 * uc_ring_reinit - make an inherited ring work in a forked child
 * @ring: a ring of the parent, in the child; it must have been made with its own pool or with a
 *        pool that the child has inherited as well
 *
 * Afterwards the ring is as new and belongs to the calling thread. Every uc_fd of it answers
 * -ESTALE and can only be freed; the descriptors themselves stay open.
 *
 * Return: 0, or
 *   -EINVAL    @ring is NULL
 *   -EALREADY  the ring belongs to this process already
 *   any error of uc_ring_new(): the ring then still answers -ECHILD
 *
 * Since: 0.1
 */
UC_EXPORT int uc_ring_reinit(uc_ring *ring);

UC_END_DECLS

#endif
