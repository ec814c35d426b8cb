/* Operations by user_data: only a cancellation has to look one up. */
#include <stdlib.h>

#include "epoll/epoll.h"

static uint32_t chain_of(uint32_t size, uint64_t user_data)
{
    return (uint32_t)((user_data * UINT64_C(0x9e3779b97f4a7c15)) >> 40) & (size - 1);
}

static void put(struct uci_epoll_op **table, uint32_t size, struct uci_epoll_op *op)
{
    uint32_t chain = chain_of(size, op->operation.user_data);

    op->next = table[chain];
    table[chain] = op;
}

/* Longer chains are slower and nothing else: without memory it stays as it is. */
static void grow(struct uci_epoll *epoll)
{
    uint32_t size = epoll->table_size * 2;
    struct uci_epoll_op **table = calloc(size, sizeof(struct uci_epoll_op *)), *op;

    if (!table)
        return;
    for (uint32_t i = 0; i < epoll->table_size; i++)
        while ((op = epoll->table[i])) {
            epoll->table[i] = op->next;
            put(table, size, op);
        }
    free(epoll->table);
    epoll->table = table;
    epoll->table_size = size;
}

void uci_epoll_table_add(struct uci_epoll_op *op)
{
    struct uci_epoll *epoll = op->epoll;

    if (op->tabled)
        return;
    if (epoll->table_count == epoll->table_size)
        grow(epoll);
    put(epoll->table, epoll->table_size, op);
    epoll->table_count++;
    op->tabled = true;
}

void uci_epoll_table_remove(struct uci_epoll_op *op)
{
    struct uci_epoll *epoll = op->epoll;
    struct uci_epoll_op **link;

    if (!op->tabled)
        return;
    link = &epoll->table[chain_of(epoll->table_size, op->operation.user_data)];
    while (*link != op)
        link = &(*link)->next;
    *link = op->next;
    epoll->table_count--;
    op->tabled = false;
}

struct uci_epoll_op *uci_epoll_table_find(const struct uci_epoll *epoll, uint64_t user_data)
{
    struct uci_epoll_op *op = epoll->table[chain_of(epoll->table_size, user_data)];

    while (op && op->operation.user_data != user_data)
        op = op->next;
    return op;
}
