// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Which configurations make sense: limits and relations, the presets, and what follows from a
// configuration. It reads no JSON.
#include "core/config_check.h"

#include <math.h>
#include <string.h>

#include "core/config_envelope.h"
#include "core/config_generate.h"
#include "core/config_options.h"
#include "core/error.h"

enum {
    MAX_GRID = 256,              // cells each way of a picture
    MAX_MAP = 64,                // the same of one with a map: SEAM_MAX_HEAT of a result
    MAX_SAMPLES = 1 << 22,       // of one channel in a window
    MAX_WINDOW_TOKENS = 1 << 16, // of one input
    MAX_QUANTILES = 1024,
};

#define SIZE_FIELD(field, min, max)                                                                \
    { #field, offsetof(SeamConfig, field), min, max }
const SeamConfigField seam_config_size_fields[] = {
    SIZE_FIELD(dim, 8, 8192),
    SIZE_FIELD(layers, 1, SEAM_MAX_LAYERS),
    SIZE_FIELD(heads, 1, 1024),
    SIZE_FIELD(experts, 1, SEAM_MAX_EXPERTS),
    SIZE_FIELD(groups, 1, SEAM_MAX_EXPERTS),
    SIZE_FIELD(groups_kept, 1, SEAM_MAX_EXPERTS),
    SIZE_FIELD(top_k, 1, SEAM_MAX_EXPERTS),
    SIZE_FIELD(expert_width, 1, 65536),
    SIZE_FIELD(router_rank, 1, 1024),
    SIZE_FIELD(local_radius, 0, 1024),
    SIZE_FIELD(fusion_layers, 0, 16),
    SIZE_FIELD(fusion_neighbours, 0, 1024),
    SIZE_FIELD(fusion_width, 1, 65536),
    {0},
};

#define MODALITY_FIELD(part, field, min, max)                                                      \
    { #field, offsetof(SeamModality, part.field), min, max }
const SeamConfigField seam_config_image_fields[] = {
    MODALITY_FIELD(image, size, 2, 4096),
    {0},
};
const SeamConfigField seam_config_sensor_fields[] = {
    MODALITY_FIELD(sensor, patch, 1, 65536),
    MODALITY_FIELD(sensor, time_bins, 0, 4096),
    MODALITY_FIELD(sensor, fft, 0, 65536),
    MODALITY_FIELD(sensor, bands, 0, 4096),
    MODALITY_FIELD(sensor, arc_channel, -1, SEAM_MAX_CHANNELS - 1),
    {0},
};
const SeamConfigField seam_config_text_fields[] = {
    MODALITY_FIELD(text, buckets, 1, 1 << 24),
    MODALITY_FIELD(text, ngram_min, 1, 32),
    MODALITY_FIELD(text, ngram_max, 1, 32),
    MODALITY_FIELD(text, max_tokens, 1, 1024),
    {0},
};
const SeamConfigField seam_config_features_fields[] = {
    MODALITY_FIELD(features, tokens, 1, SEAM_MAX_FEATURES),
    {"quantiles", offsetof(SeamModality, features.quantiles), 0, MAX_QUANTILES, SEAM_FIELD_SHOWN},
    {0},
};

#define TASK_FIELD(field, min, max)                                                                \
    { #field, offsetof(SeamTask, field), min, max }
const SeamConfigField seam_config_task_fields[][5] = {
    [SEAM_TASK_CLASSIFY] = {TASK_FIELD(rank, 0, 1024), {0}},
    [SEAM_TASK_LOCALISE] = {TASK_FIELD(rank, 0, 1024), TASK_FIELD(upscale, 1, 4), {0}},
    [SEAM_TASK_ANOMALY] = {TASK_FIELD(rank, 0, 1024),
                           TASK_FIELD(memory, 1, 1 << 20),
                           TASK_FIELD(neighbours, 1, 64),
                           {"patches", offsetof(SeamTask, patches), 0, 5, SEAM_FIELD_HIDDEN},
                           {0}},
    [SEAM_TASK_RUL] = {TASK_FIELD(rank, 0, 1024),
                       TASK_FIELD(limit, 1, 1 << 24),
                       TASK_FIELD(bins, 2, 1024),
                       {0}},
    [SEAM_TASK_GENERATE] = {TASK_FIELD(rank, 0, 1024), {0}}, // and those of config_generate.c
};

const char *const seam_config_front_names[] = {
    [SEAM_FRONT_IMAGE] = "image", [SEAM_FRONT_SENSOR] = "sensor", [SEAM_FRONT_TEXT] = "text",
    [SEAM_FRONT_FEATURES] = "features", NULL};
const char *const seam_config_mixer_names[] = {
    [SEAM_MIXER_GLOBAL] = "global", [SEAM_MIXER_LOCAL] = "local", [SEAM_MIXER_HASH] = "hash",
    [SEAM_MIXER_GATED] = "gated",   [SEAM_MIXER_SCAN] = "scan",   NULL};
const char *const seam_config_kind_names[] = {[SEAM_TASK_CLASSIFY] = "classify",
                                              [SEAM_TASK_LOCALISE] = "localise",
                                              [SEAM_TASK_ANOMALY] = "anomaly",
                                              [SEAM_TASK_RUL] = "rul",
                                              [SEAM_TASK_GENERATE] = "generate",
                                              NULL};
const char *const seam_config_box_names[] = {
    [SEAM_BOXES_COMPONENTS] = "components", [SEAM_BOXES_REGRESS] = "regress", NULL};

const char *const seam_config_normalise_names[] = {"none", "picture", NULL};

const SeamConfigField *seam_config_front_fields(SeamFront front) {
    static const SeamConfigField *const fields[] = {
        [SEAM_FRONT_IMAGE] = seam_config_image_fields,
        [SEAM_FRONT_SENSOR] = seam_config_sensor_fields,
        [SEAM_FRONT_TEXT] = seam_config_text_fields,
        [SEAM_FRONT_FEATURES] = seam_config_features_fields,
    };
    return fields[front];
}

int32_t seam_config_most_channels(SeamFront front) {
    return front == SEAM_FRONT_FEATURES ? SEAM_MAX_FEATURES : SEAM_MAX_CHANNELS;
}

// Pictures: the middle and a quarter of 0..255, so that inputs lie in -2..2.
float seam_config_default_mean(SeamFront front) {
    return front == SEAM_FRONT_IMAGE ? 127.5f : 0.0f;
}

float seam_config_default_std(SeamFront front) {
    return front == SEAM_FRONT_IMAGE ? 64.0f : 1.0f;
}

// ---- checks: `where` begins the message
// ----------------------------------------------------------

bool seam_config_refuse(const char *where, GError **error, const char *format, ...) {
    va_list list;
    va_start(list, format);
    g_autofree char *text = g_strdup_vprintf(format, list);
    va_end(list);
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: %s", where, text);
    return false;
}

bool seam_config_check_fields(const SeamConfigField *fields, const void *object, const char *where,
                              GError **error) {
    for (; fields->name; fields++) {
        int32_t value;
        memcpy(&value, (const char *)object + fields->offset, sizeof value);
        if (value < fields->min || value > fields->max)
            return seam_config_refuse(where, error, "\"%s\" is %d, must be %d to %d", fields->name, value,
                          fields->min, fields->max);
    }
    return true;
}

bool seam_config_check_number(double value, double min, double max, const char *field,
                              const char *where, GError **error) {
    return (value >= min && value <= max) ||
           seam_config_refuse(where, error, "\"%s\" is %g, must be %g to %g", field, value, min, max);
}

// Names of modalities and tasks become parts of parameter and file names.
static bool check_plain_name(const char *name, const char *where, GError **error) {
    size_t length = strnlen(name, SEAM_NAME_LENGTH);
    bool plain = length > 0 && length < SEAM_NAME_LENGTH;
    for (size_t i = 0; i < length; i++)
        plain = plain && (g_ascii_isalnum(name[i]) || name[i] == '-' || name[i] == '_');
    return plain || seam_config_refuse(where, error, "\"name\" must be 1 to %d letters, digits, - or _",
                           SEAM_NAME_LENGTH - 1);
}

// Names of classes and channels are shown and compared only: any text without control characters.
static bool check_shown_name(const char *name, const char *field, const char *where,
                             GError **error) {
    size_t length = strnlen(name, SEAM_NAME_LENGTH);
    bool shown =
        length > 0 && length < SEAM_NAME_LENGTH && g_utf8_validate(name, (gssize)length, NULL);
    for (size_t i = 0; i < length; i++)
        shown = shown && (unsigned char)name[i] >= 0x20 && name[i] != 0x7F;
    return shown || seam_config_refuse(where, error,
                           "\"%s\" must hold names of 1 to %d bytes without control characters",
                           field, SEAM_NAME_LENGTH - 1);
}

// n names, `step` bytes apart, all different.
static bool check_unique(const char *names, int32_t n, size_t step, const char *field,
                         const char *where, GError **error) {
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < i; j++)
            if (strcmp(names + (size_t)i * step, names + (size_t)j * step) == 0)
                return seam_config_refuse(where, error, "\"%s\" has \"%s\" twice", field,
                              names + (size_t)i * step);
    return true;
}

static bool check_sizes(const SeamConfig *c, const char *where, GError **error) {
    if (!seam_config_check_fields(seam_config_size_fields, c, where, error))
        return false;
    if (c->dim % c->heads != 0 || c->dim / c->heads > 128)
        return seam_config_refuse(where, error,
                      "\"heads\" is %d, must divide \"dim\" (%d) into at most 128 each", c->heads,
                      c->dim);
    if (c->experts % c->groups != 0)
        return seam_config_refuse(where, error, "\"groups\" is %d, must divide \"experts\" (%d)", c->groups,
                      c->experts);
    if (c->groups_kept > c->groups)
        return seam_config_refuse(where, error, "\"groups_kept\" is %d, must be at most \"groups\" (%d)",
                      c->groups_kept, c->groups);
    if (c->top_k > c->groups_kept * (c->experts / c->groups))
        return seam_config_refuse(where, error,
                      "\"top_k\" is %d, must be at most the %d experts of the kept groups",
                      c->top_k, c->groups_kept * (c->experts / c->groups));
    for (int32_t i = 0; i < c->layers; i++)
        if (c->mixer[i] > SEAM_MIXER_SCAN)
            return seam_config_refuse(where, error, "\"mixer\" of layer %d is none of \"global\", \"local\", \"hash\", \"gated\", \"scan\"", i);
    return seam_config_check_number(c->gate_threshold, 0.0, 1.0, "gate_threshold", where, error) &&
           seam_config_check_number(c->window, 0.001, 3600.0, "window", where, error);
}

static bool check_image(const SeamConfig *c, const SeamModality *m, const char *where,
                        GError **error) {
    const SeamImageConfig *image = &m->image;
    if (m->channels != 1 && m->channels != 3)
        return seam_config_refuse(where, error, "\"channels\" is %d, must be 1 (grey) or 3 (RGB)", m->channels);
    if (image->normalise_picture && m->channels != 1)
        return seam_config_refuse(where, error, "\"normalise\" is \"picture\", which needs \"channels\" 1 (grey)");
    if (image->stem_layers < 1 || image->stem_layers > SEAM_MAX_STEM)
        return seam_config_refuse(where, error, "\"stem\" has %d widths, must have 1 to %d", image->stem_layers,
                      SEAM_MAX_STEM);
    for (int32_t i = 0; i < image->stem_layers; i++)
        if (image->stem_width[i] < 1 || image->stem_width[i] > 8192)
            return seam_config_refuse(where, error, "\"stem\" has the width %d, must be 1 to 8192",
                          image->stem_width[i]);
    for (int32_t i = 0; i < image->stem_layers; i++)
        if (image->blocks[i] < 0 || image->blocks[i] > SEAM_MAX_BLOCKS)
            return seam_config_refuse(where, error, "\"blocks\" has %d, must be 0 to %d", image->blocks[i],
                          SEAM_MAX_BLOCKS);
    if (image->stem_width[image->stem_layers - 1] != c->dim)
        return seam_config_refuse(where, error, "\"stem\" ends with %d, must end with \"dim\" (%d)",
                      image->stem_width[image->stem_layers - 1], c->dim);
    if (image->size % (1 << image->stem_layers) != 0 || seam_modality_grid(m) > MAX_GRID)
        return seam_config_refuse(where, error, "\"size\" is %d, must be a multiple of %d and at most %d",
                      image->size, 1 << image->stem_layers, MAX_GRID << image->stem_layers);
    return true;
}

static bool check_channel_names(const SeamModality *m, const char *where, GError **error) {
    bool named = false;
    for (int32_t i = 0; i < m->channels; i++)
        named = named || m->sensor.channel_name[i][0];
    if (!named)
        return true;
    for (int32_t i = 0; i < m->channels; i++)
        if (!check_shown_name(m->sensor.channel_name[i], "channel_names", where, error))
            return false;
    return check_unique(m->sensor.channel_name[0], m->channels, SEAM_NAME_LENGTH, "channel_names",
                        where, error);
}

static bool check_columns(const SeamModality *m, const char *where, GError **error) {
    for (int32_t i = 0; i < m->channels; i++)
        if (m->sensor.column[i] < 0 || m->sensor.column[i] > SEAM_MAX_COLUMN || (m->sensor.column[i] > 0) != (m->sensor.column[0] > 0))
            return seam_config_refuse(where, error, "\"columns\" must hold 1 to %d for each channel", SEAM_MAX_COLUMN);
    return true;
}

static bool check_sensor(const SeamConfig *c, const SeamModality *m, const char *where,
                         GError **error) {
    const SeamSensorConfig *s = &m->sensor;
    if (m->channels < 1 || m->channels > SEAM_MAX_CHANNELS)
        return seam_config_refuse(where, error, "\"channels\" is %d, must be 1 to %d", m->channels,
                      SEAM_MAX_CHANNELS);
    if (!seam_config_check_number(s->rate, 1e-3, 1e6, "rate", where, error))
        return false;
    double samples = c->window * s->rate;
    if (!(samples <= MAX_SAMPLES) || !(fabs(samples - round(samples)) <= 1e-6 * samples) ||
        samples < 0.5 || (int32_t)round(samples) % s->patch != 0)
        return seam_config_refuse(where, error,
                      "\"rate\" times \"window\" is %g samples, must be a multiple of \"patch\" "
                      "(%d), at most %d",
                      samples, s->patch, MAX_SAMPLES);
    if (!s->envelope.bands && (s->time_bins == 0 || s->patch % s->time_bins != 0))
        return seam_config_refuse(where, error, "\"time_bins\" is %d, must divide \"patch\" (%d)", s->time_bins,
                      s->patch);
    if (!seam_config_envelope_check(s, where, error))
        return false;
    if (s->bands == 0 ? s->fft != 0 : s->fft < 2 || s->fft > s->patch)
        return seam_config_refuse(where, error,
                      "\"fft\" is %d, must be 2 to \"patch\" (%d), or 0 when \"bands\" is 0",
                      s->fft, s->patch);
    if (s->bands > s->fft / 2)
        return seam_config_refuse(where, error, "\"bands\" is %d, must be at most half of \"fft\" (%d)",
                      s->bands, s->fft);
    if (s->arc_channel >= m->channels)
        return seam_config_refuse(where, error, "\"arc_channel\" is %d, must be below \"channels\" (%d), or -1",
                      s->arc_channel, m->channels);
    int64_t tokens = (int64_t)round(samples) / s->patch * (s->together ? 1 : m->channels) *
                     (s->bands > 0 ? 2 : 1);
    if (tokens > MAX_WINDOW_TOKENS)
        return seam_config_refuse(where, error,
                      "a window gives %" G_GINT64_FORMAT
                      " tokens, must be at most %d: take a larger \"patch\"",
                      tokens, MAX_WINDOW_TOKENS);
    return check_columns(m, where, error) && check_channel_names(m, where, error);
}

static bool check_text(const SeamModality *m, const char *where, GError **error) {
    if (m->channels != 0)
        return seam_config_refuse(where, error, "\"channels\" is %d, must be 0 for text", m->channels);
    if (m->text.ngram_min > m->text.ngram_max)
        return seam_config_refuse(where, error, "\"ngram_min\" is %d, must be at most \"ngram_max\" (%d)",
                      m->text.ngram_min, m->text.ngram_max);
    return true;
}

static bool check_features(const SeamModality *m, const char *where, GError **error) {
    if (m->channels < 1 || m->channels > SEAM_MAX_FEATURES)
        return seam_config_refuse(where, error, "\"channels\" is %d, must be 1 to %d", m->channels,
                      SEAM_MAX_FEATURES);
    if (m->features.tokens > m->channels)
        return seam_config_refuse(where, error, "\"tokens\" is %d, must be at most \"channels\" (%d)",
                      m->features.tokens, m->channels);
    int32_t quantiles = m->features.quantiles;
    return quantiles == 0 || (quantiles >= 2 && quantiles <= MAX_QUANTILES) ||
           seam_config_refuse(where, error, "\"quantiles\" is %d, must be 2 to %d, or 0 for none", quantiles,
                  MAX_QUANTILES);
}

static bool check_front(const SeamConfig *c, const SeamModality *m, const char *where,
                        GError **error) {
    switch (m->front) {
    case SEAM_FRONT_IMAGE:
        return check_image(c, m, where, error);
    case SEAM_FRONT_SENSOR:
        return check_sensor(c, m, where, error);
    case SEAM_FRONT_TEXT:
        return check_text(m, where, error);
    case SEAM_FRONT_FEATURES:
        return check_features(m, where, error);
    }
    return false;
}

static bool check_modality(const SeamConfig *c, const SeamModality *m, const char *where,
                           GError **error) {
    if (m->front > SEAM_FRONT_FEATURES)
        return seam_config_refuse(where, error,
                      "\"front\" is none of \"image\", \"sensor\", \"text\", \"features\"");
    if (!check_plain_name(m->name, where, error) ||
        !seam_config_check_fields(seam_config_front_fields(m->front), m, where, error) ||
        !check_front(c, m, where, error))
        return false;
    if (m->delta_rank < 0 || m->delta_rank > c->dim)
        return seam_config_refuse(where, error, "\"delta_rank\" is %d, must be 0 to \"dim\" (%d)",
                      m->delta_rank, c->dim);
    for (int32_t i = 0; i < m->channels; i++)
        if (!seam_config_check_number(m->mean[i], -1e30, 1e30, "mean", where, error) ||
            !seam_config_check_number(m->std[i], 1e-20, 1e30, "std", where, error))
            return false;
    return seam_config_check_number(m->arc_on, 0.0, 1e30, "arc_on", where, error);
}

static bool check_boxes(const SeamConfig *c, const SeamTask *t, const char *where,
                        GError **error) {
    bool classified = false;
    if (t->boxes != SEAM_BOXES_COMPONENTS && t->boxes != SEAM_BOXES_REGRESS)
        return seam_config_refuse(where, error, "\"boxes\" is none of \"components\", \"regress\"");
    if (t->boxes == SEAM_BOXES_COMPONENTS && (t->by_class || t->good_boxes))
        return seam_config_refuse(where, error, "\"%s\" needs \"boxes\": \"regress\"",
                      t->by_class ? "by_class" : "good_boxes");
    for (const SeamTask *before = c->task; before < t; before++)
        classified = classified || before->kind == SEAM_TASK_CLASSIFY;
    return !t->by_class || classified ||
           seam_config_refuse(where, error, "\"by_class\" needs a task of kind \"classify\" before this one");
}

// The map must fit a result.
static bool check_patches(const SeamConfig *c, const SeamTask *t, const char *where, GError **error) {
    if (t->patches == 0)
        return true;
    if (t->kind != SEAM_TASK_ANOMALY || t->patches < 0 || t->patches > 5 || t->patches % 2 == 0)
        return seam_config_refuse(where, error, "\"patches\" is %d, must be 1, 3 or 5 (0: none), of a task of kind \"anomaly\"", t->patches);
    for (int32_t m = 0; m < c->n_modalities; m++)
        if (c->modality[m].front == SEAM_FRONT_IMAGE && seam_modality_grid(&c->modality[m]) > MAX_MAP)
            return seam_config_refuse(where, error, "\"patches\" needs pictures of at most %d cells each way, \"%s\" has %d", MAX_MAP, c->modality[m].name,
                          seam_modality_grid(&c->modality[m]));
    return seam_config_front(c, SEAM_FRONT_IMAGE) >= 0 || seam_config_refuse(where, error, "\"patches\" needs a modality with \"front\" \"image\"");
}

static bool check_task(const SeamConfig *c, const SeamTask *t, const char *where, GError **error) {
    if (!check_plain_name(t->name, where, error))
        return false;
    if (t->kind > SEAM_TASK_GENERATE)
        return seam_config_refuse(where, error,
                      "\"kind\" is none of \"classify\", \"localise\", \"anomaly\", \"rul\", \"generate\"");
    if (!seam_config_check_fields(seam_config_task_fields[t->kind], t, where, error))
        return false;
    if (!check_patches(c, t, where, error))
        return false;
    if (t->rank > c->dim)
        return seam_config_refuse(where, error, "\"rank\" is %d, must be at most \"dim\" (%d)", t->rank,
                      c->dim);
    if ((t->kind == SEAM_TASK_CLASSIFY || t->kind == SEAM_TASK_LOCALISE) && c->n_classes < 2)
        return seam_config_refuse(where, error, "the task needs at least 2 names in \"classes\"");
    if (t->kind == SEAM_TASK_ANOMALY && t->neighbours > t->memory)
        return seam_config_refuse(where, error, "\"neighbours\" is %d, must be at most \"memory\" (%d)",
                      t->neighbours, t->memory);
    if (t->kind == SEAM_TASK_GENERATE)
        return seam_config_generate_check(c, t, where, error);
    if (t->kind != SEAM_TASK_LOCALISE)
        return true;
    if (t->upscale == 3)
        return seam_config_refuse(where, error, "\"upscale\" is 3, must be 1, 2 or 4");
    if (!check_boxes(c, t, where, error))
        return false;
    return seam_config_front(c, SEAM_FRONT_IMAGE) >= 0 ||
           seam_config_refuse(where, error, "the task needs a modality with \"front\" \"image\"");
}

static bool check_modalities(const SeamConfig *c, const char *where, GError **error) {
    if (c->n_modalities < 1 || c->n_modalities > SEAM_MAX_MODALITIES)
        return seam_config_refuse(where, error, "\"modalities\" has %d, must have 1 to %d", c->n_modalities,
                      SEAM_MAX_MODALITIES);
    for (int32_t i = 0; i < c->n_modalities; i++) {
        g_autofree char *place = g_strdup_printf("%s: modalities[%d]", where, i);
        if (!check_modality(c, &c->modality[i], place, error))
            return false;
    }
    return check_unique(c->modality[0].name, c->n_modalities, sizeof *c->modality, "modalities",
                        where, error);
}

static bool check_label_names(const SeamConfig *c, const char *where, GError **error) {
    if (c->n_label_names < 0 || c->n_label_names > SEAM_MAX_CLASSES)
        return seam_config_refuse(where, error, "\"label_names\" has %d, must have 0 to %d", c->n_label_names,
                      SEAM_MAX_CLASSES);
    for (int32_t i = 0; i < c->n_label_names; i++)
        if (!check_shown_name(c->label_name[i], "label_names", where, error))
            return false;
    return check_unique(c->label_name[0], c->n_label_names, sizeof *c->label_name, "label_names",
                        where, error);
}

static bool check_classes(const SeamConfig *c, const char *where, GError **error) {
    if (c->n_classes < 0 || c->n_classes > SEAM_MAX_CLASSES)
        return seam_config_refuse(where, error, "\"classes\" has %d, must have 0 to %d", c->n_classes,
                      SEAM_MAX_CLASSES);
    for (int32_t i = 0; i < c->n_classes; i++)
        if (!check_shown_name(c->class_name[i], "classes", where, error))
            return false;
    return check_unique(c->class_name[0], c->n_classes, SEAM_NAME_LENGTH, "classes", where, error);
}

static bool check_tasks(const SeamConfig *c, const char *where, GError **error) {
    if (c->n_tasks < 0 || c->n_tasks > SEAM_MAX_TASKS)
        return seam_config_refuse(where, error, "\"tasks\" has %d, must have 0 to %d", c->n_tasks,
                      SEAM_MAX_TASKS);
    for (int32_t i = 0; i < c->n_tasks; i++) {
        g_autofree char *place = g_strdup_printf("%s: tasks[%d]", where, i);
        if (!check_task(c, &c->task[i], place, error))
            return false;
    }
    return check_unique(c->task[0].name, c->n_tasks, sizeof *c->task, "tasks", where, error);
}

bool seam_config_validate(const SeamConfig *config, const char *where, GError **error) {
    return check_sizes(config, where, error) && check_modalities(config, where, error) &&
           check_classes(config, where, error) && check_label_names(config, where, error) &&
           check_tasks(config, where, error) && seam_config_options_check(config, where, error);
}

// ---- presets
// -------------------------------------------------------------------------------------

bool seam_config_preset(SeamConfig *config, const char *name, GError **error) {
    static const struct {
        const char *name;
        int32_t dim, layers, experts, groups, top_k, expert_width, heads;
    } presets[] = {
        {"nano", 96, 4, 8, 4, 2, 96, 3},
        {"small", 192, 6, 16, 4, 4, 192, 6},
        {"base", 512, 12, 16, 4, 4, 1024, 8},
        {"full", 1280, 24, 16, 4, 4, 5120, 20},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(presets); i++) {
        if (strcmp(presets[i].name, name) != 0)
            continue;
        *config = (SeamConfig){
            .dim = presets[i].dim,
            .layers = presets[i].layers,
            .heads = presets[i].heads,
            .experts = presets[i].experts,
            .groups = presets[i].groups,
            .groups_kept = 2,
            .top_k = presets[i].top_k,
            .expert_width = presets[i].expert_width,
            .router_rank = 8,
            .router_shared_a = true,
            .local_radius = 3,
            .gate_threshold = 0.02f,
            .fusion_layers = 1,
            .fusion_neighbours = 8,
            .fusion_width = presets[i].dim,
            .window = 1.0,
        };
        config->mixer[0] = SEAM_MIXER_LOCAL;
        return true;
    }
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE,
                "preset \"%s\" is not known: use \"nano\", \"small\", \"base\" or \"full\"", name);
    return false;
}

// ---- what follows from a configuration
// -----------------------------------------------------------

static int32_t find_name(const char *names, int32_t n, size_t step, const char *name) {
    for (int32_t i = 0; i < n; i++)
        if (strcmp(names + (size_t)i * step, name) == 0)
            return i;
    return -1;
}

int32_t seam_config_front(const SeamConfig *config, SeamFront front) {
    for (int32_t m = 0; m < config->n_modalities; m++)
        if (config->modality[m].front == front)
            return m;
    return -1;
}

int32_t seam_config_modality(const SeamConfig *config, const char *name) {
    return find_name(config->modality[0].name, config->n_modalities, sizeof *config->modality,
                     name);
}

int32_t seam_config_class(const SeamConfig *config, const char *name) {
    return find_name(config->class_name[0], config->n_classes, SEAM_NAME_LENGTH, name);
}

int32_t seam_config_task(const SeamConfig *config, const char *name) {
    return find_name(config->task[0].name, config->n_tasks, sizeof *config->task, name);
}

bool seam_config_good_boxes(const SeamConfig *config) {
    bool good = false;
    for (int32_t t = 0; t < config->n_tasks; t++)
        good = good || config->task[t].good_boxes;
    return good;
}

int32_t seam_modality_grid(const SeamModality *modality) {
    return modality->image.size >> modality->image.stem_layers;
}

int32_t seam_modality_tokens(const SeamConfig *config, int32_t modality) {
    const SeamModality *m = &config->modality[modality];
    switch (m->front) {
    case SEAM_FRONT_IMAGE:
        return 1 + seam_modality_grid(m) * seam_modality_grid(m);
    case SEAM_FRONT_SENSOR:
        return seam_modality_stretches(config, modality) *
               (m->sensor.together ? 1 : m->channels) *
               (m->sensor.bands > 0 ? 2 : 1);
    case SEAM_FRONT_FEATURES:
        return m->features.tokens;
    default:
        return m->text.max_tokens;
    }
}

int32_t seam_modality_stretches(const SeamConfig *config, int32_t modality) {
    const SeamSensorConfig *s = &config->modality[modality].sensor;
    return (int32_t)lround(config->window * s->rate) / s->patch;
}

double seam_modality_rate(const SeamConfig *config, int32_t modality) {
    const SeamModality *m = &config->modality[modality];
    return m->front == SEAM_FRONT_FEATURES ? 1 / config->window : m->sensor.rate;
}
