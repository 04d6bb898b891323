// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamoverlay: draws what seamattach put on a frame: heat map, boxes, verdict, and the streams' levels in a panel under the picture.
// It owns the last readings and windows and nothing else; it decides nothing.

/**
 * SECTION:element-seamoverlay
 * @title: seamoverlay
 *
 * The output is `panel` pixels higher than the input. On the picture: the heat map and boxes, and a line that says what this window shows
 * or, once a weld has ended, its verdict. In the panel: a ribbon that is green where the windows looked good and red where they did not,
 * and under it one trace a stream (current, loudness, brightness). It draws in colour: put a videoconvert before it.
 *
 * |[
 * gst-launch-1.0 filesrc location=weld.avi ! decodebin ! videoconvert ! seaminspect model=M.seam ! videoconvert
 *   ! seamoverlay ! videoconvert ! autovideosink
 * ]|
 */
#include "plugins/gstseamoverlay.h"

#include <math.h>
#include <stdio.h>

#include "core/vision.h"
#include "plugins/gstseamresults.h"

GST_DEBUG_CATEGORY_STATIC(seam_overlay_debug);
#define GST_CAT_DEFAULT seam_overlay_debug

enum { PROP_0, PROP_PANEL, PROP_HEAT, PROP_SECONDS };
enum { DEFAULT_PANEL = 120, MAX_PANEL = 2048, TRACE_POINTS = 2048, KEPT_WINDOWS = 256, LINE_POINTS = 1024 };
#define DEFAULT_HEAT 0.6
#define DEFAULT_SECONDS 8.0

enum { COLOUR_PASS = 0x30c050, COLOUR_REJECT = 0xf03030, COLOUR_REFER = 0xf0b020, COLOUR_TEXT = 0xf0f0f0 };
enum { COLOUR_PANEL = 0x181c20, COLOUR_GRID = 0x384048, COLOUR_IDLE = 0x485058, COLOUR_BAND = 0x000000 };
static const uint32_t trace_colour[] = {0x60a0ff, 0xffd050, 0xff7090, 0x70e0a0, 0xc090ff, 0x90e0f0, 0xf0a060, 0xc0c0c0};

#define FORMATS "{ I420, NV12, RGB, BGR, RGBx, BGRx }"
static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_VIDEO_CAPS_MAKE(FORMATS)));
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_VIDEO_CAPS_MAKE(FORMATS)));

// A ring of readings of one modality; `low` and `high` bound what was ever seen, so that the scale does not jump.
typedef struct {
    char name[SEAM_NAME_LENGTH];
    SeamLevel point[TRACE_POINTS];
    guint count;
    float low, high;
} Trace;

// What the ribbon shows of a window. defect: 1 - p(good); NaN when the arc was off or nothing was decided.
typedef struct {
    double time, duration;
    float defect;
} Mark;

// Where the panel's times lie: the last `seconds` up to `now`, between the labels and the right edge.
typedef struct {
    double now, seconds;
    int32_t left, width, text; // text: height of capitals, pixels
} Axis;

struct _GstSeamOverlay {
    GstVideoFilter parent;
    guint panel; // properties
    double heat, seconds;

    // The streaming thread's. The rings are too large for a GObject instance (64 KiB).
    Trace *trace; // [SEAM_MAX_MODALITIES]
    Mark *mark;   // [KEPT_WINDOWS], ring
    guint marks;
};

G_DEFINE_TYPE(GstSeamOverlay, gst_seam_overlay, GST_TYPE_VIDEO_FILTER)
GST_ELEMENT_REGISTER_DEFINE(seamoverlay, "seamoverlay", GST_RANK_NONE, GST_TYPE_SEAM_OVERLAY)

// ---- helpers ----------------------------------------------------------------------------------------------------------------------

static SeamPixels pixels_of(GstVideoFormat format)
{
    switch (format) {
    case GST_VIDEO_FORMAT_RGB: return SEAM_PIXELS_RGB;
    case GST_VIDEO_FORMAT_BGR: return SEAM_PIXELS_BGR;
    case GST_VIDEO_FORMAT_RGBx: return SEAM_PIXELS_RGBX;
    case GST_VIDEO_FORMAT_BGRx: return SEAM_PIXELS_BGRX;
    case GST_VIDEO_FORMAT_NV12: return SEAM_PIXELS_NV12;
    default: return SEAM_PIXELS_I420;
    }
}

// The first `height` rows of a mapped frame.
static SeamPicture picture_of(GstVideoFrame *frame, int height)
{
    SeamPicture picture = {pixels_of(GST_VIDEO_FRAME_FORMAT(frame)), GST_VIDEO_FRAME_WIDTH(frame), height, {0}, {0}};
    for (guint p = 0; p < MIN(3, GST_VIDEO_FRAME_N_PLANES(frame)); p++) {
        picture.plane[p] = GST_VIDEO_FRAME_PLANE_DATA(frame, p);
        picture.stride[p] = GST_VIDEO_FRAME_PLANE_STRIDE(frame, p);
    }
    return picture;
}

static uint32_t decision_colour(SeamDecision decision)
{
    return decision == SEAM_PASS ? COLOUR_PASS : decision == SEAM_REJECT ? COLOUR_REJECT : COLOUR_REFER;
}

static const char *decision_word(SeamDecision decision)
{
    return decision == SEAM_PASS ? "PASSED" : decision == SEAM_REJECT ? "REJECTED" : "REFERRED";
}

// Through amber, as two straight lines from COLOUR_PASS to COLOUR_REFER and on to COLOUR_REJECT.
static uint32_t defect_colour(float defect)
{
    uint32_t from = defect < 0.5f ? COLOUR_PASS : COLOUR_REFER, to = defect < 0.5f ? COLOUR_REFER : COLOUR_REJECT, colour = 0;
    float part = CLAMP(2 * defect - (defect < 0.5f ? 0 : 1), 0, 1);
    for (int shift = 0; shift < 24; shift += 8) {
        float a = from >> shift & 255, b = to >> shift & 255;
        colour |= (uint32_t)(a + part * (b - a)) << shift;
    }
    return colour;
}

// "burn_through" reads "burn through".
static void copy_name(char name[SEAM_NAME_LENGTH], const char *from)
{
    g_strlcpy(name, from, SEAM_NAME_LENGTH);
    g_strdelimit(name, "_", ' ');
}

static int32_t text_height(int32_t width) { return CLAMP(width / 50, 8, 24); }

// Text no higher than `height` that fits into `room` pixels: a letter of the font is about 0.9 of its height wide.
static void draw_fitting(SeamPicture *picture, int32_t x, int32_t y, const char *text, uint32_t colour, int32_t height, int32_t room)
{
    double fitting = room / (0.9 * (double)MAX(strlen(text), 1));
    seam_vision_draw_text(picture, x, y, text, colour, MIN(height, fitting));
}

static void remember_level(Trace *trace, SeamLevel level)
{
    if (!isfinite(level.value) || (trace->count && !(level.time > trace->point[(trace->count - 1) % TRACE_POINTS].time)))
        return;
    trace->low = trace->count ? fminf(trace->low, level.value) : level.value;
    trace->high = trace->count ? fmaxf(trace->high, level.value) : level.value;
    trace->point[trace->count++ % TRACE_POINTS] = level;
}

// The arc burns in this window, or none of its streams could tell: then every window may be weld.
static gboolean is_weld(const GstSeamResultsMeta *meta)
{
    gboolean tells = FALSE;
    for (int32_t m = 0; m < meta->config->n_modalities; m++)
        tells |= (meta->window.present >> m & 1) && meta->config->modality[m].arc_on > 0;
    return meta->has_window && meta->window.has_classify && (meta->window.arc_on || !tells);
}

// A window comes with each of its frames, and counts once.
static void remember(GstSeamOverlay *self, const GstSeamResultsMeta *meta)
{
    const SeamWindowResult *r = &meta->window;
    for (int32_t i = 0; i < meta->n_levels; i++) {
        int32_t m = meta->level_modality[i];
        if (m >= meta->config->n_modalities || meta->config->modality[m].sparse)
            continue; // a line between photographs means nothing
        copy_name(self->trace[m].name, meta->config->modality[m].name);
        remember_level(&self->trace[m], meta->level[i]);
    }
    if (!meta->has_window || (self->marks && self->mark[(self->marks - 1) % KEPT_WINDOWS].time >= r->time))
        return;
    Mark mark = {r->time, r->duration, is_weld(meta) ? 1 - r->probability[0] : NAN};
    self->mark[self->marks++ % KEPT_WINDOWS] = mark;
}

// ---- the picture --------------------------------------------------------------------------------------------------------------------

static void draw_box(SeamPicture *picture, const SeamBox *box, const SeamConfig *config)
{
    int32_t x = (int32_t)((box->x - box->w / 2) * picture->width), y = (int32_t)((box->y - box->h / 2) * picture->height);
    int32_t w = (int32_t)(box->w * picture->width), h = (int32_t)(box->h * picture->height), text = text_height(picture->width);
    char name[SEAM_NAME_LENGTH];
    const uint32_t colour = box->class_index > 0 ? COLOUR_REJECT : COLOUR_PASS; // a model may box what is good, too
    copy_name(name, config->class_name[box->class_index]);
    seam_vision_draw_box(picture, x, y, w, h, colour, 2);
    int32_t above = y - text / 2, below = y + h + 3 * text / 2; // under the band of words there is no room above
    seam_vision_draw_text(picture, x, above > 4 * text ? above : below, name, colour, text);
}

static void draw_places(GstSeamOverlay *self, SeamPicture *picture, const GstSeamResultsMeta *meta)
{
    const SeamWindowResult *r = &meta->window;
    if (!gst_seam_results_meta_about_frame(meta) || (r->has_classify && !is_weld(meta)))
        return;
    if (r->heat_w > 0 && self->heat > 0)
        seam_vision_draw_heat(picture, r->heat, r->heat_w, r->heat_h, (float)self->heat);
    for (int32_t i = 0; i < r->n_shown; i++)
        draw_box(picture, &r->box[i], meta->config);
}

static void say_window(char *text, gsize size, const SeamWindowResult *r, const SeamConfig *config)
{
    char name[SEAM_NAME_LENGTH];
    int32_t best = 0;
    for (int32_t c = 1; c < config->n_classes; c++)
        if (r->probability[c] > r->probability[best])
            best = c;
    copy_name(name, config->class_name[best]);
    snprintf(text, size, "%.1f s  %s %.0f %%", r->time, name, 100 * r->probability[best]);
}

static void say_verdict(char *text, gsize size, const SeamVerdict *v, const SeamConfig *config)
{
    char name[SEAM_NAME_LENGTH];
    copy_name(name, v->class_index >= 0 ? config->class_name[v->class_index] : "class unknown"); // no task told the classes apart
    int n = snprintf(text, size, "%s  %s %.0f %%", decision_word(v->decision), name, 100 * v->confidence);
    if (v->decision != SEAM_PASS)
        snprintf(text + n, size - n, ", worst at %.1f s of %.1f s", v->place_time - v->start, v->end - v->start);
}

// A band at the top: what the window shows; after a weld's end, until the arc burns again, its verdict in the decision's colour.
static void draw_words(SeamPicture *picture, const GstSeamResultsMeta *meta)
{
    char words[160];
    const SeamWindowResult *r = &meta->window;
    int32_t text = text_height(picture->width), band = 5 * text / 2;
    gboolean judged = is_weld(meta);
    if (meta->has_verdict && !(judged && r->time >= meta->verdict.end)) {
        seam_vision_fill(picture, 0, 0, picture->width, band, decision_colour(meta->verdict.decision), 0.8f);
        say_verdict(words, sizeof words, &meta->verdict, meta->config);
    } else if (judged) {
        seam_vision_fill(picture, 0, 0, picture->width, band, COLOUR_BAND, 0.45f);
        say_window(words, sizeof words, r, meta->config);
    } else {
        return;
    }
    draw_fitting(picture, text / 2, 7 * text / 4, words, COLOUR_TEXT, text, picture->width - text);
}

// ---- the panel ----------------------------------------------------------------------------------------------------------------------

static float x_of(const Axis *axis, double time) { return axis->left + (float)((time - axis->now) / axis->seconds + 1) * axis->width; }

static void draw_ribbon(const GstSeamOverlay *self, SeamPicture *picture, const Axis *axis, int32_t top, int32_t height)
{
    guint first = self->marks > KEPT_WINDOWS ? self->marks - KEPT_WINDOWS : 0;
    for (guint i = first; i < self->marks; i++) {
        const Mark *mark = &self->mark[i % KEPT_WINDOWS];
        double from = MAX(mark->time, axis->now - axis->seconds), to = MIN(mark->time + mark->duration, axis->now);
        if (!(to > from))
            continue;
        int32_t x = (int32_t)x_of(axis, from), end = (int32_t)x_of(axis, to);
        seam_vision_fill(picture, x, top, end - x, height, isnan(mark->defect) ? COLOUR_IDLE : defect_colour(mark->defect), 1);
    }
    seam_vision_draw_text(picture, axis->text / 2, top + height / 2 + axis->text / 2, "defect", COLOUR_TEXT, axis->text);
}

static void draw_grid(SeamPicture *picture, const Axis *axis, int32_t top)
{
    for (double t = ceil(axis->now - axis->seconds); t <= axis->now; t++)
        if (t >= 0)
            seam_vision_fill(picture, (int32_t)x_of(axis, t), top, 1, picture->height - top, COLOUR_GRID, 1);
}

// One row: name and last value at the left, the readings as a line, thinned out evenly when there are more than a line can hold.
static void draw_trace(const Trace *trace, SeamPicture *picture, const Axis *axis, uint32_t colour, int32_t top, int32_t height)
{
    float xy[2 * LINE_POINTS], last = NAN, span = fmaxf(trace->high - trace->low, 1e-6f);
    guint first = trace->count > TRACE_POINTS ? trace->count - TRACE_POINTS : 0, end = trace->count;
    while (first < end && trace->point[first % TRACE_POINTS].time < axis->now - axis->seconds)
        first++;
    while (end > first && trace->point[(end - 1) % TRACE_POINTS].time > axis->now)
        end--;
    guint step = (end - first) / LINE_POINTS + 1;
    int32_t points = 0;
    for (guint i = (first + step - 1) / step * step; i < end; i += step) { // whole multiples: a line that moves keeps its points
        SeamLevel p = trace->point[i % TRACE_POINTS];
        xy[2 * points] = x_of(axis, p.time);
        xy[2 * points + 1] = top + height - 4 - (height - 8) * (p.value - trace->low) / span;
        points++;
        last = p.value;
    }
    char words[SEAM_NAME_LENGTH + 24];
    if (isnan(last))
        snprintf(words, sizeof words, "%s -", trace->name);
    else
        snprintf(words, sizeof words, fabsf(last) < 100 ? "%s %.3g" : "%s %.0f", trace->name, last);
    draw_fitting(picture, axis->text / 2, top + height / 2 + axis->text / 2, words, colour, axis->text, axis->left - axis->text);
    if (points > 1)
        seam_vision_draw_line(picture, xy, points, colour, 1);
}

static void draw_panel(const GstSeamOverlay *self, SeamPicture *picture, int32_t top, double now)
{
    int32_t text = MAX(text_height(picture->width) * 4 / 5, 8), left = MIN(12 * text, picture->width / 3);
    Axis axis = {now, self->seconds, left, picture->width - left, text};
    int32_t rows = 0, ribbon = MIN(2 * text, picture->height - top), row_top = top + ribbon;
    seam_vision_fill(picture, 0, top, picture->width, picture->height - top, COLOUR_PANEL, 1);
    draw_ribbon(self, picture, &axis, top + 2, ribbon - 4);
    draw_grid(picture, &axis, row_top);
    for (int32_t m = 0; m < SEAM_MAX_MODALITIES; m++)
        rows += self->trace[m].count > 0;
    for (int32_t m = 0; m < SEAM_MAX_MODALITIES; m++) {
        if (self->trace[m].count == 0)
            continue;
        int32_t height = (picture->height - row_top) / rows--; // what is left, shared by the rows that are left
        if (height > 8)
            draw_trace(&self->trace[m], picture, &axis, trace_colour[m % G_N_ELEMENTS(trace_colour)], row_top, height);
        row_top += height;
    }
}

// ---- video filter -----------------------------------------------------------------------------------------------------------------

static int grow(int height, int panel, int most) { return CLAMP((gint64)height + panel, 1, most); }

// The height changes by the panel: down for src to sink, up for sink to src.
static GstCaps *transform_caps(GstBaseTransform *base, GstPadDirection direction, GstCaps *caps, GstCaps *filter)
{
    int panel = (int)GST_SEAM_OVERLAY(base)->panel * (direction == GST_PAD_SINK ? 1 : -1);
    GstCaps *result = gst_caps_copy(caps);
    for (guint i = 0; i < gst_caps_get_size(result); i++) {
        GstStructure *s = gst_caps_get_structure(result, i);
        const GValue *height = gst_structure_get_value(s, "height");
        if (height && G_VALUE_HOLDS_INT(height))
            gst_structure_set(s, "height", G_TYPE_INT, grow(g_value_get_int(height), panel, G_MAXINT), NULL);
        else if (height && GST_VALUE_HOLDS_INT_RANGE(height))
            gst_structure_set(s, "height", GST_TYPE_INT_RANGE, grow(gst_value_get_int_range_min(height), panel, G_MAXINT - 1),
                              grow(gst_value_get_int_range_max(height), panel, G_MAXINT), NULL);
    }
    if (filter) {
        GstCaps *both = gst_caps_intersect_full(filter, result, GST_CAPS_INTERSECT_FIRST);
        gst_caps_unref(result);
        result = both;
    }
    return result;
}

static GstFlowReturn transform_frame(GstVideoFilter *filter, GstVideoFrame *in, GstVideoFrame *out)
{
    GstSeamOverlay *self = GST_SEAM_OVERLAY(filter);
    int height = GST_VIDEO_FRAME_HEIGHT(in);
    for (guint p = 0; p < GST_VIDEO_FRAME_N_PLANES(in); p++) {
        const guint8 *from = GST_VIDEO_FRAME_PLANE_DATA(in, p);
        guint8 *to = GST_VIDEO_FRAME_PLANE_DATA(out, p);
        int from_stride = GST_VIDEO_FRAME_PLANE_STRIDE(in, p), to_stride = GST_VIDEO_FRAME_PLANE_STRIDE(out, p);
        int rows = p == 0 ? height : (height + 1) / 2; // chroma planes of 4:2:0
        for (int y = 0; y < rows; y++)
            memcpy(to + (gsize)y * to_stride, from + (gsize)y * from_stride, MIN(ABS(from_stride), ABS(to_stride)));
    }
    const GstSeamResultsMeta *meta = gst_buffer_get_seam_results_meta(in->buffer);
    SeamPicture picture = picture_of(out, height);
    if (meta) {
        remember(self, meta);
        if (meta->has_window)
            draw_places(self, &picture, meta);
        draw_words(&picture, meta);
    }
    if (self->panel > 0) {
        SeamPicture whole = picture_of(out, GST_VIDEO_FRAME_HEIGHT(out));
        guint64 running = gst_segment_to_running_time(&GST_BASE_TRANSFORM(self)->segment, GST_FORMAT_TIME, GST_BUFFER_PTS(in->buffer));
        draw_panel(self, &whole, height, GST_CLOCK_TIME_IS_VALID(running) ? running / (double)GST_SECOND : 0);
    }
    return GST_FLOW_OK;
}

// The picture keeps its place at the top, so regions stay true.
static gboolean transform_meta(GstBaseTransform *base, GstBuffer *out, GstMeta *meta, GstBuffer *in)
{
    if (meta->info->api == GST_SEAM_RESULTS_META_API_TYPE || meta->info->api == GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE)
        return TRUE;
    return GST_BASE_TRANSFORM_CLASS(gst_seam_overlay_parent_class)->transform_meta(base, out, meta, in);
}

static void forget_traces(GstSeamOverlay *self)
{
    self->marks = 0;
    for (guint m = 0; m < SEAM_MAX_MODALITIES; m++)
        self->trace[m].count = 0;
}

static gboolean start(GstBaseTransform *base)
{
    forget_traces(GST_SEAM_OVERLAY(base));
    return TRUE;
}

static gboolean sink_event(GstBaseTransform *base, GstEvent *event)
{
    if (GST_EVENT_TYPE(event) == GST_EVENT_FLUSH_STOP)
        forget_traces(GST_SEAM_OVERLAY(base));
    return GST_BASE_TRANSFORM_CLASS(gst_seam_overlay_parent_class)->sink_event(base, event);
}

// ---- properties and class ---------------------------------------------------------------------------------------------------------

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
    GstSeamOverlay *self = GST_SEAM_OVERLAY(object);
    switch (id) {
    case PROP_PANEL:
        self->panel = g_value_get_uint(value) & ~1u; // 4:2:0 needs even heights
        gst_base_transform_reconfigure_src(GST_BASE_TRANSFORM(self));
        break;
    case PROP_HEAT: self->heat = g_value_get_double(value); break;
    case PROP_SECONDS: self->seconds = g_value_get_double(value); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
    GstSeamOverlay *self = GST_SEAM_OVERLAY(object);
    switch (id) {
    case PROP_PANEL: g_value_set_uint(value, self->panel); break;
    case PROP_HEAT: g_value_set_double(value, self->heat); break;
    case PROP_SECONDS: g_value_set_double(value, self->seconds); break;
    default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
}

static void gst_seam_overlay_init(GstSeamOverlay *self)
{
    self->panel = DEFAULT_PANEL;
    self->heat = DEFAULT_HEAT;
    self->seconds = DEFAULT_SECONDS;
    self->trace = g_new0(Trace, SEAM_MAX_MODALITIES);
    self->mark = g_new0(Mark, KEPT_WINDOWS);
}

static void finalize(GObject *object)
{
    g_free(GST_SEAM_OVERLAY(object)->trace);
    g_free(GST_SEAM_OVERLAY(object)->mark);
    G_OBJECT_CLASS(gst_seam_overlay_parent_class)->finalize(object);
}

static void gst_seam_overlay_class_init(GstSeamOverlayClass *klass)
{
    GObjectClass *object_class = G_OBJECT_CLASS(klass);
    GstElementClass *element_class = GST_ELEMENT_CLASS(klass);
    GstBaseTransformClass *transform_class = GST_BASE_TRANSFORM_CLASS(klass);
    const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;
    object_class->set_property = set_property;
    object_class->get_property = get_property;
    object_class->finalize = finalize;
    g_object_class_install_property(object_class, PROP_PANEL,
        g_param_spec_uint("panel", "Panel height", "Height of the traces under the picture, in pixels (even); 0: none", 0,
                          MAX_PANEL, DEFAULT_PANEL, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
    g_object_class_install_property(object_class, PROP_HEAT,
        g_param_spec_double("heat", "Heat map strength", "Opacity of the heat map where it is highest, 0 to 1; 0: not drawn", 0, 1,
                            DEFAULT_HEAT, flags));
    g_object_class_install_property(object_class, PROP_SECONDS,
        g_param_spec_double("seconds", "Trace length", "How much of the past the traces show, in seconds", 0.5, 120,
                            DEFAULT_SECONDS, flags));
    transform_class->transform_caps = transform_caps;
    transform_class->transform_meta = transform_meta;
    transform_class->start = start;
    transform_class->sink_event = sink_event;
    GST_VIDEO_FILTER_CLASS(klass)->transform_frame = transform_frame;
    gst_element_class_add_static_pad_template(element_class, &sink_template);
    gst_element_class_add_static_pad_template(element_class, &src_template);
    gst_element_class_set_static_metadata(element_class, "Seam overlay", "Filter/Effect/Video",
                                          "Draws decisions, heat maps and sensor traces on video", "The Seam authors");
    GST_DEBUG_CATEGORY_INIT(seam_overlay_debug, "seamoverlay", 0, "drawing of decisions");
}
