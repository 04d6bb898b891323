// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a task of kind "generate" makes, and the sizes that it needs for that (core/config.h names and explains them).
#include "core/config_generate.h"

#include <string.h>

#include "core/config_check.h"
#include "core/error.h"
#include "core/files.h"

enum { FIELDS = 4 };

static const char *const what_names[] = {[SEAM_GENERATE_FORECAST] = "forecast", [SEAM_GENERATE_TEXT] = "text", [SEAM_GENERATE_SIGNAL] = "signal"};

static const double least_mask = 0.02, most_mask = 0.5; // a window loses up to twice as much

#define TASK_FIELD(field, min, max) {#field, offsetof(SeamTask, field), min, max}
static const SeamConfigField size_fields[][FIELDS] = {
    [SEAM_GENERATE_FORECAST] = {TASK_FIELD(horizon, 1, 1 << 16), {0}},
    [SEAM_GENERATE_TEXT] = {TASK_FIELD(depth, 1, 4), TASK_FIELD(width, 16, SEAM_MAX_SAID), TASK_FIELD(length, 64, SEAM_MAX_FINDING - 1), {0}},
    [SEAM_GENERATE_SIGNAL] = {{0}},
};

static bool of_modality(const SeamTask *task) {
    return task->what != SEAM_GENERATE_TEXT;
}

static bool read_what(JsonObject *o, const char *where, SeamTask *task, GError **error) {
    const char *text = NULL;
    if (!seam_json_string(o, where, "what", true, &text, error))
        return false;
    for (unsigned i = 0; i < G_N_ELEMENTS(what_names); i++)
        if (strcmp(text, what_names[i]) == 0) {
            task->what = (SeamGenerate)i;
            return true;
        }
    return seam_config_refuse(where, error, "\"what\" must be \"forecast\", \"text\" or \"signal\"");
}

static bool read_mask(JsonObject *o, const char *where, SeamTask *task, GError **error) {
    double mask = 0;
    if (task->what != SEAM_GENERATE_SIGNAL)
        return true;
    if (!seam_json_double(o, where, "mask", true, least_mask, most_mask, &mask, error))
        return false;
    task->mask = (float)mask;
    return true;
}

// Only the fields of this one.
static bool check_known(JsonObject *o, const char *where, const SeamTask *task, GError **error) {
    const char *known[4 + FIELDS] = {"name", "kind", "rank", "what"};
    int32_t n = 4;
    if (of_modality(task))
        known[n++] = "modality";
    if (task->what == SEAM_GENERATE_SIGNAL)
        known[n++] = "mask";
    for (const SeamConfigField *f = size_fields[task->what]; f->name; f++)
        known[n++] = f->name;
    return seam_json_known(o, where, known, error);
}

bool seam_config_generate_read(JsonObject *o, const char *where, SeamTask *task, GError **error) {
    const char *of = "";
    if (!read_what(o, where, task, error) || !check_known(o, where, task, error) ||
        !seam_config_read_fields(o, size_fields[task->what], task, where, error) || !read_mask(o, where, task, error) ||
        (of_modality(task) && !seam_json_string(o, where, "modality", true, &of, error)))
        return false;
    if (strlen(of) >= sizeof task->of)
        return seam_config_refuse(where, error, "\"modality\" holds a name of %zu bytes, must be the name of a modality", strlen(of));
    strcpy(task->of, of);
    return true;
}

// Something must be left to tell it from, and all that may be missing must find a place in a result.
static bool check_signal(const SeamConfig *c, const SeamTask *task, int32_t m, const char *where, GError **error) {
    int32_t stretches = seam_modality_stretches(c, m);
    int64_t told = 0;
    if (stretches * (c->modality[m].sensor.together ? 1 : c->modality[m].channels) < 2)
        return seam_config_refuse(where, error, "\"what\" \"signal\" needs windows of 2 stretches at least, those of \"%s\" have 1: choose a smaller \"patch\"",
                                  task->of);
    for (const SeamTask *t = c->task; t <= task; t++) {
        int32_t of = t->kind == SEAM_TASK_GENERATE && t->what == SEAM_GENERATE_SIGNAL ? seam_config_modality(c, t->of) : -1;
        told += of >= 0 ? (int64_t)seam_modality_stretches(c, of) * c->modality[of].channels : 0;
    }
    if (told > SEAM_MAX_FILLED)
        return seam_config_refuse(where, error, "\"what\" \"signal\" would tell up to %" G_GINT64_FORMAT " stretches of channels a window, must be at most %d: "
                                  "choose a larger \"patch\" for \"%s\"",
                                  told, SEAM_MAX_FILLED, task->of);
    return seam_config_check_number(seam_config_widen(task->mask), least_mask, most_mask, "mask", where, error);
}

static bool check_modality(const SeamConfig *c, const SeamTask *task, const char *where, GError **error) {
    int32_t m = seam_config_modality(c, task->of);
    if (m < 0 || c->modality[m].front != SEAM_FRONT_SENSOR)
        return seam_config_refuse(where, error, "\"modality\" is \"%.*s\", must be the name of a modality with \"front\" \"sensor\"", SEAM_NAME_LENGTH - 1,
                                  task->of);
    for (const SeamTask *before = c->task; before < task; before++)
        if (before->kind == SEAM_TASK_GENERATE && before->what == task->what && strcmp(before->of, task->of) == 0)
            return seam_config_refuse(where, error, "\"what\" \"%s\" is asked for twice of \"%s\": leave one task out", what_names[task->what], task->of);
    int32_t stretches = seam_modality_stretches(c, m);
    if (task->what == SEAM_GENERATE_SIGNAL)
        return check_signal(c, task, m, where, error);
    return task->horizon <= stretches ||
           seam_config_refuse(where, error, "\"horizon\" is %d, must be at most the %d stretches of a window of \"%s\"", task->horizon, stretches, task->of);
}

static bool check_text(const SeamConfig *c, const SeamTask *task, const char *where, GError **error) {
    bool classified = false;
    for (const SeamTask *before = c->task; before < task; before++) {
        classified = classified || before->kind == SEAM_TASK_CLASSIFY;
        if (before->kind == SEAM_TASK_GENERATE && before->what == SEAM_GENERATE_TEXT)
            return seam_config_refuse(where, error, "\"what\" \"text\" is asked for twice: leave one task out");
    }
    if (task->width % SEAM_FINDING_HEADS != 0)
        return seam_config_refuse(where, error, "\"width\" is %d, must be a multiple of %d", task->width, SEAM_FINDING_HEADS);
    return classified || seam_config_refuse(where, error, "\"what\" \"text\" needs a task of kind \"classify\" before this one: it says in words what that found");
}

bool seam_config_generate_check(const SeamConfig *c, const SeamTask *task, const char *where, GError **error) {
    if (task->what > SEAM_GENERATE_SIGNAL)
        return seam_config_refuse(where, error, "\"what\" is none of \"forecast\", \"text\" and \"signal\"");
    return seam_config_check_fields(size_fields[task->what], task, where, error) &&
           (of_modality(task) ? check_modality(c, task, where, error) : check_text(c, task, where, error));
}

void seam_config_generate_print(const SeamTask *task, JsonObject *o) {
    json_object_set_string_member(o, "what", what_names[task->what]);
    if (of_modality(task))
        json_object_set_string_member(o, "modality", task->of);
    if (task->what == SEAM_GENERATE_SIGNAL)
        json_object_set_double_member(o, "mask", seam_config_widen(task->mask));
    for (const SeamConfigField *f = size_fields[task->what]; f->name; f++) {
        int32_t value;
        memcpy(&value, (const char *)task + f->offset, sizeof value);
        json_object_set_int_member(o, f->name, value);
    }
}
