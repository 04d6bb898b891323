// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a task of kind "generate" makes, and the sizes that it needs for that (core/config.h names and explains them).
#include "core/config_generate.h"

#include <string.h>

#include "core/config_check.h"
#include "core/error.h"
#include "core/files.h"

enum { FIELDS = 4 };

static const char *const what_names[] = {[SEAM_GENERATE_FORECAST] = "forecast", [SEAM_GENERATE_TEXT] = "text"};

#define TASK_FIELD(field, min, max) {#field, offsetof(SeamTask, field), min, max}
static const SeamConfigField size_fields[][FIELDS] = {
    [SEAM_GENERATE_FORECAST] = {TASK_FIELD(horizon, 1, 1 << 16), {0}},
    [SEAM_GENERATE_TEXT] = {TASK_FIELD(depth, 1, 4), TASK_FIELD(width, 16, SEAM_MAX_SAID), TASK_FIELD(length, 64, SEAM_MAX_FINDING - 1), {0}},
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
    return seam_config_refuse(where, error, "\"what\" must be \"forecast\" or \"text\"");
}

// Only the fields of this one.
static bool check_known(JsonObject *o, const char *where, const SeamTask *task, GError **error) {
    const char *known[4 + FIELDS] = {"name", "kind", "rank", "what"};
    int32_t n = 4;
    if (of_modality(task))
        known[n++] = "modality";
    for (const SeamConfigField *f = size_fields[task->what]; f->name; f++)
        known[n++] = f->name;
    return seam_json_known(o, where, known, error);
}

bool seam_config_generate_read(JsonObject *o, const char *where, SeamTask *task, GError **error) {
    const char *of = "";
    if (!read_what(o, where, task, error) || !check_known(o, where, task, error) ||
        !seam_config_read_fields(o, size_fields[task->what], task, where, error) ||
        (of_modality(task) && !seam_json_string(o, where, "modality", true, &of, error)))
        return false;
    if (strlen(of) >= sizeof task->of)
        return seam_config_refuse(where, error, "\"modality\" holds a name of %zu bytes, must be the name of a modality", strlen(of));
    strcpy(task->of, of);
    return true;
}

static bool check_modality(const SeamConfig *c, const SeamTask *task, const char *where, GError **error) {
    int32_t m = seam_config_modality(c, task->of);
    if (m < 0 || c->modality[m].front != SEAM_FRONT_SENSOR)
        return seam_config_refuse(where, error, "\"modality\" is \"%.*s\", must be the name of a modality with \"front\" \"sensor\"", SEAM_NAME_LENGTH - 1,
                                  task->of);
    for (const SeamTask *before = c->task; before < task; before++)
        if (before->kind == SEAM_TASK_GENERATE && before->what == task->what && strcmp(before->of, task->of) == 0)
            return seam_config_refuse(where, error, "\"what\" \"%s\" is asked for twice of \"%s\": leave one task out", what_names[task->what], task->of);
    int32_t stretches = (int32_t)(c->window * c->modality[m].sensor.rate + 0.5) / c->modality[m].sensor.patch;
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
    if (task->what > SEAM_GENERATE_TEXT)
        return seam_config_refuse(where, error, "\"what\" is neither \"forecast\" nor \"text\"");
    return seam_config_check_fields(size_fields[task->what], task, where, error) &&
           (of_modality(task) ? check_modality(c, task, where, error) : check_text(c, task, where, error));
}

void seam_config_generate_print(const SeamTask *task, JsonObject *o) {
    json_object_set_string_member(o, "what", what_names[task->what]);
    if (of_modality(task))
        json_object_set_string_member(o, "modality", task->of);
    for (const SeamConfigField *f = size_fields[task->what]; f->name; f++) {
        int32_t value;
        memcpy(&value, (const char *)task + f->offset, sizeof value);
        json_object_set_int_member(o, f->name, value);
    }
}
