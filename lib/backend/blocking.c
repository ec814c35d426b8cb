/*
 * One operation as one system call that may take any time.
 *
 * What runs here runs on a worker: everything on files for the epoll backend, and for io_uring what
 * the kernel's own has no operation for. Some calls have no form that takes a directory and a path:
 * statvfs() goes by a descriptor that is opened for the purpose and reaches the file without
 * reading it.
 */
#include "backend/blocking.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <uc/op.h>
#include <unistd.h>

static void *pointer(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

static ssize_t transfer(const struct uci_operation *o)
{
    bool positioned = o->offset != UC_OFFSET_CURRENT;
    void *address = pointer(o->address);
    ssize_t r = -1;

    errno = ESPIPE;
    if (o->op == UCI_OP_READ) {
        if (positioned)
            r = pread(o->fd, address, o->length, (off_t)o->offset);
        if (!positioned || (r < 0 && errno == ESPIPE))
            r = read(o->fd, address, o->length);
    } else {
        if (positioned)
            r = pwrite(o->fd, address, o->length, (off_t)o->offset);
        if (!positioned || (r < 0 && errno == ESPIPE))
            r = write(o->fd, address, o->length);
    }
    return r;
}

static ssize_t copy_range(const struct uci_operation *o)
{
    off64_t in = (off64_t)o->address, out = (off64_t)o->offset;

    return copy_file_range(o->fd_in, o->address == UC_OFFSET_CURRENT ? NULL : &in, o->fd,
                           o->offset == UC_OFFSET_CURRENT ? NULL : &out, o->length, 0);
}

static int ask_file_system(const struct uci_operation *o)
{
    const char *path = pointer(o->address);
    int fd, r, error;

    if (!path)
        return fstatvfs(o->fd, pointer(o->offset));
    fd = openat(o->fd, path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return -1;
    r = fstatvfs(fd, pointer(o->offset));
    error = errno;
    close(fd);
    errno = error;
    return r;
}

/* What takes paths. */
static ssize_t call_name(const struct uci_operation *o)
{
    const char *path = pointer(o->address);

    switch ((enum uci_op)o->op) {
    case UCI_OP_OPENAT:
        return openat(o->fd, path, (int)o->flags | O_CLOEXEC, (mode_t)o->length);
    case UCI_OP_STATX:
        return statx(o->fd, path, (int)o->flags, o->length, pointer(o->offset));
    case UCI_OP_RENAMEAT:
        return renameat2(o->fd_in, path, o->fd, pointer(o->offset), o->flags);
    case UCI_OP_UNLINKAT:
        return unlinkat(o->fd, path, (int)o->flags);
    case UCI_OP_MKDIRAT:
        return mkdirat(o->fd, path, (mode_t)o->length);
    case UCI_OP_SYMLINKAT:
        return symlinkat(path, o->fd, pointer(o->offset));
    case UCI_OP_LINKAT:
        return linkat(o->fd_in, path, o->fd, pointer(o->offset), (int)o->flags);
    case UCI_OP_READLINKAT:
        return readlinkat(o->fd, path, pointer(o->offset), o->length);
    case UCI_OP_STATVFS:
        return ask_file_system(o);
    default:
        errno = EINVAL;
        return -1;
    }
}

static ssize_t call(const struct uci_operation *o)
{
    switch ((enum uci_op)o->op) {
    case UCI_OP_READ:
    case UCI_OP_WRITE:
        return transfer(o);
    case UCI_OP_FSYNC:
        return o->flags & UC_FSYNC_DATA ? fdatasync(o->fd) : fsync(o->fd);
    case UCI_OP_CLOSE:
        return close(o->fd);
    case UCI_OP_TRUNCATE:
        return ftruncate(o->fd, (off_t)o->offset);
    case UCI_OP_FALLOCATE:
        return fallocate(o->fd, (int)o->flags, (off_t)o->offset, (off_t)o->address);
    case UCI_OP_LIST:
        return getdents64(o->fd, pointer(o->address), o->length);
    case UCI_OP_COPY_RANGE:
        return copy_range(o);
    default:
        return call_name(o);
    }
}

int32_t uci_blocking_call(const struct uci_operation *operation)
{
    ssize_t r;

    /* A close is not to be tried again, whatever it answers. */
    do {
        r = call(operation);
    } while (r < 0 && errno == EINTR && operation->op != UCI_OP_CLOSE);
    return r < 0 ? -errno : (int32_t)r;
}

void uci_blocking_undo(const struct uci_operation *operation, int32_t result)
{
    if (operation->op == UCI_OP_OPENAT && result >= 0)
        close(result);
}
