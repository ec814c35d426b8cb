#include "fd/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fork/fork.h"
#include "pool/pool.h"

#define FIRST_CAPACITY 64

int uci_fd_table_reserve(struct uci_fd_table *table, int fd)
{
    uint32_t capacity = table->capacity ? table->capacity : FIRST_CAPACITY;
    struct uci_fd_entry *entries;

    if ((uint32_t)fd < table->capacity)
        return 0;
    while (capacity <= (uint32_t)fd)
        capacity *= 2;
    entries = realloc(table->entries, capacity * sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    memset(entries + table->capacity, 0, (capacity - table->capacity) * sizeof(*entries));
    table->entries = entries;
    table->capacity = capacity;
    return 0;
}

void uci_fd_table_finish(struct uci_fd_table *table)
{
    free(table->entries);
    *table = (struct uci_fd_table){0};
}

uc_fd *uci_fd_new(uc_ring *ring, int fd, const struct uc_fd_options *options)
{
    uc_fd *record = malloc(sizeof(*record));
    struct uci_account *account = uci_account_new(record);

    if (!record || !account) {
        free(record);
        free(account);
        return NULL;
    }
    *record = (uc_fd){
        .origin = uci_origin(),
        .ring = ring,
        .fd = fd,
        .flags = options->flags,
        .cookie = options->cookie,
        .life = UC_FD_OPEN,
        .read = UCI_READ_IDLE,
        .credit_ops = options->credit_ops,
        .credit_bytes = options->credit_bytes,
        .account = account,
        .read_buffer = UCI_BUFFER_NONE,
        .stash_first = UCI_BUFFER_NONE,
        .stash_last = UCI_BUFFER_NONE,
        .high_water = options->high_water,
        .low_water = options->low_water,
        .zero_copy.least_bytes = options->zero_copy_bytes,
    };
    uci_list_init(&record->attached);
    uci_list_init(&record->waiting);
    uci_list_init(&record->held);
    return record;
}

void uci_fd_delete(uc_fd *fd)
{
    struct uci_send_cache none = {0};

    if (!fd->leaked) {
        uci_send_queue_drop(&fd->queue, &none);
        uci_send_cache_finish(&none);
        free(fd->message);
        free(fd->connect_address);
        uci_zero_copy_finish(&fd->zero_copy);
    }
    free(fd->accepts.fds);
    free(fd);
}

struct uci_read_step uci_fd_read(uc_fd *fd, enum uci_read_input input)
{
    struct uci_read_step step = uci_read_step(fd->read, input);

    fd->read = step.next;
    return step;
}
