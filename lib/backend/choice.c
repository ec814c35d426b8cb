/* Which backend a ring is made on. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"

static int of_environment(uint32_t *ret_asked)
{
    const char *name = getenv("UC_BACKEND");

    if (!name || !*name || strcmp(name, "auto") == 0)
        *ret_asked = UC_BACKEND_AUTO;
    else if (strcmp(name, "uring") == 0)
        *ret_asked = UC_BACKEND_URING;
    else if (strcmp(name, "epoll") == 0)
        *ret_asked = UC_BACKEND_EPOLL;
    else
        return -EINVAL;
    return 0;
}

int uci_backend_choose(uint32_t asked, const struct uci_backend_table **ret_table)
{
    int r = asked == UC_BACKEND_AUTO ? of_environment(&asked) : 0;

    if (r < 0)
        return r;
    *ret_table = asked == UC_BACKEND_EPOLL ? &uci_backend_epoll : &uci_backend_uring;
    return 0;
}
