/* uc-probe: what this kernel, its limits and its policies allow, what libuc chooses, and why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "survey.h"

#define EXIT_USAGE 64
#define EXIT_BROKEN 70

static const char usage[] =
    "usage: uc-probe [--json]\n"
    "Tells what this kernel, its limits and its policies allow, what libuc chooses, and why.\n"
    "  --json     as a JSON object\n"
    "  --version  the version of libuc\n"
    "Colours on a terminal, unless NO_COLOR is set. UC_BACKEND and UC_DISABLE are obeyed.\n"
    "Exit status: 0 full speed, 1 degraded (io_uring with less, or epoll), 2 no ring can be made\n";

/* See https://no-color.org */
static bool wants_colours(void)
{
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(no_color && *no_color) && terminal &&
           strcmp(terminal, "dumb") != 0;
}

int main(int argc, char **argv)
{
    static struct survey survey;
    bool as_json = false;
    int r;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("uc-probe %s\n", uc_version());
            return 0;
        }
        if (strcmp(argv[i], "--json") != 0) {
            fprintf(stderr, "uc-probe: unknown argument: %s\n%s", argv[i], usage);
            return EXIT_USAGE;
        }
        as_json = true;
    }
    r = survey_take(&survey);
    if (r < 0) {
        fprintf(stderr, "uc-probe: %s\n", uc_error_name(r));
        return EXIT_BROKEN;
    }
    if (as_json)
        print_json(&survey);
    else
        print_text(&survey, wants_colours());
    if (fflush(stdout) != 0) {
        perror("uc-probe");
        return EXIT_BROKEN;
    }
    return (int)survey.probe.verdict;
}
