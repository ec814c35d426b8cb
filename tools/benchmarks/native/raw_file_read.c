/*
 * raw_file_read.c - a cached file read with plain liburing: the limit that a library is measured by
 *
 *   raw_file_read FILE [--at-once N] [--block-bytes BYTES] [--seconds S]
 *
 * Blocks at random places of the file, N (1 to 1024) submitted and waited for by one kernel entry,
 * each into a buffer of its own; nothing is registered. All of the file is read once before, so
 * that it is in the page cache. Prints one JSON object: reads a second, and the CPU time of this
 * process (user and system) for each read. Exit status: 0, 1 when a read failed, 2 for a bad
 * command line, 77 where io_uring is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "raw_listener.h"

#define PROGRAM "raw_file_read"
#define AT_ONCE_MAX 1024u
#define WINDOW_READS 4096u /* between two looks at the clock */
#define REFUSED 77

static struct {
    struct io_uring ring;
    int fd;
    uint32_t at_once, block_bytes;
    double seconds;
    uint64_t blocks; /* in the file */
    uint64_t random;
    unsigned char *memory;
} reader = {.at_once = 1, .block_bytes = 4096, .seconds = 2};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* xorshift64: cheap beside a read, and the same places at every run. */
static uint64_t next_place(void)
{
    reader.random ^= reader.random << 13;
    reader.random ^= reader.random >> 7;
    reader.random ^= reader.random << 17;
    return reader.random % reader.blocks * reader.block_bytes;
}

/* One kernel entry. Returns how many bytes were read, or a negative errno. */
static int read_batch(void)
{
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0;
    int result, bytes = 0;

    for (uint32_t i = 0; i < reader.at_once; i++)
        io_uring_prep_read(io_uring_get_sqe(&reader.ring), reader.fd,
                           reader.memory + (size_t)i * reader.block_bytes, reader.block_bytes,
                           next_place());
    result = io_uring_submit_and_wait(&reader.ring, reader.at_once);
    if (result < 0)
        return result;
    result = 0;
    io_uring_for_each_cqe(&reader.ring, head, cqe)
    {
        seen++;
        if (cqe->res != (int)reader.block_bytes)
            result = cqe->res < 0 ? cqe->res : -EIO;
        else
            bytes += cqe->res;
    }
    io_uring_cq_advance(&reader.ring, seen);
    if (seen != reader.at_once)
        return -EIO;
    return result < 0 ? result : bytes;
}

static int warm_up(void)
{
    ssize_t bytes;
    off_t offset = 0;

    while ((bytes = pread(reader.fd, reader.memory, reader.block_bytes, offset)) > 0)
        offset += bytes;
    return bytes < 0 ? -errno : 0;
}

static int start(const char *path)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
    };
    struct stat status;
    int result;

    reader.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (reader.fd < 0 || fstat(reader.fd, &status) < 0)
        return -errno;
    reader.random = UINT64_C(0x9e3779b97f4a7c15);
    reader.blocks = (uint64_t)status.st_size / reader.block_bytes;
    reader.memory = aligned_alloc(4096, (size_t)AT_ONCE_MAX * reader.block_bytes);
    if (!reader.blocks || !reader.memory)
        return reader.blocks ? -ENOMEM : -ENODATA;
    result = warm_up();
    if (result < 0)
        return result;
    result = io_uring_queue_init_params(AT_ONCE_MAX, &reader.ring, &params);
    if (result < 0) {
        fprintf(stderr, "%s: io_uring_setup: %s\n", PROGRAM, strerror(-result));
        exit(REFUSED);
    }
    (void)io_uring_register_ring_fd(&reader.ring);
    return 0;
}

static int measure(void)
{
    uint64_t begin = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t reads = 0, window = 0, spent = 0;
    int result = 0;

    while (result >= 0 && (double)spent < reader.seconds * 1e9) {
        for (window = 0; result >= 0 && window < WINDOW_READS; window += reader.at_once)
            result = read_batch();
        reads += window;
        spent = clock_ns(CLOCK_MONOTONIC) - begin;
    }
    if (result < 0)
        return result;
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"program\": \"%s\", \"at_once\": %u, \"block_bytes\": %u, \"reads\": %llu, "
           "\"seconds\": %.6f, \"reads_per_second\": %.1f, \"cpu_ns_per_read\": %.1f}\n",
           PROGRAM, reader.at_once, reader.block_bytes, (unsigned long long)reads,
           (double)spent / 1e9, (double)reads * 1e9 / (double)spent, (double)cpu / (double)reads);
    return 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: %s FILE [--at-once N] [--block-bytes BYTES] [--seconds S]\n", PROGRAM);
    return 2;
}

int main(int argc, char **argv)
{
    const char *path = NULL;
    int result;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--at-once") && i + 1 < argc)
            reader.at_once = raw_number(PROGRAM, argv[++i], 1, AT_ONCE_MAX);
        else if (!strcmp(argv[i], "--block-bytes") && i + 1 < argc)
            reader.block_bytes = raw_number(PROGRAM, argv[++i], 4096, 1u << 20) & ~4095u;
        else if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
            reader.seconds = atof(argv[++i]);
        else if (!path && argv[i][0] != '-')
            path = argv[i];
        else
            return usage();
    }
    if (!path)
        return usage();
    result = start(path);
    if (result == 0)
        result = measure();
    if (result < 0)
        fprintf(stderr, "%s: %s: %s\n", PROGRAM, path, strerror(-result));
    return result < 0;
}
