// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A model on disk: NAME.seam/ with model.json, weights.safetensors and adapters/TASK.safetensors. This file owns the layout, the
// checks of what is read (all of it untrusted) and the atomic way of writing (temporary name, fsync, rename, fsync of the folder).
// It knows tensors by name and shape only; model.h makes a model of them.
#pragma once

#include <json-glib/json-glib.h>

#include "core/config.h"
#include "core/params.h"
#include "core/safetensors.h"

enum { SEAM_FINGERPRINT_LENGTH = 17 }; // 16 hex digits and 0

typedef struct {
    char *path;             // the folder
    SeamConfig config;
    char fingerprint[SEAM_FINGERPRINT_LENGTH]; // SHA-256 over the printed config and weights.safetensors, first 16 digits
    JsonObject *meta;       // model.json whole: name, config, calibration, provenance, metrics, card
    SeamSafetensors *weights;
    SeamSafetensors *adapter[SEAM_MAX_TASKS]; // by config.task; NULL when the file is absent
} SeamBundle;

// Reads and checks model.json and the headers and extents of all tensor files; `verify` also reads every value (NaN, infinity).
SeamBundle *seam_bundle_open(const char *path, bool verify, GError **error);
void seam_bundle_free(SeamBundle *bundle);

// Copies the values of tensors named in params out of a file, as f32, and takes over the type that each has there: F32 and F16 are F32, BF16, and I8 with its
// scale (core/array_i8.h). A tensor that is absent, of another shape or
// type, or not finite is an error that names file, tensor, and both shapes. Tensors of the file that params does not know are an error too;
// but with a prefix those outside it are left to the task ("memory.*").
// `prefix`: only the tensors of params whose name starts with it ("tasks.classify."), or NULL for those that do NOT start with "tasks.".
bool seam_bundle_load_params(const SeamSafetensors *file, SeamParams *params, const char *prefix, GError **error);
// The same checks of names and shapes alone. params needs no memory yet: so a file of a few bytes cannot make us allocate gigabytes.
bool seam_bundle_check_params(const SeamSafetensors *file, const SeamParams *params, const char *prefix, GError **error);
// Reads an adapter file from anywhere; an error when it is not for `task` or not for the model with this fingerprint.
SeamSafetensors *seam_bundle_read_adapter(const char *path, const char *task, const char *fingerprint, GError **error);

// Writes a whole bundle: BF16 and I8 tensors as such, the others f16 or f32. meta: model.json without "config", which is printed from `config` (may be NULL). Tasks' tensors go
// to their adapters with the extra tensors and metadata given. An existing bundle is replaced file by file, model.json last.
bool seam_bundle_write(const char *path, const SeamConfig *config, const SeamParams *params, bool f16,
                       JsonObject *meta, GError **error);
// Writes one adapter to the file `path` (in a bundle: adapters/TASK.safetensors): the tensors "tasks.NAME.*" of params, extra tensors (may be none), string metadata; records the base's fingerprint.
bool seam_bundle_write_adapter(const char *path, const char *task, const char *fingerprint, const SeamParams *params, bool f16,
                               const SeamNamedArray *extra, int32_t n_extra, JsonObject *meta, GError **error);
// Replaces those sections of model.json that `meta` has (calibration, metrics, provenance; never "config") atomically.
bool seam_bundle_write_meta(const char *path, JsonObject *meta, GError **error);
