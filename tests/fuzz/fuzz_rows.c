// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzz target: bytes as a CSV file of sensor rows. What is accepted has a clock that runs forwards and no infinite sample.
#include <math.h>
#include <string.h>

#include "core/train/sensor_rows.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    SeamModality modality = {.name = "sensors", .front = SEAM_FRONT_SENSOR, .channels = 2,
                             .sensor = {.rate = 16, .patch = 8, .time_bins = 2, .channel_name = {"Current", "Flow"}}};
    SeamRecord record = {0};
    SeamSensorRows rows;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = fuzz_file("rows.csv", data, size);
    if (seam_sensor_rows_read(&modality, path, &rows, &record, &error)) {
        g_assert_true(rows.n >= 0 && (rows.n == 0 || rows.rate > 0));
        for (int64_t i = 0; i < rows.n * modality.channels; i++)
            g_assert_true(!isinf(rows.x[i]));
    } else {
        g_assert_nonnull(error);
    }
    g_free(rows.x);
    seam_record_clear(&record);
    return 0;
}

static const char dated[] = "Date,Time,Part No,Current,Flow\n3/22/2023,04:14:22.664,a,0.00,0.02\n3/22/2023,04:14:22.773,a,151.5,11.3\n"
                            "3/22/2023,04:14:22.882,a,,12\n3/22/2023,11:59:59.9 pm,a,1e3,\"7\"\n";
static const char timed[] = "time_s;Current;Flow\n0;1;2\n0.1;x;3\n0.25;4;5\n9;6;7\n";
static const char bare[] = "Current\tFlow\n1\t2\n3\t4\n";

FuzzSeed fuzz_seed(size_t index) {
    const FuzzSeed seeds[] = {{dated, sizeof dated - 1}, {timed, sizeof timed - 1}, {bare, sizeof bare - 1}, {NULL, 0}};
    return seeds[MIN(index, G_N_ELEMENTS(seeds) - 1)];
}
