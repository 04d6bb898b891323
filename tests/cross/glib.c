// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The list of tests of glib.h; owns it. `-p PATH` runs those whose path begins so.
#include "tests/cross/glib.h"

typedef struct {
    const char *path;
    gconstpointer data;
    void (*run)(gconstpointer data);
} Test;

static Test tests[256];
static int count;
static const char *prefix = "";

void g_test_add_data_func(const char *path, gconstpointer data, void (*run)(gconstpointer data)) {
    if (count == (int)G_N_ELEMENTS(tests))
        g_error("too many tests");
    tests[count++] = (Test){path, data, run};
}

void g_test_init(int *argc, char ***argv, void *end) {
    for (int i = 1; i + 1 < *argc; i++)
        if (g_str_equal((*argv)[i], "-p"))
            prefix = (*argv)[i + 1];
}

int g_test_run(void) {
    int done = 0;
    for (int i = 0; i < count; i++) {
        if (strncmp(tests[i].path, prefix, strlen(prefix)) != 0)
            continue;
        tests[i].run(tests[i].data);
        printf("ok %d %s\n", ++done, tests[i].path);
        fflush(stdout);
    }
    printf("1..%d\n", done);
    return 0;
}
