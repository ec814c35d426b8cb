/* Words: the features by name, and what the environment asks for. */
#include <stdlib.h>
#include <string.h>

#include "choice/environment.h"
#include "choice/features.h"
#include "support.h"

static void a_list_of_features_is_read(void **state)
{
    static const struct {
        const char *list;
        uint64_t features;
    } lists[] = {
        {"", 0},
        {",, ,", 0},
        {"all", UINT64_MAX},
        {"multishot", UC_FEATURE_MULTISHOT_ACCEPT | UC_FEATURE_MULTISHOT_RECV},
        {"bufring", UC_FEATURE_BUFFER_RING},
        {"bundle", UC_FEATURE_RECV_BUNDLE},
        {"taskrun", UC_FEATURE_DEFER_TASKRUN | UC_FEATURE_COOP_TASKRUN},
        {"own-memory", UCI_FEATURE_OWN_MEMORY},
        {"files", UCI_FEATURE_FILES},
        {"bundle,bufring", UC_FEATURE_RECV_BUNDLE | UC_FEATURE_BUFFER_RING},
        {" bundle, sqpoll ,", UC_FEATURE_RECV_BUNDLE | UC_FEATURE_SQPOLL},
    };
    uint64_t features;

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        features = 77;
        assert_null(uci_features_parse(lists[i].list, &features));
        assert_true(features == lists[i].features);
    }
    for (uint64_t bit = 1; uc_feature_name(bit); bit *= 2) {
        assert_null(uci_features_parse(uc_feature_name(bit), &features));
        assert_int_equal(features, bit);
    }
}

/* Also those that have no public bit. */
static void what_is_written_is_read_as_the_same(void **state)
{
    static const uint64_t lists[] = {
        0,
        UCI_FEATURE_FILES,
        UCI_FEATURE_OWN_MEMORY,
        UC_FEATURE_SQPOLL | UC_FEATURE_RECV_BUNDLE | UCI_FEATURE_FILES | UCI_FEATURE_OWN_MEMORY,
    };
    char text[200], little[12];
    uint64_t features;

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        uci_features_write(lists[i], text, sizeof(text));
        assert_null(uci_features_parse(text, &features));
        assert_true(features == lists[i]);
    }
    uci_features_write(UINT64_MAX, little, sizeof(little));
    assert_string_equal(little, "single-issu");
}

static void what_depends_on_a_feature_goes_with_it(void **state)
{
    struct uci_environment environment;

    setenv("UC_DISABLE", "bufring,single-issuer", 1);
    assert_int_equal(uci_environment_read(&environment, NULL, 0), 0);
    assert_int_equal(environment.features_off,
                     UC_FEATURE_BUFFER_RING | UC_FEATURE_MULTISHOT_RECV | UC_FEATURE_RECV_BUNDLE |
                         UC_FEATURE_SINGLE_ISSUER | UC_FEATURE_DEFER_TASKRUN);
    unsetenv("UC_DISABLE");
}

static void a_word_that_is_no_feature_is_found_and_nothing_is_taken_over(void **state)
{
    static const char *const lists[][2] = {
        {"nonsense", "nonsense"},   {"bundle,bundl", "bundl"},    {"bundles", "bundles"},
        {"ALL,bundle", "ALL,bund"}, {"multi shot", "multi shot"}, {"bundle;bufring", "bundle;"},
    };
    uint64_t features = 77;

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        const char *wrong = uci_features_parse(lists[i][0], &features);

        assert_non_null(wrong);
        assert_memory_equal(wrong, lists[i][1], strlen(lists[i][1]));
        assert_int_equal(features, 77);
    }
}

static void names_are_written_as_far_as_there_is_room(void **state)
{
    char text[16];

    uci_features_write(0, text, sizeof(text));
    assert_string_equal(text, "");
    uci_features_write(UC_FEATURE_SQPOLL | UC_FEATURE_NO_IOWAIT, text, sizeof(text));
    assert_string_equal(text, "no-iowait sqpol");
}

static void the_environment_is_read_and_nothing_is_as_an_empty_word(void **state)
{
    static const char *const words[] = {"auto", "uring", "epoll"};
    struct uci_environment environment;

    for (uint32_t i = 0; i < 3; i++) {
        setenv("UC_BACKEND", words[i], 1);
        setenv("UC_DISABLE", "bundle", 1);
        assert_int_equal(uci_environment_read(&environment, NULL, 0), 0);
        assert_int_equal(environment.backend, i);
        assert_int_equal(environment.features_off, UC_FEATURE_RECV_BUNDLE);
    }
    setenv("UC_BACKEND", "", 1);
    setenv("UC_DISABLE", "", 1);
    assert_int_equal(uci_environment_read(&environment, NULL, 0), 0);
    assert_int_equal(environment.backend, UC_BACKEND_AUTO);
    assert_int_equal(environment.features_off, 0);
    unsetenv("UC_BACKEND");
    unsetenv("UC_DISABLE");
    assert_int_equal(uci_environment_read(&environment, NULL, 0), 0);
    assert_int_equal(environment.backend, UC_BACKEND_AUTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_of_features_is_read),
        cmocka_unit_test(what_is_written_is_read_as_the_same),
        cmocka_unit_test(what_depends_on_a_feature_goes_with_it),
        cmocka_unit_test(a_word_that_is_no_feature_is_found_and_nothing_is_taken_over),
        cmocka_unit_test(names_are_written_as_far_as_there_is_room),
        cmocka_unit_test(the_environment_is_read_and_nothing_is_as_an_empty_word),
    };

    return cmocka_run_group_tests_name("environment", tests, NULL, NULL);
}
