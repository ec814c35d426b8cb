/* The send queue: order, coalescing, references, short sends, datagrams; and against a model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fd/send_queue.h"

#define ROUNDS 400
#define STEPS 300
#define BYTES_MAX 9000
#define MODEL_BYTES (BYTES_MAX * STEPS)

struct queue {
    struct uci_send_queue queue;
    struct uci_send_cache cache;
};

/* Copy out what the kernel would be given now. Return: its length. */
static size_t front(struct queue *q, uint8_t *out, size_t room, uint32_t *ret_parts)
{
    const struct msghdr *message = NULL;
    const void *data = NULL;
    uint32_t bytes = 0;
    size_t length = 0;

    assert_int_equal(uci_send_queue_front(&q->queue, &q->cache, &data, &bytes, &message), 0);
    assert_true(!data != !message);
    if (ret_parts)
        *ret_parts = message ? (uint32_t)message->msg_iovlen : 1;
    if (data) {
        assert_true(bytes > 0 && bytes <= room);
        memcpy(out, data, bytes);
        return bytes;
    }
    assert_true(message->msg_iovlen <= UCI_SEND_VECTORS);
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        assert_true(length + message->msg_iov[i].iov_len <= room);
        memcpy(out + length, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
        length += message->msg_iov[i].iov_len;
    }
    return length;
}

static void put(struct queue *q, const char *text)
{
    assert_int_equal(uci_send_queue_copy(&q->queue, &q->cache, text, strlen(text)), 0);
}

static void refer(struct queue *q, const char *text)
{
    assert_int_equal(uci_send_queue_reference(&q->queue, text, strlen(text), UCI_SEND_COPYING), 0);
}

static uint32_t sent(struct queue *q, uint64_t bytes)
{
    return uci_send_queue_sent(&q->queue, &q->cache, bytes);
}

static void expect(struct queue *q, const char *text)
{
    uint8_t out[512];
    size_t length = front(q, out, sizeof(out), NULL);

    assert_int_equal(length, strlen(text));
    assert_memory_equal(out, text, length);
}

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct queue));
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    struct queue *q = *state;

    uci_send_queue_drop(&q->queue, &q->cache);
    uci_send_cache_finish(&q->cache);
    free(q);
    return 0;
}

static void small_writes_are_gathered_in_one_piece(void **state)
{
    struct queue *q = *state;
    uint8_t out[64];
    uint32_t parts;

    put(q, "one ");
    put(q, "two ");
    put(q, "three");
    assert_int_equal(q->queue.bytes, 13);
    assert_int_equal(front(q, out, sizeof(out), &parts), 13);
    assert_int_equal(parts, 1);
    assert_memory_equal(out, "one two three", 13);
    assert_int_equal(sent(q, 13), 0);
    assert_true(uci_send_queue_is_empty(&q->queue));
    assert_int_equal(q->queue.bytes, 0);
}

static void a_short_send_is_continued_where_it_stopped(void **state)
{
    struct queue *q = *state;

    put(q, "abc");
    refer(q, "defg");
    put(q, "hi");
    expect(q, "abcdefghi");
    assert_int_equal(sent(q, 2), 0);
    expect(q, "cdefghi");
    assert_int_equal(sent(q, 3), 0);
    expect(q, "fghi");
    assert_int_equal(sent(q, 0), 0);
    expect(q, "fghi");
    assert_int_equal(sent(q, 3), 1);
    expect(q, "i");
    assert_int_equal(sent(q, 1), 0);
    assert_true(uci_send_queue_is_empty(&q->queue));
}

static void what_is_appended_behind_a_send_in_flight_does_not_change_it(void **state)
{
    struct queue *q = *state;
    const struct msghdr *message;
    const void *data;
    uint32_t bytes;

    put(q, "flight");
    assert_int_equal(uci_send_queue_front(&q->queue, &q->cache, &data, &bytes, &message), 0);
    put(q, " later");
    assert_int_equal(bytes, 6);
    assert_memory_equal(data, "flight", 6);
    assert_int_equal(sent(q, 6), 0);
    expect(q, " later");
}

static void references_come_back_when_all_of_them_is_sent(void **state)
{
    struct queue *q = *state;

    refer(q, "aa");
    refer(q, "bb");
    refer(q, "cc");
    assert_int_equal(q->queue.references, 3);
    expect(q, "aabbcc");
    assert_int_equal(sent(q, 1), 0);
    expect(q, "abbcc");
    assert_int_equal(sent(q, 3), 2);
    assert_int_equal(q->queue.references, 1);
    expect(q, "cc");
    assert_int_equal(sent(q, 2), 1);
    assert_int_equal(q->queue.references, 0);
}

static void nothing_taken_is_tried_again(void **state)
{
    struct queue *q = *state;

    put(q, "abc");
    refer(q, "def");
    expect(q, "abcdef");
    uci_send_queue_retry(&q->queue, &q->cache);
    assert_null(q->queue.vector);
    expect(q, "abcdef");
    assert_int_equal(q->queue.bytes, 6);
}

static void dropping_gives_all_references_back(void **state)
{
    struct queue *q = *state;

    put(q, "abc");
    refer(q, "def");
    refer(q, "ghi");
    expect(q, "abcdefghi");
    assert_int_equal(uci_send_queue_drop(&q->queue, &q->cache), 2);
    assert_int_equal(q->queue.bytes, 0);
    assert_int_equal(q->queue.references, 0);
    assert_true(uci_send_queue_is_empty(&q->queue));
    assert_int_equal(uci_send_queue_drop(&q->queue, &q->cache), 0);
    put(q, "again");
    expect(q, "again");
}

static void datagrams_keep_their_boundaries_and_addresses(void **state)
{
    static const char *const texts[] = {"first", "", "third"};
    struct queue *q = *state;

    for (int i = 0; i < 3; i++)
        assert_int_equal(uci_send_queue_datagram(&q->queue, texts[i], strlen(texts[i]),
                                                 i == 1 ? NULL : "address", i == 1 ? 0 : 7),
                         0);
    for (int i = 0; i < 3; i++) {
        const struct msghdr *message = NULL;
        const void *data;
        uint32_t bytes;

        assert_int_equal(uci_send_queue_front(&q->queue, &q->cache, &data, &bytes, &message), 0);
        assert_non_null(message);
        assert_int_equal(message->msg_iovlen, 1);
        assert_int_equal(message->msg_iov[0].iov_len, strlen(texts[i]));
        assert_int_equal(message->msg_namelen, i == 1 ? 0 : 7);
        if (i != 1)
            assert_memory_equal(message->msg_name, "address", 7);
        /* A datagram is gone as a whole, whatever the kernel says it took of it. */
        assert_int_equal(sent(q, i == 0 ? 2 : strlen(texts[i])), 0);
    }
    assert_int_equal(q->queue.bytes, 0);
    assert_true(uci_send_queue_is_empty(&q->queue));
}

static void more_pieces_than_a_message_holds_go_in_several(void **state)
{
    struct queue *q = *state;
    uint8_t out[512];
    uint32_t parts, all = 0;

    for (int i = 0; i < 3 * UCI_SEND_VECTORS; i++)
        refer(q, "x");
    while (!uci_send_queue_is_empty(&q->queue)) {
        size_t length = front(q, out, sizeof(out), &parts);

        assert_int_equal(length, UCI_SEND_VECTORS);
        all += sent(q, length);
    }
    assert_int_equal(all, 3 * UCI_SEND_VECTORS);
}

static uint32_t next(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % below;
}

/* The model: the bytes in one array, and where in it each reference ends. */
static void against_a_model(struct queue *q, uint64_t seed, uint8_t *model, uint8_t *out)
{
    uint64_t ends[STEPS], queued = 0, gone = 0;
    uint32_t count = 0, back = 0;

    for (int step = 0; step < STEPS; step++) {
        uint32_t choice = next(&seed, 10), bytes = 1 + next(&seed, step % 3 ? 200 : BYTES_MAX - 1);

        if (choice < 5) {
            assert_int_equal(uci_send_queue_copy(&q->queue, &q->cache, model + queued, bytes), 0);
            queued += bytes;
        } else if (choice < 7) {
            assert_int_equal(
                uci_send_queue_reference(&q->queue, model + queued, bytes, UCI_SEND_COPYING), 0);
            queued += bytes;
            ends[count++] = queued;
        } else if (queued > gone) {
            uint64_t length = front(q, out, MODEL_BYTES, NULL), took;

            assert_true(length <= queued - gone);
            assert_memory_equal(out, model + gone, length);
            if (choice == 7) {
                uci_send_queue_retry(&q->queue, &q->cache);
                continue;
            }
            took = next(&seed, 3) ? length : next(&seed, (uint32_t)length + 1);
            gone += took;
            back += sent(q, took);
        }
        while (back < count && ends[back] <= gone)
            fail_msg("a reference was not given back");
        assert_true(back == 0 || ends[back - 1] <= gone);
        assert_int_equal(q->queue.bytes, queued - gone);
        assert_int_equal(q->queue.references, count - back);
        assert_int_equal(uci_send_queue_is_empty(&q->queue), queued == gone);
    }
    assert_int_equal(uci_send_queue_drop(&q->queue, &q->cache), count - back);
}

static void it_does_what_the_model_does(void **state)
{
    uint8_t *model = malloc(MODEL_BYTES), *out = malloc(MODEL_BYTES);
    uint64_t seed = 1;

    assert_non_null(model);
    assert_non_null(out);
    for (uint32_t i = 0; i < MODEL_BYTES; i++)
        model[i] = (uint8_t)next(&seed, 256);
    for (uint64_t round = 0; round < ROUNDS; round++)
        against_a_model(*state, round, model, out);
    free(out);
    free(model);
}

static void memory_for_up_to_a_received_buffer_is_used_again(void **state)
{
    static const uint8_t bytes[100000];
    static const uint64_t lengths[] = {100, 10000, 68 << 10};
    struct queue *q = *state;

    for (int size = 0; size < UCI_CHUNK_SIZES; size++) {
        assert_int_equal(uci_send_queue_copy(&q->queue, &q->cache, bytes, lengths[size]), 0);
        assert_int_equal(q->cache.chunk_counts[size], 0);
        sent(q, lengths[size]);
        assert_int_equal(q->cache.chunk_counts[size], 1);
        assert_int_equal(uci_send_queue_copy(&q->queue, &q->cache, bytes, lengths[size]), 0);
        assert_int_equal(q->cache.chunk_counts[size], 0);
        sent(q, lengths[size]);
    }
    assert_int_equal(uci_send_queue_copy(&q->queue, &q->cache, bytes, sizeof(bytes)), 0);
    sent(q, sizeof(bytes));
    for (int size = 0; size < UCI_CHUNK_SIZES; size++)
        assert_int_equal(q->cache.chunk_counts[size], 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(small_writes_are_gathered_in_one_piece),
        TEST(a_short_send_is_continued_where_it_stopped),
        TEST(what_is_appended_behind_a_send_in_flight_does_not_change_it),
        TEST(references_come_back_when_all_of_them_is_sent),
        TEST(nothing_taken_is_tried_again),
        TEST(dropping_gives_all_references_back),
        TEST(datagrams_keep_their_boundaries_and_addresses),
        TEST(memory_for_up_to_a_received_buffer_is_used_again),
        TEST(more_pieces_than_a_message_holds_go_in_several),
        TEST(it_does_what_the_model_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
