/*
 * What this kernel, its limits and its policies allow, what libuc chooses, and why.
 *
 * Two variables of the environment speak before the kernel is asked; the program uc-probe and every
 * ring obey them alike:
 *
 *   - UC_BACKEND is auto, uring or epoll. uc_ring_options.backend goes before it; auto is as if
 *     neither were there: io_uring where it works, else epoll. With epoll no system call of io_uring
 *     is made, for sandboxes that kill whoever makes one.
 *   - UC_DISABLE is a list of features not to use although the kernel has them, with commas: names
 *     of uc_feature_name(), or all, multishot, bufring, bundle, taskrun. It adds to
 *     uc_ring_options.features_off.
 *
 * A value that is not known is an error: uc_ring_new() answers -EINVAL, and uc_probe.reason says
 * which value it was and which are known.
 */
#ifndef UC_PROBE_H
#define UC_PROBE_H

#include <stdint.h>
#include <uc/export.h>

UC_BEGIN_DECLS

/* Values of uc_probe.verdict. */
enum uc_verdict {
    UC_VERDICT_FULL = 0,     /* io_uring with all that libuc wants */
    UC_VERDICT_DEGRADED = 1, /* io_uring with less, or epoll */
    UC_VERDICT_NONE = 2,     /* no ring can be made */
};

struct uc_probe {
    uint32_t size;         /* sizeof(struct uc_probe), set by the caller */
    int32_t error;         /* 0: io_uring works; else the negative errno that refuses it */
    uint64_t features;     /* UC_FEATURE_*: what works here, switched off or not */
    uint32_t kernel_major; /* of uname(2) */
    uint32_t kernel_minor;
    int32_t sysctl_disabled; /* kernel.io_uring_disabled: 0 to 2; -1: no such knob (before 6.6) */
    int32_t seccomp_mode;    /* 0 none, 1 strict, 2 filter; -1 unknown */
    uint64_t memlock_bytes;  /* soft RLIMIT_MEMLOCK; UINT64_MAX is unlimited */
    uint32_t memlock_exempt; /* 1: CAP_IPC_LOCK, the limit does not apply */
    uint32_t backend;        /* UC_BACKEND_* of a ring with the defaults; 0: it cannot be made */
    char reason[256];        /* one sentence: why the verdict is not full, and which knob to turn */
    uint32_t verdict;        /* UC_VERDICT_* */
    uint32_t asked_backend;  /* UC_BACKEND_* that the environment asks for; 0: auto */
    uint64_t features_off;   /* UC_FEATURE_* that the environment switches off */
    uint64_t memlock_needed; /* locked bytes that a ring with the defaults takes; 0: not charged */
    char kernel[64];         /* the whole release of uname(2) */
    char remedy[768];        /* what to change, a line each: the place, a tab, the exact text */
};

/**
 * uc_probe - find out what works here
 * @ret_probe: size must be set; the rest is filled in
 *
 * Makes and frees a few rings and moves a byte through one. The answer is not remembered. When the
 * environment asks for epoll, io_uring is not touched: then error is -ECANCELED and features is 0.
 *
 * Return: 0, also when io_uring is refused (see error and reason), or
 *   -EINVAL  @ret_probe is NULL or its size is wrong
 *
 * Since: 0.1
 */
UC_EXPORT int uc_probe(struct uc_probe *ret_probe);

UC_END_DECLS

#endif
