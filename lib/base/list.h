/* A doubly linked list whose links live in its members. An unlinked link points to itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct uci_link {
    struct uci_link *next, *previous;
};

#define UCI_CONTAINER(link, type, member) ((type *)((char *)(link) - offsetof(type, member)))

static inline void uci_list_init(struct uci_link *link)
{
    link->next = link->previous = link;
}

static inline bool uci_list_is_empty(const struct uci_link *list)
{
    return list->next == list;
}

/* Whether @link is in some list. */
static inline bool uci_list_has(const struct uci_link *link)
{
    return link->next != link;
}

static inline void uci_list_append(struct uci_link *list, struct uci_link *link)
{
    link->previous = list->previous;
    link->next = list;
    list->previous->next = link;
    list->previous = link;
}

static inline void uci_list_remove(struct uci_link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    uci_list_init(link);
}

/* Move all of @from to the empty @to. */
static inline void uci_list_take(struct uci_link *to, struct uci_link *from)
{
    if (uci_list_is_empty(from)) {
        uci_list_init(to);
        return;
    }
    *to = *from;
    to->next->previous = to;
    to->previous->next = to;
    uci_list_init(from);
}
