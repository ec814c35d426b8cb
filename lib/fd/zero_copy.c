#include "fd/zero_copy.h"

#include <stdlib.h>

static struct uci_notice *at(struct uci_notices *notices, uint64_t number)
{
    return &notices->of[number % UCI_NOTICES_MAX];
}

bool uci_zero_copy_has_room(struct uci_zero_copy *zero_copy)
{
    struct uci_notices *notices = zero_copy->notices;

    if (!notices) {
        notices = calloc(1, sizeof(*notices));
        if (!notices)
            return false;
        notices->first = notices->next = 1;
        zero_copy->notices = notices;
    }
    return notices->next - notices->first < UCI_NOTICES_MAX;
}

uint64_t uci_zero_copy_expect(struct uci_zero_copy *zero_copy, uint64_t user_data, bool took)
{
    uint64_t number = zero_copy->notices->next++;

    *at(zero_copy->notices, number) = (struct uci_notice){user_data, took};
    zero_copy->outstanding++;
    return number;
}

bool uci_zero_copy_take(struct uci_zero_copy *zero_copy, uint64_t user_data, bool *ret_took)
{
    struct uci_notices *notices = zero_copy->notices;
    uint64_t number;

    if (!zero_copy->outstanding)
        return false;
    for (number = notices->first; number < notices->next; number++)
        if (at(notices, number)->user_data == user_data)
            break;
    if (number == notices->next)
        return false;
    *ret_took = at(notices, number)->took;
    at(notices, number)->user_data = 0;
    zero_copy->outstanding--;
    while (notices->first < notices->next && !at(notices, notices->first)->user_data)
        notices->first++;
    return true;
}

uint64_t uci_zero_copy_walk(const struct uci_zero_copy *zero_copy, uint64_t *number)
{
    struct uci_notices *notices = zero_copy->notices;
    uint64_t user_data = 0;

    if (!zero_copy->outstanding)
        return 0;
    if (*number < notices->first)
        *number = notices->first;
    while (*number < notices->next && !user_data)
        user_data = at(notices, (*number)++)->user_data;
    return user_data;
}

void uci_zero_copy_finish(struct uci_zero_copy *zero_copy)
{
    free(zero_copy->notices);
    zero_copy->notices = NULL;
}
