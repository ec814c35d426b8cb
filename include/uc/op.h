/*
 * One-shot operations: each is submitted once, ends once, and is reported by one UC_EVENT_OPERATION
 * with the cookie given here.
 *
 * Memory that an operation names (a buffer, a statx result) belongs to the kernel until that
 * record. Paths and times are copied. None of these functions enters the kernel, unless the
 * submission queue is full.
 *
 * The descriptor must stay open until the record: closed before, the number may be another file's
 * when the kernel looks it up, and the operation then works on that file. For uc_op_read() and
 * uc_op_write() it is enough that uc_ring_flush() has returned 0 in between. uc_op_fsync(),
 * uc_op_splice(), uc_op_openat(), uc_op_statx() and uc_op_close() look theirs up when they begin,
 * on a thread of the kernel's perhaps, at any time before the record.
 *
 * All of them return 0, or
 *   -EINVAL  a NULL argument, a zero or excessive size, an unknown flag
 *   -EBADF   a negative descriptor
 *   -ENOMEM  no memory
 *   -EAGAIN  the submission queue is full, and the kernel takes nothing before records are taken
 *   -EACCES  the ring is restricted (uc_ring_options.restriction) and this kind is not among what
 *            it may do
 *   -ECHILD, -EPERM
 * and write an identifier to @ret_op, which may be NULL: it names the operation to uc_op_cancel().
 */
#ifndef UC_OP_H
#define UC_OP_H

#include <stdint.h>
#include <uc/export.h>
#include <uc/ring.h>

UC_BEGIN_DECLS

/* An offset that means: at the file's own position, and move it. */
#define UC_OFFSET_CURRENT UINT64_MAX

/**
 * uc_op_nop - do nothing, through the kernel
 * @ring:   a ring
 * @cookie: comes back in the record
 * @ret_op: the operation's identifier, or NULL
 *
 * Return: see the head of this file. The record's result is 0.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_nop(uc_ring *ring, uint64_t cookie, uint64_t *ret_op);

/**
 * uc_op_read - read from a file
 * @ring:   a ring
 * @fd:     an open file
 * @buffer: room for @bytes; inside a lease of a registered pool it is read without mapping it again
 * @bytes:  1 to 2^31 - 4096
 * @offset: where in the file, or UC_OFFSET_CURRENT
 * @cookie: comes back in the record
 * @ret_op: the operation's identifier, or NULL
 *
 * Return: see the head of this file. The record's result is the number of bytes read, 0 at the end
 * of the file, or negative; it may be less than @bytes.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_read(uc_ring *ring, int fd, void *buffer, uint32_t bytes, uint64_t offset,
                         uint64_t cookie, uint64_t *ret_op);

/**
 * uc_op_write - write to a file
 * @ring:   a ring
 * @fd:     an open file
 * @buffer: @bytes bytes; inside a lease of a registered pool it is written without mapping it again
 * @bytes:  1 to 2^31 - 4096
 * @offset: where in the file, or UC_OFFSET_CURRENT
 * @cookie: comes back in the record
 * @ret_op: the operation's identifier, or NULL
 *
 * Return: see the head of this file. The record's result is the number of bytes written, or
 * negative; it may be less than @bytes.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_write(uc_ring *ring, int fd, const void *buffer, uint32_t bytes,
                          uint64_t offset, uint64_t cookie, uint64_t *ret_op);

/* Bits of uc_op_fsync()'s flags. */
enum uc_fsync_flag {
    UC_FSYNC_DATA = 1, /* as fdatasync(2) */
};

/**
 * uc_op_fsync - make what was written survive a crash
 * @ring:   a ring
 * @fd:     an open file
 * @flags:  UC_FSYNC_*
 * @cookie: comes back in the record
 * @ret_op: the operation's identifier, or NULL
 *
 * Covers writes whose records have been seen.
 *
 * Return: see the head of this file. The record's result is 0 or negative.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_fsync(uc_ring *ring, int fd, uint32_t flags, uint64_t cookie, uint64_t *ret_op);

/**
 * uc_op_openat - open a file
 * @ring:         a ring
 * @directory_fd: an open directory, or AT_FDCWD (-100)
 * @path:         copied
 * @flags:        O_* of open(2); O_CLOEXEC is added
 * @mode:         of a file that is made
 * @cookie:       comes back in the record
 * @ret_op:       the operation's identifier, or NULL
 *
 * Return: see the head of this file. The record's result is the descriptor, then the caller's, or
 * negative.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_openat(uc_ring *ring, int directory_fd, const char *path, uint32_t flags,
                           uint32_t mode, uint64_t cookie, uint64_t *ret_op);

/**
 * uc_op_close - close a descriptor that is not attached
 * @ring:   a ring
 * @fd:     an open descriptor with no operation in flight
 * @cookie: comes back in the record
 * @ret_op: the operation's identifier, or NULL
 *
 * Return: see the head of this file, or -EBUSY: @fd is attached, use uc_fd_close(). The record's
 * result is 0 or negative; the descriptor is gone in either case.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_close(uc_ring *ring, int fd, uint64_t cookie, uint64_t *ret_op);

/**
 * uc_op_statx - ask about a file
 * @ring:         a ring
 * @directory_fd: an open directory or file, or AT_FDCWD (-100)
 * @path:         copied; "" with AT_EMPTY_PATH asks about @directory_fd itself
 * @flags:        AT_* of statx(2)
 * @mask:         STATX_*
 * @statx:        room for a struct statx (256 bytes), written by the kernel before the record
 * @cookie:       comes back in the record
 * @ret_op:       the operation's identifier, or NULL
 *
 * Return: see the head of this file. The record's result is 0 or negative.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_statx(uc_ring *ring, int directory_fd, const char *path, uint32_t flags,
                          uint32_t mask, void *statx, uint64_t cookie, uint64_t *ret_op);

/**
 * uc_op_timeout - be told when a time has passed
 * @ring:   a ring
 * @ns:     from now, on CLOCK_MONOTONIC
 * @cookie: comes back in the record
 * @ret_op: the operation's identifier, or NULL
 *
 * Return: see the head of this file. The record's result is -ETIME when the time has passed,
 * -ECANCELED when it was cancelled.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_timeout(uc_ring *ring, uint64_t ns, uint64_t cookie, uint64_t *ret_op);

/* Bits of uc_op_splice()'s flags. */
enum uc_splice_flag {
    UC_SPLICE_NONBLOCK = 1, /* do not wait for the pipe; a socket waits unless it has O_NONBLOCK */
    UC_SPLICE_MORE = 2,     /* more will follow soon: a socket may hold a part of a packet back */
};

/**
 * uc_op_splice - move bytes between a pipe and a file, a socket or another pipe
 * @ring:       a ring
 * @fd_in:      where from
 * @offset_in:  where in a file, or UC_OFFSET_CURRENT, which a pipe or a socket needs
 * @fd_out:     where to; it or @fd_in is a pipe
 * @offset_out: as @offset_in
 * @bytes:      1 to 2^31 - 4096
 * @flags:      UC_SPLICE_*
 * @cookie:     comes back in the record
 * @ret_op:     the operation's identifier, or NULL
 *
 * The bytes do not pass through the program. The kernel does it on a thread of its own, which looks
 * up @fd_in when it begins, and waits as splice(2) does: for bytes or room in a pipe unless that
 * has O_NONBLOCK or UC_SPLICE_NONBLOCK is set, for a socket unless that has O_NONBLOCK. Each wait
 * holds such a thread. uc_op_cancel() ends it also when it waits; bytes moved until then count.
 *
 * An attached descriptor can be used; what is queued for it may come before, between or behind, and
 * the record has to be seen before uc_fd_close().
 *
 * Return: see the head of this file. The record's result is the number of bytes moved, which may be
 * less than @bytes, 0 at the end of the file or of a pipe without writers, or negative: -EAGAIN when
 * nothing could be moved without waiting, -ECANCELED, -EINVAL when neither is a pipe, -ESPIPE for
 * an offset in something that has none, -EPIPE when nobody will read. There is no SIGPIPE.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_splice(uc_ring *ring, int fd_in, uint64_t offset_in, int fd_out,
                           uint64_t offset_out, uint32_t bytes, uint32_t flags, uint64_t cookie,
                           uint64_t *ret_op);

/**
 * uc_op_cancel - ask for an operation to end early
 * @ring: a ring
 * @op:   its identifier
 *
 * Asks only: the operation's own record tells how it ended, with -ECANCELED or with its result when
 * it was too late.
 *
 * Return: 0, or
 *   -ESTALE  the operation has ended, or @op never was one
 *   -EINVAL, -ECHILD, -EPERM
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_cancel(uc_ring *ring, uint64_t op);

UC_END_DECLS

#endif
