// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Why two pads do not agree: the nearest pair of structures is found, then the fields that have no common value, and what converts between them.
#include <string.h>

#include "tools/doctor/doctor.h"

enum { SHOWN = 90 }; // characters of a value

static const char tokens[] = "application/x-seam-tokens";

typedef struct {
    const char *from, *to; // media types; "*" at the end stands for anything
    const char *remedy;
} Converter;

// First match wins.
static const Converter converters[] = {
    {"image/jpeg", "video/x-raw", "put `jpegdec ! videoconvert` between them"},
    {"image/png", "video/x-raw", "put `pngdec ! videoconvert` between them"},
    {"application/x-subtitle", "text/x-raw", "put `subparse` between them"},
    {"video/x-raw", "application/x-seam-tokens", "put `seamvideoembed model=M.seam modality=video ! seamencoder model=M.seam` between them"},
    {"audio/x-raw", "application/x-seam-tokens", "put `seamsensorembed model=M.seam modality=sound ! seamencoder model=M.seam` between them"},
    {"text/x-raw", "application/x-seam-tokens", "put `seamtextembed model=M.seam modality=text ! seamencoder model=M.seam` between them"},
    {"application/x-seam-tokens", "application/json", "put `seamfusion model=M.seam ! seamdecoder model=M.seam` between them"},
    {"application/x-seam-tokens", "video/x-raw", "tokens are not pictures: `seamdecoder ! a.results` and the video go into `seamattach name=a`"},
    {"application/json", "video/x-raw", "results are not pictures: give them to `seamattach name=a` as `a.results` and the video as `a.video`"},
    {"video/x-raw", "application/json", "put `seaminspect model=M.seam` there and take `name.results`"},
    {"audio/x-raw", "video/x-raw", "sound and sensors go into `seaminspect name=i` as `i.sensor_MODALITY`, not into the picture's pad"},
    {"video/x-raw", "audio/x-raw", "pictures and samples do not convert; link the sound's source instead"},
    {"audio/x-raw", "audio/*", "put an encoder between them, for example `flacenc`"},
    {"video/x-raw", "image/jpeg", "put `jpegenc` between them"},
    {"video/x-raw", "image/png", "put `pngenc` between them"},
    {"video/x-raw", "video/*", "put an encoder between them, for example `vp8enc deadline=1`"},
    {"audio/*", "audio/x-raw", "put `decodebin ! audioconvert` between them"},
    {"video/*", "video/x-raw", "put `decodebin ! videoconvert` between them"},
    {"video/*", "audio/x-raw", "put `decodebin ! audioconvert` between them"},
    {"image/*", "video/x-raw", "put `decodebin ! videoconvert` between them"},
};

// Fields that a converter of the same media type changes.
static const Converter fields[] = {
    {"audio/x-raw", "rate", "put `audioresample` between them"},
    {"audio/x-raw", "format", "put `audioconvert` between them"},
    {"audio/x-raw", "layout", "put `audioconvert` between them"},
    {"audio/x-raw", "channels", "put `audioconvert` between them, or choose channels with `deinterleave`"},
    {"audio/x-raw", "channel-mask", "put `audioconvert` between them"},
    {"video/x-raw", "format", "put `videoconvert` between them"},
    {"video/x-raw", "width", "put `videoscale` between them"},
    {"video/x-raw", "height", "put `videoscale` between them"},
    {"video/x-raw", "pixel-aspect-ratio", "put `videoscale` between them"},
    {"video/x-raw", "framerate", "put `videorate` between them"},
    {"video/x-raw", "interlace-mode", "put `deinterlace` between them"},
    {"application/x-seam-tokens", "model", "give all Seam elements of the graph the same model="},
    {"application/x-seam-tokens", "dim", "give all Seam elements of the graph the same model="},
};

static bool matches(const char *pattern, const char *text) {
    size_t n = strlen(pattern);
    return pattern[n - 1] == '*' ? strncmp(pattern, text, n - 1) == 0 : strcmp(pattern, text) == 0;
}

static const char *find_remedy(const Converter *table, size_t n, const char *from, const char *to) {
    for (size_t i = 0; i < n; i++)
        if (matches(table[i].from, from) && matches(table[i].to, to))
            return table[i].remedy;
    return NULL;
}

static char *value_text(const GValue *value) {
    char *text = gst_value_serialize(value);
    if (text && strlen(text) > SHOWN)
        strcpy(text + SHOWN - 3, "...");
    return text ? text : g_strdup("something else");
}

// ---- the nearest structures ----------------------------------------------------------------------------------------------------

typedef struct {
    const GstStructure *from, *to;
    const char *field; // the first that disagrees
    int32_t n;         // how many do
    bool features;     // only these disagree
} Clash;

static gboolean count_field(GQuark id, const GValue *value, gpointer user) {
    Clash *c = user;
    const GValue *other = gst_structure_id_get_value(c->to, id);
    if (other && !gst_value_intersect(NULL, value, other)) {
        if (c->n++ == 0)
            c->field = g_quark_to_string(id);
    }
    return TRUE;
}

static bool nearest_clash(const GstCaps *from, const GstCaps *to, Clash *best) {
    best->n = G_MAXINT32;
    for (guint i = 0; i < gst_caps_get_size(from); i++)
        for (guint k = 0; k < gst_caps_get_size(to); k++) {
            Clash c = {gst_caps_get_structure(from, i), gst_caps_get_structure(to, k), NULL, 0, false};
            if (!gst_structure_has_name(c.from, gst_structure_get_name(c.to)))
                continue;
            gst_structure_foreach(c.from, count_field, &c);
            c.features = c.n == 0;
            if (c.n < best->n)
                *best = c;
        }
    return best->n < G_MAXINT32;
}

static char *stage_remedy(const Clash *c) {
    const char *from = gst_structure_get_string(c->from, "stage"), *to = gst_structure_get_string(c->to, "stage");
    if (g_strcmp0(to, "fused") == 0)
        return g_strdup(g_strcmp0(from, "embedded") == 0 ? "put `seamencoder model=M.seam ! seamfusion model=M.seam` between them"
                                                         : "put `seamfusion model=M.seam` between them");
    if (g_strcmp0(from, "fused") == 0)
        return g_strdup("fused tokens go to `seamdecoder`; take the element on the right out");
    return g_strdup("put `seamencoder model=M.seam` between them");
}

static char *clash_remedy(const Clash *c) {
    const char *media = gst_structure_get_name(c->from);
    const char *known = c->features ? NULL : find_remedy(fields, G_N_ELEMENTS(fields), media, c->field);
    if (strcmp(media, tokens) == 0 && g_strcmp0(c->field, "stage") == 0)
        return stage_remedy(c);
    if (known)
        return g_strdup(known);
    if (c->features)
        return g_strdup("the memory differs: put a download or upload element between them");
    return g_strdup_printf("put a converter between them, or, if the data are right and the caps are wrong, `capssetter caps=\"%s,%s=...\"`", media,
                           c->field);
}

static void explain_clash(Doctor *d, const char *from_name, const char *to_name, const Clash *c) {
    const char *media = gst_structure_get_name(c->from);
    if (c->features) {
        doctor_add(d, DOCTOR_PROBLEM, "pipeline",
                   g_strdup_printf("%s and %s: both take %s, but in memory of different kinds", from_name, to_name, media), clash_remedy(c));
        return;
    }
    g_autofree char *left = value_text(gst_structure_get_value(c->from, c->field)), *right = value_text(gst_structure_get_value(c->to, c->field));
    doctor_add(d, DOCTOR_PROBLEM, "pipeline",
               g_strdup_printf("%s and %s disagree in the field \"%s\" of %s: %s on the left, %s on the right", from_name, to_name, c->field, media,
                               left, right),
               clash_remedy(c));
}

// ---- different media -----------------------------------------------------------------------------------------------------------

static char *media_names(const GstCaps *caps) {
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < gst_caps_get_size(caps) && i < 5; i++) {
        const char *name = gst_structure_get_name(gst_caps_get_structure(caps, i));
        if (!strstr(text->str, name))
            g_string_append_printf(text, "%s%s", text->len ? ", " : "", name);
    }
    return g_string_free(text, FALSE);
}

static const char *media_remedy(const GstCaps *from, const GstCaps *to) {
    for (guint i = 0; i < gst_caps_get_size(from); i++)
        for (guint k = 0; k < gst_caps_get_size(to); k++) {
            const char *remedy = find_remedy(converters, G_N_ELEMENTS(converters), gst_structure_get_name(gst_caps_get_structure(from, i)),
                                             gst_structure_get_name(gst_caps_get_structure(to, k)));
            if (remedy)
                return remedy;
        }
    return "put an element between them that turns the one into the other (gst-inspect-1.0 lists them)";
}

void doctor_explain_caps(Doctor *d, const char *from_name, const GstCaps *from, const char *to_name, const GstCaps *to) {
    Clash clash;
    if (gst_caps_is_empty(from) || gst_caps_is_empty(to)) {
        const char *empty = gst_caps_is_empty(from) ? from_name : to_name;
        doctor_add(d, DOCTOR_PROBLEM, "pipeline", g_strdup_printf("%s allows nothing at all, given its neighbours and properties", empty),
                   g_strdup("look at the caps filters and properties around it"));
    } else if (nearest_clash(from, to, &clash)) {
        explain_clash(d, from_name, to_name, &clash);
    } else {
        g_autofree char *left = media_names(from), *right = media_names(to);
        doctor_add(d, DOCTOR_PROBLEM, "pipeline", g_strdup_printf("%s gives %s, but %s takes %s", from_name, left, to_name, right),
                   g_strdup(media_remedy(from, to)));
    }
}
