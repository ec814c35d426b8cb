#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <uc/user_data.h>
#include <cmocka.h>

#include "slot/slot.h"

#define MANY 3000
#define KIND 7

static int set_up(void **state)
{
    struct uci_slot_table *table = malloc(sizeof *table);

    if (!table)
        return -1;
    uci_slot_table_init(table);
    *state = table;
    return 0;
}

/* After every test: what is in use is counted, the rest is on the free list, each once. */
static int adds_up(struct uci_slot_table *table)
{
    uint32_t all = 0, used = 0, idle = 0;
    struct uci_slot *slot;

    for (; (slot = uci_slot_at(table, all)); all++) {
        if (slot->index != all)
            return 0;
        used += slot->kind != 0;
    }
    for (uint32_t at = table->first_free; at != UINT32_MAX && idle <= all; idle++) {
        slot = uci_slot_at(table, at);
        if (slot->kind || slot->memory)
            return 0;
        at = slot->next_free;
    }
    return used == table->used && used + idle == all;
}

static int tear_down(void **state)
{
    struct uci_slot_table *table = *state;
    int fine = adds_up(table);

    uci_slot_table_finish(table);
    fine = fine && !table->blocks && !table->used && !uci_slot_at(table, 0);
    free(table);
    return fine ? 0 : -1;
}

static struct uci_slot *take(struct uci_slot_table *table, uint64_t cookie)
{
    struct uci_slot *slot = NULL;

    assert_int_equal(uci_slot_take(table, KIND, cookie, &slot), 0);
    assert_non_null(slot);
    return slot;
}

static void an_empty_table_has_no_slot(void **state)
{
    struct uci_slot_table *table = *state;

    assert_null(uci_slot_at(table, 0));
    assert_null(uci_slot_at(table, UINT32_MAX));
    assert_null(uci_slot_find(table, KIND, 0, 0));
    assert_int_equal(table->used, 0);
}

static void a_slot_is_found_by_its_three_parts_and_no_others(void **state)
{
    struct uci_slot_table *table = *state;
    struct uci_slot *slot = take(table, 42);

    assert_int_equal(slot->cookie, 42);
    assert_null(slot->memory);
    assert_ptr_equal(uci_slot_find(table, KIND, slot->generation, slot->index), slot);
    assert_null(uci_slot_find(table, KIND + 1, slot->generation, slot->index));
    assert_null(uci_slot_find(table, KIND, slot->generation + 1, slot->index));
    assert_null(uci_slot_find(table, KIND, slot->generation - 1, slot->index));
    assert_null(uci_slot_find(table, KIND, slot->generation, slot->index + 1));
    assert_null(uci_slot_find(table, KIND, slot->generation, UC_USER_DATA_INDEX_MAX));
}

static void a_released_slot_is_not_found(void **state)
{
    struct uci_slot_table *table = *state;
    struct uci_slot *slot = take(table, 42);
    uint32_t generation = slot->generation, index = slot->index;

    uci_slot_release(table, slot);
    assert_null(uci_slot_find(table, KIND, generation, index));
    assert_null(uci_slot_find(table, 0, generation, index));
    assert_int_equal(table->used, 0);
}

static void a_slot_taken_again_has_a_higher_generation(void **state)
{
    struct uci_slot_table *table = *state;
    struct uci_slot *slot = take(table, 1);
    uint32_t generation = slot->generation, index = slot->index;

    uci_slot_release(table, slot);
    slot = take(table, 2);
    assert_int_equal(slot->index, index);
    assert_int_equal(slot->generation, generation + 1);
    assert_null(uci_slot_find(table, KIND, generation, index));
    assert_ptr_equal(uci_slot_find(table, KIND, generation + 1, index), slot);
}

static void slots_never_move_while_the_table_grows(void **state)
{
    struct uci_slot_table *table = *state;
    static struct uci_slot *slots[MANY];

    for (uint32_t i = 0; i < MANY; i++) {
        slots[i] = take(table, i);
        slots[i]->time.tv_sec = i;
    }
    assert_int_equal(table->used, MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(slots[i]->cookie, i);
        assert_int_equal(slots[i]->time.tv_sec, i);
        assert_ptr_equal(uci_slot_at(table, slots[i]->index), slots[i]);
        assert_ptr_equal(uci_slot_find(table, KIND, slots[i]->generation, slots[i]->index),
                         slots[i]);
    }
}

static void no_slot_is_in_two_hands(void **state)
{
    struct uci_slot_table *table = *state;
    static struct uci_slot *held[MANY];
    uint64_t seed = 0x2545f4914f6cdd1du;
    uint32_t count = 0;

    for (uint64_t round = 1; round < 100000; round++) {
        seed ^= seed >> 12;
        seed ^= seed << 25;
        seed ^= seed >> 27;
        if (count < MANY && (count == 0 || seed % 100 < 52)) {
            held[count++] = take(table, round);
            assert_int_equal(held[count - 1]->cookie, round);
        } else {
            uint32_t at = (uint32_t)(seed >> 32) % count;

            assert_ptr_equal(uci_slot_find(table, KIND, held[at]->generation, held[at]->index),
                             held[at]);
            uci_slot_release(table, held[at]);
            held[at] = held[--count];
        }
        assert_int_equal(table->used, count);
    }
    assert_true(adds_up(table));
}

static void memory_goes_with_the_slot(void **state)
{
    struct uci_slot_table *table = *state;
    struct uci_slot *slot = take(table, 1);

    slot->memory = strdup("path");
    uci_slot_release(table, slot);
    assert_null(slot->memory);
}

static void memory_of_slots_in_use_goes_with_the_table(void **state)
{
    struct uci_slot_table *table = *state;

    for (int i = 0; i < 10; i++)
        take(table, 1)->memory = strdup("path");
}

static void a_finished_table_can_be_used_again(void **state)
{
    struct uci_slot_table *table = *state;

    take(table, 1);
    uci_slot_table_finish(table);
    assert_int_equal(table->used, 0);
    assert_int_equal(take(table, 2)->index, 0);
}

static void an_index_never_outgrows_user_data(void **state)
{
    struct uci_slot_table *table = *state;
    struct uci_slot_table full = *table;
    struct uci_slot *slot = NULL;

    full.block_count = (UC_USER_DATA_INDEX_MAX + 1) / 256;
    assert_int_equal(uci_slot_take(&full, KIND, 1, &slot), -ENOMEM);
    assert_null(slot);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_table_has_no_slot),
        TEST(a_slot_is_found_by_its_three_parts_and_no_others),
        TEST(a_released_slot_is_not_found),
        TEST(a_slot_taken_again_has_a_higher_generation),
        TEST(slots_never_move_while_the_table_grows),
        TEST(no_slot_is_in_two_hands),
        TEST(memory_goes_with_the_slot),
        TEST(memory_of_slots_in_use_goes_with_the_table),
        TEST(a_finished_table_can_be_used_again),
        TEST(an_index_never_outgrows_user_data),
    };

    return cmocka_run_group_tests_name("slot: table", tests, NULL, NULL);
}
