/* libuc: io_uring made safe to use. This header includes the others and nothing else. */
#ifndef UC_H
#define UC_H

#include <uc/error.h>
#include <uc/event.h>
#include <uc/export.h>
#include <uc/fd.h>
#include <uc/feature.h>
#include <uc/file.h>
#include <uc/fork.h>
#include <uc/op.h>
#include <uc/pool.h>
#include <uc/probe.h>
#include <uc/ring.h>
#include <uc/user_data.h>
#include <uc/version.h>

#endif
