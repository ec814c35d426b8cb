/*
 * Road 2 for the read side: received bytes, datagrams, accepted connections.
 *
 * What is odd in the kernel, and what follows:
 *   - A multishot receive ends whenever it likes, also together with data: first the data counts,
 *     then whether more will come.
 *   - A completion may carry a buffer although its result is an error or the end: the buffer is
 *     given back whatever the result is.
 *   - ENOBUFS ends the receive and loses nothing: the bytes are in the socket.
 *   - A cancelled operation may answer with codes that are the kernel's own (-512 to -516).
 */
#include <stdlib.h>
#include <string.h>

#include "flow/flow.h"

struct payload {
    uint32_t buffer; /* or UCI_BUFFER_NONE */
    uint32_t start, length;
    uint32_t flags; /* of a datagram's record: truncated or not, and the length of the address */
};

/* An error of one datagram, after which the socket goes on. */
static bool is_datagram_error(int32_t result)
{
    return result == -ECONNREFUSED || result == -EHOSTUNREACH || result == -ENETUNREACH ||
           result == -EMSGSIZE || result == -ECONNRESET;
}

static bool is_datagram(const uc_fd *fd)
{
    return (fd->flags & UC_FD_DATAGRAM) && fd->read_kind == UCI_KIND_RECV;
}

static void recycle(uc_fd *fd, const struct payload *payload)
{
    if (payload->buffer != UCI_BUFFER_NONE)
        uci_pool_recycle(fd->ring->pool, payload->buffer);
}

static uint32_t datagram_flags(uint32_t address_bytes, uint32_t message_flags)
{
    uint32_t flags = message_flags & MSG_TRUNC ? UC_EVENT_TRUNCATED : 0;

    if (address_bytes > UC_DATAGRAM_ADDRESS_BYTES)
        address_bytes = UC_DATAGRAM_ADDRESS_BYTES;
    return flags | address_bytes << 16;
}

/* Where the payload stands in the buffer that came back. */
static struct payload payload_of(uc_fd *fd, const struct uci_completion *completion)
{
    bool provided = completion->flags & UCI_COMPLETION_BUFFER;
    struct payload payload = {.buffer = UCI_BUFFER_NONE};
    struct uci_datagram_head head;

    if (provided)
        payload.buffer = completion->buffer;
    else if (fd->read_kind == UCI_KIND_RECV)
        payload.buffer = fd->read_buffer;
    if (!provided)
        fd->read_buffer = UCI_BUFFER_NONE;
    if (payload.buffer == UCI_BUFFER_NONE || completion->result < 0)
        return payload;
    payload.length = (uint32_t)completion->result;
    if (!is_datagram(fd))
        return payload;
    payload.start = UC_DATAGRAM_ADDRESS_BYTES;
    if (!provided) {
        payload.flags = datagram_flags(fd->message->msg_namelen, (uint32_t)fd->message->msg_flags);
        return payload;
    }
    memcpy(&head, fd->ring->pool->base + uci_pool_offset(fd->ring->pool, payload.buffer),
           sizeof(head));
    payload.start += sizeof(head);
    payload.length -= payload.start;
    payload.flags = datagram_flags(head.address_bytes, head.flags);
    return payload;
}

/* Add a payload to the record before it, if it is the same descriptor's and ends where this one
 * begins. */
static bool gather(uc_fd *fd, const struct payload *payload, uint64_t offset)
{
    struct uc_event *last = uci_events_last(&fd->ring->events);

    if (!(fd->flags & UC_FD_GATHER) || fd->once_bytes || !last || last->kind != UC_EVENT_RECV ||
        last->fd != fd->fd || last->cookie != fd->cookie || last->result <= 0 ||
        last->offset + (uint64_t)last->result != offset ||
        (uint64_t)last->result + payload->length > UC_GATHER_BYTES)
        return false;
    last->result += (int32_t)payload->length;
    last->flags &= ~(uint32_t)UC_EVENT_PAYLOAD;
    last->buffer = 0;
    return true;
}

/* A record about a buffer; the caller has it until the next turn. */
static void deliver_payload(uc_fd *fd, const struct payload *payload)
{
    enum uc_event_kind kind = is_datagram(fd) ? UC_EVENT_DATAGRAM : UC_EVENT_RECV;
    struct uc_pool *pool = fd->ring->pool;
    uint64_t offset = uci_pool_offset(pool, payload->buffer) + payload->start, token;
    struct uc_event *event;

    uci_pool_complete(pool, payload->buffer, payload->start, payload->length);
    uci_pool_charge_to(pool, payload->buffer, fd->account);
    token = uci_pool_token(pool, payload->buffer);
    if (!gather(fd, payload, offset)) {
        event = uci_flow_record(fd, kind, (int32_t)payload->length);
        event->flags = UC_EVENT_PAYLOAD | payload->flags;
        event->offset = offset;
        event->buffer = token;
    }
    uci_ring_take_back_later(fd->ring, token);
    fd->ring->batch_bytes += payload->length;
    if (fd->turn != fd->ring->turn) {
        fd->turn = fd->ring->turn;
        fd->turn_bytes = 0;
    }
    fd->turn_bytes += payload->length;
}

static void deliver_end(uc_fd *fd)
{
    enum uc_event_kind kind = UC_EVENT_RECV;
    struct uc_event *event;

    if (fd->read_kind == UCI_KIND_ACCEPT)
        kind = UC_EVENT_ACCEPT;
    else if (is_datagram(fd))
        kind = UC_EVENT_DATAGRAM;
    event = uci_flow_record(fd, kind, fd->end_result);
    event->flags = UC_EVENT_ENDED;
    /* A listening socket or a datagram socket can be started again after an error. */
    if (kind != UC_EVENT_RECV)
        fd->read = UCI_READ_IDLE;
    else if (fd->end_result == 0)
        uci_flow_life(fd, UCI_LIFE_PEER_END);
}

static void keep_payload(uc_fd *fd, const struct payload *payload)
{
    struct uc_pool *pool = fd->ring->pool;
    struct uci_buffer *buffer = &pool->buffers[payload->buffer];

    uci_pool_complete(pool, payload->buffer, payload->start, payload->length);
    buffer->detail = payload->flags;
    buffer->next = UCI_BUFFER_NONE;
    if (fd->stash_last == UCI_BUFFER_NONE)
        fd->stash_first = payload->buffer;
    else
        pool->buffers[fd->stash_last].next = payload->buffer;
    fd->stash_last = payload->buffer;
    fd->stash_bytes += payload->length;
}

static void keep(uc_fd *fd, const struct payload *payload, int32_t result)
{
    if (fd->read == UCI_READ_ENDING || fd->read == UCI_READ_ENDED) {
        fd->end_result = result;
        recycle(fd, payload);
    } else if (result < 0) {
        fd->kept_error = result;
        recycle(fd, payload);
    } else if (fd->read_kind == UCI_KIND_ACCEPT) {
        uci_flow_keep_accept(fd, result);
    } else if (payload->buffer != UCI_BUFFER_NONE) {
        keep_payload(fd, payload);
    }
}

static void deliver(uc_fd *fd, const struct payload *payload, int32_t result)
{
    if (fd->read == UCI_READ_ENDED) {
        fd->end_result = result;
        recycle(fd, payload);
        deliver_end(fd);
    } else if (result < 0) {
        recycle(fd, payload);
        uci_flow_record(fd, UC_EVENT_DATAGRAM, result);
    } else if (fd->read_kind == UCI_KIND_ACCEPT) {
        uci_flow_record(fd, UC_EVENT_ACCEPT, result);
    } else if (payload->buffer != UCI_BUFFER_NONE) {
        deliver_payload(fd, payload);
    }
}

static enum uci_read_input input_of(uc_fd *fd, const struct uci_completion *completion)
{
    enum uci_read_input data =
        completion->flags & UCI_COMPLETION_MORE ? UCI_READ_DATA : UCI_READ_LAST;

    if (fd->awaits_data)
        return UCI_READ_BROKEN;
    if (completion->result > 0 || fd->read_kind == UCI_KIND_ACCEPT || is_datagram(fd))
        if (completion->result >= 0)
            return data;
    if (uci_flow_is_interruption(completion->result))
        return UCI_READ_BROKEN;
    if (fd->read_kind == UCI_KIND_ACCEPT ? uci_flow_is_accept_error(completion->result)
                                         : completion->result == -ENOBUFS)
        return UCI_READ_BROKEN;
    if (is_datagram(fd) && is_datagram_error(completion->result))
        return data;
    return UCI_READ_END;
}

static bool is_too_long(const uc_fd *fd, const struct payload *payload)
{
    return fd->once_bytes && payload->length > fd->once_bytes && !is_datagram(fd);
}

/* Nobody is to hear of it any more. */
static void drop(uc_fd *fd, const struct payload *payload, int32_t result)
{
    recycle(fd, payload);
    if (fd->read_kind == UCI_KIND_ACCEPT && result >= 0)
        fd->ring->backend->table->close(result);
}

/* One record was asked for and has been given out. */
static void finish_once(uc_fd *fd)
{
    if (uci_fd_read(fd, UCI_READ_STOP).action == UCI_READ_CANCEL)
        uci_flow_cancel_lane(fd, UCI_LANE_READ);
}

void uci_flow_complete_read(uc_fd *fd, const struct uci_completion *completion)
{
    struct uci_completion error;
    struct payload payload;
    enum uci_read_input input;
    struct uci_read_step step;

    if (fd->awaits_data) {
        error = *completion;
        if (uci_flow_goes_on_waiting(fd, completion))
            return;
        if (uci_flow_has_awaited_error(fd, &error))
            completion = &error;
    }
    payload = payload_of(fd, completion);
    input = input_of(fd, completion);
    uci_flow_end_wait(fd, completion->result);
    if (completion->result == -ENOBUFS) {
        fd->ring->stats.no_buffers++;
        fd->ring->ran_out++;
    }
    if (fd->life > UC_FD_HALF_CLOSED) {
        drop(fd, &payload, completion->result);
        return;
    }
    step = uci_fd_read(fd, input);
    /* An earlier receive may bring more than is asked for once: it is given out in pieces. */
    if (step.action == UCI_READ_DELIVER && is_too_long(fd, &payload))
        uci_flow_hold(fd);
    /* Behind what was kept and is still to be delivered, also what is wanted has to wait. */
    if (step.action == UCI_READ_KEEP ||
        (step.action == UCI_READ_DELIVER && uci_list_has(&fd->held))) {
        keep(fd, &payload, completion->result);
        return;
    }
    if (step.action != UCI_READ_DELIVER) {
        fd->ring->stats.stale += step.action == UCI_READ_IMPOSSIBLE;
        drop(fd, &payload, completion->result);
        return;
    }
    deliver(fd, &payload, completion->result);
    if (fd->read_kind == UCI_KIND_ACCEPT && input == UCI_READ_LAST && completion->result >= 0 &&
        (fd->flags & UC_FD_SHARED))
        uci_flow_accept_more(fd);
    if (fd->once_bytes && input != UCI_READ_END)
        finish_once(fd);
    else if (input == UCI_READ_DATA &&
             fd->turn_bytes + fd->account->leased_bytes >= fd->credit_bytes &&
             uci_fd_read(fd, UCI_READ_THROTTLE).action == UCI_READ_CANCEL)
        uci_flow_cancel_lane(fd, UCI_LANE_READ);
}

void uci_flow_hold(uc_fd *fd)
{
    if (!uci_list_has(&fd->held))
        uci_list_append(&fd->ring->held, &fd->held);
}

/* As much of the first kept buffer as was asked for. The buffer stays kept and the record cannot
 * be: its bytes are the caller's to read until the next turn, like all others. */
static void deliver_part(uc_fd *fd, struct uci_buffer *kept)
{
    struct uc_event *event = uci_flow_record(fd, UC_EVENT_RECV, (int32_t)fd->once_bytes);

    event->offset = uci_pool_offset(fd->ring->pool, fd->stash_first) + kept->start;
    kept->start += fd->once_bytes;
    kept->length -= fd->once_bytes;
    fd->stash_bytes -= fd->once_bytes;
    fd->part_turn = fd->ring->turn;
}

static void deliver_first_kept(uc_fd *fd)
{
    struct uci_buffer *kept = &fd->ring->pool->buffers[fd->stash_first];
    struct payload payload = {
        .buffer = fd->stash_first,
        .start = kept->start,
        .length = kept->length,
        .flags = kept->detail,
    };

    if (is_too_long(fd, &payload)) {
        deliver_part(fd, kept);
        return;
    }
    fd->stash_first = kept->next;
    if (fd->stash_first == UCI_BUFFER_NONE)
        fd->stash_last = UCI_BUFFER_NONE;
    fd->stash_bytes -= payload.length;
    deliver_payload(fd, &payload);
}

/* One record of what was kept. Return: false if nothing is left. */
static bool deliver_one_kept(uc_fd *fd)
{
    if (fd->kept_error) {
        uci_flow_record(fd, UC_EVENT_DATAGRAM, fd->kept_error);
        fd->kept_error = 0;
    } else if (fd->accepts.count) {
        uci_flow_record(fd, UC_EVENT_ACCEPT, uci_flow_take_accept(fd));
    } else if (fd->stash_first != UCI_BUFFER_NONE) {
        deliver_first_kept(fd);
    } else {
        return false;
    }
    return true;
}

/* Give out what was kept, then the end if that is known, as far as it is wanted and has room. */
static void deliver_kept(uc_fd *fd)
{
    while (uci_events_room(&fd->ring->events)) {
        if (!deliver_one_kept(fd)) {
            if (fd->read == UCI_READ_ENDED)
                deliver_end(fd);
            return;
        }
        if (!fd->once_bytes)
            continue;
        if (fd->read == UCI_READ_ENDED)
            fd->read = UCI_READ_ENDING;
        else
            finish_once(fd);
        return;
    }
    uci_flow_hold(fd);
}

void uci_flow_deliver_held(uc_ring *ring)
{
    struct uci_link batch;

    uci_list_take(&batch, &ring->held);
    while (!uci_list_is_empty(&batch)) {
        uc_fd *fd = UCI_CONTAINER(batch.next, uc_fd, held);

        uci_list_remove(&fd->held);
        deliver_kept(fd);
    }
}

/* A buffer of which a part was given out in this turn is taken back with the turn's others. */
static void drop_kept_buffer(uc_fd *fd, uint32_t buffer)
{
    uc_ring *ring = fd->ring;

    if (fd->part_turn == ring->turn)
        uci_ring_take_back_later(ring, uci_pool_token(ring->pool, buffer));
    else
        uci_pool_recycle(ring->pool, buffer);
    fd->part_turn = 0;
}

void uci_flow_drop_kept(uc_fd *fd)
{
    while (fd->stash_first != UCI_BUFFER_NONE) {
        uint32_t buffer = fd->stash_first;

        fd->stash_first = fd->ring->pool->buffers[buffer].next;
        drop_kept_buffer(fd, buffer);
    }
    fd->stash_last = UCI_BUFFER_NONE;
    fd->stash_bytes = 0;
    while (fd->accepts.count)
        fd->ring->backend->table->close(fd->accepts.fds[--fd->accepts.count]);
}
