/*
 * Receives that go on, and receives into provided buffers.
 *
 * A buffer is taken when bytes are there, never before. One reading goes on only if it filled its
 * buffer: a short one has emptied the socket, and what comes later is reported again.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <uc/fd.h>

#include "epoll/epoll.h"
#include "pool/pool.h"

#define RECEIVES_AT_ONCE 4
#define MESSAGES_AT_ONCE 16
#define ACCEPTS_AT_ONCE 64

bool uci_epoll_receives(const struct uci_operation *o)
{
    return (o->shape & UCI_OPERATION_PROVIDED) ||
           (o->op == UCI_OP_ACCEPT && (o->shape & UCI_OPERATION_MULTISHOT));
}

void uci_epoll_provide(struct uci_backend *backend, uint32_t buffer)
{
    struct uci_epoll *epoll = uci_epoll_of(backend);

    epoll->provided[epoll->provided_count++] = buffer;
}

static uint32_t length_of(const struct uci_epoll_op *op)
{
    uint32_t room = op->epoll->pool->buffer_bytes, asked = op->operation.length;

    return asked && asked < room ? asked : room;
}

static int32_t receive_bytes(struct uci_epoll_op *op, uint8_t *buffer)
{
    ssize_t n;

    do {
        n = recv(op->operation.fd, buffer, length_of(op), MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (int32_t)n;
}

/* A datagram behind its head, as the table's contract has it. */
static int32_t receive_message(struct uci_epoll_op *op, uint8_t *buffer)
{
    const uint32_t start = sizeof(struct uci_datagram_head) + UC_DATAGRAM_ADDRESS_BYTES;
    struct iovec part = {buffer + start, op->epoll->pool->buffer_bytes - start};
    struct msghdr message = {
        .msg_name = buffer + sizeof(struct uci_datagram_head),
        .msg_namelen = UC_DATAGRAM_ADDRESS_BYTES,
        .msg_iov = &part,
        .msg_iovlen = 1,
    };
    struct uci_datagram_head head = {0};
    ssize_t n;

    do {
        n = recvmsg(op->operation.fd, &message, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    head.address_bytes = message.msg_namelen;
    head.payload_bytes = (uint32_t)n;
    head.flags = (uint32_t)message.msg_flags;
    memcpy(buffer, &head, sizeof(head));
    return (int32_t)(start + (uint32_t)n);
}

static bool is_end(const struct uci_epoll_op *op, int32_t result)
{
    return result < 0 || (result == 0 && op->operation.op == UCI_OP_RECV);
}

/* Return: the result, or -EAGAIN when nothing is there or no memory to tell of it. */
static int32_t receive_one(struct uci_epoll_op *op)
{
    bool message = op->operation.op == UCI_OP_RECVMSG;
    bool goes_on = op->operation.shape & UCI_OPERATION_MULTISHOT;
    struct uci_epoll *epoll = op->epoll;
    uint32_t buffer;
    uint8_t *bytes;
    int32_t result;

    if (!epoll->provided_count)
        return -ENOBUFS;
    if (!uci_epoll_has_room(epoll))
        return -EAGAIN;
    buffer = epoll->provided[epoll->provided_count - 1];
    bytes = epoll->pool->base + uci_pool_offset(epoll->pool, buffer);
    result = message ? receive_message(op, bytes) : receive_bytes(op, bytes);
    if (is_end(op, result))
        return result;
    epoll->provided_count--;
    uci_epoll_complete(epoll,
                       &(struct uci_completion){
                           .user_data = op->operation.user_data,
                           .result = result,
                           .flags = UCI_COMPLETION_BUFFER | (goes_on ? UCI_COMPLETION_MORE : 0),
                           .buffer = buffer,
                       });
    return result;
}

static bool receive(struct uci_epoll_op *op)
{
    bool message = op->operation.op == UCI_OP_RECVMSG;
    uint32_t most = message ? MESSAGES_AT_ONCE : RECEIVES_AT_ONCE;
    int32_t result = 0;

    for (uint32_t i = 0; i < most && (i == 0 || op->epoll->provided_count); i++) {
        result = receive_one(op);
        if (result == -EAGAIN)
            return i > 0;
        if (is_end(op, result)) {
            uci_epoll_end(op, result);
            return true;
        }
        if (!(op->operation.shape & UCI_OPERATION_MULTISHOT)) {
            uci_epoll_drop(op);
            return true;
        }
        if (!message && (uint32_t)result < length_of(op))
            return true;
    }
    return true;
}

static bool accept_all(struct uci_epoll_op *op)
{
    struct uci_epoll *epoll = op->epoll;

    for (uint32_t i = 0; i < ACCEPTS_AT_ONCE && uci_epoll_has_room(epoll); i++) {
        int32_t result = uci_epoll_call(op, 0);

        if (result == -EAGAIN)
            return i > 0;
        if (result < 0) {
            uci_epoll_end(op, result);
            return true;
        }
        uci_epoll_complete(epoll, &(struct uci_completion){
                                      .user_data = op->operation.user_data,
                                      .result = result,
                                      .flags = UCI_COMPLETION_MORE,
                                  });
    }
    return true;
}

bool uci_epoll_receive(struct uci_epoll_op *op)
{
    return op->operation.op == UCI_OP_ACCEPT ? accept_all(op) : receive(op);
}
