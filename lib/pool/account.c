#include "pool/account.h"

#include <stdlib.h>

#include "pool/pool.h"

struct uci_account *uci_account_new(void *owner)
{
    struct uci_account *account = malloc(sizeof(*account));

    if (!account)
        return NULL;
    *account = (struct uci_account){.owner = owner};
    uci_list_init(&account->link);
    return account;
}

void uci_account_charge(struct uci_account *account, uint64_t bytes)
{
    account->leased_bytes += bytes;
}

void uci_account_return(uc_pool *pool, struct uci_account *account, uint64_t bytes)
{
    account->leased_bytes -= bytes;
    if (uci_list_has(&account->link))
        return;
    if (account->owner)
        uci_list_append(&pool->returned, &account->link);
    else if (!account->leased_bytes)
        free(account);
}

void uci_account_leave(uc_pool *pool, struct uci_account *account)
{
    account->owner = NULL;
    uci_list_remove(&account->link);
    uci_list_append(&pool->unsettled, &account->link);
}

void uci_accounts_settle(uc_pool *pool)
{
    while (!uci_list_is_empty(&pool->unsettled)) {
        struct uci_account *account = UCI_CONTAINER(pool->unsettled.next, struct uci_account, link);

        uci_list_remove(&account->link);
        if (!account->leased_bytes)
            free(account);
    }
}

void *uci_accounts_next_returned(uc_pool *pool)
{
    struct uci_account *account;

    if (uci_list_is_empty(&pool->returned))
        return NULL;
    account = UCI_CONTAINER(pool->returned.next, struct uci_account, link);
    uci_list_remove(&account->link);
    return account->owner;
}
