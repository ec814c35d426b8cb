/* What the kernel itself refuses a restricted ring, asked without libuc in between. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend/backend.h"
#include "backend/restriction.h"
#include "support.h"
#include "uring/uring.h"

#define SECOND_NS INT64_C(1000000000)

static struct uci_backend *open_ring(uc_pool **ret_pool, uint32_t sqpoll)
{
    struct uci_backend_options options = {
        .sq_entries = 8,
        .cq_entries = 64,
        .sqpoll = sqpoll,
        .sqpoll_idle_ms = 10,
        .restriction = UC_RESTRICT_NETWORK,
    };
    struct uc_ring_info info = {0};
    struct uci_backend *backend;

    assert_int_equal(uc_pool_new(NULL, ret_pool), 0);
    options.pool = *ret_pool;
    assert_int_equal(uci_backend_uring.open(&options, &info, &backend), 0);
    assert_int_equal(uci_backend_uring.enable(backend), 0);
    return backend;
}

static void close_ring(struct uci_backend *backend, uc_pool *pool)
{
    uci_backend_uring.free(backend, false);
    uc_pool_free(pool);
}

/* What the kernel answers to an entry that we write by hand. */
static int32_t ask(struct uci_backend *backend, uint8_t opcode, uint8_t flags)
{
    struct uci_uring *uring = uci_uring_of(backend);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
    struct uci_completion completion = {0};

    if (!sqe) {
        fail_msg("the queue is full");
        return 0;
    }
    *sqe = (struct io_uring_sqe){.opcode = opcode, .flags = flags, .fd = -1, .user_data = 42};
    assert_int_equal(backend->table->enter(backend, true, SECOND_NS), 0);
    assert_int_equal(backend->table->reap(backend, &completion, 1), 1);
    assert_int_equal(completion.user_data, 42);
    return completion.result;
}

static bool is_allowed(uint8_t opcode, uint64_t features)
{
    uint8_t shape = features & UC_FEATURE_SEND_ZERO_COPY ? UCI_OPERATION_ZERO_COPY : 0;

    for (uint8_t op = 0; op < UCI_OP_COUNT; op++)
        if (uci_restriction_allows(UC_RESTRICT_NETWORK, op) &&
            (uci_uring_opcode(op, 0) == opcode || uci_uring_opcode(op, shape) == opcode))
            return true;
    return false;
}

/* Also those that libuc never uses, and those that are newer than the headers it was built with. */
static void only_what_the_network_needs_gets_past_the_kernel(void **state)
{
    static const uint8_t files[] = {
        IORING_OP_READ,      IORING_OP_READV,    IORING_OP_READ_FIXED,   IORING_OP_WRITE,
        IORING_OP_WRITEV,    IORING_OP_OPENAT,   IORING_OP_OPENAT2,      IORING_OP_STATX,
        IORING_OP_FSYNC,     IORING_OP_SPLICE,   IORING_OP_TEE,          IORING_OP_CLOSE,
        IORING_OP_UNLINKAT,  IORING_OP_RENAMEAT, IORING_OP_FALLOCATE,    IORING_OP_MKDIRAT,
        IORING_OP_SYMLINKAT, IORING_OP_LINKAT,   UCI_IORING_OP_FTRUNCATE};
    const uint32_t modes[] = {UC_SQPOLL_OFF, UC_SQPOLL_TRY};

    (void)state;
    for (size_t i = 0; i < sizeof(files); i++)
        assert_false(is_allowed(files[i], UINT64_MAX));
    for (int mode = 0; mode < 2; mode++) {
        uc_pool *pool;
        struct uci_backend *backend = open_ring(&pool, modes[mode]);
        int allowed = 0;

        for (uint8_t opcode = 0; opcode < IORING_OP_LAST; opcode++) {
            if (is_allowed(opcode, backend->features))
                allowed++;
            else
                assert_int_equal(ask(backend, opcode, 0), -EACCES);
        }
        assert_int_equal(allowed, backend->features & UC_FEATURE_SEND_ZERO_COPY ? 12 : 10);
        assert_int_equal(ask(backend, IORING_OP_NOP, 0), 0);
        assert_int_equal(ask(backend, IORING_OP_SEND, 0), -EBADF);
        close_ring(backend, pool);
    }
}

static void links_registered_files_and_drains_are_refused(void **state)
{
    static const uint8_t flags[] = {IOSQE_IO_LINK,  IOSQE_IO_HARDLINK, IOSQE_FIXED_FILE,
                                    IOSQE_IO_DRAIN, IOSQE_ASYNC,       IOSQE_CQE_SKIP_SUCCESS};
    uc_pool *pool;
    struct uci_backend *backend = open_ring(&pool, UC_SQPOLL_OFF);

    (void)state;
    for (size_t i = 0; i < sizeof(flags); i++)
        assert_int_equal(ask(backend, IORING_OP_NOP, flags[i]), -EACCES);
    close_ring(backend, pool);
}

static void nothing_can_be_registered_but_the_event_fd(void **state)
{
    struct iovec memory = {.iov_base = &memory, .iov_len = sizeof(memory)};
    uc_pool *pool;
    struct uci_backend *backend = open_ring(&pool, UC_SQPOLL_OFF);
    struct io_uring *ring = &uci_uring_of(backend)->ring;
    int fd = eventfd(0, EFD_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(io_uring_register_buffers(ring, &memory, 1), -EACCES);
    assert_int_equal(io_uring_unregister_files(ring), -EACCES);
    assert_int_equal(io_uring_register_files(ring, &fd, 1), -EACCES);
    assert_int_equal(io_uring_register_personality(ring), -EACCES);
    assert_int_equal(io_uring_register_restrictions(ring, NULL, 0), -EACCES);
    assert_int_equal(io_uring_register_eventfd(ring, fd), 0);
    close(fd);
    close_ring(backend, pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_the_network_needs_gets_past_the_kernel),
        cmocka_unit_test(links_registered_files_and_drains_are_refused),
        cmocka_unit_test(nothing_can_be_registered_but_the_event_fd),
    };

    return UCT_RUN("restrictions of the kernel", tests);
}
