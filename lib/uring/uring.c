/* The io_uring backend: opened step by step, each step telling what the kernel gave. */
#include "uring/uring.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "backend/plain.h"
#include "pool/fence.h"
#include "pool/pool.h"

/* Operations whose presence dates the kernel: what they came with has no flag of its own. */
#define PROBE_5_19 IORING_OP_SOCKET /* multishot accept */
#define PROBE_6_0 IORING_OP_SEND_ZC /* multishot receive */

static void features_from_setup(struct uci_uring *uring)
{
    uint32_t flags = uring->setup_flags;

    uring->base.features = (flags & IORING_SETUP_SINGLE_ISSUER ? UC_FEATURE_SINGLE_ISSUER : 0) |
                           (flags & IORING_SETUP_DEFER_TASKRUN ? UC_FEATURE_DEFER_TASKRUN : 0) |
                           (flags & IORING_SETUP_COOP_TASKRUN ? UC_FEATURE_COOP_TASKRUN : 0) |
                           (flags & IORING_SETUP_SUBMIT_ALL ? UC_FEATURE_SUBMIT_ALL : 0) |
                           (flags & IORING_SETUP_SQPOLL ? UC_FEATURE_SQPOLL : 0);
}

/* Operations on files that a kernel may lack, or that none has; calls.c has them then. */
static const struct {
    uint8_t op;
    int32_t opcode; /* IORING_OP_*, -1: there is none */
} file_operations[] = {
    {UCI_OP_TRUNCATE, UCI_IORING_OP_FTRUNCATE}, /* 6.9 */
    {UCI_OP_FALLOCATE, IORING_OP_FALLOCATE},    /* 5.6 */
    {UCI_OP_RENAMEAT, IORING_OP_RENAMEAT},      /* 5.11 */
    {UCI_OP_UNLINKAT, IORING_OP_UNLINKAT},      /* 5.11 */
    {UCI_OP_MKDIRAT, IORING_OP_MKDIRAT},        /* 5.15 */
    {UCI_OP_SYMLINKAT, IORING_OP_SYMLINKAT},    /* 5.15 */
    {UCI_OP_LINKAT, IORING_OP_LINKAT},          /* 5.15 */
    {UCI_OP_READLINKAT, -1},
    {UCI_OP_STATVFS, -1},
    {UCI_OP_LIST, -1},
    {UCI_OP_COPY_RANGE, -1},
};

#define FILE_OPERATIONS (sizeof(file_operations) / sizeof(file_operations[0]))

_Static_assert(UCI_OP_COUNT <= 64, "each operation has a bit");

static uint64_t called_operations(const struct io_uring_probe *probe, bool wanted)
{
    uint64_t called = 0;

    for (size_t i = 0; i < FILE_OPERATIONS; i++) {
        int opcode = file_operations[i].opcode;

        if (opcode < 0 || !wanted || !probe || !io_uring_opcode_supported(probe, opcode))
            called |= UINT64_C(1) << file_operations[i].op;
    }
    return called;
}

static uint64_t features_from_probe(struct uci_uring *uring, uint64_t wanted)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(&uring->ring);
    uint64_t features = 0;

    uring->called = called_operations(probe, wanted & UCI_FEATURE_FILES);
    if (!probe)
        return 0;
    if (io_uring_opcode_supported(probe, PROBE_5_19))
        features |= UC_FEATURE_MULTISHOT_ACCEPT;
    if (io_uring_opcode_supported(probe, PROBE_6_0))
        features |= UC_FEATURE_MULTISHOT_RECV;
    if (io_uring_opcode_supported(probe, IORING_OP_SENDMSG_ZC))
        features |= UC_FEATURE_SEND_ZERO_COPY;
    io_uring_free_probe(probe);
    if (uring->kernel_features & IORING_FEAT_REG_REG_RING)
        uring->zero_copy_flags = IORING_SEND_ZC_REPORT_USAGE;
    if (uring->kernel_features & IORING_FEAT_NO_IOWAIT) {
        features |= UC_FEATURE_NO_IOWAIT;
        /* Bundles came with 6.10 and mixed up their order until 6.14; this feature dates 6.15. */
        if (uring->kernel_features & IORING_FEAT_RECVSEND_BUNDLE)
            features |= UC_FEATURE_RECV_BUNDLE;
    }
    return features;
}

static int register_pool(struct uci_uring *uring, struct uc_ring_info *info)
{
    struct uc_pool *pool = uring->pool;
    struct iovec memory = {
        .iov_base = pool->base,
        .iov_len = (size_t)uci_pool_offset(pool, pool->count),
    };
    int r;

    pool->registered_bytes = 0;
    if (!(pool->flags & (UC_POOL_REGISTER | UC_POOL_REGISTER_REQUIRED)))
        return 0;
    if (pool->fenced)
        uci_fence_lift(pool);
    r = io_uring_register_buffers(&uring->ring, &memory, 1);
    if (pool->fenced)
        uci_fence_lower(pool);
    if (r == 0) {
        uring->base.features |= UC_FEATURE_REGISTERED_BUFFERS;
        pool->registered_bytes = memory.iov_len;
        return 0;
    }
    snprintf(info->reason, sizeof(info->reason),
             "the pool is not registered as fixed buffers: %zu bytes of locked memory are needed; "
             "raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=)",
             memory.iov_len);
    return pool->flags & UC_POOL_REGISTER_REQUIRED ? r : 0;
}

/* What a ring is meant to have; the rest is for special wishes. */
static uint64_t expected_features(const struct uci_uring *uring,
                                  const struct uci_backend_options *options)
{
    uint64_t expected = UC_FEATURE_SINGLE_ISSUER | UC_FEATURE_SUBMIT_ALL | UC_FEATURE_BUFFER_RING |
                        UC_FEATURE_MULTISHOT_ACCEPT | UC_FEATURE_MULTISHOT_RECV |
                        UC_FEATURE_RECV_BUNDLE | UC_FEATURE_NO_IOWAIT;

    expected |= options->sqpoll ? UC_FEATURE_SQPOLL : UC_FEATURE_DEFER_TASKRUN;
    if (uring->pool->flags & (UC_POOL_REGISTER | UC_POOL_REGISTER_REQUIRED))
        expected |= UC_FEATURE_REGISTERED_BUFFERS;
    return expected & ~uci_features_with_dependants(options->features_off);
}

static int negotiate(struct uci_uring *uring, const struct uci_backend_options *options,
                     struct uc_ring_info *info)
{
    uint64_t wanted = ~options->features_off, found;
    int r;

    features_from_setup(uring);
    info->sqpoll_cpu = uring->setup_flags & IORING_SETUP_SQ_AFF ? options->sqpoll_cpu : 0;
    found = features_from_probe(uring, wanted);
    r = uci_uring_restrict(uring, options->restriction, found & wanted);
    if (r < 0)
        return r;
    if (wanted & UC_FEATURE_BUFFER_RING) {
        r = uci_uring_buffers_open(uring);
        if (r == -ENOMEM)
            return r;
        if (r == 0)
            uring->base.features |= UC_FEATURE_BUFFER_RING;
    }
    /* A multishot receive needs the kernel to choose buffers, a bundle is a multishot receive. */
    if (!(uring->base.features & UC_FEATURE_BUFFER_RING))
        found &= ~(uint64_t)UC_FEATURE_MULTISHOT_RECV;
    if (!(found & wanted & UC_FEATURE_MULTISHOT_RECV))
        found &= ~(uint64_t)UC_FEATURE_RECV_BUNDLE;
    uring->base.features |= found & wanted;
    if (uring->base.features & UC_FEATURE_NO_IOWAIT)
        uring->enter_flags |= IORING_ENTER_NO_IOWAIT;
    if (wanted & UC_FEATURE_REGISTERED_BUFFERS) {
        r = register_pool(uring, info);
        if (r < 0)
            return r;
    }
    info->features = uring->base.features;
    info->features_stripped = expected_features(uring, options) & ~info->features;
    return 0;
}

static void explain_sqpoll(struct uc_ring_info *info)
{
    snprintf(info->reason, sizeof(info->reason),
             "SQPOLL is refused by this kernel or its policy (before 5.13 it needs CAP_SYS_NICE); "
             "operations are submitted in batches instead");
}

static void explain_cpu(struct uc_ring_info *info, uint32_t cpu)
{
    snprintf(info->reason, sizeof(info->reason),
             "the kernel thread of SQPOLL may not be kept on CPU %u: that does not exist, is "
             "offline, or is not among those of this process (taskset, cpusets); it runs on any",
             cpu);
}

static void explain_missing(struct uc_ring_info *info)
{
    char names[180];

    uci_features_write(info->features_stripped, names, sizeof(names));
    snprintf(info->reason, sizeof(info->reason), "this kernel has no %s; libuc does without",
             names);
}

static void explain_halvings(struct uc_ring_info *info)
{
    snprintf(info->reason, sizeof(info->reason),
             "the rings are smaller than asked for, for want of locked memory: raise "
             "RLIMIT_MEMLOCK to 8 MiB");
}

static void explain_undeferred(struct uc_ring_info *info)
{
    size_t used = strlen(info->reason);

    snprintf(info->reason + used, sizeof(info->reason) - used,
             "%scompletions are not deferred, because this kernel does not tell another loop of "
             "those that are",
             used ? "; " : "");
}

/* One sentence on what was asked for and is not in use; what is said already stays. */
static void explain(struct uc_ring_info *info, const struct uci_backend_options *options)
{
    if (info->reason[0])
        return;
    if ((info->features & UC_FEATURE_SQPOLL) && info->sqpoll_cpu != options->sqpoll_cpu)
        explain_cpu(info, options->sqpoll_cpu - 1);
    else if (info->features_stripped & UC_FEATURE_SQPOLL)
        explain_sqpoll(info);
    else if (info->halvings)
        explain_halvings(info);
    else if (info->features_stripped)
        explain_missing(info);
    if (options->tells_another_loop)
        explain_undeferred(info);
}

static void uring_stop(struct uci_backend *backend)
{
    struct uci_uring *uring = uci_uring_of(backend);

    uci_uring_rings_close(uring);
    if (uring->calls)
        uci_uring_stop_calls(uring);
}

static bool uring_is_stopped(struct uci_backend *backend, int64_t timeout_ns)
{
    struct uci_uring *uring = uci_uring_of(backend);
    struct pollfd tombstone = {.fd = uring->tombstone, .events = POLLIN};
    struct timespec time = {timeout_ns / 1000000000, timeout_ns % 1000000000};

    if (uring->gone || (ppoll(&tombstone, 1, &time, NULL) > 0 && (tombstone.revents & POLLHUP)))
        uring->gone = true;
    else
        timeout_ns = 0;
    return (!uring->calls || uci_uring_calls_have_ended(uring, timeout_ns)) && uring->gone;
}

static void uring_free(struct uci_backend *backend, bool in_child)
{
    struct uci_uring *uring = uci_uring_of(backend);

    if (!in_child)
        uci_uring_rings_close(uring);
    uci_uring_free_calls(uring, in_child);
    uci_uring_buffers_free(uring, in_child);
    uci_uring_rings_free(uring, in_child);
    free(uring);
}

static int open_once(struct uci_backend_options *options, struct uc_ring_info *info,
                     struct uci_uring **ret_uring)
{
    struct uci_uring *uring = calloc(1, sizeof(*uring));
    int r;

    if (!uring)
        return -ENOMEM;
    uring->base.table = &uci_backend_uring;
    uring->pool = options->pool;
    uring->tombstone = -1;
    info->backend = UC_BACKEND_URING;
    r = uci_uring_rings_open(uring, options, info);
    if (r < 0) {
        free(uring);
        return r;
    }
    r = negotiate(uring, options, info);
    if (r < 0) {
        uring_free(&uring->base, false);
        return r;
    }
    *ret_uring = uring;
    return 0;
}

static int uring_open(const struct uci_backend_options *options, struct uc_ring_info *info,
                      struct uci_backend **ret_backend)
{
    struct uci_backend_options fitting = *options;
    struct uci_uring *uring;
    int r = open_once(&fitting, info, &uring);

    /* Rings that just fit leave no memory for the ring of buffers beside them. */
    while (r == -ENOMEM && uci_uring_halve(&fitting, info)) {
        info->reason[0] = '\0';
        r = open_once(&fitting, info, &uring);
    }
    if (r < 0)
        return r;
    explain(info, options);
    uring->base.completions_max = info->cq_entries;
    *ret_backend = &uring->base;
    return 0;
}

static int uring_enable(struct uci_backend *backend)
{
    return io_uring_enable_rings(&uci_uring_of(backend)->ring);
}

static int uring_poll_fd(struct uci_backend *backend)
{
    struct uci_uring *uring = uci_uring_of(backend);

    return uring->stopped ? -EBADF : uring->ring.ring_fd;
}

/* The kernel holds files, not numbers, and nothing of this one is in flight. */
static void uring_forget(struct uci_backend *backend, int fd)
{
}

const struct uci_backend_table uci_backend_uring = {
    .id = UC_BACKEND_URING,
    .open = uring_open,
    .enable = uring_enable,
    .submit = uci_uring_submit,
    .enter = uci_uring_enter,
    .has_news = uci_uring_has_news,
    .hand_over = uci_uring_hand_over,
    .reap = uci_uring_reap,
    .provide = uci_uring_provide,
    .forget = uring_forget,
    .poll_fd = uring_poll_fd,
    .new_event_fd = uci_uring_new_event_fd,
    .set_event_fd = uci_uring_set_event_fd,
    .stop = uring_stop,
    .is_stopped = uring_is_stopped,
    .free = uring_free,
    .shutdown = uci_plain_shutdown,
    .close = uci_plain_close,
    .reset = uci_plain_reset,
    .accept = uci_plain_accept,
};
