/*
 * load.c - a load generator
 *
 * Opens a number of connections to 127.0.0.1 or a Unix socket, keeps a number of requests
 * outstanding on each (or opens one for each request, or lets them idle), and prints one JSON
 * object: rate, latencies, and the CPU time that the server's process and this one spent in the
 * measured window. Phases: connect, warm up, measure, drain (what is outstanding is still answered
 * and checked, but not counted). One thread, epoll; bounded in time and in count.
 * Exit status: 0, 1 when anything was wrong, 2 for a bad command line, 77 where it was built
 * without what the load takes.
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

/* How many requests each connection may have asked by the end of a phase. */
static uint64_t limit_of(const struct load *load, enum load_phase phase)
{
    bool idle = load->options.mode.course == COURSE_IDLE;

    if (phase >= PHASE_DRAIN)
        return idle ? 2 : 0;
    return idle ? 1 : UINT64_MAX;
}

void load_enter(struct load *load, enum load_phase phase)
{
    load->now_ns = load_clock_ns();
    if (load->phase == PHASE_MEASURE)
        load_window_end(load);
    if (phase == PHASE_MEASURE) {
        load_window_begin(load);
        load->now_ns = load_clock_ns();
    }
    load->phase = phase;
    load->issue_limit = limit_of(load, phase);
    load->phase_ns = load->now_ns;
    load->answer_ns = load->now_ns;
    load_report_progress(load);
}

/* Idle connections have answered once before the window begins. */
static bool warm(const struct load *load, double spent)
{
    return spent >= load->options.warm_up &&
           (load->options.mode.course != COURSE_IDLE || !load->outstanding);
}

static bool measured(const struct load *load, double spent)
{
    const struct load_options *options = &load->options;

    return spent >= options->seconds || (options->count && load->requests >= options->count);
}

static bool stalled(const struct load *load)
{
    double silent = (double)load->now_ns - (double)load->answer_ns;

    if (load->options.mode.course == COURSE_IDLE && !load->outstanding)
        return false;
    return silent > load->options.stall_seconds * 1e9;
}

static int start_all(struct load *load)
{
    for (uint32_t i = 0; i < load->options.connections; i++)
        if (connection_start(load, &load->connections[i]) < 0)
            return -1;
    return 0;
}

/* Moves on to the next phase when this one has run its time. Returns 0, or -1 on a stall. */
static int keep_time(struct load *load)
{
    double spent = (double)(load->now_ns - load->phase_ns) / 1e9;

    if (stalled(load)) {
        load_fail(load, "no answer for %.1f s", load->options.stall_seconds);
        return -1;
    }
    if (load->phase == PHASE_WARM_UP && warm(load, spent)) {
        load_enter(load, PHASE_MEASURE);
    } else if (load->phase == PHASE_MEASURE && measured(load, spent)) {
        load_enter(load, PHASE_DRAIN);
        if (load->options.mode.course == COURSE_IDLE && start_all(load) < 0)
            return -1;
    }
    if (load->phase == PHASE_DRAIN && !load->outstanding)
        load_enter(load, PHASE_DONE);
    if (load->now_ns - load->progress_ns >= PROGRESS_NS) {
        load->progress_ns = load->now_ns;
        load_report_progress(load);
        if (load->options.mode.datagrams)
            return datagram_expire(load);
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
            if (connection_open(load, &load->connections[opened++]) < 0)
                return -1;
        n = wait_events(load, events);
        if (n < 0)
            return -1;
        for (int i = 0; i < n; i++)
            if (connection_proceed(load, &load->connections[events[i].data.u32]) < 0)
                return -1;
        if (n > 0)
            load->answer_ns = load->now_ns;
        if (keep_time(load) < 0)
            return -1;
    }
    return 0;
}

/* What a connection can do after an event. */
static int attend(struct load *load, struct connection *connection, uint32_t events)
{
    if (connection->state == CONNECTION_CLOSED) /* closed by an event before this one */
        return 0;
    if (connection->state != CONNECTION_OPEN) {
        if (connection_proceed(load, connection) < 0)
            return -1;
        return connection->state == CONNECTION_OPEN ? connection_writable(load, connection) : 0;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && connection_readable(load, connection) < 0)
        return -1;
    if (events & EPOLLOUT && connection->state == CONNECTION_OPEN)
        return connection_writable(load, connection);
    return 0;
}

static int converse(struct load *load)
{
    struct epoll_event events[EVENTS_PER_TURN];

    load_enter(load, PHASE_WARM_UP);
    if (start_all(load) < 0)
        return -1;
    while (load->phase != PHASE_DONE) {
        int n = wait_events(load, events);

        if (n < 0)
            return -1;
        for (int i = 0; i < n; i++)
            if (attend(load, &load->connections[events[i].data.u32], events[i].events) < 0)
                return -1;
        if (keep_time(load) < 0)
            return -1;
    }
    return 0;
}

static int set_up(struct load *load)
{
    const char *complaint = load->options.tls ? load_tls_start() : NULL;
    struct rlimit files;

    load->buffer_bytes = BUFFER_BYTES;
    load->buffer = malloc(load->buffer_bytes);
    load->connections = calloc(load->options.connections, sizeof(*load->connections));
    load->issued_ns =
        calloc((size_t)load->options.connections * load->options.depth, sizeof(*load->issued_ns));
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!load->buffer || !load->connections || !load->issued_ns || load->epoll_fd < 0) {
        load_fail(load, "set-up: %s", strerror(errno));
        return -1;
    }
    for (uint32_t i = 0; i < load->options.connections; i++) {
        load->connections[i].index = i;
        load->connections[i].issued_ns = load->issued_ns + (size_t)i * load->options.depth;
    }
    if (complaint) {
        load_fail(load, "TLS: %s", complaint);
        load->unable = true;
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
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    pattern_init();
    if (set_up(&load) == 0 && (load.options.mode.course == COURSE_CHURN || connect_all(&load) == 0))
        (void)converse(&load);
    if (load.phase == PHASE_MEASURE)
        load_window_end(&load);
    load_report_result(&load);
    for (uint32_t i = 0; load.connections && i < load.options.connections; i++)
        connection_free(&load.connections[i]);
    load_tls_stop();
    free(load.issued_ns);
    free(load.connections);
    free(load.buffer);
    if (load.unable)
        return LOAD_UNABLE_STATUS;
    return load.errors ? 1 : 0;
}
