/* Road 1 for one-shot operations on files and names. */
#include <fcntl.h>
#include <stdio.h>
#include <uc/file.h>

#include "flow/flow.h"

#define RENAME_FLAGS (RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)

static bool is_directory_fd(int fd)
{
    return fd >= 0 || fd == AT_FDCWD;
}

UC_EXPORT int uc_op_truncate(uc_ring *ring, int fd, uint64_t bytes, uint64_t cookie,
                             uint64_t *ret_op)
{
    struct uci_operation operation = {.op = UCI_OP_TRUNCATE, .fd = fd, .offset = bytes};

    CHECK_RING(ring);
    CHECK_ARG(bytes <= INT64_MAX);
    if (fd < 0)
        return -EBADF;
    return uci_flow_submit_plain(ring, UCI_KIND_FILE, &operation, cookie, ret_op);
}

UC_EXPORT int uc_op_fallocate(uc_ring *ring, int fd, uint32_t mode, uint64_t offset, uint64_t bytes,
                              uint64_t cookie, uint64_t *ret_op)
{
    struct uci_operation operation = {
        .op = UCI_OP_FALLOCATE,
        .fd = fd,
        .flags = mode,
        .offset = offset,
        .address = bytes,
    };

    CHECK_RING(ring);
    CHECK_ARG(bytes && bytes <= INT64_MAX && offset <= INT64_MAX - bytes);
    if (fd < 0)
        return -EBADF;
    return uci_flow_submit_plain(ring, UCI_KIND_FILE, &operation, cookie, ret_op);
}

static int submit_two(uc_ring *ring, uint8_t op, int old_directory_fd, const char *old_path,
                      int new_directory_fd, const char *new_path, uint32_t flags, uint64_t cookie,
                      uint64_t *ret_op)
{
    struct uci_operation operation = {
        .op = op,
        .fd = new_directory_fd,
        .fd_in = old_directory_fd,
        .flags = flags,
    };

    CHECK_ARG(old_path && new_path);
    if (!is_directory_fd(old_directory_fd) || !is_directory_fd(new_directory_fd))
        return -EBADF;
    return uci_flow_submit_paths(ring, UCI_KIND_FILE, old_path, new_path, &operation, cookie,
                                 ret_op);
}

UC_EXPORT int uc_op_rename(uc_ring *ring, int old_directory_fd, const char *old_path,
                           int new_directory_fd, const char *new_path, uint32_t flags,
                           uint64_t cookie, uint64_t *ret_op)
{
    CHECK_RING(ring);
    CHECK_ARG(!(flags & ~(uint32_t)RENAME_FLAGS));
    return submit_two(ring, UCI_OP_RENAMEAT, old_directory_fd, old_path, new_directory_fd, new_path,
                      flags, cookie, ret_op);
}

UC_EXPORT int uc_op_link(uc_ring *ring, int old_directory_fd, const char *old_path,
                         int new_directory_fd, const char *new_path, uint32_t flags,
                         uint64_t cookie, uint64_t *ret_op)
{
    CHECK_RING(ring);
    CHECK_ARG(!(flags & ~(uint32_t)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)));
    return submit_two(ring, UCI_OP_LINKAT, old_directory_fd, old_path, new_directory_fd, new_path,
                      flags, cookie, ret_op);
}

static int submit_one(uc_ring *ring, struct uci_operation *operation, const char *path,
                      uint64_t cookie, uint64_t *ret_op)
{
    CHECK_ARG(path);
    if (!is_directory_fd(operation->fd))
        return -EBADF;
    return uci_flow_submit_paths(ring, UCI_KIND_FILE, path, NULL, operation, cookie, ret_op);
}

UC_EXPORT int uc_op_unlink(uc_ring *ring, int directory_fd, const char *path, uint32_t flags,
                           uint64_t cookie, uint64_t *ret_op)
{
    struct uci_operation operation = {.op = UCI_OP_UNLINKAT, .fd = directory_fd, .flags = flags};

    CHECK_RING(ring);
    CHECK_ARG(!(flags & ~(uint32_t)AT_REMOVEDIR));
    return submit_one(ring, &operation, path, cookie, ret_op);
}

UC_EXPORT int uc_op_mkdir(uc_ring *ring, int directory_fd, const char *path, uint32_t mode,
                          uint64_t cookie, uint64_t *ret_op)
{
    struct uci_operation operation = {.op = UCI_OP_MKDIRAT, .fd = directory_fd, .length = mode};

    CHECK_RING(ring);
    return submit_one(ring, &operation, path, cookie, ret_op);
}

UC_EXPORT int uc_op_symlink(uc_ring *ring, const char *target, int directory_fd, const char *path,
                            uint64_t cookie, uint64_t *ret_op)
{
    CHECK_RING(ring);
    return submit_two(ring, UCI_OP_SYMLINKAT, AT_FDCWD, target, directory_fd, path, 0, cookie,
                      ret_op);
}

UC_EXPORT int uc_op_readlink(uc_ring *ring, int directory_fd, const char *path, void *buffer,
                             uint32_t bytes, uint64_t cookie, uint64_t *ret_op)
{
    struct uci_operation operation = {
        .op = UCI_OP_READLINKAT,
        .fd = directory_fd,
        .length = bytes,
        .offset = (uint64_t)(uintptr_t)buffer,
    };

    CHECK_RING(ring);
    CHECK_ARG(buffer && bytes && bytes <= UCI_FILE_BYTES_MAX);
    return submit_one(ring, &operation, path, cookie, ret_op);
}

UC_EXPORT int uc_op_statvfs(uc_ring *ring, int fd, const char *path, void *statvfs, uint64_t cookie,
                            uint64_t *ret_op)
{
    struct uci_operation operation = {
        .op = UCI_OP_STATVFS,
        .fd = fd,
        .offset = (uint64_t)(uintptr_t)statvfs,
    };

    CHECK_RING(ring);
    CHECK_ARG(statvfs);
    if (path && *path)
        return submit_one(ring, &operation, path, cookie, ret_op);
    if (fd < 0)
        return -EBADF;
    return uci_flow_submit_plain(ring, UCI_KIND_FILE, &operation, cookie, ret_op);
}

UC_EXPORT int uc_op_list(uc_ring *ring, int fd, void *buffer, uint32_t bytes, uint64_t cookie,
                         uint64_t *ret_op)
{
    struct uci_operation operation = {
        .op = UCI_OP_LIST,
        .fd = fd,
        .address = (uint64_t)(uintptr_t)buffer,
        .length = bytes,
    };

    CHECK_RING(ring);
    CHECK_ARG(buffer && bytes && bytes <= UCI_FILE_BYTES_MAX);
    if (fd < 0)
        return -EBADF;
    return uci_flow_submit_plain(ring, UCI_KIND_FILE, &operation, cookie, ret_op);
}

UC_EXPORT int uc_op_copy_range(uc_ring *ring, int fd_in, uint64_t offset_in, int fd_out,
                               uint64_t offset_out, uint32_t bytes, uint32_t flags, uint64_t cookie,
                               uint64_t *ret_op)
{
    struct uci_operation operation = {
        .op = UCI_OP_COPY_RANGE,
        .fd = fd_out,
        .fd_in = fd_in,
        .length = bytes,
        .address = offset_in,
        .offset = offset_out,
    };

    CHECK_RING(ring);
    CHECK_ARG(bytes && bytes <= UCI_FILE_BYTES_MAX && !flags);
    if (fd_in < 0 || fd_out < 0)
        return -EBADF;
    return uci_flow_submit_plain(ring, UCI_KIND_FILE, &operation, cookie, ret_op);
}
