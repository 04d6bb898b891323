// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Is a model whole, and can it decide anything.
#include "core/bundle.h"
#include "tools/data_options.h"
#include "tools/doctor/doctor.h"

static void check_tasks(Doctor *d, const char *path, const SeamModel *model) {
    for (int32_t t = 0; t < model->config.n_tasks; t++)
        if (!seam_model_task_ready(model, t))
            doctor_add(
                d, DOCTOR_NOTE, "model", g_strdup_printf("%s: the task \"%s\" has no adapter and is left out", path, model->config.task[t].name),
                g_strdup(model->config.task[t].kind == SEAM_TASK_ANOMALY ? "fit it to good welds: seam adapt --model MODEL --data DIR --out NEW.seam"
                                                                         : "train it: seam train"));
}

static void check_calibration(Doctor *d, const char *path, const SeamCalibration *c) {
    int32_t most = 0;
    for (int32_t i = 0; i < c->n_sets; i++)
        most = MAX(most, c->set[i].n_good);
    if (c->n_sets == 0)
        doctor_add(d, DOCTOR_NOTE, "model", g_strdup_printf("%s: has no calibration: every weld is referred", path),
                   g_strdup("calibrate it with `seam adapt` on welds of the line"));
    else
        doctor_add(d, DOCTOR_GOOD, "model",
                   g_strdup_printf("%s: calibrated for %d sets of modalities, with %d good welds at most", path, c->n_sets, most), NULL);
}

void doctor_check_model(Doctor *d, const char *path) {
    GError *error = NULL;
    SeamModel *model = NULL;
    SeamCalibration *calibration = NULL;
    SeamBundle *bundle = seam_bundle_open(path, true, &error);
    if (bundle && seam_tool_open_model(path, &model, &calibration, &error)) {
        doctor_add(d, DOCTOR_GOOD, "model", g_strdup_printf("%s: whole, fingerprint %s", path, bundle->fingerprint), NULL);
        check_tasks(d, path, model);
        check_calibration(d, path, calibration);
    } else {
        doctor_add(d, DOCTOR_PROBLEM, "model", g_strdup(error->message), g_strdup("copy the model's folder anew, or make it with ./run model"));
        g_clear_error(&error);
    }
    seam_calibration_free(calibration);
    seam_model_free(model);
    seam_bundle_free(bundle);
}
