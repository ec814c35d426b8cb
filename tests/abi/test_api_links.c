/* Every public name is in the shared library, and the simplest use of it works. */
#include <stdio.h>
#include <string.h>
#include <uc.h>

#define FUNCTION(name) {#name, (void (*)(void))name}

static const struct {
    const char *name;
    void (*function)(void);
} functions[] = {
    FUNCTION(uc_abi_version),
    FUNCTION(uc_error_name),
    FUNCTION(uc_fd_accept_start),
    FUNCTION(uc_fd_attach),
    FUNCTION(uc_fd_close),
    FUNCTION(uc_fd_connect),
    FUNCTION(uc_fd_free),
    FUNCTION(uc_fd_get_status),
    FUNCTION(uc_fd_poll),
    FUNCTION(uc_fd_poll_stop),
    FUNCTION(uc_fd_recv_once),
    FUNCTION(uc_fd_recv_start),
    FUNCTION(uc_fd_recv_stop),
    FUNCTION(uc_fd_send),
    FUNCTION(uc_fd_send_to),
    FUNCTION(uc_fd_set_credit),
    FUNCTION(uc_fd_set_gather),
    FUNCTION(uc_fd_set_water_marks),
    FUNCTION(uc_fd_shutdown),
    FUNCTION(uc_feature_describe),
    FUNCTION(uc_feature_name),
    FUNCTION(uc_op_cancel),
    FUNCTION(uc_op_close),
    FUNCTION(uc_op_copy_range),
    FUNCTION(uc_op_fallocate),
    FUNCTION(uc_op_fsync),
    FUNCTION(uc_op_link),
    FUNCTION(uc_op_list),
    FUNCTION(uc_op_mkdir),
    FUNCTION(uc_op_nop),
    FUNCTION(uc_op_openat),
    FUNCTION(uc_op_read),
    FUNCTION(uc_op_read_many),
    FUNCTION(uc_op_readlink),
    FUNCTION(uc_op_rename),
    FUNCTION(uc_op_set_deadline),
    FUNCTION(uc_op_splice),
    FUNCTION(uc_op_statvfs),
    FUNCTION(uc_op_statx),
    FUNCTION(uc_op_symlink),
    FUNCTION(uc_op_timeout),
    FUNCTION(uc_op_truncate),
    FUNCTION(uc_op_unlink),
    FUNCTION(uc_op_write),
    FUNCTION(uc_pool_base),
    FUNCTION(uc_pool_free),
    FUNCTION(uc_pool_get_stats),
    FUNCTION(uc_pool_keep),
    FUNCTION(uc_pool_lease),
    FUNCTION(uc_pool_new),
    FUNCTION(uc_pool_release),
    FUNCTION(uc_pool_reserved),
    FUNCTION(uc_probe),
    FUNCTION(uc_ring_enable),
    FUNCTION(uc_ring_event_fd),
    FUNCTION(uc_ring_flush),
    FUNCTION(uc_ring_free),
    FUNCTION(uc_ring_get_info),
    FUNCTION(uc_ring_get_stats),
    FUNCTION(uc_ring_last_count),
    FUNCTION(uc_ring_new),
    FUNCTION(uc_ring_poll_fd),
    FUNCTION(uc_ring_pool),
    FUNCTION(uc_ring_reinit),
    FUNCTION(uc_ring_wait),
    FUNCTION(uc_ring_wake),
    FUNCTION(uc_user_data_generation),
    FUNCTION(uc_user_data_index),
    FUNCTION(uc_user_data_kind),
    FUNCTION(uc_user_data_pack),
    FUNCTION(uc_version),
};

static int is_named(const char *name)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        if (strcmp(functions[i].name, name) == 0)
            return functions[i].function != NULL;
    return 0;
}

/* Called with the names that the version script exports: each must stand above. */
int main(int count, char **names)
{
    struct uc_event event;
    uc_ring *ring = NULL;
    int missing = 0, r;

    for (int i = 1; i < count; i++) {
        if (is_named(names[i]))
            continue;
        fprintf(stderr, "%s is exported and not touched by this test\n", names[i]);
        missing = 1;
    }
    if (!strlen(uc_version()) || strcmp(uc_error_name(-32), "EPIPE") != 0)
        return 1;
    r = uc_ring_new(NULL, &ring);
    if (r == 0)
        r = uc_ring_wait(ring, &event, 1, 0);
    uc_ring_free(ring);
    if (r < 0)
        fprintf(stderr, "no ring here: %s\n", uc_error_name(r));
    return missing;
}
