#include "backend/restriction.h"

#include "backend/backend.h"

/* What attached descriptors need, and what touches nothing. No operation that takes a path, and
 * none that works on a file as well as on a socket. */
static const bool network[UCI_OP_COUNT] = {
    [UCI_OP_NOP] = true,     [UCI_OP_RECV] = true,   [UCI_OP_RECVMSG] = true, [UCI_OP_SEND] = true,
    [UCI_OP_SENDMSG] = true, [UCI_OP_ACCEPT] = true, [UCI_OP_CONNECT] = true, [UCI_OP_POLL] = true,
    [UCI_OP_TIMEOUT] = true, [UCI_OP_CANCEL] = true,
};

bool uci_restriction_allows(uint32_t restriction, uint8_t op)
{
    return restriction == UC_RESTRICT_NONE || network[op];
}
