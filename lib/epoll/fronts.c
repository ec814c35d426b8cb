/*
 * Fronts: sets around the set, for another loop to sleep on.
 *
 * A front is readable while the set is. The set itself knows nothing of what is only in memory: of
 * completions that nobody has taken the bell tells, and of the next time that will be over an alarm
 * (a timerfd). Who waits in enter() needs neither, so they are used only if there is a front. The
 * front that is given out also has the ring's wake-up in it, because the operation that reads that
 * is not always there.
 */
#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "epoll/epoll.h"

static bool has_front(const struct uci_epoll *epoll)
{
    return epoll->fronts[UCI_EPOLL_OWN_FRONT] >= 0 || epoll->fronts[UCI_EPOLL_GIVEN_FRONT] >= 0;
}

int uci_epoll_add_to_set(int set, int fd, uint64_t tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = tag};

    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int uci_epoll_show_set(struct uci_epoll *epoll, int set)
{
    int r = epoll->alarm >= 0 ? uci_epoll_add_to_set(set, epoll->alarm, UCI_EPOLL_ALARM) : 0;

    for (int i = 0; i < UCI_EPOLL_FRONTS && r == 0; i++)
        if (epoll->fronts[i] >= 0)
            r = uci_epoll_add_to_set(epoll->fronts[i], set, 0);
    return r;
}

static int open_alarm(struct uci_epoll *epoll)
{
    int fd, r;

    if (epoll->alarm >= 0)
        return 0;
    fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    r = uci_epoll_add_to_set(epoll->set, fd, UCI_EPOLL_ALARM);
    if (r < 0)
        close(fd);
    else
        epoll->alarm = fd;
    return r;
}

int uci_epoll_front(struct uci_epoll *epoll, int which, int fd)
{
    int r = open_alarm(epoll);

    if (r == 0)
        r = uci_epoll_add_to_set(fd, epoll->set, 0);
    if (r < 0)
        return r;
    epoll->fronts[which] = fd;
    uci_epoll_show_next_time(epoll);
    if (epoll->completion_count)
        uci_epoll_show_completions(epoll);
    return 0;
}

int uci_epoll_new_front(int wake_fd)
{
    int fd = epoll_create1(EPOLL_CLOEXEC), r;

    if (fd < 0)
        return -errno;
    r = wake_fd >= 0 ? uci_epoll_add_to_set(fd, wake_fd, 0) : 0;
    if (r < 0)
        close(fd);
    return r < 0 ? r : fd;
}

void uci_epoll_show_completions(struct uci_epoll *epoll)
{
    const uint64_t one = 1;

    while (has_front(epoll) && write(epoll->bell, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

/* What has rung is silenced by being set anew, or off. */
void uci_epoll_show_next_time(struct uci_epoll *epoll)
{
    uint64_t next = epoll->timer_count ? epoll->timers[0]->deadline : 0;
    struct itimerspec alarm = {
        .it_value = {.tv_sec = (time_t)(next / 1000000000), .tv_nsec = (long)(next % 1000000000)},
    };

    if (epoll->alarm < 0 || next == epoll->alarm_at)
        return;
    if (timerfd_settime(epoll->alarm, TFD_TIMER_ABSTIME, &alarm, NULL) == 0)
        epoll->alarm_at = next;
}
