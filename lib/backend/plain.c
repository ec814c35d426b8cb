/* What all backends do alike: plain system calls on descriptors. */
#include "backend/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

int uci_plain_shutdown(int fd)
{
    return shutdown(fd, SHUT_WR) < 0 ? -errno : 0;
}

int uci_plain_close(int fd)
{
    return close(fd) < 0 ? -errno : 0;
}

int uci_plain_reset(int fd)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    return connect(fd, &nobody, sizeof(nobody)) < 0 ? -errno : 0;
}

uint32_t uci_plain_accept(int fd, int *connections, uint32_t max)
{
    int flags = fcntl(fd, F_GETFL), connection;
    uint32_t count = 0;

    if (flags < 0 || !(flags & O_NONBLOCK))
        return 0;
    while (count < max) {
        connection = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (connection < 0)
            break;
        connections[count++] = connection;
    }
    return count;
}
