// Made from include/uc by tools/dev/gen-cdef; do not edit.

// version.h.in
#define UC_ABI_VERSION 1
const char *uc_version(void);
uint32_t uc_abi_version(void);

// error.h
const char *uc_error_name(int error);

// event.h
#define UC_DATAGRAM_ADDRESS_BYTES 128
enum uc_event_kind {
    UC_EVENT_RECV = 1,
    UC_EVENT_DATAGRAM = 2,
    UC_EVENT_ACCEPT = 3,
    UC_EVENT_CONNECT = 4,
    UC_EVENT_SENT = 5,
    UC_EVENT_SEND_FAILED = 6,
    UC_EVENT_SHUTDOWN = 7,
    UC_EVENT_POLL = 8,
    UC_EVENT_CLOSED = 9,
    UC_EVENT_OPERATION = 10,
};
enum uc_event_flag {
    UC_EVENT_PAYLOAD = 1,
    UC_EVENT_LOW_WATER = 2,
    UC_EVENT_ENDED = 4,
    UC_EVENT_TRUNCATED = 8,
};
struct uc_event {
    uint32_t kind;
    int32_t fd;
    int32_t result;
    uint32_t flags;
    uint64_t offset;
    uint64_t cookie;
    uint64_t buffer;
};

// pool.h
typedef struct uc_pool uc_pool;
enum uc_pool_flag {
    UC_POOL_MLOCK = 1,
    UC_POOL_MLOCK_REQUIRED = 2,
    UC_POOL_REGISTER = 4,
    UC_POOL_REGISTER_REQUIRED = 8
};
struct uc_pool_options {
    uint32_t size;
    uint32_t flags;
    uint32_t buffer_bytes;
    uint32_t buffer_count;
    uint32_t buffer_max;
    uint32_t reserved;
    uint64_t quarantine_ns;
};
struct uc_pool_stats {
    uint32_t size;
    uint32_t reserved;
    uint64_t buffer_bytes;
    uint64_t buffers;
    uint64_t buffers_max;
    uint64_t free;
    uint64_t in_flight;
    uint64_t completed;
    uint64_t leased;
    uint64_t quarantine;
    uint64_t generation;
    uint64_t grown;
    uint64_t exhausted;
    uint64_t refused;
    uint64_t locked_bytes;
    uint64_t registered_bytes;
};
struct uc_lease {
    uint64_t token;
    uint64_t offset;
    uint64_t capacity;
};
int uc_pool_new(const struct uc_pool_options *options, uc_pool **ret_pool);
uc_pool *uc_pool_free(uc_pool *pool);
void *uc_pool_base(uc_pool *pool);
uint64_t uc_pool_reserved(uc_pool *pool);
int uc_pool_lease(uc_pool *pool, struct uc_lease *ret_lease);
int uc_pool_keep(uc_pool *pool, uint64_t buffer, struct uc_lease *ret_lease);
int uc_pool_release(uc_pool *pool, uint64_t token);
int uc_pool_get_stats(uc_pool *pool, struct uc_pool_stats *ret_stats);

// ring.h
typedef struct uc_ring uc_ring;
enum uc_sqpoll {
    UC_SQPOLL_OFF = 0,
    UC_SQPOLL_TRY = 1,
    UC_SQPOLL_REQUIRE = 2
};
enum uc_restriction {
    UC_RESTRICT_NONE = 0,
    UC_RESTRICT_NETWORK = 1,
};
enum uc_backend {
    UC_BACKEND_AUTO = 0,
    UC_BACKEND_URING = 1,
    UC_BACKEND_EPOLL = 2,
};
struct uc_ring_options {
    uint32_t size;
    uint32_t sq_entries;
    uint32_t cq_entries;
    uint32_t sqpoll;
    uint32_t sqpoll_idle_ms;
    uint32_t backend;
    uint64_t features_off;
    uc_pool *pool;
    uint32_t sqpoll_cpu;
    uint32_t restriction;
    uint32_t busy_poll_us;
    uint32_t reserved;
};
struct uc_ring_info {
    uint32_t size;
    uint32_t backend;
    uint64_t features;
    uint64_t features_stripped;
    uint32_t sq_entries;
    uint32_t cq_entries;
    uint32_t halvings;
    uint32_t retries;
    char reason[256];
    uint32_t sqpoll_cpu;
    uint32_t restriction;
};
struct uc_ring_stats {
    uint32_t size;
    uint32_t reserved;
    uint64_t kernel_entries;
    uint64_t submissions;
    uint64_t completions;
    uint64_t events;
    uint64_t in_flight;
    uint64_t stale;
    uint64_t overflows;
    uint64_t no_buffers;
    uint64_t wakeups;
    uint64_t attached;
    uint64_t rehomed;
    uint64_t busy_polls;
    uint64_t busy_poll_hits;
    uint64_t zero_copy_sends;
    uint64_t zero_copy_copied;
};
int uc_ring_new(const struct uc_ring_options *options, uc_ring **ret_ring);
uc_ring *uc_ring_free(uc_ring *ring);
int uc_ring_enable(uc_ring *ring);
int uc_ring_wait(uc_ring *ring, struct uc_event *events, uint32_t max,
                           int64_t timeout_ns);
int uc_ring_last_count(uc_ring *ring);
int uc_ring_flush(uc_ring *ring);
int uc_ring_wake(uc_ring *ring);
int uc_ring_event_fd(uc_ring *ring);
int uc_ring_poll_fd(uc_ring *ring);
uc_pool *uc_ring_pool(uc_ring *ring);
int uc_ring_get_info(uc_ring *ring, struct uc_ring_info *ret_info);
int uc_ring_get_stats(uc_ring *ring, struct uc_ring_stats *ret_stats);

// fd.h
#define UC_GATHER_BYTES 262144
typedef struct uc_fd uc_fd;
enum uc_fd_flag {
    UC_FD_DATAGRAM = 1,
    UC_FD_GATHER = 2,
    UC_FD_SHARED = 4,
};
struct uc_fd_options {
    uint32_t size;
    uint32_t flags;
    uint64_t cookie;
    uint64_t credit_bytes;
    uint32_t credit_ops;
    uint32_t reserved;
    uint64_t high_water;
    uint64_t low_water;
    uint64_t zero_copy_bytes;
};
enum uc_fd_state {
    UC_FD_OPEN = 1,
    UC_FD_HALF_CLOSED = 2,
    UC_FD_DRAINING = 3,
    UC_FD_CLOSING = 4,
    UC_FD_CLOSED = 5,
};
enum uc_zero_copy_state {
    UC_ZERO_COPY_OFF = 0,
    UC_ZERO_COPY_IN_USE = 1,
    UC_ZERO_COPY_LOCAL = 2,
    UC_ZERO_COPY_COPIED = 3,
    UC_ZERO_COPY_UNSUPPORTED = 4,
};
struct uc_fd_status {
    uint32_t size;
    uint32_t state;
    int32_t fd;
    uint32_t receiving;
    uint32_t in_flight;
    uint32_t credit_ops;
    uint64_t credit_bytes;
    uint64_t undelivered_bytes;
    uint64_t queued_bytes;
    uint64_t leased_bytes;
    uint32_t zero_copy;
    uint32_t reserved;
};
int uc_fd_attach(uc_ring *ring, int fd, const struct uc_fd_options *options,
                           uc_fd **ret_fd);
uc_fd *uc_fd_free(uc_fd *fd);
int uc_fd_recv_start(uc_fd *fd);
int uc_fd_recv_once(uc_fd *fd, uint32_t max_bytes);
int uc_fd_recv_stop(uc_fd *fd);
enum uc_send_flag {
    UC_SEND_REFERENCE = 1,
    UC_SEND_ZERO_COPY = 2,
};
int64_t uc_fd_send(uc_fd *fd, const void *data, uint64_t bytes, uint32_t flags);
int64_t uc_fd_send_to(uc_fd *fd, const void *data, uint64_t bytes, const void *address,
                                uint32_t address_bytes);
int uc_fd_shutdown(uc_fd *fd);
int uc_fd_accept_start(uc_fd *fd);
int uc_fd_connect(uc_fd *fd, const void *address, uint32_t address_bytes);
int uc_fd_poll(uc_fd *fd, uint32_t events);
int uc_fd_poll_stop(uc_fd *fd);
int uc_fd_set_water_marks(uc_fd *fd, uint64_t high, uint64_t low);
int uc_fd_set_credit(uc_fd *fd, uint32_t ops, uint64_t bytes);
int uc_fd_set_gather(uc_fd *fd, uint32_t on);
int uc_fd_get_status(uc_fd *fd, struct uc_fd_status *ret_status);
enum uc_close_flag {
    UC_CLOSE_ABORT = 1,
    UC_CLOSE_KEEP = 2,
    UC_CLOSE_NOW = 4,
};
int uc_fd_close(uc_fd *fd, uint32_t flags);

// op.h
int uc_op_nop(uc_ring *ring, uint64_t cookie, uint64_t *ret_op);
int uc_op_read(uc_ring *ring, int fd, void *buffer, uint32_t bytes, uint64_t offset,
                         uint64_t cookie, uint64_t *ret_op);
int uc_op_write(uc_ring *ring, int fd, const void *buffer, uint32_t bytes,
                          uint64_t offset, uint64_t cookie, uint64_t *ret_op);
enum uc_fsync_flag {
    UC_FSYNC_DATA = 1,
};
int uc_op_fsync(uc_ring *ring, int fd, uint32_t flags, uint64_t cookie, uint64_t *ret_op);
int uc_op_openat(uc_ring *ring, int directory_fd, const char *path, uint32_t flags,
                           uint32_t mode, uint64_t cookie, uint64_t *ret_op);
int uc_op_close(uc_ring *ring, int fd, uint64_t cookie, uint64_t *ret_op);
int uc_op_statx(uc_ring *ring, int directory_fd, const char *path, uint32_t flags,
                          uint32_t mask, void *statx, uint64_t cookie, uint64_t *ret_op);
int uc_op_timeout(uc_ring *ring, uint64_t ns, uint64_t cookie, uint64_t *ret_op);
enum uc_splice_flag {
    UC_SPLICE_NONBLOCK = 1,
    UC_SPLICE_MORE = 2,
};
int uc_op_splice(uc_ring *ring, int fd_in, uint64_t offset_in, int fd_out,
                           uint64_t offset_out, uint32_t bytes, uint32_t flags, uint64_t cookie,
                           uint64_t *ret_op);
int uc_op_cancel(uc_ring *ring, uint64_t op);

// file.h
#define UC_READ_MANY_MAX 1024
int uc_op_truncate(uc_ring *ring, int fd, uint64_t bytes, uint64_t cookie,
                             uint64_t *ret_op);
int uc_op_fallocate(uc_ring *ring, int fd, uint32_t mode, uint64_t offset, uint64_t bytes,
                              uint64_t cookie, uint64_t *ret_op);
int uc_op_rename(uc_ring *ring, int old_directory_fd, const char *old_path,
                           int new_directory_fd, const char *new_path, uint32_t flags,
                           uint64_t cookie, uint64_t *ret_op);
int uc_op_unlink(uc_ring *ring, int directory_fd, const char *path, uint32_t flags,
                           uint64_t cookie, uint64_t *ret_op);
int uc_op_mkdir(uc_ring *ring, int directory_fd, const char *path, uint32_t mode,
                          uint64_t cookie, uint64_t *ret_op);
int uc_op_symlink(uc_ring *ring, const char *target, int directory_fd, const char *path,
                            uint64_t cookie, uint64_t *ret_op);
int uc_op_link(uc_ring *ring, int old_directory_fd, const char *old_path,
                         int new_directory_fd, const char *new_path, uint32_t flags,
                         uint64_t cookie, uint64_t *ret_op);
int uc_op_readlink(uc_ring *ring, int directory_fd, const char *path, void *buffer,
                             uint32_t bytes, uint64_t cookie, uint64_t *ret_op);
int uc_op_statvfs(uc_ring *ring, int fd, const char *path, void *statvfs, uint64_t cookie,
                            uint64_t *ret_op);
int uc_op_list(uc_ring *ring, int fd, void *buffer, uint32_t bytes, uint64_t cookie,
                         uint64_t *ret_op);
int uc_op_copy_range(uc_ring *ring, int fd_in, uint64_t offset_in, int fd_out,
                               uint64_t offset_out, uint32_t bytes, uint32_t flags, uint64_t cookie,
                               uint64_t *ret_op);
struct uc_read_part {
    int32_t fd;
    uint32_t bytes;
    uint64_t offset;
    void *buffer;
    int32_t result;
    uint32_t reserved;
};
int uc_op_read_many(uc_ring *ring, struct uc_read_part *parts, uint32_t count,
                              uint64_t cookie, uint64_t *ret_op);
int uc_op_set_deadline(uc_ring *ring, uint64_t op, uint64_t ns);

// fork.h
int uc_ring_reinit(uc_ring *ring);

// feature.h
enum uc_feature {
    UC_FEATURE_SINGLE_ISSUER = 1,
    UC_FEATURE_DEFER_TASKRUN = 2,
    UC_FEATURE_COOP_TASKRUN = 4,
    UC_FEATURE_SUBMIT_ALL = 8,
    UC_FEATURE_BUFFER_RING = 16,
    UC_FEATURE_MULTISHOT_ACCEPT = 32,
    UC_FEATURE_MULTISHOT_RECV = 64,
    UC_FEATURE_RECV_BUNDLE = 128,
    UC_FEATURE_NO_IOWAIT = 256,
    UC_FEATURE_SQPOLL = 512,
    UC_FEATURE_REGISTERED_BUFFERS = 1024,
    UC_FEATURE_SEND_ZERO_COPY = 2048,
};
enum uc_feature_use {
    UC_FEATURE_USE_ALWAYS = 0,
    UC_FEATURE_USE_FALLBACK = 1,
    UC_FEATURE_USE_REQUEST = 2,
};
struct uc_feature_info {
    uint32_t size;
    uint32_t use;
    const char *name;
    const char *since;
    const char *purpose;
    const char *instead;
};
const char *uc_feature_name(uint64_t feature);
int uc_feature_describe(uint64_t feature, struct uc_feature_info *ret_info);

// probe.h
enum uc_verdict {
    UC_VERDICT_FULL = 0,
    UC_VERDICT_DEGRADED = 1,
    UC_VERDICT_NONE = 2,
};
struct uc_probe {
    uint32_t size;
    int32_t error;
    uint64_t features;
    uint32_t kernel_major;
    uint32_t kernel_minor;
    int32_t sysctl_disabled;
    int32_t seccomp_mode;
    uint64_t memlock_bytes;
    uint32_t memlock_exempt;
    uint32_t backend;
    char reason[256];
    uint32_t verdict;
    uint32_t asked_backend;
    uint64_t features_off;
    uint64_t memlock_needed;
    char kernel[64];
    char remedy[768];
};
int uc_probe(struct uc_probe *ret_probe);

// user_data.h
#define UC_USER_DATA_INDEX_MAX 16777215
#define UC_USER_DATA_KIND_MAX 254
int uc_user_data_pack(uint32_t kind, uint32_t generation, uint32_t index,
                                uint64_t *ret_user_data);
uint32_t uc_user_data_kind(uint64_t user_data);
uint32_t uc_user_data_generation(uint64_t user_data);
uint32_t uc_user_data_index(uint64_t user_data);
