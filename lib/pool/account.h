/*
 * What one descriptor's records have cost the pool: the bytes of its leases, by whole buffers.
 *
 * An account outlives its owner: leases may be out, and records of the turn in which the owner went
 * may still be kept. So its owner leaves it, the next turn settles it, and the last lease frees it.
 */
#pragma once

#include <stdint.h>
#include <uc/pool.h>

#include "base/list.h"

struct uci_account {
    uint64_t leased_bytes;
    void *owner;          /* NULL once it has left */
    struct uci_link link; /* in pool->returned, or, left, in pool->unsettled */
};

struct uci_account *uci_account_new(void *owner); /* NULL: no memory */

/* A lease of it begins, or ends. */
void uci_account_charge(struct uci_account *account, uint64_t bytes);
void uci_account_return(uc_pool *pool, struct uci_account *account, uint64_t bytes);

/* The owner goes; records of this turn may still be kept on its account. */
void uci_account_leave(uc_pool *pool, struct uci_account *account);

/* Nothing can be kept any more on the account of those that have left. */
void uci_accounts_settle(uc_pool *pool);

/* Return: the owner of an account to which leases have come back since it was last named, or NULL. */
void *uci_accounts_next_returned(uc_pool *pool);
