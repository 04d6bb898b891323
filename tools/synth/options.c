// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Defaults and limits of the synthetic weld generator's options. Every message names the field.

#include "core/error.h"
#include "tools/synth/synth.h"

#include <math.h>

void seam_synth_options_init(SeamSynthOptions *o)
{
    *o = (SeamSynthOptions){
        .count = 20,
        .seed = 1,
        .classes = SEAM_SYNTH_ALL_CLASSES,
        .good_share = 0.4,
        .width = 640,
        .height = 480,
        .fps = 25,
        .duration_min = 6,
        .duration_max = 10,
        .rate = 16000,
        .streams = SEAM_SYNTH_ALL_STREAMS,
        .jobs = 2,
    };
}

const char *seam_synth_stream_name(unsigned stream)
{
    switch (stream) {
    case SEAM_SYNTH_SENSORS: return "sensors";
    case SEAM_SYNTH_SOUND: return "sound";
    case SEAM_SYNTH_VIDEO: return "video";
    case SEAM_SYNTH_PHOTO: return "photo";
    case SEAM_SYNTH_TEXT: return "text";
    default: return NULL;
    }
}

// NaN is out of every range.
static bool within(const char *field, double value, double low, double high, GError **error)
{
    if (value >= low && value <= high)
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s is %g, must be %g to %g", field, value,
                low, high);
    return false;
}

static bool even(const char *field, int value, GError **error)
{
    if (value % 2 == 0)
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s is %d, must be even", field, value);
    return false;
}

static bool some(const char *field, unsigned bits, unsigned all, GError **error)
{
    if (bits != 0 && (bits & ~all) == 0)
        return true;
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s is empty or names unknown ones; name at least one",
                field);
    return false;
}

bool seam_synth_options_check(const SeamSynthOptions *o, GError **error)
{
    if (o->out == NULL || *o->out == '\0') {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "out is missing; name a folder");
        return false;
    }
    return within("count", o->count, 1, 100000, error) &&
           some("classes", o->classes, SEAM_SYNTH_ALL_CLASSES, error) &&
           within("good-share", o->good_share, 0, 1, error) &&
           within("size: width", o->width, 64, 2048, error) &&
           within("size: height", o->height, 64, 2048, error) &&
           even("size: width", o->width, error) && even("size: height", o->height, error) &&
           within("fps", o->fps, 1, 120, error) &&
           within("duration: least", o->duration_min, 3, 60, error) &&
           within("duration: most", o->duration_max, o->duration_min, 60, error) &&
           within("rate", o->rate, 8000, 48000, error) &&
           some("only", o->streams, SEAM_SYNTH_ALL_STREAMS, error) &&
           within("jobs", o->jobs, 1, 64, error);
}
