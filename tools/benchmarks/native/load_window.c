/*
 * load_window.c - what the server's process and this one spend in the measured window
 */
#include "load.h"

#include <time.h>

/* The CPU time of a whole process, all its threads, to the nanosecond; 0 when it is gone. */
static uint64_t process_cpu_ns(int pid)
{
    struct timespec spent;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &spent))
        return 0;
    return (uint64_t)spent.tv_sec * 1000000000u + (uint64_t)spent.tv_nsec;
}

void load_window_begin(struct load *load)
{
    const struct load_options *options = &load->options;

    load->requests = load->bytes = load->lost = 0;
    histogram_clear(&load->latency);
    if (options->count_syscalls)
        load_syscalls_begin(options->server_pid, load->no_syscalls);
    if (options->server_pid)
        load->server_cpu_ns = process_cpu_ns(options->server_pid);
    load->load_cpu_ns = process_cpu_ns(0);
}

void load_window_end(struct load *load)
{
    const struct load_options *options = &load->options;

    load->window_ns = load->now_ns - load->phase_ns;
    load->load_cpu_ns = process_cpu_ns(0) - load->load_cpu_ns;
    if (options->server_pid) {
        uint64_t spent = process_cpu_ns(options->server_pid);

        if (!spent)
            load_fail(load, "the server's process is gone");
        load->server_cpu_ns = spent ? spent - load->server_cpu_ns : 0;
    }
    if (options->count_syscalls)
        load->server_syscalls = load_syscalls_end(load->no_syscalls);
}
