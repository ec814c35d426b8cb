/*
 * load_syscalls.c - how many system calls the server makes in the measured window
 *
 * Counted by the kernel itself: the trace point raw_syscalls/sys_enter as a perf event on each
 * thread of the server, inherited by threads that it starts later. Nothing is recorded and nobody
 * is stopped, as strace would, so the server's batches stay as they are. A trace point makes each
 * system call of the machine a little dearer while it is on: times are measured in another window.
 *
 * Work that io_uring does in the kernel for a process is no system call and does not count here.
 */
#include "load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS_MAX 256

static int events[THREADS_MAX];
static int n_events;

/* The number of the trace point, or a negated errno. */
static long long trace_point(void)
{
    static const char *const places[] = {
        "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id",
        "/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id",
    };
    int error = ENOENT;

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        char text[32] = "";
        int fd = open(places[i], O_RDONLY | O_CLOEXEC);
        ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

        if (got < 0)
            error = errno;
        if (fd >= 0)
            close(fd);
        if (got > 0)
            return strtoll(text, NULL, 10);
    }
    return -error;
}

static int open_event(long long id, int thread)
{
    struct perf_event_attr attributes = {
        .type = PERF_TYPE_TRACEPOINT,
        .size = sizeof(attributes),
        .config = (uint64_t)id,
        .inherit = 1,
    };

    return (int)syscall(SYS_perf_event_open, &attributes, thread, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/* Counts every thread there is now. A thread that ends meanwhile is none to count. */
static int open_events(long long id, int pid)
{
    char path[32];
    struct dirent *entry;
    DIR *folder;
    int error = 0;

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    folder = opendir(path);
    if (!folder)
        return -errno;
    while (!error && n_events < THREADS_MAX && (entry = readdir(folder))) {
        int thread = atoi(entry->d_name), fd;

        if (thread <= 0)
            continue;
        fd = open_event(id, thread);
        if (fd >= 0)
            events[n_events++] = fd;
        else if (errno != ESRCH)
            error = -errno;
    }
    closedir(folder);
    return error;
}

static void close_events(void)
{
    while (n_events)
        close(events[--n_events]);
}

void load_syscalls_begin(int pid, char reason[LOAD_REASON_BYTES])
{
    long long id = trace_point();
    int error;

    reason[0] = '\0';
    if (id < 0) {
        snprintf(reason, LOAD_REASON_BYTES, "no trace point for system calls: %s",
                 strerror((int)-id));
        return;
    }
    error = open_events(id, pid);
    if (error < 0) {
        close_events();
        snprintf(reason, LOAD_REASON_BYTES, "perf_event_open: %s", strerror(-error));
    }
}

uint64_t load_syscalls_end(char reason[LOAD_REASON_BYTES])
{
    uint64_t sum = 0;

    for (int i = 0; i < n_events; i++) {
        uint64_t count = 0;

        if (read(events[i], &count, sizeof(count)) == sizeof(count))
            sum += count;
        else
            snprintf(reason, LOAD_REASON_BYTES, "reading a perf event: %s", strerror(errno));
    }
    close_events();
    return sum;
}
