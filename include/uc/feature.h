/* Kernel features that libuc uses where they are, and does without where they are not. */
#ifndef UC_FEATURE_H
#define UC_FEATURE_H

#include <stdint.h>
#include <uc/export.h>

UC_BEGIN_DECLS

/* Bits of uc_probe.features, uc_ring_info.features and uc_ring_options.features_off, each with
 * the kernel that brought it. */
enum uc_feature {
    UC_FEATURE_SINGLE_ISSUER = 1 << 0,    /* one thread submits; 6.0 */
    UC_FEATURE_DEFER_TASKRUN = 1 << 1,    /* completions are made when asked for; 6.1 */
    UC_FEATURE_COOP_TASKRUN = 1 << 2,     /* no interrupt for a completion; 5.19 */
    UC_FEATURE_SUBMIT_ALL = 1 << 3,       /* one bad submission does not stop the batch; 5.18 */
    UC_FEATURE_BUFFER_RING = 1 << 4,      /* the kernel picks a buffer when data is there; 5.19 */
    UC_FEATURE_MULTISHOT_ACCEPT = 1 << 5, /* one submission accepts until told to stop; 5.19 */
    UC_FEATURE_MULTISHOT_RECV = 1 << 6,   /* one submission receives until told to stop; 6.0 */
    UC_FEATURE_RECV_BUNDLE = 1 << 7,      /* one completion over several buffers; 6.15 */
    UC_FEATURE_NO_IOWAIT = 1 << 8,        /* idling is not shown as waiting for a disk; 6.15 */
    UC_FEATURE_SQPOLL = 1 << 9,           /* a kernel thread submits */
    UC_FEATURE_REGISTERED_BUFFERS = 1 << 10, /* the pool is registered as fixed buffers */
    UC_FEATURE_SEND_ZERO_COPY = 1 << 11,     /* what is sent by reference need not be copied; 6.1 */
};

/* Values of uc_feature_info.use. */
enum uc_feature_use {
    UC_FEATURE_USE_ALWAYS = 0,   /* wherever the kernel has it */
    UC_FEATURE_USE_FALLBACK = 1, /* where something better is missing */
    UC_FEATURE_USE_REQUEST = 2,  /* when it is asked for */
};

/* All strings live as long as the library. */
struct uc_feature_info {
    uint32_t size;       /* sizeof(struct uc_feature_info), set by the caller */
    uint32_t use;        /* UC_FEATURE_USE_* */
    const char *name;    /* as uc_feature_name() */
    const char *since;   /* the first kernel that has it, such as "6.0" */
    const char *purpose; /* what it is good for, in a few words */
    const char *instead; /* what libuc does without it, in a few words */
};

/**
 * uc_feature_name - the name of a feature bit
 * @feature: one UC_FEATURE_* bit
 *
 * Return: a name such as "multishot-recv", or NULL if no such bit exists; bits are given out from 0
 * without a gap.
 *
 * Since: 0.1
 */
UC_EXPORT const char *uc_feature_name(uint64_t feature);

/**
 * uc_feature_describe - what a feature is, and what libuc does without it
 * @feature:  one UC_FEATURE_* bit
 * @ret_info: size must be set; the rest is filled in
 *
 * Return: 0, or
 *   -EINVAL  no such bit exists, or @ret_info is NULL or its size is wrong
 *
 * Since: 0.1
 */
UC_EXPORT int uc_feature_describe(uint64_t feature, struct uc_feature_info *ret_info);

UC_END_DECLS

#endif
