// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Degrading under load, with an invented clock: each buffer takes what a made-up machine needs for it at the level's effort.
#include <glib.h>
#include <string.h>

#include "core/deadline.h"

static const double deadline = 0.02;

// A machine that needs `whole` seconds for all of the work; each level takes a tenth of it away.
static double need(const SeamDeadline *d, double whole) {
    int32_t saving = MIN(d->level, SEAM_DEADLINE_FIRST_DROP - 1);
    return whole * (1 - 0.1 * saving);
}

typedef struct {
    int32_t dropped, late, moves;
} Count;

static Count play(SeamDeadline *d, int32_t buffers, double whole) {
    Count count = {0};
    for (int32_t i = 0; i < buffers; i++) {
        int32_t before = d->level;
        if (seam_deadline_drops(d)) {
            count.dropped++;
            continue;
        }
        count.late += need(d, whole) > deadline;
        seam_deadline_took(d, need(d, whole));
        g_assert_cmpint(d->level, >=, MAX(before - 1, 0)); // a level at a time
        g_assert_cmpint(d->level, <=, MIN(before + 1, SEAM_DEADLINE_LEVELS - 1));
        count.moves += d->level != before;
    }
    return count;
}

static void test_none(void) {
    SeamDeadline d;
    seam_deadline_init(&d, 0);
    g_assert_cmpint(play(&d, 100, 1e6).dropped, ==, 0);
    g_assert_cmpint(d.level, ==, 0);
    SeamEffort asked = {.merge = 0.3f, .expert_mass = 0.9f}, e = seam_deadline_effort(&d, asked);
    g_assert_true(e.merge == asked.merge && e.expert_mass == asked.expert_mass && e.exit_margin == 0);
}

static void test_one_slow_buffer(void) {
    SeamDeadline d;
    seam_deadline_init(&d, deadline);
    for (int i = 0; i < 100; i++)
        seam_deadline_took(&d, i % 2 ? 1 : 0.001);
    g_assert_cmpint(d.level, ==, 0);
    seam_deadline_took(&d, deadline); // just in time is not late
    seam_deadline_took(&d, deadline);
    g_assert_cmpint(d.level, ==, 0);
    seam_deadline_took(&d, 1.01 * deadline);
    seam_deadline_took(&d, 1.01 * deadline);
    g_assert_cmpint(d.level, ==, 1);
}

// First tokens, then experts, then exits, then whole buffers; no level takes back what one below left out.
static void test_order(void) {
    SeamDeadline d;
    SeamEffort before = {0};
    seam_deadline_init(&d, deadline);
    for (d.level = 1; d.level < SEAM_DEADLINE_LEVELS; d.level++) {
        SeamEffort e = seam_deadline_effort(&d, (SeamEffort){0});
        g_assert_cmpfloat(e.merge, >, 0);
        g_assert_true(e.merge <= 0.9f && e.expert_mass < 1 && e.exit_margin < 1);
        g_assert_cmpfloat(e.merge, >=, before.merge);
        g_assert_true(before.expert_mass == 0 || (e.expert_mass > 0 && e.expert_mass <= before.expert_mass && e.merge == before.merge));
        g_assert_true(before.exit_margin == 0 || (e.exit_margin > 0 && e.exit_margin <= before.exit_margin && e.expert_mass == before.expert_mass));
        g_assert_true(e.exit_margin == 0 || e.expert_mass > 0);
        before = e;
    }
    d.level = 4;
    SeamEffort e = seam_deadline_effort(&d, (SeamEffort){.merge = 0.8f, .expert_mass = 0.2f, .exit_margin = 0.95f});
    g_assert_true(e.merge == 0.8f && e.expert_mass == 0.2f && e.exit_margin == 0.95f); // the user's own, where it leaves out more
}

// Twice the load: it finds the level that is in time, and comes back when the load has gone.
static void test_degrades_and_recovers(void) {
    SeamDeadline d;
    seam_deadline_init(&d, deadline);
    play(&d, 50, 0.5 * deadline);
    g_assert_cmpint(d.level, ==, 0);
    g_assert_cmpint(play(&d, 12, 1.6 * deadline).late, ==, 8); // two a level
    g_assert_cmpint(d.level, ==, 4);
    g_assert_cmpint(play(&d, 500, 1.6 * deadline).late, ==, 0); // 0.96 of the deadline: neither up nor down
    g_assert_cmpint(d.level, ==, 4);
    g_assert_cmpint(play(&d, 4 * 16, 0.5 * deadline).moves, ==, 4);
    g_assert_cmpint(d.level, ==, 0);
}

// At the end buffers go, and no more than must.
static void test_drops(void) {
    SeamDeadline d;
    seam_deadline_init(&d, deadline);
    play(&d, 100, 4 * deadline); // 1.6 deadlines at least: every other one
    g_assert_cmpint(d.level, ==, 7);
    g_assert_cmpint(play(&d, 100, 4 * deadline).dropped, ==, 50);
    play(&d, 100, 100 * deadline);
    g_assert_cmpint(d.level, ==, 8);
    g_assert_cmpint(play(&d, 100, 100 * deadline).dropped, ==, 75);
    g_assert_cmpint(d.level, ==, 8);
    play(&d, 400, 0.1 * deadline); // what is left to measure brings it back
    g_assert_cmpint(d.level, ==, 0);
    g_assert_cmpint(play(&d, 10, 0.1 * deadline).dropped, ==, 0);
}

// A load that a level is too late for and the next one more than in time: tries to recover become rare, and are as quick as ever after calm.
static void test_no_flapping(void) {
    SeamDeadline d;
    seam_deadline_init(&d, deadline);
    int32_t moves = 0;
    for (int i = 0; i < 10000; i++) {
        int32_t before = d.level;
        seam_deadline_took(&d, deadline * (d.level == 0 ? 1.1 : 0.6));
        moves += d.level != before;
    }
    g_assert_cmpint(moves, <, 70); // without the growing patience: some 1100
    g_assert_cmpint(moves, >, 20);
    play(&d, 2000, 0.1 * deadline);
    g_assert_cmpint(d.level, ==, 0);
    play(&d, 2, 1.05 * deadline);
    g_assert_cmpint(d.level, ==, 1);
    play(&d, 16, 0.1 * deadline);
    g_assert_cmpint(d.level, ==, 0);
}

static void test_text(void) {
    static const struct {
        const char *text;
        double seconds;
    } good[] = {{"20ms", 0.02}, {"20", 0.02}, {"0.02s", 0.02}, {"20000us", 0.02}, {"2e1ms", 0.02}, {"1e-2s", 0.01}, {"0", 0}, {"0s", 0}, {"600s", 600}};
    static const char *const bad[] = {"", "ms", "20 ms", " 20ms", "20ms ", "-1ms", "+1", "20m", "20MS", "20msx",
                                       "nan", "inf", "0x10", ".5s", "1,5s", "601s", "1e999s"};
    GError *error = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        double seconds = -1;
        g_assert_true(seam_deadline_parse(good[i].text, &seconds, &error));
        g_assert_no_error(error);
        g_assert_cmpfloat_with_epsilon(seconds, good[i].seconds, 1e-12);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        double seconds = -1;
        if (seam_deadline_parse(bad[i], &seconds, &error))
            g_error("\"%s\" was taken for a deadline", bad[i]);
        g_assert_nonnull(strstr(error->message, bad[i]));
        g_assert_nonnull(strstr(error->message, "20ms"));
        g_assert_cmpfloat(seconds, ==, -1);
        g_clear_error(&error);
    }
}

// Whoever gives more time under load gets the work back step by step, not at once.
static void test_change(void) {
    SeamDeadline d;
    seam_deadline_init(&d, deadline);
    play(&d, 12, 1.6 * deadline);
    g_assert_cmpint(d.level, ==, 4);
    seam_deadline_change(&d, 4 * deadline);
    g_assert_cmpint(d.level, ==, 4);
    for (int i = 0; i < 16; i++)
        seam_deadline_took(&d, 1.6 * deadline);
    g_assert_cmpint(d.level, ==, 3);
    seam_deadline_change(&d, 0);
    g_assert_cmpint(d.level, ==, 0);
    seam_deadline_change(&d, deadline);
    g_assert_cmpint(d.level, ==, 0);
    g_assert_cmpfloat(d.deadline, ==, deadline);
}

// Patience that a long load has taught is short when the load has gone for good: a few buffers that take next to nothing say as much as many.
static void test_load_goes(void) {
    SeamDeadline d;
    seam_deadline_init(&d, deadline);
    for (int i = 0; i < 10000; i++)
        seam_deadline_took(&d, deadline * (d.level < 6 ? 1.1 : 0.6));
    g_assert_cmpint(d.patience, ==, 512);
    SeamDeadline slow = d;
    int32_t buffers = 0;
    for (; d.level > 0; buffers++)
        seam_deadline_took(&d, 0.01 * deadline);
    g_assert_cmpint(buffers, <=, 3 * 512 / 8 + 5 * 16);
    g_assert_cmpint(buffers, >=, 6 * 16);
    for (int i = 0; i < buffers; i++)
        seam_deadline_took(&slow, 0.65 * deadline); // no more than in time: it waits
    g_assert_cmpint(slow.level, >=, 5);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/deadline/none", test_none);
    g_test_add_func("/deadline/text", test_text);
    g_test_add_func("/deadline/change", test_change);
    g_test_add_func("/deadline/one-slow-buffer", test_one_slow_buffer);
    g_test_add_func("/deadline/order", test_order);
    g_test_add_func("/deadline/degrades-and-recovers", test_degrades_and_recovers);
    g_test_add_func("/deadline/drops", test_drops);
    g_test_add_func("/deadline/no-flapping", test_no_flapping);
    g_test_add_func("/deadline/load-goes", test_load_goes);
    return g_test_run();
}
