// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Shared pieces of the subcommands that read data folders.
#include "tools/data_options.h"

#include <stdio.h>
#include <string.h>

#include "core/bundle.h"
#include "core/error.h"
#include "core/files.h"
#include "tools/media.h"

int seam_tool_fail(const char *command, GError *error, int status) {
    fprintf(stderr, "seam %s: %s\n", command, error ? error->message : "failed");
    g_clear_error(&error);
    return status;
}

int seam_tool_usage(const char *command, GError *error, const char *otherwise) {
    fprintf(stderr, "seam %s: %s; see seam %s --help\n", command, error ? error->message : otherwise, command);
    g_clear_error(&error);
    return 2;
}

static void show_reading(void *user, int32_t done, int32_t all) {
    g_autofree char *detail = g_strdup_printf("%d of %d", done, all);
    seam_progress_show(user, done, all, detail);
}

static void show_note(void *user, const char *text) {
    seam_progress_note(user, text);
}

SeamDataset *seam_tool_read_data(const SeamConfig *config, const char *path, double video_rate, const char *class_names, const SeamGrouping *grouping,
                                 const char *exclude_group, bool learn, GError **error) {
    SeamProgressBar bar;
    g_auto(GStrv) names = class_names ? g_strsplit(class_names, ",", -1) : NULL;
    SeamDatasetOptions options = {.read = {.media = seam_media_gst(), .video_rate = video_rate},
                                  .grouping = grouping ? *grouping : (SeamGrouping){0},
                                  .exclude_group = exclude_group,
                                  .learn = learn,
                                  .class_names = (const char *const *)names,
                                  .progress = show_reading,
                                  .note = show_note,
                                  .user = &bar};
    seam_progress_begin(&bar, "reading", false);
    SeamDataset *data = seam_dataset_read(config, path, &options, error);
    seam_progress_end(&bar);
    return data;
}

bool seam_tool_modalities(const SeamConfig *config, const char *names, uint32_t *bits, GError **error) {
    *bits = names ? 0 : UINT32_MAX;
    g_auto(GStrv) list = g_strsplit(names ? names : "", ",", -1);
    for (char **name = list; *name; name++) {
        int32_t m = seam_config_modality(config, g_strstrip(*name));
        if (m < 0) {
            g_autoptr(GString) known = g_string_new(NULL);
            for (int32_t i = 0; i < config->n_modalities; i++)
                g_string_append_printf(known, "%s%s", i ? ", " : "", config->modality[i].name);
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "the model has no modality \"%s\"; it has %s", *name, known->str);
            return false;
        }
        *bits |= 1u << m;
    }
    return true;
}

bool seam_tool_open_model(const char *path, SeamModel **model, SeamCalibration **calibration, GError **error) {
    g_autofree char *where = g_build_filename(path, "model.json", NULL);
    SeamBundle *bundle = seam_bundle_open(path, false, error);
    *calibration = bundle ? seam_calibration_read(&bundle->config, bundle->meta, where, error) : NULL;
    *model = *calibration ? seam_model_load(path, error) : NULL;
    if (!*model)
        g_clear_pointer(calibration, seam_calibration_free);
    seam_bundle_free(bundle);
    return *model != NULL;
}

void seam_tool_print_json(JsonObject *object) {
    g_autofree char *text = seam_json_print(object);
    printf("%s\n", text);
    json_object_unref(object);
}
