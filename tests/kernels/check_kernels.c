// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Every operation of the table: ref against hand-worked values and differences, cpu against ref, at each level of the processor that this
// machine has. The table is chosen once a process, so this program runs itself again with SEAM_CPU for the lower levels.
// `check_kernels --bench` prints what each operation costs instead, `--bench-packed` what products with packed weights give.
#include "kernels/pool.h"
#include "tests/kernels/check.h"

static const char *const levels[] = {"ref", "avx2", "avx512", "avx512dot"};
static const char *program;

static size_t level_of(const char *implementation) {
    for (size_t i = 0; i < G_N_ELEMENTS(levels); i++)
        if (g_strcmp0(implementation, levels[i]) == 0)
            return i;
    if (g_strcmp0(implementation, "avx512bf16") == 0 || g_strcmp0(implementation, "avx512vnni") == 0)
        return G_N_ELEMENTS(levels) - 1;
    return 0; // a library: it has no level of its own
}

static size_t level_in_use(void) {
    size_t count, most = 0;
    const SeamKernelChoice *choice = seam_kernels_cpu_choices(&count);
    for (size_t i = 0; i < count; i++)
        most = MAX(most, level_of(choice[i].implementation));
    return most;
}

static void test_level(gconstpointer level) {
    char *argv[] = {(char *)program, NULL};
    g_auto(GStrv) environment = g_environ_setenv(g_get_environ(), "SEAM_CPU", level, TRUE);
    g_autofree char *output = NULL;
    g_autoptr(GError) error = NULL;
    int status = 0;
    g_spawn_sync(NULL, argv, environment, G_SPAWN_SEARCH_PATH, NULL, NULL, &output, NULL, &status, &error);
    g_assert_no_error(error);
    if (status != 0)
        g_error("SEAM_CPU=%s: %s", (const char *)level, output);
}

static void test_lowered(void) {
    g_assert_cmpuint(level_in_use(), ==, level_of(g_getenv("SEAM_CPU")));
}

static const CheckTest lowered[] = {{"/kernels/levels/lowered", test_lowered}};

static void register_levels(void) {
    if (g_getenv("SEAM_CPU")) {
        check_register(lowered, 1);
        return;
    }
    for (size_t i = 0; i < level_in_use(); i++) {
        g_autofree char *path = g_strconcat("/kernels/levels/", levels[i], NULL);
        g_test_add_data_func(path, levels[i], test_level);
    }
}

int main(int argc, char **argv) {
    program = argv[0];
    if (argc > 1 && g_str_equal(argv[1], "--bench"))
        return check_bench();
    if (argc > 1 && g_str_equal(argv[1], "--bench-packed")) {
        seam_pool_set_threads(1);
        return check_bench_packed();
    }
    if (!g_getenv("SEAM_THREADS"))
        seam_pool_set_threads(4); // more than the smallest machine has, so that lanes meet
    g_test_init(&argc, &argv, NULL);
    check_known_register();
    check_gradients_register();
    check_linear_register();
    check_packed_register();
    check_conv_register();
    check_element_register();
    check_attention_register();
    check_route_register();
    check_scan_register();
    check_segment_register();
    check_threads_register();
    register_levels();
    return g_test_run();
}
