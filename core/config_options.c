// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The optional settings of the model (core/config.h names and explains them).
#include "core/config_options.h"

#include <string.h>

#include "core/config_check.h"
#include "core/files.h"

typedef enum { COUNT, NUMBER, FLAG } Kind; // int32_t, float, bool

typedef struct {
    const char *name;
    Kind kind;
    size_t offset;
    double min, max; // where it is not 0
} Option;

#define OPTION(field, kind, min, max) {#field, kind, offsetof(SeamConfig, field), min, max}
static const Option options[] = {
    OPTION(windows, COUNT, 0, SEAM_MAX_WINDOWS),
    OPTION(hash_bucket, COUNT, 2, 4096),  OPTION(hash_rounds, COUNT, 1, 8), OPTION(hash_causal, FLAG, 0, 1),
    OPTION(gated_budget, NUMBER, 0, 1),   OPTION(scan_state, COUNT, 1, 128), OPTION(fusion_bucket, COUNT, 1, 256),
    OPTION(bank_slots, COUNT, 1, 4096),   OPTION(bank_write, COUNT, 1, 64),  OPTION(exit_every, COUNT, 1, SEAM_MAX_LAYERS),
};

const char *const seam_config_option_names[] = {"windows", "hash_bucket", "hash_rounds", "hash_causal", "gated_budget", "scan_state", "fusion_bucket",
                                                "bank_slots",  "bank_write",  "exit_every",  NULL};
G_STATIC_ASSERT(G_N_ELEMENTS(options) + 1 == G_N_ELEMENTS(seam_config_option_names));

static double value_of(const Option *option, const SeamConfig *config) {
    const char *at = (const char *)config + option->offset;
    int32_t count;
    float number;
    switch (option->kind) {
    case COUNT:
        memcpy(&count, at, sizeof count);
        return count;
    case NUMBER:
        memcpy(&number, at, sizeof number);
        return seam_config_widen(number);
    case FLAG:
        break;
    }
    return *at != 0;
}

static void set(const Option *option, double value, SeamConfig *config) {
    char *at = (char *)config + option->offset;
    if (option->kind == COUNT)
        memcpy(at, &(int32_t){(int32_t)value}, sizeof(int32_t));
    else if (option->kind == NUMBER)
        memcpy(at, &(float){(float)value}, sizeof(float));
    else
        memcpy(at, &(bool){value != 0}, sizeof(bool));
}

static bool read_one(JsonObject *o, const char *where, const Option *option, double *value, GError **error) {
    int64_t count = 0;
    bool flag = false, good = false;
    *value = 0;
    switch (option->kind) {
    case COUNT:
        good = seam_json_int(o, where, option->name, false, (int64_t)option->min, (int64_t)option->max, &count, error);
        *value = (double)count;
        break;
    case NUMBER:
        good = seam_json_double(o, where, option->name, false, option->min, option->max, value, error);
        break;
    case FLAG:
        good = seam_json_bool(o, where, option->name, false, &flag, error);
        *value = flag;
        break;
    }
    return good;
}

bool seam_config_options_read(JsonObject *o, const char *where, SeamConfig *config, GError **error) {
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        double value;
        if (!read_one(o, where, &options[i], &value, error))
            return false;
        set(&options[i], value, config);
    }
    return true;
}

// Options that only make sense together, or with something else; `used` says whether the model has that.
typedef struct {
    const char *name;
    double value;
    bool used;
    const char *by;
} Need;

bool seam_config_has_mixer(const SeamConfig *config, SeamMixer mixer) {
    bool has = false;
    for (int32_t l = 0; l < config->layers; l++)
        has = has || config->mixer[l] == mixer;
    return has;
}

bool seam_config_carries(const SeamConfig *config) {
    return config->bank_slots > 0 || seam_config_has_mixer(config, SEAM_MIXER_SCAN);
}

static bool has_task(const SeamConfig *c, SeamTaskKind kind) {
    bool has = false;
    for (int32_t t = 0; t < c->n_tasks; t++)
        has = has || c->task[t].kind == kind;
    return has;
}

static bool forecasts(const SeamConfig *c) {
    bool has = false;
    for (int32_t t = 0; t < c->n_tasks; t++)
        has = has || (c->task[t].kind == SEAM_TASK_GENERATE && c->task[t].what == SEAM_GENERATE_FORECAST);
    return has;
}

// What would have no effect, or could not be.
static bool check_sense(const SeamConfig *c, const char *where, GError **error) {
    if (c->hash_causal && !seam_config_has_mixer(c, SEAM_MIXER_HASH))
        return seam_config_refuse(where, error, "\"hash_causal\" needs a layer with \"mixer\" \"hash\"");
    if (c->fusion_bucket > 0 && c->fusion_layers == 0)
        return seam_config_refuse(where, error, "\"fusion_bucket\" is %d, but \"fusion_layers\" is 0: give the fusion a layer, or leave it out", c->fusion_bucket);
    if (c->bank_write > c->bank_slots)
        return seam_config_refuse(where, error, "\"bank_write\" is %d, must be at most \"bank_slots\" (%d): a window would push out what it has just written",
                                  c->bank_write, c->bank_slots);
    if (c->exit_every >= c->layers)
        return seam_config_refuse(where, error, "\"exit_every\" is %d, must be less than \"layers\" (%d): there would be no layer to leave out", c->exit_every,
                                  c->layers);
    if (c->exit_every > 0 && (c->n_classes < 2 || !has_task(c, SEAM_TASK_CLASSIFY)))
        return seam_config_refuse(where, error, "\"exit_every\" needs a task of kind \"classify\" and two \"classes\" at least: an exit is taken when the class is sure");
    if (c->exit_every > 0 && seam_config_has_mixer(c, SEAM_MIXER_SCAN))
        return seam_config_refuse(where, error, "\"exit_every\" cannot be beside a layer with \"mixer\" \"scan\": a sequence that leaves would be a hole in what the scan knows of its stream");
    if (c->windows > 0 && has_task(c, SEAM_TASK_RUL))
        return seam_config_refuse(where, error, "\"windows\" is %d, but a task of kind \"rul\" judges the last window: leave \"windows\" out", c->windows);
    if (c->windows == 1 && forecasts(c))
        return seam_config_refuse(where, error, "\"windows\" is 1, but \"what\" \"forecast\" needs a window after it: take 2 or more, or leave \"windows\" out");
    return true;
}

bool seam_config_options_check(const SeamConfig *c, const char *where, GError **error) {
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        double value = value_of(&options[i], c);
        if (value != 0 && !seam_config_check_number(value, options[i].min, options[i].max, options[i].name, where, error))
            return false;
    }
    const char *hash = "a layer with \"mixer\" \"hash\"", *gated = "a layer with \"mixer\" \"gated\"", *scan = "a layer with \"mixer\" \"scan\"";
    const Need needs[] = {
        {"hash_bucket", c->hash_bucket, seam_config_has_mixer(c, SEAM_MIXER_HASH), hash}, {"hash_rounds", c->hash_rounds, seam_config_has_mixer(c, SEAM_MIXER_HASH), hash},
        {"gated_budget", c->gated_budget, seam_config_has_mixer(c, SEAM_MIXER_GATED), gated}, {"scan_state", c->scan_state, seam_config_has_mixer(c, SEAM_MIXER_SCAN), scan},
        {"bank_write", c->bank_write, c->bank_slots > 0, "\"bank_slots\""}, {"bank_slots", c->bank_slots, c->bank_write > 0, "\"bank_write\""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(needs); i++)
        if (!needs[i].used != !needs[i].value)
            return seam_config_refuse(where, error, needs[i].used ? "\"%s\" must be there: %s needs it" : "\"%s\" needs %s", needs[i].name, needs[i].by);
    return check_sense(c, where, error);
}

void seam_config_options_print(const SeamConfig *config, JsonObject *o) {
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        double value = value_of(&options[i], config);
        if (value == 0)
            continue;
        if (options[i].kind == COUNT)
            json_object_set_int_member(o, options[i].name, (int64_t)value);
        else if (options[i].kind == NUMBER)
            json_object_set_double_member(o, options[i].name, value);
        else
            json_object_set_boolean_member(o, options[i].name, true);
    }
}
