/*
 * Setting up the submission and completion rings, and letting go of them.
 *
 * What is odd in the kernel, and what follows:
 *
 *   - A ring stays alive while anything refers to its file: the descriptor, a copy of it in a
 *     forked child, a registered ring descriptor, and every mmap of it. After close() with a
 *     mapping left, nothing is cancelled and nothing completes. So the rings live in memory of ours
 *     where the kernel allows it (NO_MMAP, 6.5; for rings of several pages in practice 6.10): then
 *     close() alone makes every operation end, from any thread, and the completions of that can be
 *     read in our memory.
 *   - When the kernel has really let go is told by a pipe: its write end is a registered file of
 *     the ring, closed on our side; the read end hangs up when the ring is gone (some 35 ms after
 *     the last completion).
 *   - Unknown setup flags are refused with EINVAL as a whole: they are taken off one by one. A CPU
 *     that the kernel thread may not run on is refused the same way. Once that one, or the thread
 *     itself, is given up, it begins anew with all the others.
 *   - Rings are charged to RLIMIT_MEMLOCK of the *user* (again since 6.14), and given back late:
 *     ENOMEM is tried again for some milliseconds, then with half the entries.
 */
#include "uring/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "pool/pool.h"
#include "uring/probe.h"

#define ENTRIES_LEAST 8
#define RETRIES_FIRST 25 /* milliseconds for memory to come back before entries are halved */
#define RETRIES_LATER 5

/* Room for the head of the ring memory, which the kernel lays out. */
#define RING_HEAD_BYTES 4096
#define RING_HEAD_CHARGED 512 /* as much as it takes of it, roughly */

struct strip {
    uint32_t setup_flag;
    uint64_t feature;
};

/* In the order in which they are given up. */
static const struct strip strips[] = {
    {IORING_SETUP_NO_MMAP, UCI_FEATURE_OWN_MEMORY},
    {IORING_SETUP_DEFER_TASKRUN, UC_FEATURE_DEFER_TASKRUN},
    {IORING_SETUP_SINGLE_ISSUER, UC_FEATURE_SINGLE_ISSUER},
    {IORING_SETUP_COOP_TASKRUN, UC_FEATURE_COOP_TASKRUN},
    {IORING_SETUP_SUBMIT_ALL, UC_FEATURE_SUBMIT_ALL},
    {IORING_SETUP_SQ_AFF, 0},
    {IORING_SETUP_SQPOLL, UC_FEATURE_SQPOLL},
};

#define IS_THREAD_FLAG(flag) ((flag) == IORING_SETUP_SQ_AFF || (flag) == IORING_SETUP_SQPOLL)

#define STRIP_COUNT (sizeof(strips) / sizeof(strips[0]))

static size_t page_up(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (bytes + page - 1) / page * page;
}

/* Task work is deferred to our entries, or at least causes no interrupt; either way the kernel
 * shows by a flag in memory that there is some. */
static uint32_t with_task_work(const struct uci_backend_options *options, uint32_t flags)
{
    flags &= ~(uint32_t)(IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
    if (flags & IORING_SETUP_SQPOLL)
        return flags;
    if (!(flags & IORING_SETUP_DEFER_TASKRUN) && !(options->features_off & UC_FEATURE_COOP_TASKRUN))
        flags |= IORING_SETUP_COOP_TASKRUN;
    if (flags & (IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN))
        flags |= IORING_SETUP_TASKRUN_FLAG;
    return flags;
}

/* With @thread_flags (IORING_SETUP_SQPOLL, IORING_SETUP_SQ_AFF) and all that goes with them. */
static uint32_t first_flags(const struct uci_backend_options *options, uint32_t thread_flags)
{
    uint32_t flags = IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL |
                     IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_NO_MMAP;

    /* With SQPOLL the kernel thread runs task work: the TASKRUN flags exclude it. */
    flags |= thread_flags ? thread_flags : IORING_SETUP_DEFER_TASKRUN;
    for (size_t i = 0; i < STRIP_COUNT; i++)
        if (options->features_off & strips[i].feature)
            flags &= ~strips[i].setup_flag;
    if (!(flags & IORING_SETUP_SINGLE_ISSUER))
        flags &= ~(uint32_t)IORING_SETUP_DEFER_TASKRUN;
    return with_task_work(options, flags);
}

static size_t sqes_bytes(uint32_t sq_entries)
{
    return page_up(sq_entries * sizeof(struct io_uring_sqe));
}

static uint32_t wanted_thread_flags(const struct uci_backend_options *options)
{
    if (options->sqpoll == UC_SQPOLL_OFF || (options->features_off & UC_FEATURE_SQPOLL))
        return 0;
    return IORING_SETUP_SQPOLL | (options->sqpoll_cpu ? IORING_SETUP_SQ_AFF : 0);
}

static int memory_new(struct uci_uring *uring, struct io_uring_params *params, uint32_t sq_entries)
{
    size_t rings = page_up(RING_HEAD_BYTES + params->cq_entries * sizeof(struct io_uring_cqe) +
                           sq_entries * sizeof(unsigned));
    size_t sqes = sqes_bytes(sq_entries);
    uint64_t rings_at, sqes_at;
    void *memory;

    memory = mmap(NULL, rings + sqes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -ENOMEM;
    (void)madvise(memory, rings + sqes, MADV_DONTFORK);
    uring->memory = memory;
    uring->memory_bytes = rings + sqes;
    rings_at = (uint64_t)(uintptr_t)memory;
    sqes_at = rings_at + rings;
    memcpy((char *)&params->cq_off + UCI_CQ_OFFSETS_USER_ADDRESS, &rings_at, sizeof(rings_at));
    memcpy((char *)&params->sq_off + UCI_SQ_OFFSETS_USER_ADDRESS, &sqes_at, sizeof(sqes_at));
    return 0;
}

static void memory_drop(struct uci_uring *uring)
{
    if (uring->memory)
        munmap(uring->memory, uring->memory_bytes);
    uring->memory = NULL;
}

/* Point liburing's struct into our memory, as io_uring_queue_mmap() does for mapped rings. */
static void memory_adopt(struct uci_uring *uring, const struct io_uring_params *params)
{
    struct io_uring_sq *sq = &uring->ring.sq;
    struct io_uring_cq *cq = &uring->ring.cq;
    char *rings = uring->memory;
    uint64_t sqes_at;

    memcpy(&sqes_at, (const char *)&params->sq_off + UCI_SQ_OFFSETS_USER_ADDRESS, sizeof(sqes_at));
    sq->khead = (unsigned *)(rings + params->sq_off.head);
    sq->ktail = (unsigned *)(rings + params->sq_off.tail);
    sq->kring_mask = (unsigned *)(rings + params->sq_off.ring_mask);
    sq->kring_entries = (unsigned *)(rings + params->sq_off.ring_entries);
    sq->kflags = (unsigned *)(rings + params->sq_off.flags);
    sq->kdropped = (unsigned *)(rings + params->sq_off.dropped);
    sq->array = (unsigned *)(rings + params->sq_off.array);
    sq->sqes = (struct io_uring_sqe *)(uintptr_t)sqes_at;
    sq->ring_entries = *sq->kring_entries;
    sq->ring_mask = *sq->kring_mask;
    cq->khead = (unsigned *)(rings + params->cq_off.head);
    cq->ktail = (unsigned *)(rings + params->cq_off.tail);
    cq->kring_mask = (unsigned *)(rings + params->cq_off.ring_mask);
    cq->kring_entries = (unsigned *)(rings + params->cq_off.ring_entries);
    cq->koverflow = (unsigned *)(rings + params->cq_off.overflow);
    cq->kflags = (unsigned *)(rings + params->cq_off.flags);
    cq->cqes = (struct io_uring_cqe *)(rings + params->cq_off.cqes);
    cq->ring_entries = *cq->kring_entries;
    cq->ring_mask = *cq->kring_mask;
    uring->ring.flags = params->flags;
    uring->ring.features = params->features;
}

static uint32_t power_of_two(uint32_t number)
{
    uint32_t power = 1;

    while (power < number)
        power *= 2;
    return power;
}

uint64_t uci_uring_locked_bytes(uint32_t sq_entries, uint32_t cq_entries, uint32_t buffers)
{
    sq_entries = power_of_two(sq_entries);
    cq_entries = power_of_two(cq_entries);
    return page_up(RING_HEAD_CHARGED + cq_entries * sizeof(struct io_uring_cqe) +
                   sq_entries * sizeof(unsigned)) +
           sqes_bytes(sq_entries) + page_up(power_of_two(buffers) * sizeof(struct io_uring_buf));
}

bool uci_uring_halve(struct uci_backend_options *options, struct uc_ring_info *info)
{
    if (options->sq_entries <= ENTRIES_LEAST)
        return false;
    options->sq_entries /= 2;
    options->cq_entries /= 2;
    if (options->cq_entries < options->sq_entries)
        options->cq_entries = options->sq_entries;
    info->halvings++;
    return true;
}

/* One call of io_uring_setup(). Return: the descriptor, or negative. */
static int try_setup(struct uci_uring *uring, const struct uci_backend_options *options,
                     uint32_t flags, struct io_uring_params *params)
{
    int fd, r;

    *params = (struct io_uring_params){
        .flags = flags,
        .cq_entries = power_of_two(options->cq_entries),
        .sq_thread_idle = options->sqpoll_idle_ms,
        .sq_thread_cpu = flags & IORING_SETUP_SQ_AFF ? options->sqpoll_cpu - 1 : 0,
    };
    if (flags & IORING_SETUP_NO_MMAP) {
        r = memory_new(uring, params, power_of_two(options->sq_entries));
        if (r < 0)
            return r;
    }
    fd = (int)syscall(__NR_io_uring_setup, power_of_two(options->sq_entries), params);
    if (fd < 0) {
        r = -errno;
        memory_drop(uring);
        return r;
    }
    return fd;
}

/* Take the next flag off. Return: false if none is left to take off. */
static bool strip_one(const struct uci_backend_options *options, uint32_t *flags)
{
    for (size_t i = 0; i < STRIP_COUNT; i++) {
        if (!(*flags & strips[i].setup_flag))
            continue;
        *flags &= ~strips[i].setup_flag;
        if (IS_THREAD_FLAG(strips[i].setup_flag)) {
            *flags = first_flags(options, *flags & IORING_SETUP_SQPOLL);
            return true;
        }
        if (strips[i].setup_flag == IORING_SETUP_DEFER_TASKRUN &&
            !(options->features_off & UC_FEATURE_COOP_TASKRUN))
            *flags |= IORING_SETUP_COOP_TASKRUN;
        if (!(*flags & (IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN)))
            *flags &= ~(uint32_t)IORING_SETUP_TASKRUN_FLAG;
        return true;
    }
    return false;
}

static void sleep_ms(long ms)
{
    struct timespec time = {.tv_nsec = ms * 1000000};

    nanosleep(&time, NULL);
}

static int setup(struct uci_uring *uring, struct uci_backend_options *options,
                 struct uc_ring_info *info, struct io_uring_params *params)
{
    uint32_t flags = first_flags(options, wanted_thread_flags(options));
    uint32_t retries = RETRIES_FIRST;
    int fd;

    for (;;) {
        fd = try_setup(uring, options, flags, params);
        if (fd >= 0)
            return fd;
        if (fd == -EINVAL && strip_one(options, &flags))
            continue;
        /* SQPOLL is the one flag that is refused for want of a right. */
        if ((fd == -EPERM || fd == -EACCES) && (flags & IORING_SETUP_SQPOLL)) {
            flags = first_flags(options, 0);
            continue;
        }
        if (fd != -ENOMEM)
            break;
        if (retries) {
            retries--;
            info->retries++;
            sleep_ms(1);
        } else if (uci_uring_halve(options, info)) {
            retries = RETRIES_LATER;
        } else {
            break;
        }
    }
    return fd;
}

/* The pipe whose write end only the ring holds. Without it completions alone tell of stopping. */
static void tombstone_open(struct uci_uring *uring)
{
    int ends[2];

    uring->tombstone = -1;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    if (io_uring_register_files(&uring->ring, &ends[1], 1) == 0)
        uring->tombstone = ends[0];
    else
        close(ends[0]);
    close(ends[1]);
}

/* Whether what was required of the kernel thread is had. */
static int check_required(const struct uci_backend_options *options, uint32_t flags)
{
    if (options->sqpoll != UC_SQPOLL_REQUIRE)
        return 0;
    if (!(flags & IORING_SETUP_SQPOLL))
        return -EOPNOTSUPP;
    return options->sqpoll_cpu && !(flags & IORING_SETUP_SQ_AFF) ? -EINVAL : 0;
}

int uci_uring_rings_open(struct uci_uring *uring, struct uci_backend_options *options,
                         struct uc_ring_info *info)
{
    struct io_uring_params params;
    int fd, r;

    fd = setup(uring, options, info, &params);
    if (fd < 0)
        return fd;
    r = check_required(options, params.flags);
    if (r < 0) {
        close(fd);
        memory_drop(uring);
        return r;
    }
    if (uring->memory) {
        memory_adopt(uring, &params);
        uring->ring.ring_fd = uring->ring.enter_ring_fd = fd;
    } else {
        r = io_uring_queue_mmap(fd, &params, &uring->ring);
        if (r < 0) {
            close(fd);
            return r;
        }
        uring->ring.ring_fd = uring->ring.enter_ring_fd = fd;
        (void)io_uring_ring_dontfork(&uring->ring);
    }
    if (!(params.features & IORING_FEAT_EXT_ARG)) {
        uci_uring_rings_close(uring);
        uci_uring_rings_free(uring, false);
        return -EOPNOTSUPP;
    }
    for (uint32_t i = 0; i < uring->ring.sq.ring_entries; i++)
        uring->ring.sq.array[i] = i;
    uring->setup_flags = params.flags;
    uring->kernel_features = params.features;
    info->sq_entries = params.sq_entries;
    info->cq_entries = params.cq_entries;
    tombstone_open(uring);
    return 0;
}

/* Let the kernel end everything. Mapped rings have to be unmapped for that, and take their
 * completions with them; see the head of this file. */
void uci_uring_rings_close(struct uci_uring *uring)
{
    if (uring->stopped)
        return;
    uring->stopped = true;
    if (uring->memory) {
        close(uring->ring.ring_fd);
        return;
    }
    io_uring_queue_exit(&uring->ring);
    memset(&uring->ring, 0, sizeof(uring->ring));
}

void uci_uring_rings_free(struct uci_uring *uring, bool in_child)
{
    if (in_child) {
        /* The rings' memory was not inherited (DONTFORK): only descriptors are to be closed. */
        if (!uring->stopped)
            close(uring->ring.ring_fd);
    } else {
        memory_drop(uring);
    }
    if (uring->tombstone >= 0)
        close(uring->tombstone);
    uring->tombstone = -1;
}
