/*
 * histogram.h - latencies in log-linear buckets
 *
 * Each power of two of nanoseconds is cut into 64 equal buckets: a percentile is off by less than
 * 1.6 %, whatever its size, and adding a value costs a few instructions.
 */
#pragma once

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6u
#define HISTOGRAM_SUB (1u << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_BUCKETS ((64u - HISTOGRAM_SUB_BITS + 1u) * HISTOGRAM_SUB)

struct histogram {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t max_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_clear(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t ns);

/* The value that @fraction (0..1) of all values do not exceed; 0 when there is none. */
uint64_t histogram_percentile(const struct histogram *histogram, double fraction);
