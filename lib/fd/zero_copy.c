#include "fd/zero_copy.h"

#include <stdlib.h>

#define PLACE(number) ((number) % UCI_NOTICES_MAX)

bool uci_zero_copy_has_room(struct uci_zero_copy *zero_copy)
{
    if (!zero_copy->notices) {
        zero_copy->notices = calloc(UCI_NOTICES_MAX, sizeof(*zero_copy->notices));
        zero_copy->first = zero_copy->next = 1;
    }
    return zero_copy->notices && zero_copy->next - zero_copy->first < UCI_NOTICES_MAX;
}

uint64_t uci_zero_copy_expect(struct uci_zero_copy *zero_copy, uint64_t user_data, bool took)
{
    uint64_t number = zero_copy->next++;

    zero_copy->notices[PLACE(number)] = (struct uci_notice){user_data, took};
    zero_copy->outstanding++;
    return number;
}

const struct uci_notice *uci_zero_copy_at(const struct uci_zero_copy *zero_copy, uint64_t number)
{
    const struct uci_notice *notice = &zero_copy->notices[PLACE(number)];

    return notice->user_data ? notice : NULL;
}

bool uci_zero_copy_take(struct uci_zero_copy *zero_copy, uint64_t user_data, bool *ret_took)
{
    struct uci_notice *notice;
    uint64_t number = zero_copy->first;

    while (number < zero_copy->next && zero_copy->notices[PLACE(number)].user_data != user_data)
        number++;
    if (number == zero_copy->next)
        return false;
    notice = &zero_copy->notices[PLACE(number)];
    *ret_took = notice->took;
    notice->user_data = 0;
    zero_copy->outstanding--;
    while (zero_copy->first < zero_copy->next && !uci_zero_copy_at(zero_copy, zero_copy->first))
        zero_copy->first++;
    return true;
}

void uci_zero_copy_finish(struct uci_zero_copy *zero_copy)
{
    free(zero_copy->notices);
    zero_copy->notices = NULL;
}
