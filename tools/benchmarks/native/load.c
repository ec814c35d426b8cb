/*
 * load.c - a TCP load generator
 *
 * Opens a number of connections to 127.0.0.1, keeps a number of requests outstanding on each, and
 * prints one JSON object: rate, latencies, and the CPU time that the server's process and this one
 * spent in the measured window. Phases: connect, warm up, measure, drain (what is outstanding is
 * still answered and checked, but not counted). One thread, epoll; bounded in time and in count.
 * Exit status: 0, 1 when anything was wrong, 2 for a bad command line.
 */
#include "load.h"
#include "pattern.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_TURN 256
#define CONNECTING_MAX 256u /* at once: well under any listen backlog */
#define BUFFER_BYTES (256u << 10)
#define PROGRESS_NS 200000000u

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

uint64_t load_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void load_fail(struct load *load, const char *format, ...)
{
    va_list arguments;

    if (load->errors++)
        return;
    va_start(arguments, format);
    vsnprintf(load->error, sizeof(load->error), format, arguments);
    va_end(arguments);
}

/* The CPU time of a whole process, all its threads, to the nanosecond; 0 when it is gone. */
static uint64_t process_cpu_ns(int pid)
{
    struct timespec spent;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &spent))
        return 0;
    return (uint64_t)spent.tv_sec * 1000000000u + (uint64_t)spent.tv_nsec;
}

static void begin_window(struct load *load)
{
    load->requests = load->bytes = 0;
    histogram_clear(&load->latency);
    if (load->options.server_pid)
        load->server_cpu_ns = process_cpu_ns(load->options.server_pid);
    load->load_cpu_ns = process_cpu_ns(0);
}

static void end_window(struct load *load)
{
    load->window_ns = load->now_ns - load->phase_ns;
    load->load_cpu_ns = process_cpu_ns(0) - load->load_cpu_ns;
    if (load->options.server_pid) {
        uint64_t spent = process_cpu_ns(load->options.server_pid);

        if (!spent)
            load_fail(load, "the server's process is gone");
        load->server_cpu_ns = spent ? spent - load->server_cpu_ns : 0;
    }
}

void load_enter(struct load *load, enum load_phase phase)
{
    load->now_ns = load_clock_ns();
    if (load->phase == PHASE_MEASURE)
        end_window(load);
    if (phase == PHASE_MEASURE)
        begin_window(load);
    load->phase = phase;
    load->phase_ns = load->now_ns;
    load->answer_ns = load->now_ns;
    load_report_progress(load);
}

/* Moves on to the next phase when this one has run its time. Returns 0, or -1 on a stall. */
static int keep_time(struct load *load)
{
    const struct load_options *options = &load->options;
    double spent = (double)(load->now_ns - load->phase_ns) / 1e9;

    if ((double)load->now_ns - (double)load->answer_ns > options->stall_seconds * 1e9) {
        load_fail(load, "no answer for %.1f s", options->stall_seconds);
        return -1;
    }
    if (load->phase == PHASE_WARM_UP && spent >= options->warm_up)
        load_enter(load, PHASE_MEASURE);
    else if (load->phase == PHASE_MEASURE &&
             (spent >= options->seconds || (options->count && load->requests >= options->count)))
        load_enter(load, PHASE_DRAIN);
    if (load->phase == PHASE_DRAIN && !load->outstanding)
        load_enter(load, PHASE_DONE);
    if (load->now_ns - load->progress_ns >= PROGRESS_NS) {
        load->progress_ns = load->now_ns;
        load_report_progress(load);
    }
    return 0;
}

/* Waits for readiness; returns the number of events, or -1. */
static int wait_events(struct load *load, struct epoll_event *events)
{
    int n = epoll_wait(load->epoll_fd, events, EVENTS_PER_TURN, 20);

    load->now_ns = load_clock_ns();
    if (n < 0 && errno == EINTR)
        n = 0;
    if (n < 0)
        load_fail(load, "epoll_wait: %s", strerror(errno));
    if (interrupted) {
        load_fail(load, "interrupted");
        return -1;
    }
    return n;
}

static int connect_all(struct load *load)
{
    struct epoll_event events[EVENTS_PER_TURN];
    uint32_t opened = 0, wanted = load->options.connections;

    while (load->connected < wanted) {
        int n;

        while (opened < wanted && opened - load->connected < CONNECTING_MAX)
            if (connection_open(load, opened++) < 0)
                return -1;
        n = wait_events(load, events);
        if (n < 0)
            return -1;
        for (int i = 0; i < n; i++)
            if (connection_established(load, &load->connections[events[i].data.u32]) < 0)
                return -1;
        if (n > 0)
            load->answer_ns = load->now_ns;
        if (keep_time(load) < 0)
            return -1;
    }
    return 0;
}

static int converse(struct load *load)
{
    struct epoll_event events[EVENTS_PER_TURN];

    load_enter(load, PHASE_WARM_UP);
    for (uint32_t i = 0; i < load->options.connections; i++)
        if (connection_start(load, &load->connections[i]) < 0)
            return -1;
    while (load->phase != PHASE_DONE) {
        int n = wait_events(load, events);

        if (n < 0)
            return -1;
        for (int i = 0; i < n; i++) {
            struct connection *connection = &load->connections[events[i].data.u32];

            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) &&
                connection_readable(load, connection) < 0)
                return -1;
            if (events[i].events & EPOLLOUT && connection_writable(load, connection) < 0)
                return -1;
        }
        if (keep_time(load) < 0)
            return -1;
    }
    return 0;
}

static int set_up(struct load *load)
{
    struct rlimit files;

    load->buffer_bytes = BUFFER_BYTES;
    load->buffer = malloc(load->buffer_bytes);
    load->connections = calloc(load->options.connections, sizeof(*load->connections));
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!load->buffer || !load->connections || load->epoll_fd < 0) {
        load_fail(load, "set-up: %s", strerror(errno));
        return -1;
    }
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    load->now_ns = load->phase_ns = load->answer_ns = load->progress_ns = load_clock_ns();
    return 0;
}

int main(int argc, char **argv)
{
    static struct load load;
    struct sigaction action = {.sa_handler = on_signal};
    int status = load_options_parse(&load.options, argc, argv);

    if (status)
        return status < 0 ? 0 : status;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    pattern_init();
    if (set_up(&load) == 0 && connect_all(&load) == 0)
        (void)converse(&load);
    if (load.phase == PHASE_MEASURE)
        end_window(&load);
    load_report_result(&load);
    for (uint32_t i = 0; load.connections && i < load.options.connections; i++)
        connection_close(&load.connections[i]);
    free(load.connections);
    free(load.buffer);
    return load.errors ? 1 : 0;
}
