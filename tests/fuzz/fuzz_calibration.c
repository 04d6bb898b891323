// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Any bytes as a model's `calibration` object. What is accepted must keep its promises: scores rising and finite, thresholds in order to be
// used, and the printed object must be accepted again.
#include <glib.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "core/conformal.h"
#include "core/files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_set(const SeamCalibrationSet *set) {
    const float *scores[] = {set->good, set->defect};
    const int32_t n[] = {set->n_good, set->n_defect};
    for (int side = 0; side < 2; side++) {
        g_assert_cmpint(n[side], <=, SEAM_MAX_CALIBRATION_SCORES);
        for (int32_t i = 1; i < n[side]; i++)
            g_assert_cmpfloat(scores[side][i - 1], <=, scores[side][i]);
    }
    float below, above;
    const char *reason = NULL;
    seam_conformal_thresholds(set, 0.005, 0.01, &below, &above);
    g_assert_true(below == below && above == above);
    seam_conformal_decide(0, below, above, &reason);
    g_assert_nonnull(reason);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    SeamConfig *config = g_new0(SeamConfig, 1);
    config->n_modalities = 2;
    g_strlcpy(config->modality[0].name, "video", SEAM_NAME_LENGTH);
    g_strlcpy(config->modality[1].name, "sensors", SEAM_NAME_LENGTH);
    SeamCalibration *calibration = seam_calibration_new();
    char *text = g_strndup((const char *)data, size);
    JsonObject *object = seam_json_parse(text, "fuzz", NULL);
    if (object && seam_calibration_parse(calibration, config, object, "fuzz", NULL)) {
        for (int32_t i = 0; i < calibration->n_sets; i++)
            check_set(&calibration->set[i]);
        g_assert_false(isinf(calibration->rul_margin) || isinf(calibration->effort_rul_margin));
        g_assert_cmpint(seam_calibration_effort(calibration, calibration->effort), !=, SEAM_EFFORT_OTHER);
        JsonObject *again = seam_calibration_print(calibration, config);
        g_assert_true(seam_calibration_parse(calibration, config, again, "again", NULL));
        json_object_unref(again);
    }
    g_clear_pointer(&object, json_object_unref);
    g_free(text);
    seam_calibration_free(calibration);
    g_free(config);
    return 0;
}
