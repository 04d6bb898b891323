// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The interface through which core reads media files. core knows no decoder: the tools fill this table with GStreamer (tools/media.c),
// tests fill it with what they like. A missing codec, a broken file or an empty one is an error that names the file.
#pragma once

#include "core/vision.h"

// One decoded picture and its time in seconds since the stream's start. The picture is the decoder's: copy what is needed.
// False with an error stops the decoding.
typedef bool (*SeamPictureFunc)(void *user, double time, const SeamPicture *picture, GError **error);

typedef struct {
    float *x;       // [frames, channels] interleaved, full scale is 1; g_free it
    int64_t frames;
    int32_t rate, channels;
} SeamSamples;

typedef struct {
    double time; // seconds
    char *text;  // UTF-8 without markup; g_free it
} SeamTimedText;

typedef struct {
    bool (*video)(const char *path, SeamPictureFunc each, void *user, GError **error);
    bool (*sound)(const char *path, SeamSamples *out, GError **error);
    bool (*text)(const char *path, GArray *out, GError **error); // appends SeamTimedText
} SeamMedia;
