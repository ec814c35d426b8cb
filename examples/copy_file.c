/*
 * Copying a file: several reads and writes in flight at a time, each at an offset of its own.
 *
 *   copy_file SRC DST     DST is made or replaced, and on the disk when this ends
 *
 * A block is read, then written, then the next one that nobody has taken is read in its place. The
 * kernel may transfer less than it was asked for: the block goes on where that ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <uc.h>
#include <unistd.h>

#define BLOCKS 16
#define BLOCK_BYTES 131072

struct block {
    uint64_t offset, length;  /* in the file */
    uint64_t filled, written; /* bytes of it */
    int is_writing;           /* what is in flight is a write */
};

static struct block blocks[BLOCKS];
static uint8_t memory[BLOCKS][BLOCK_BYTES];
static uint64_t file_bytes, next_offset;
static uint32_t in_flight;
static int source, target;

static int check(const char *what, int result)
{
    if (result >= 0)
        return result;
    fprintf(stderr, "copy_file: %s: %s\n", what, uc_error_name(result));
    exit(1);
}

static int wait_for_events(uc_ring *ring, struct uc_event *events, uint32_t max)
{
    int n;

    while ((n = uc_ring_wait(ring, events, max, -1)) == -EINTR)
        ;
    return check("uc_ring_wait", n);
}

/* See one operation through to its end. Return: its result. */
static int result_of(uc_ring *ring, const char *what, int submitted)
{
    struct uc_event event;

    check(what, submitted);
    while (wait_for_events(ring, &event, 1) == 0)
        ;
    return check(what, event.result);
}

static int open_at(uc_ring *ring, const char *path, uint32_t flags, uint32_t mode)
{
    return result_of(ring, path, uc_op_openat(ring, AT_FDCWD, path, flags, mode, 0, NULL));
}

static struct statx stat_of(uc_ring *ring, const char *path, int fd)
{
    struct statx stat;
    int submitted = uc_op_statx(ring, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stat, 0, NULL);

    result_of(ring, path, submitted);
    check("not a regular file", S_ISREG(stat.stx_mode) ? 0 : -EINVAL);
    return stat;
}

/* Submit what block @i needs next, if anything. */
static void step(uc_ring *ring, uint32_t i)
{
    struct block *block = &blocks[i];
    uint64_t left = file_bytes - next_offset, done;
    uint32_t bytes;

    if (block->written == block->length) {
        if (left == 0)
            return;
        *block = (struct block){.offset = next_offset};
        block->length = left < BLOCK_BYTES ? left : BLOCK_BYTES;
        next_offset += block->length;
    }
    block->is_writing = block->written < block->filled;
    done = block->is_writing ? block->written : block->filled;
    bytes = (uint32_t)((block->is_writing ? block->filled : block->length) - done);
    if (block->is_writing)
        check("write",
              uc_op_write(ring, target, memory[i] + done, bytes, block->offset + done, i, NULL));
    else
        check("read",
              uc_op_read(ring, source, memory[i] + done, bytes, block->offset + done, i, NULL));
    in_flight++;
}

static void copy(uc_ring *ring)
{
    struct uc_event events[BLOCKS];

    for (uint32_t i = 0; i < BLOCKS; i++)
        step(ring, i);
    while (in_flight) {
        int n = wait_for_events(ring, events, BLOCKS);

        for (int e = 0; e < n; e++) {
            struct block *block = &blocks[events[e].cookie];
            int bytes = check(block->is_writing ? "write" : "read", events[e].result);

            check("the file shrank while it was copied", bytes ? 0 : -EIO);
            *(block->is_writing ? &block->written : &block->filled) += (uint32_t)bytes;
            in_flight--;
            step(ring, (uint32_t)events[e].cookie);
        }
    }
}

int main(int argc, char **argv)
{
    struct statx from, to;
    uc_ring *ring;

    check("usage: copy_file SRC DST", argc == 3 ? 0 : -EINVAL);
    check("uc_ring_new", uc_ring_new(NULL, &ring));
    source = open_at(ring, argv[1], O_RDONLY, 0);
    from = stat_of(ring, argv[1], source);
    target = open_at(ring, argv[2], O_WRONLY | O_CREAT, from.stx_mode & 0777);
    to = stat_of(ring, argv[2], target);
    if (from.stx_ino == to.stx_ino && from.stx_dev_major == to.stx_dev_major &&
        from.stx_dev_minor == to.stx_dev_minor)
        check("source and destination are the same file", -EINVAL);
    file_bytes = from.stx_size;
    check("ftruncate", ftruncate(target, (off_t)file_bytes) < 0 ? -errno : 0);
    copy(ring);
    result_of(ring, "fsync", uc_op_fsync(ring, target, 0, 0, NULL));
    result_of(ring, "close", uc_op_close(ring, target, 0, NULL));
    uc_ring_free(ring);
    return 0;
}
