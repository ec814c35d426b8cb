/* What newer kernel headers have and Debian 12's do not: one place, each with its kernel. */
#pragma once

#include <liburing.h>

#ifndef IORING_SETUP_NO_MMAP
#define IORING_SETUP_NO_MMAP (1U << 14) /* 6.5: the rings live in memory of ours */
#endif

#ifndef IORING_FEAT_NO_IOWAIT
#define IORING_FEAT_NO_IOWAIT (1U << 17) /* 6.15 */
#endif

#ifndef IORING_ENTER_NO_IOWAIT
#define IORING_ENTER_NO_IOWAIT (1U << 7) /* 6.15 */
#endif

#ifndef IORING_FEAT_RECVSEND_BUNDLE
#define IORING_FEAT_RECVSEND_BUNDLE (1U << 14) /* 6.10 */
#endif

#ifndef IORING_RECVSEND_BUNDLE
#define IORING_RECVSEND_BUNDLE (1U << 4) /* 6.10 */
#endif

/* 6.9; in an enum of the headers, where nothing can ask for it */
#define UCI_IORING_OP_FTRUNCATE 55

#ifndef IORING_FEAT_REG_REG_RING
#define IORING_FEAT_REG_REG_RING (1U << 13) /* 6.3 */
#endif

#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE (1U << 3) /* 6.2 */
#define IORING_NOTIF_USAGE_ZC_COPIED (1U << 31)
#endif

/* The last member of the offset structs, named resv2 until 6.5 and user_addr since. */
#define UCI_SQ_OFFSETS_USER_ADDRESS (sizeof(struct io_sqring_offsets) - sizeof(uint64_t))
#define UCI_CQ_OFFSETS_USER_ADDRESS (sizeof(struct io_cqring_offsets) - sizeof(uint64_t))
