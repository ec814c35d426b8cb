/* A backend alone, through the table that everything above it uses; and what each of them keeps. */
#pragma once

#include "backend/backend.h"
#include "pool/pool.h"
#include "support.h"

#define SECOND_NS INT64_C(1000000000)
#define BUFFER_BYTES 4096

struct backend {
    struct uci_backend *it;
    const struct uci_backend_table *table;
    struct uc_ring_info info;
    uc_pool *pool;
    int pair[2]; /* a connection */
};

void seam_open(struct backend *b, const struct uci_backend_table *table, uint64_t features_off);
void seam_close(struct backend *b);
void seam_provide_all(struct backend *b);
void seam_submit(struct backend *b, const struct uci_operation *operation);
void seam_receive(struct backend *b, int fd, uint64_t user_data);
void seam_cancel(struct backend *b, uint64_t user_data); /* the cancellation's own is 1000 more */
/* Enter until a completion is there. */
struct uci_completion seam_next(struct backend *b);
/* Sixty calls that wait, run and have ended, and how each ends when it is stopped. */
void seam_stop_calls(const struct uci_backend_table *table, uint64_t features_off);

/* Tests of any backend, as cmocka's: the state is its table. */
void every_operation_ends_once_also_when_the_queue_is_full(void **state);
void pieces_come_one_buffer_at_a_time_however_few_are_taken(void **state);
void what_is_stopped_tells_how_it_ended(void **state);
void without_a_buffer_no_byte_is_taken(void **state);
void what_goes_on_by_itself_does_not_keep_others_waiting(void **state);
void what_hangs_in_a_worker_is_not_cancelled_and_ends_as_it_may(void **state);
void a_backend_is_freed_while_a_worker_hangs(void **state);
void what_workers_have_done_is_taken_one_by_one(void **state);
void what_was_called_and_is_stopped_ends_once(void **state);

#define SEAM_TEST(test, table) {#test, test, NULL, NULL, (void *)&(table)}
