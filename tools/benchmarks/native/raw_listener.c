/*
 * raw_listener.c - what both raw servers need around their loop
 */
#include "raw_listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

volatile sig_atomic_t raw_stopped;

static void on_stop(int number)
{
    (void)number;
    raw_stopped = 1;
}

static void prepare_process(void)
{
    struct sigaction stop = {.sa_handler = on_stop};
    struct rlimit files;

    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

int raw_listen(const char *program, uint16_t port, int flags)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t length = sizeof(address);
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

    prepare_process();
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0) {
        fprintf(stderr, "%s: cannot listen on 127.0.0.1:%u: %s\n", program, port, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    printf("port %u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

uint32_t raw_number(const char *program, const char *text, uint32_t min, uint32_t max)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || value < min || value > max) {
        fprintf(stderr, "%s: %s: not a number from %u to %u\n", program, text, min, max);
        exit(2);
    }
    return (uint32_t)value;
}
