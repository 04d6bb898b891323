// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Every operation of the table: ref against hand-worked values and differences, cpu against ref, at each level of the processor that this
// machine has. The table is chosen once a process, so this program runs itself again with SEAM_CPU for the lower levels.
// `check_kernels --bench` prints what each operation costs instead, `--bench-packed` what products with packed weights give.
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/pool.h"
#include "tests/kernels/check.h"

#define LEVEL(name) {name, "/kernels/levels/" name}
static const struct {
    const char *name, *path;
} levels[] = {
    LEVEL("ref"),
#ifdef __aarch64__
    LEVEL("neon"), LEVEL("dotprod"),
#else
    LEVEL("avx2"), LEVEL("avx512"), LEVEL("avx512dot"),
#endif
};
static const char *program;

static size_t level_of(const char *implementation) {
    for (size_t i = 0; i < G_N_ELEMENTS(levels); i++)
        if (g_strcmp0(implementation, levels[i].name) == 0)
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

// What the run writes goes beside this one's own list of tests.
static void test_level(gconstpointer level) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        setenv("SEAM_CPU", level, 1);
        dup2(STDERR_FILENO, STDOUT_FILENO);
        execlp(program, program, (char *)NULL);
        _exit(127);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    if (status != 0)
        g_error("SEAM_CPU=%s failed", (const char *)level);
}

static void test_in_use(gconstpointer level) {
    g_assert_cmpuint(level_in_use(), ==, level_of(level));
}

// Under an emulator, whose processor the caller knows, there is no running again.
static void register_levels(void) {
    const char *expected = g_getenv("SEAM_EXPECTED_CPU") ? g_getenv("SEAM_EXPECTED_CPU") : g_getenv("SEAM_CPU");
    if (expected) {
        g_test_add_data_func("/kernels/levels/in-use", expected, test_in_use);
        return;
    }
    for (size_t i = 0; i < level_in_use(); i++)
        g_test_add_data_func(levels[i].path, levels[i].name, test_level);
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
