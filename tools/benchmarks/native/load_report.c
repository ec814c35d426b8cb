/*
 * load_report.c - what the load generator says, in JSON
 */
#include "load.h"

#include <stdio.h>

static const char *const phase_names[] = {
    [PHASE_CONNECT] = "connect", [PHASE_WARM_UP] = "warm-up", [PHASE_MEASURE] = "measure",
    [PHASE_DRAIN] = "drain",     [PHASE_DONE] = "done",
};

void load_report_progress(const struct load *load)
{
    if (!load->options.progress)
        return;
    fprintf(stderr, "{\"phase\": \"%s\", \"seconds\": %.3f, \"requests\": %llu, \"bytes\": %llu}\n",
            phase_names[load->phase], (double)(load_clock_ns() - load->phase_ns) / 1e9,
            (unsigned long long)load->requests, (unsigned long long)load->bytes);
    fflush(stderr);
}

static double percentile_us(const struct load *load, double fraction)
{
    return (double)histogram_percentile(&load->latency, fraction) / 1e3;
}

/* A JSON string; what JSON would have to escape becomes a question mark or an apostrophe. */
static void put_string(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"')
            putchar('\'');
        else
            putchar((unsigned char)*text < ' ' || *text == '\\' || *text & 0x80 ? '?' : *text);
    }
    putchar('"');
}

void load_report_result(const struct load *load)
{
    const struct load_options *options = &load->options;

    printf("{\"mode\": \"%s\", \"connections\": %u, \"size\": %u, \"depth\": %u, ",
           options->mode.name, options->connections, options->size, options->depth);
    printf("\"requests\": %llu, \"seconds\": %.6f, \"bytes\": %llu, \"verified_bytes\": %llu, ",
           (unsigned long long)load->requests, (double)load->window_ns / 1e9,
           (unsigned long long)load->bytes, (unsigned long long)load->verified_bytes);
    printf("\"lost\": %llu, ", (unsigned long long)load->lost);
    printf("\"errors\": %u, \"error\": ", load->errors);
    put_string(load->error);
    printf(", \"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p99_9\": %.1f, "
           "\"max\": %.1f, \"mean\": %.1f}, ",
           percentile_us(load, 0.5), percentile_us(load, 0.9), percentile_us(load, 0.99),
           percentile_us(load, 0.999), (double)load->latency.max_ns / 1e3,
           load->latency.count ? (double)load->latency.sum_ns / (double)load->latency.count / 1e3
                               : 0.0);
    printf("\"load_cpu_us\": %.1f, \"server_cpu_us\": ", (double)load->load_cpu_ns / 1e3);
    if (options->server_pid)
        printf("%.1f", (double)load->server_cpu_ns / 1e3);
    else
        printf("null");
    printf(", \"server_syscalls\": ");
    if (options->count_syscalls && !load->no_syscalls[0])
        printf("%llu", (unsigned long long)load->server_syscalls);
    else
        printf("null");
    printf(", \"no_syscalls\": ");
    put_string(load->no_syscalls);
    printf("}\n");
    fflush(stdout);
}
