/* Operations on files and names, each against what the system calls say of the same file. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "places.h"

#define PIECE 65536 /* whole pages, whatever their size */

#define OUTCOME(t, submitted)                                                                      \
    ({                                                                                             \
        assert_int_equal(submitted, 0);                                                            \
        uct_outcome(t, 7);                                                                         \
    })

static off_t length_of(int fd)
{
    struct stat status;

    assert_int_equal(fstat(fd, &status), 0);
    return status.st_size;
}

static void a_file_is_cut_and_grown(void **state)
{
    struct uct *t = *state;
    struct uct_place place = uct_make_place(t);
    int fd = uct_make_file(t, &place, "file", 1, 5000);
    uint8_t in[200], zeros[100] = {0};

    assert_int_equal(OUTCOME(t, uc_op_truncate(t->ring, fd, 100, 7, NULL)), 0);
    assert_int_equal(length_of(fd), 100);
    assert_int_equal(OUTCOME(t, uc_op_truncate(t->ring, fd, UINT64_C(5) << 30, 7, NULL)), 0);
    assert_int_equal(length_of(fd), INT64_C(5) << 30);
    assert_int_equal(pread(fd, in, sizeof(in), 0), sizeof(in));
    assert_true(uct_matches(1, 0, in, 100));
    assert_memory_equal(in + 100, zeros, 100);
    assert_int_equal(OUTCOME(t, uc_op_truncate(t->ring, fd, 0, 7, NULL)), 0);
    assert_int_equal(length_of(fd), 0);
    assert_int_equal(OUTCOME(t, uc_op_truncate(t->ring, 12345, 0, 7, NULL)), -EBADF);
    uct_remove_place(&place);
}

static void space_is_reserved_and_given_back(void **state)
{
    struct uct *t = *state;
    int fd = uct_peer(t, memfd_create("space", MFD_CLOEXEC));
    const uint32_t punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    struct stat before, after;
    static uint8_t in[PIECE], zeros[PIECE];

    assert_int_equal(OUTCOME(t, uc_op_fallocate(t->ring, fd, 0, PIECE, 2 * PIECE, 7, NULL)), 0);
    assert_int_equal(fstat(fd, &before), 0);
    assert_int_equal(before.st_size, 3 * PIECE);
    assert_true(before.st_blocks >= 2 * PIECE / 512);
    memset(in, 1, sizeof(in));
    assert_int_equal(pwrite(fd, in, sizeof(in), PIECE), sizeof(in));
    assert_int_equal(OUTCOME(t, uc_op_fallocate(t->ring, fd, punch, PIECE, PIECE, 7, NULL)), 0);
    assert_int_equal(fstat(fd, &after), 0);
    assert_int_equal(after.st_size, 3 * PIECE);
    assert_true(after.st_blocks < before.st_blocks);
    assert_int_equal(pread(fd, in, sizeof(in), PIECE), sizeof(in));
    assert_memory_equal(in, zeros, sizeof(in));
    assert_int_equal(OUTCOME(t, uc_op_fallocate(t->ring, fd, 1 << 30, 0, 1, 7, NULL)), -EOPNOTSUPP);
}

static void directories_are_made_and_removed(void **state)
{
    struct uct *t = *state;
    struct uct_place place = uct_make_place(t);
    char name[] = "made";
    struct stat status;
    mode_t mask = umask(027);

    assert_int_equal(uc_op_mkdir(t->ring, place.fd, name, 0777, 7, NULL), 0);
    memset(name, 'x', 4); /* it was copied */
    assert_int_equal(uct_outcome(t, 7), 0);
    umask(mask);
    assert_int_equal(fstatat(place.fd, "made", &status, 0), 0);
    assert_int_equal(status.st_mode, S_IFDIR | 0750);
    assert_int_equal(OUTCOME(t, uc_op_mkdir(t->ring, place.fd, "made", 0777, 7, NULL)), -EEXIST);
    uct_make_file(t, &place, "made/file", 0, 1);
    assert_int_equal(OUTCOME(t, uc_op_unlink(t->ring, place.fd, "made", 0, 7, NULL)), -EISDIR);
    assert_int_equal(OUTCOME(t, uc_op_unlink(t->ring, place.fd, "made", AT_REMOVEDIR, 7, NULL)),
                     -ENOTEMPTY);
    assert_int_equal(OUTCOME(t, uc_op_unlink(t->ring, place.fd, "made/file", 0, 7, NULL)), 0);
    assert_int_equal(OUTCOME(t, uc_op_unlink(t->ring, place.fd, "made", AT_REMOVEDIR, 7, NULL)), 0);
    assert_int_equal(fstatat(place.fd, "made", &status, 0), -1);
    assert_int_equal(OUTCOME(t, uc_op_unlink(t->ring, place.fd, "made", 0, 7, NULL)), -ENOENT);
    uct_remove_place(&place);
}

static void files_get_other_names(void **state)
{
    struct uct *t = *state;
    struct uct_place place = uct_make_place(t), other = uct_make_place(t);
    int a = uct_make_file(t, &place, "a", 1, 10), b = uct_make_file(t, &place, "b", 1, 20);
    char from[] = "a", to[] = "c";
    struct stat status;

    assert_int_equal(uc_op_rename(t->ring, place.fd, from, other.fd, to, 0, 7, NULL), 0);
    from[0] = to[0] = 'x'; /* they were copied */
    assert_int_equal(uct_outcome(t, 7), 0);
    assert_int_equal(fstatat(other.fd, "c", &status, 0), 0);
    assert_int_equal(status.st_size, length_of(a));
    assert_int_equal(OUTCOME(t, uc_op_rename(t->ring, place.fd, "a", other.fd, "c", 0, 7, NULL)),
                     -ENOENT);
    assert_int_equal(
        OUTCOME(t, uc_op_rename(t->ring, place.fd, "b", other.fd, "c", RENAME_NOREPLACE, 7, NULL)),
        -EEXIST);
    assert_int_equal(
        OUTCOME(t, uc_op_rename(t->ring, place.fd, "b", other.fd, "c", RENAME_EXCHANGE, 7, NULL)),
        0);
    assert_int_equal(fstatat(other.fd, "c", &status, 0), 0);
    assert_int_equal(status.st_size, length_of(b));
    uct_remove_place(&place);
    uct_remove_place(&other);
}

static void links_are_made_and_read(void **state)
{
    struct uct *t = *state;
    struct uct_place place = uct_make_place(t);
    int fd = uct_make_file(t, &place, "file", 1, 10);
    struct stat status;
    char text[16];

    assert_int_equal(
        OUTCOME(t, uc_op_link(t->ring, place.fd, "file", place.fd, "second", 0, 7, NULL)), 0);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_nlink, 2);
    assert_int_equal(OUTCOME(t, uc_op_symlink(t->ring, "file", place.fd, "soft", 7, NULL)), 0);
    assert_int_equal(OUTCOME(t, uc_op_symlink(t->ring, "file", place.fd, "soft", 7, NULL)),
                     -EEXIST);
    memset(text, '!', sizeof(text));
    assert_int_equal(
        OUTCOME(t, uc_op_readlink(t->ring, place.fd, "soft", text, sizeof(text), 7, NULL)), 4);
    assert_memory_equal(text, "file!", 5);
    assert_int_equal(OUTCOME(t, uc_op_readlink(t->ring, place.fd, "soft", text, 2, 7, NULL)), 2);
    assert_int_equal(OUTCOME(t, uc_op_readlink(t->ring, place.fd, "file", text, 2, 7, NULL)),
                     -EINVAL);
    /* The link itself, or what it leads to. */
    assert_int_equal(
        OUTCOME(t, uc_op_link(t->ring, place.fd, "soft", place.fd, "softer", 0, 7, NULL)), 0);
    assert_int_equal(fstatat(place.fd, "softer", &status, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(OUTCOME(t, uc_op_link(t->ring, place.fd, "soft", place.fd, "third",
                                           AT_SYMLINK_FOLLOW, 7, NULL)),
                     0);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_nlink, 3);
    uct_remove_place(&place);
}

static void entries_are_listed_to_the_end(void **state)
{
    struct uct *t = *state;
    struct uct_place place = uct_make_place(t);
    int file = uct_make_file(t, &place, "0", 0, 1), seen = 0, r;
    _Alignas(uint64_t) char memory[512];
    bool found[100] = {false};
    char name[16];

    for (int i = 1; i < 100; i++) {
        snprintf(name, sizeof(name), "%d", i);
        assert_int_equal(symlinkat("/", place.fd, name), 0);
    }
    while ((r = OUTCOME(t, uc_op_list(t->ring, place.fd, memory, sizeof(memory), 7, NULL))) > 0)
        for (int at = 0; at < r; at += ((struct dirent64 *)(memory + at))->d_reclen) {
            const struct dirent64 *entry = (struct dirent64 *)(memory + at);
            int number = entry->d_name[0] == '.' ? -1 : atoi(entry->d_name);

            assert_in_range(number + 1, 0, 100);
            assert_false(number >= 0 && found[number]);
            if (number >= 0)
                found[number] = true;
            seen++;
        }
    assert_int_equal(r, 0);
    assert_int_equal(seen, 102);
    assert_int_equal(OUTCOME(t, uc_op_list(t->ring, place.fd, memory, 512, 7, NULL)), 0);
    assert_int_equal(lseek(place.fd, 0, SEEK_SET), 0);
    assert_int_equal(OUTCOME(t, uc_op_list(t->ring, place.fd, memory, 8, 7, NULL)), -EINVAL);
    assert_int_equal(OUTCOME(t, uc_op_list(t->ring, file, memory, 512, 7, NULL)), -ENOTDIR);
    uct_remove_place(&place);
}

static void a_file_system_is_asked_about(void **state)
{
    struct uct *t = *state;
    struct uct_place place = uct_make_place(t);
    char path[] = ".";
    struct statvfs expected, found;

    uct_make_file(t, &place, "file", 0, 1);
    assert_int_equal(fstatvfs(place.fd, &expected), 0);
    for (int way = 0; way < 4; way++) {
        const char *paths[] = {NULL, "", "file", path};

        memset(&found, 0, sizeof(found));
        assert_int_equal(uc_op_statvfs(t->ring, place.fd, paths[way], &found, 7, NULL), 0);
        path[0] = way == 3 ? 'x' : '.'; /* it was copied */
        assert_int_equal(uct_outcome(t, 7), 0);
        assert_int_equal(found.f_bsize, expected.f_bsize);
        assert_int_equal(found.f_blocks, expected.f_blocks);
        assert_int_equal(found.f_namemax, expected.f_namemax);
        assert_int_equal(found.f_fsid, expected.f_fsid);
    }
    assert_int_equal(OUTCOME(t, uc_op_statvfs(t->ring, AT_FDCWD, place.path, &found, 7, NULL)), 0);
    assert_int_equal(found.f_fsid, expected.f_fsid);
    assert_int_equal(OUTCOME(t, uc_op_statvfs(t->ring, place.fd, "none", &found, 7, NULL)),
                     -ENOENT);
    uct_remove_place(&place);
}

static void a_part_is_copied_from_file_to_file(void **state)
{
    struct uct *t = *state;
    struct uct_place place = uct_make_place(t);
    int from = uct_make_file(t, &place, "from", 3, 10000),
        to = uct_make_file(t, &place, "to", 0, 0);
    const uint64_t current = UC_OFFSET_CURRENT;
    uint8_t in[4000];
    int32_t bytes;

    bytes = OUTCOME(t, uc_op_copy_range(t->ring, from, 1000, to, 500, 3000, 0, 7, NULL));
    assert_int_equal(bytes, 3000);
    assert_int_equal(lseek(from, 0, SEEK_CUR), 0);
    assert_int_equal(pread(to, in, sizeof(in), 500), 3000);
    assert_true(uct_matches(3, 1000, in, 3000));
    assert_int_equal(lseek(from, 2000, SEEK_SET), 2000);
    for (int i = 1; i <= 2; i++) {
        bytes = OUTCOME(t, uc_op_copy_range(t->ring, from, current, to, current, 100, 0, 7, NULL));
        assert_int_equal(bytes, 100);
        assert_int_equal(lseek(from, 0, SEEK_CUR), 2000 + i * 100);
        assert_int_equal(lseek(to, 0, SEEK_CUR), i * 100);
    }
    assert_int_equal(pread(to, in, 200, 0), 200);
    assert_true(uct_matches(3, 2000, in, 200));
    bytes = OUTCOME(t, uc_op_copy_range(t->ring, from, 9000, to, 0, 4000, 0, 7, NULL));
    assert_int_equal(bytes, 1000);
    bytes = OUTCOME(t, uc_op_copy_range(t->ring, from, 10000, to, 0, 4000, 0, 7, NULL));
    assert_int_equal(bytes, 0);
    assert_int_equal(OUTCOME(t, uc_op_copy_range(t->ring, place.fd, 0, to, 0, 1, 0, 7, NULL)),
                     -EISDIR);
    uct_remove_place(&place);
}

/* As O_DIRECT wants it: the pool's buffers begin where pages do. */
static void a_lease_is_written_past_the_page_cache(void **state)
{
    struct uct *t = *state;
    struct uct_place place = uct_make_place(t);
    int fd = openat(place.fd, "direct", O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
    struct uc_lease lease;
    uint8_t *memory;
    int32_t bytes;

    if (fd < 0) {
        uct_remove_place(&place);
        skip(); /* this file system has none */
    }
    uct_peer(t, fd);
    assert_int_equal(uc_pool_lease(t->pool, &lease), 0);
    memory = (uint8_t *)uc_pool_base(t->pool) + lease.offset;
    uct_pattern(4, 0, memory, 65536);
    bytes = OUTCOME(t, uc_op_write(t->ring, fd, memory, 65536, 0, 7, NULL));
    assert_int_equal(bytes, 65536);
    memset(memory, 0, 65536);
    bytes = OUTCOME(t, uc_op_read(t->ring, fd, memory, 65536, 0, 7, NULL));
    assert_int_equal(bytes, 65536);
    assert_true(uct_matches(4, 0, memory, 65536));
    assert_int_equal(uc_pool_release(t->pool, lease.token), 0);
    uct_remove_place(&place);
}

static void bad_numbers_are_refused(void **state)
{
    struct uct *t = *state;
    const uint32_t too_much = (UINT32_C(1) << 31) - 4095;
    const uint64_t past = UINT64_C(1) << 63;
    uint64_t op = 42;
    char memory[512];

    assert_int_equal(uc_op_truncate(t->ring, -1, 0, 0, &op), -EBADF);
    assert_int_equal(uc_op_truncate(t->ring, 0, past, 0, &op), -EINVAL);
    assert_int_equal(uc_op_fallocate(t->ring, -1, 0, 0, 1, 0, &op), -EBADF);
    assert_int_equal(uc_op_fallocate(t->ring, 0, 0, 0, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_fallocate(t->ring, 0, 0, past - 1, 1, 0, &op), -EINVAL);
    assert_int_equal(uc_op_fallocate(t->ring, 0, 0, 0, past, 0, &op), -EINVAL);
    assert_int_equal(uc_op_list(t->ring, -1, memory, 512, 0, &op), -EBADF);
    assert_int_equal(uc_op_list(t->ring, 0, NULL, 512, 0, &op), -EINVAL);
    assert_int_equal(uc_op_list(t->ring, 0, memory, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_list(t->ring, 0, memory, too_much, 0, &op), -EINVAL);
    assert_int_equal(uc_op_copy_range(t->ring, -1, 0, 0, 0, 1, 0, 0, &op), -EBADF);
    assert_int_equal(uc_op_copy_range(t->ring, 0, 0, -1, 0, 1, 0, 0, &op), -EBADF);
    assert_int_equal(uc_op_copy_range(t->ring, 0, 0, 0, 0, 0, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_copy_range(t->ring, 0, 0, 0, 0, too_much, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_copy_range(t->ring, 0, 0, 0, 0, 1, 1, 0, &op), -EINVAL);
    assert_int_equal(uct_stats(t).submissions, 0);
    assert_int_equal(op, 42);
}

static void bad_names_are_refused(void **state)
{
    struct uct *t = *state;
    uint64_t op = 42;
    char memory[512];

    assert_int_equal(uc_op_rename(t->ring, -1, "a", 0, "b", 0, 0, &op), -EBADF);
    assert_int_equal(uc_op_rename(t->ring, 0, "a", -1, "b", 0, 0, &op), -EBADF);
    assert_int_equal(uc_op_rename(t->ring, 0, NULL, 0, "b", 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_rename(t->ring, 0, "a", 0, NULL, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_rename(t->ring, 0, "a", 0, "b", 8, 0, &op), -EINVAL);
    assert_int_equal(uc_op_unlink(t->ring, -1, "a", 0, 0, &op), -EBADF);
    assert_int_equal(uc_op_unlink(t->ring, 0, NULL, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_unlink(t->ring, 0, "a", 1, 0, &op), -EINVAL);
    assert_int_equal(uc_op_mkdir(t->ring, -1, "a", 0, 0, &op), -EBADF);
    assert_int_equal(uc_op_mkdir(t->ring, 0, NULL, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_symlink(t->ring, "a", -1, "b", 0, &op), -EBADF);
    assert_int_equal(uc_op_symlink(t->ring, NULL, 0, "b", 0, &op), -EINVAL);
    assert_int_equal(uc_op_symlink(t->ring, "a", 0, NULL, 0, &op), -EINVAL);
    assert_int_equal(uc_op_link(t->ring, -1, "a", 0, "b", 0, 0, &op), -EBADF);
    assert_int_equal(uc_op_link(t->ring, 0, "a", -1, "b", 0, 0, &op), -EBADF);
    assert_int_equal(uc_op_link(t->ring, 0, NULL, 0, "b", 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_link(t->ring, 0, "a", 0, NULL, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_link(t->ring, 0, "a", 0, "b", 1, 0, &op), -EINVAL);
    assert_int_equal(uc_op_readlink(t->ring, -1, "a", memory, 9, 0, &op), -EBADF);
    assert_int_equal(uc_op_readlink(t->ring, 0, NULL, memory, 9, 0, &op), -EINVAL);
    assert_int_equal(uc_op_readlink(t->ring, 0, "a", NULL, 9, 0, &op), -EINVAL);
    assert_int_equal(uc_op_readlink(t->ring, 0, "a", memory, 0, 0, &op), -EINVAL);
    assert_int_equal(uc_op_statvfs(t->ring, -1, "a", memory, 0, &op), -EBADF);
    assert_int_equal(uc_op_statvfs(t->ring, AT_FDCWD, NULL, memory, 0, &op), -EBADF);
    assert_int_equal(uc_op_statvfs(t->ring, 0, "a", NULL, 0, &op), -EINVAL);
    assert_int_equal(uct_stats(t).submissions, 0);
    assert_int_equal(op, 42);
}

int main(void)
{
    static const struct uct_options registered = {
        .pool = {.buffer_bytes = 65536, .buffer_count = 4, .flags = UC_POOL_REGISTER},
    };
    static const struct uct_options leases = {
        .pool = {.buffer_bytes = 65536, .buffer_count = 4},
    };
    const struct CMUnitTest tests[] = {
        UCT_FILES(a_file_is_cut_and_grown),
        UCT_FILES(space_is_reserved_and_given_back),
        UCT_FILES(directories_are_made_and_removed),
        UCT_FILES(files_get_other_names),
        UCT_FILES(links_are_made_and_read),
        UCT_FILES(entries_are_listed_to_the_end),
        UCT_FILES(a_file_system_is_asked_about),
        UCT_FILES(a_part_is_copied_from_file_to_file),
        UCT_WITH(a_lease_is_written_past_the_page_cache, "", &leases),
        UCT_WITH(a_lease_is_written_past_the_page_cache, "registered", &registered),
        UCT(bad_numbers_are_refused),
        UCT(bad_names_are_refused),
    };

    return UCT_RUN("file names", tests);
}
