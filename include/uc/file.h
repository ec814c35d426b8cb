/*
 * One-shot operations on files and names, beside those of uc/op.h: each is submitted once, ends
 * once, and is reported by one UC_EVENT_OPERATION with the cookie given here.
 *
 * What this kernel's io_uring can do is asked of it; the rest (and everything on the epoll backend)
 * is a system call on one of the ring's threads, at most four. Nothing else tells the two apart.
 *
 * Memory that an operation names (a buffer, parts, a statvfs result) belongs to libuc and the
 * kernel until that record. Paths are copied. None of these functions waits for a file, or enters
 * the kernel unless the submission queue is full. A descriptor must stay open until the record; for
 * the parts of uc_op_read_many() it is as uc/op.h says of uc_op_read().
 *
 * Operations run beside each other: what is to come after another is submitted when the record of
 * that has been seen. One that runs on a thread already, here or in the kernel, may be past being
 * cancelled: then its record has its result.
 *
 * All of them return 0, or
 *   -EINVAL  a NULL argument, a zero or excessive size, an unknown flag
 *   -EBADF   a negative descriptor
 *   -ENOMEM  no memory
 *   -EMFILE, -ENFILE  no descriptors for the first operation that needs a thread
 *   -EAGAIN  the submission queue is full, and the kernel takes nothing before records are taken
 *   -EACCES  the ring is restricted (uc_ring_options.restriction)
 *   -ECHILD, -EPERM
 * and write an identifier to @ret_op, which may be NULL: it names the operation to uc_op_cancel()
 * and uc_op_set_deadline(). Paths are relative to their directory's descriptor, which may be
 * AT_FDCWD (-100).
 */
#ifndef UC_FILE_H
#define UC_FILE_H

#include <stdint.h>
#include <uc/export.h>
#include <uc/op.h>
#include <uc/ring.h>

UC_BEGIN_DECLS

/**
 * uc_op_truncate - set the length of a file
 * @ring:   a ring
 * @fd:     a file open for writing
 * @bytes:  the new length, 0 to 2^63 - 1; what is added reads as zeros
 * @cookie: comes back in the record
 * @ret_op: the operation's identifier, or NULL
 *
 * Return: see the head of this file. The record's result is 0 or negative.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_truncate(uc_ring *ring, int fd, uint64_t bytes, uint64_t cookie,
                             uint64_t *ret_op);

/**
 * uc_op_fallocate - reserve, or give back, the space of a part of a file
 * @ring:   a ring
 * @fd:     a file open for writing
 * @mode:   FALLOC_FL_* of fallocate(2), or 0
 * @offset: where the part begins
 * @bytes:  its length, at least 1; @offset plus @bytes is at most 2^63 - 1
 * @cookie: comes back in the record
 * @ret_op: the operation's identifier, or NULL
 *
 * Return: see the head of this file. The record's result is 0 or negative: -EOPNOTSUPP where the
 * file system has no such @mode.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_fallocate(uc_ring *ring, int fd, uint32_t mode, uint64_t offset, uint64_t bytes,
                              uint64_t cookie, uint64_t *ret_op);

/**
 * uc_op_rename - give a file another name
 * @ring:             a ring
 * @old_directory_fd: an open directory, or AT_FDCWD (-100)
 * @old_path:         copied
 * @new_directory_fd: an open directory, or AT_FDCWD (-100)
 * @new_path:         copied
 * @flags:            RENAME_* of renameat2(2), or 0
 * @cookie:           comes back in the record
 * @ret_op:           the operation's identifier, or NULL
 *
 * Return: see the head of this file. The record's result is 0 or negative.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_rename(uc_ring *ring, int old_directory_fd, const char *old_path,
                           int new_directory_fd, const char *new_path, uint32_t flags,
                           uint64_t cookie, uint64_t *ret_op);

/**
 * uc_op_unlink - remove a name, and the file if that was its last
 * @ring:         a ring
 * @directory_fd: an open directory, or AT_FDCWD (-100)
 * @path:         copied
 * @flags:        AT_REMOVEDIR to remove an empty directory, or 0
 * @cookie:       comes back in the record
 * @ret_op:       the operation's identifier, or NULL
 *
 * Return: see the head of this file. The record's result is 0 or negative.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_unlink(uc_ring *ring, int directory_fd, const char *path, uint32_t flags,
                           uint64_t cookie, uint64_t *ret_op);

/**
 * uc_op_mkdir - make a directory
 * @ring:         a ring
 * @directory_fd: an open directory, or AT_FDCWD (-100)
 * @path:         copied
 * @mode:         its permissions, less the process's umask
 * @cookie:       comes back in the record
 * @ret_op:       the operation's identifier, or NULL
 *
 * Return: see the head of this file. The record's result is 0 or negative.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_mkdir(uc_ring *ring, int directory_fd, const char *path, uint32_t mode,
                          uint64_t cookie, uint64_t *ret_op);

/**
 * uc_op_symlink - make a symbolic link
 * @ring:         a ring
 * @target:       what it says; copied
 * @directory_fd: an open directory, or AT_FDCWD (-100)
 * @path:         the link's own; copied
 * @cookie:       comes back in the record
 * @ret_op:       the operation's identifier, or NULL
 *
 * Return: see the head of this file. The record's result is 0 or negative.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_symlink(uc_ring *ring, const char *target, int directory_fd, const char *path,
                            uint64_t cookie, uint64_t *ret_op);

/**
 * uc_op_link - give a file a second name
 * @ring:             a ring
 * @old_directory_fd: an open directory, or AT_FDCWD (-100); with AT_EMPTY_PATH the file itself
 * @old_path:         copied
 * @new_directory_fd: an open directory, or AT_FDCWD (-100)
 * @new_path:         copied
 * @flags:            AT_SYMLINK_FOLLOW and AT_EMPTY_PATH of linkat(2), or 0
 * @cookie:           comes back in the record
 * @ret_op:           the operation's identifier, or NULL
 *
 * Return: see the head of this file. The record's result is 0 or negative.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_link(uc_ring *ring, int old_directory_fd, const char *old_path,
                         int new_directory_fd, const char *new_path, uint32_t flags,
                         uint64_t cookie, uint64_t *ret_op);

/**
 * uc_op_readlink - ask what a symbolic link says
 * @ring:         a ring
 * @directory_fd: an open directory, or AT_FDCWD (-100); for a @path of "" the link itself
 * @path:         copied
 * @buffer:       room for @bytes
 * @bytes:        1 to 2^31 - 4096
 * @cookie:       comes back in the record
 * @ret_op:       the operation's identifier, or NULL
 *
 * Return: see the head of this file. The record's result is the number of bytes in @buffer, without
 * a zero behind them, or negative. As many as there is room for may be only a part of it.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_readlink(uc_ring *ring, int directory_fd, const char *path, void *buffer,
                             uint32_t bytes, uint64_t cookie, uint64_t *ret_op);

/**
 * uc_op_statvfs - ask about a file system
 * @ring:    a ring
 * @fd:      an open file or directory; with a @path also AT_FDCWD (-100)
 * @path:    of any file on it, copied; NULL or "" asks about @fd itself, as fstatvfs(3)
 * @statvfs: room for a struct statvfs, written before the record
 * @cookie:  comes back in the record
 * @ret_op:  the operation's identifier, or NULL
 *
 * Return: see the head of this file. The record's result is 0 or negative.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_statvfs(uc_ring *ring, int fd, const char *path, void *statvfs, uint64_t cookie,
                            uint64_t *ret_op);

/**
 * uc_op_list - read entries of a directory
 * @ring:   a ring
 * @fd:     an open directory; one such operation at a time, since each moves its position
 * @buffer: room for @bytes, aligned as for uint64_t
 * @bytes:  1 to 2^31 - 4096; 32768 is a good size, and 280 holds any one entry
 * @cookie: comes back in the record
 * @ret_op: the operation's identifier, or NULL
 *
 * Return: see the head of this file. The record's result is the number of bytes in @buffer, which
 * holds records as getdents64(2) describes them; 0 at the end of the directory; or negative:
 * -EINVAL when there is no room for the next entry.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_list(uc_ring *ring, int fd, void *buffer, uint32_t bytes, uint64_t cookie,
                         uint64_t *ret_op);

/**
 * uc_op_copy_range - copy a part of a file into another, within the kernel
 * @ring:       a ring
 * @fd_in:      a file open for reading
 * @offset_in:  where in it, or UC_OFFSET_CURRENT
 * @fd_out:     a file open for writing
 * @offset_out: where in that, or UC_OFFSET_CURRENT
 * @bytes:      1 to 2^31 - 4096
 * @flags:      0
 * @cookie:     comes back in the record
 * @ret_op:     the operation's identifier, or NULL
 *
 * File systems that can share the blocks do so, and copy nothing.
 *
 * Return: see the head of this file. The record's result is the number of bytes copied, which may
 * be less than @bytes, 0 at the end of @fd_in, or negative: -EXDEV and -EOPNOTSUPP where the two
 * files take reading and writing instead.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_copy_range(uc_ring *ring, int fd_in, uint64_t offset_in, int fd_out,
                               uint64_t offset_out, uint32_t bytes, uint32_t flags, uint64_t cookie,
                               uint64_t *ret_op);

/* One read of uc_op_read_many(). */
struct uc_read_part {
    int32_t fd;        /* an open file */
    uint32_t bytes;    /* 1 to 2^31 - 4096 */
    uint64_t offset;   /* where in the file, or UC_OFFSET_CURRENT */
    void *buffer;      /* room for bytes; in a lease of a registered pool it is not mapped again */
    int32_t result;    /* -EINPROGRESS, then as the result of uc_op_read() */
    uint32_t reserved; /* 0 */
};

#define UC_READ_MANY_MAX 1024u

/**
 * uc_op_read_many - many reads with one record
 * @ring:   a ring
 * @parts:  @count of them; they and the buffers they name are libuc's until the record
 * @count:  1 to UC_READ_MANY_MAX
 * @cookie: comes back in the record
 * @ret_op: the operation's identifier, or NULL
 *
 * All parts are submitted together and run beside each other, in no order. Parts that are in memory
 * already are read by one kernel entry, as long as the submission queue holds them. uc_op_cancel()
 * ends all that have not ended; each part is an operation of its own in uc_ring_stats.
 *
 * Return: see the head of this file; on failure nothing was submitted. The record comes when the
 * last part has ended. Its result is how many parts did not fail, 0 to @count; each part's result
 * stands in @parts: a number of bytes, 0 at the end of the file, or negative: -ECANCELED (or
 * -ETIME, uc_op_set_deadline()) for one that was cut off, -EAGAIN or -ENOMEM for one that could not
 * be submitted behind others.
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_read_many(uc_ring *ring, struct uc_read_part *parts, uint32_t count,
                              uint64_t cookie, uint64_t *ret_op);

/**
 * uc_op_set_deadline - end an operation when a time has passed
 * @ring: a ring
 * @op:   the identifier of an operation of this header or of uc/op.h
 * @ns:   from now, on CLOCK_MONOTONIC
 *
 * A timer in the kernel, which is an operation of its own in uc_ring_stats. If it ends first, the
 * operation is asked to end as by uc_op_cancel(), and its record says -ETIME where it would have
 * said -ECANCELED; what cannot be interrupted any more ends when it ends, with its result. If the
 * operation ends first, the timer is called off. A cancellation asked for before the time has
 * passed is reported as such: -ECANCELED.
 *
 * Return: 0, or
 *   -ESTALE    the operation has ended, or @op never was one
 *   -EALREADY  it has a deadline
 *   -ENOMEM, -EAGAIN  as at the head of this file
 *   -EINVAL, -ECHILD, -EPERM
 *
 * Since: 0.1
 */
UC_EXPORT int uc_op_set_deadline(uc_ring *ring, uint64_t op, uint64_t ns);

UC_END_DECLS

#endif
