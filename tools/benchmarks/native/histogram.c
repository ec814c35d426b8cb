/*
 * histogram.c - latencies in log-linear buckets
 */
#include "histogram.h"

#include <string.h>

void histogram_clear(struct histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
}

static uint32_t bucket_of(uint64_t ns)
{
    uint32_t top, shift;

    if (ns < HISTOGRAM_SUB)
        return (uint32_t)ns;
    top = 63u - (uint32_t)__builtin_clzll(ns);
    shift = top - HISTOGRAM_SUB_BITS;
    return (shift + 1) * HISTOGRAM_SUB + (uint32_t)(ns >> shift) - HISTOGRAM_SUB;
}

/* The middle of a bucket. */
static uint64_t value_of(uint32_t bucket)
{
    uint32_t shift;
    uint64_t low;

    if (bucket < HISTOGRAM_SUB)
        return bucket;
    shift = bucket / HISTOGRAM_SUB - 1;
    low = (uint64_t)(bucket % HISTOGRAM_SUB + HISTOGRAM_SUB) << shift;
    return low + (((uint64_t)1 << shift) >> 1);
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
    histogram->count++;
    histogram->sum_ns += ns;
    if (ns > histogram->max_ns)
        histogram->max_ns = ns;
    histogram->buckets[bucket_of(ns)]++;
}

uint64_t histogram_percentile(const struct histogram *histogram, double fraction)
{
    uint64_t rank = (uint64_t)((double)histogram->count * fraction + 0.999999);
    uint64_t seen = 0;

    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t value;

        seen += histogram->buckets[i];
        if (seen == 0 || seen < rank)
            continue;
        value = value_of(i);
        return value < histogram->max_ns ? value : histogram->max_ns;
    }
    return histogram->max_ns;
}
