// SPDX-License-Identifier: LGPL-2.1-or-later
//
// seamcsvsrc: the rows of a CSV file as a stream of samples. It owns the file's samples on an even clock (core/train/sensor_rows.h reads
// and resamples, so that what is trained on is what runs) and cuts them into buffers and gaps; it never fills a gap.

/**
 * SECTION:element-seamcsvsrc
 * @title: seamcsvsrc
 *
 * The clock is the file's: a column `time_s` (seconds), or `Date` and `Time`; without one an even rate of rows is assumed, with a warning.
 * The first row is at time 0. Where rows are too far apart, or are no numbers, a GAP event says that data is missing. What is odd in the
 * file is told in warnings that name file, line and column.
 *
 * |[
 * gst-launch-1.0 seamcsvsrc location=weld.csv channels="Primary Weld Current,Feed" rate=100 ! fakesink dump=true
 * ]|
 */
#include "plugins/gstseamcsvsrc.h"

#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/model.h"
#include "core/train/sensor_rows.h"
#include "core/train/table.h"

GST_DEBUG_CATEGORY_STATIC(seam_csv_src_debug);
#define GST_CAT_DEFAULT seam_csv_src_debug

enum { PROP_0, PROP_LOCATION, PROP_RATE, PROP_CHANNELS, PROP_MODEL, PROP_MODALITY, PROP_IS_LIVE };
enum { DEFAULT_RATE = 50, MOST_RATE = 100000, BUFFERS_A_SECOND = 10, MOST_WARNINGS = 8 };

static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS,
                            GST_STATIC_CAPS("audio/x-raw, format=(string)F32LE, layout=(string)interleaved, rate=(int)[1, MAX], "
                                            "channels=(int)[1, 64]"));

struct _GstSeamCsvSrc {
    GstPushSrc parent;
    char *location, *channels, *model, *modality; // properties, under the object's lock
    guint rate;

    // From start to stop; the streaming thread's.
    SeamSensorRows rows;
    gint32 n_channels;
    gint64 position;     // the next sample
    gboolean began;      // a buffer has been sent in this segment: the base class sends the segment with the first one
    gboolean discont;    // the next buffer does not follow the last one
};

G_DEFINE_TYPE(GstSeamCsvSrc, gst_seam_csv_src, GST_TYPE_PUSH_SRC)
GST_ELEMENT_REGISTER_DEFINE(seamcsvsrc, "seamcsvsrc", GST_RANK_NONE, GST_TYPE_SEAM_CSV_SRC)

// ---- which columns ----------------------------------------------------------------------------------------------------------------------

static gboolean add_channel(const SeamTable *table, const char *name, SeamModality *m, GError **error)
{
    char **have = g_new0(char *, table->columns + 1);
    memcpy(have, table->name, (gsize)table->columns * sizeof *have);
    g_autofree char *columns = g_strjoinv(", ", have);
    g_free(have);
    if (m->channels == SEAM_MAX_CHANNELS)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "property channels names more than %d columns", SEAM_MAX_CHANNELS);
    else if (seam_table_column(table, name) < 0)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: no column \"%s\", which property channels names; the file has: %s", table->path,
                    name, columns);
    else if (strlen(name) >= SEAM_NAME_LENGTH)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: the name of column \"%s\" is too long, must be under %d bytes", table->path, name,
                    SEAM_NAME_LENGTH);
    else
        return g_strlcpy(m->sensor.channel_name[m->channels++], name, SEAM_NAME_LENGTH) > 0;
    return FALSE;
}

// The columns that property `channels` names, as a modality of its own; each must be there.
static gboolean modality_of_names(GstSeamCsvSrc *self, SeamModality *m, GError **error)
{
    SeamTable *table = seam_table_read(self->location, error);
    char **names = g_strsplit(self->channels, ",", -1);
    gboolean ok = table != NULL;
    *m = (SeamModality){.name = "channels", .front = SEAM_FRONT_SENSOR, .sensor = {.rate = DEFAULT_RATE, .patch = 1, .arc_channel = -1}};
    for (guint i = 0; ok && names[i]; i++)
        ok = add_channel(table, g_strstrip(names[i]), m, error);
    g_strfreev(names);
    seam_table_free(table);
    return ok;
}

// The modality of the model: the one that is set, else the first one whose channels have names.
static gboolean modality_of_model(GstSeamCsvSrc *self, SeamModality *out, GError **error)
{
    SeamModel *model = seam_model_acquire(self->model, seam_device_kernels("auto", NULL), error); // as the encoders beside it, mostly
    if (!model)
        return FALSE;
    const SeamModality *found = NULL;
    for (gint32 m = 0; m < model->config.n_modalities && !found; m++) {
        const SeamModality *modality = &model->config.modality[m];
        gboolean wanted = self->modality ? g_str_equal(modality->name, self->modality) : modality->front == SEAM_FRONT_SENSOR;
        if (wanted && modality->front == SEAM_FRONT_SENSOR && modality->sensor.channel_name[0][0])
            found = modality;
    }
    if (found)
        *out = *found;
    else
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: has no sensor modality %s%swhose channels have names: set property %s", self->model,
                    self->modality ? self->modality : "", self->modality ? " " : "", self->modality ? "modality to another" : "channels");
    seam_model_release(model);
    return found != NULL;
}

static gboolean find_modality(GstSeamCsvSrc *self, SeamModality *m, GError **error)
{
    if (!self->location || (!self->channels && !self->model)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_UNSUPPORTED, "%s: property %s is not set: give %s", GST_OBJECT_NAME(self),
                    self->location ? "model" : "location",
                    self->location ? "model=FOLDER.seam, or channels=\"COLUMN,COLUMN\"" : "location=FILE.csv");
        return FALSE;
    }
    return self->channels ? modality_of_names(self, m, error) : modality_of_model(self, m, error);
}

// ---- reading ----------------------------------------------------------------------------------------------------------------------------

// Each sample becomes the mean of those that it spans; without any it is missing.
static void average_down(SeamSensorRows *rows, gint32 channels, double rate)
{
    gint64 n = (gint64)floor((double)(rows->n - 1) / rows->rate * rate + 1e-6) + 1, from = 0;
    for (gint64 i = 0; i < n; i++) {
        gint64 to = i + 1 == n ? rows->n : MIN(rows->n, (gint64)ceil((double)(i + 1) / rate * rows->rate - 1e-6));
        for (gint32 c = 0; c < channels; c++) {
            double sum = 0;
            gint64 terms = 0;
            for (gint64 k = from; k < to; k++)
                if (!isnan(rows->x[k * channels + c])) {
                    sum += rows->x[k * channels + c];
                    terms++;
                }
            rows->x[i * channels + c] = terms ? (float)(sum / (double)terms) : NAN;
        }
        from = to;
    }
    rows->n = n;
    rows->rate = rate;
}

// Caps have whole rates only: rows that come faster than asked, at a broken rate, are read again at the next whole one.
static gboolean read_rows(GstSeamCsvSrc *self, SeamModality *m, SeamRecord *record, GError **error)
{
    double stretch = m->sensor.patch / m->sensor.rate, rate = self->rate ? self->rate : ceil(m->sensor.rate);
    for (;; rate = ceil(self->rows.rate)) {
        m->sensor.rate = rate;
        m->sensor.patch = MAX(1, (gint32)lround(stretch * rate));
        g_clear_pointer(&record->notes, g_ptr_array_unref);
        if (!seam_sensor_rows_read(m, self->location, &self->rows, record, error))
            return FALSE;
        if (self->rows.n == 0) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: no rows follow the header: nothing was recorded", self->location);
            return FALSE;
        }
        if (self->rows.rate > MOST_RATE) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: %g rows a second, must be at most %d: check the clock column", self->location,
                        self->rows.rate, MOST_RATE);
            return FALSE;
        }
        if (self->rows.rate == floor(self->rows.rate))
            break;
        g_clear_pointer(&self->rows.x, g_free);
    }
    if (self->rate && self->rows.rate > self->rate)
        average_down(&self->rows, m->channels, self->rate);
    self->n_channels = m->channels;
    return TRUE;
}

static void tell_notes(GstSeamCsvSrc *self, const GPtrArray *notes)
{
    for (guint i = 0; notes && i < MIN(notes->len, MOST_WARNINGS); i++)
        GST_ELEMENT_WARNING(self, STREAM, FORMAT, ("%s", (const char *)notes->pdata[i]), (NULL));
    if (notes && notes->len > MOST_WARNINGS)
        GST_ELEMENT_WARNING(self, STREAM, FORMAT, ("%s: %u more notes like these", self->location, notes->len - MOST_WARNINGS), (NULL));
}

static void post_error(GstSeamCsvSrc *self, const GError *error)
{
    switch (error->domain == SEAM_ERROR ? error->code : SEAM_ERROR_IO) {
    case SEAM_ERROR_FORMAT:
    case SEAM_ERROR_VALUE: GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("%s", error->message), (NULL)); break;
    case SEAM_ERROR_MISSING: GST_ELEMENT_ERROR(self, RESOURCE, NOT_FOUND, ("%s", error->message), (NULL)); break;
    case SEAM_ERROR_MEMORY: GST_ELEMENT_ERROR(self, RESOURCE, NO_SPACE_LEFT, ("%s", error->message), (NULL)); break;
    case SEAM_ERROR_UNSUPPORTED: GST_ELEMENT_ERROR(self, RESOURCE, SETTINGS, ("%s", error->message), (NULL)); break;
    default: GST_ELEMENT_ERROR(self, RESOURCE, OPEN_READ, ("%s", error->message), (NULL));
    }
}

static gboolean stop(GstBaseSrc *base)
{
    GstSeamCsvSrc *self = GST_SEAM_CSV_SRC(base);
    g_free(self->rows.x);
    self->rows = (SeamSensorRows){0};
    return TRUE;
}

static gboolean start(GstBaseSrc *base)
{
    GstSeamCsvSrc *self = GST_SEAM_CSV_SRC(base);
    g_autoptr(GError) error = NULL;
    SeamRecord *record = g_new0(SeamRecord, 1);
    SeamModality m;
    gboolean done = find_modality(self, &m, &error) && read_rows(self, &m, record, &error);
    if (done)
        tell_notes(self, record->notes);
    else
        post_error(self, error);
    seam_record_clear(record);
    g_free(record);
    self->position = 0;
    self->began = FALSE;
    self->discont = TRUE;
    return done ? TRUE : !stop(base);
}

// ---- the stream -------------------------------------------------------------------------------------------------------------------------

static GstCaps *get_caps(GstBaseSrc *base, GstCaps *filter)
{
    GstSeamCsvSrc *self = GST_SEAM_CSV_SRC(base);
    GstCaps *caps = gst_pad_get_pad_template_caps(GST_BASE_SRC_PAD(base));
    if (self->rows.n > 0) {
        caps = gst_caps_make_writable(caps);
        gst_caps_set_simple(caps, "rate", G_TYPE_INT, (int)self->rows.rate, "channels", G_TYPE_INT, self->n_channels, NULL);
        if (self->n_channels > 1) // they are no loudspeakers
            gst_caps_set_simple(caps, "channel-mask", GST_TYPE_BITMASK, (guint64)0, NULL);
    }
    if (filter) {
        GstCaps *both = gst_caps_intersect_full(filter, caps, GST_CAPS_INTERSECT_FIRST);
        gst_caps_unref(caps);
        caps = both;
    }
    return caps;
}

static GstClockTime time_of(const GstSeamCsvSrc *self, gint64 sample)
{
    return gst_util_uint64_scale_int((guint64)sample, GST_SECOND, (gint)self->rows.rate);
}

static gboolean is_missing(const GstSeamCsvSrc *self, gint64 sample)
{
    for (gint32 c = 0; c < self->n_channels; c++)
        if (!isnan(self->rows.x[sample * self->n_channels + c]))
            return FALSE;
    return TRUE;
}

// The end of the stretch from the next sample on that goes out in one piece: missing to its end, or samples for one buffer.
static gint64 stretch_end(const GstSeamCsvSrc *self, gboolean missing)
{
    gint64 end = self->position + 1, most = MAX(1, (gint64)self->rows.rate / BUFFERS_A_SECOND);
    while (end < self->rows.n && is_missing(self, end) == missing && (missing || end - self->position < most))
        end++;
    return end;
}

static GstBuffer *make_buffer(GstSeamCsvSrc *self, gint64 end)
{
    gsize frame = (gsize)self->n_channels * sizeof(float), size = (gsize)(end - self->position) * frame;
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, size, NULL);
    if (!buffer)
        return NULL;
    gst_buffer_fill(buffer, 0, self->rows.x + self->position * self->n_channels, size);
    GST_BUFFER_PTS(buffer) = time_of(self, self->position);
    GST_BUFFER_DURATION(buffer) = time_of(self, end) - time_of(self, self->position);
    GST_BUFFER_OFFSET(buffer) = (guint64)self->position;
    GST_BUFFER_OFFSET_END(buffer) = (guint64)end;
    if (self->discont)
        GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DISCONT);
    self->discont = FALSE;
    return buffer;
}

static void push_gap(GstSeamCsvSrc *self, gint64 end)
{
    GstClockTime from = time_of(self, self->position);
    GstEvent *gap = gst_event_new_gap(from, time_of(self, end) - from);
    gst_event_set_gap_flags(gap, GST_GAP_FLAG_MISSING_DATA);
    gst_pad_push_event(GST_BASE_SRC_PAD(self), gap);
    self->discont = TRUE;
}

// The base class sends the segment only with a buffer: a gap at the very beginning starts with a buffer of one missing sample.
static GstFlowReturn create(GstPushSrc *push, GstBuffer **out)
{
    GstSeamCsvSrc *self = GST_SEAM_CSV_SRC(push);
    *out = NULL;
    while (!*out && self->position < self->rows.n) {
        gboolean missing = is_missing(self, self->position);
        gint64 end = missing && !self->began ? self->position + 1 : stretch_end(self, missing);
        if (missing && self->began) {
            push_gap(self, end);
        } else if (!(*out = make_buffer(self, end))) {
            GST_ELEMENT_ERROR(self, RESOURCE, NO_SPACE_LEFT, ("%s: no memory for a buffer", self->location), (NULL));
            return GST_FLOW_ERROR;
        } else if (missing) {
            GST_BUFFER_FLAG_SET(*out, GST_BUFFER_FLAG_GAP);
        }
        self->began = TRUE;
        self->position = end;
    }
    return *out ? GST_FLOW_OK : GST_FLOW_EOS;
}

static void get_times(GstBaseSrc *base, GstBuffer *buffer, GstClockTime *from, GstClockTime *to)
{
    *from = *to = GST_CLOCK_TIME_NONE;
    if (gst_base_src_is_live(base)) {
        *from = GST_BUFFER_PTS(buffer);
        *to = *from + GST_BUFFER_DURATION(buffer);
    }
}

// ---- seeking ----------------------------------------------------------------------------------------------------------------------------

static gboolean is_seekable(GstBaseSrc *base) { return TRUE; }

// Samples cannot be played backwards. That is said here, on both ways in: the base class would flush first, and then have no segment.
static gboolean is_backwards(GstEvent *event)
{
    gdouble rate = 1;
    if (GST_EVENT_TYPE(event) == GST_EVENT_SEEK)
        gst_event_parse_seek(event, &rate, NULL, NULL, NULL, NULL, NULL, NULL);
    return rate < 0;
}

static gboolean src_event(GstBaseSrc *base, GstEvent *event)
{
    return !is_backwards(event) && GST_BASE_SRC_CLASS(gst_seam_csv_src_parent_class)->event(base, event);
}

static gboolean send_event(GstElement *element, GstEvent *event)
{
    if (!is_backwards(event))
        return GST_ELEMENT_CLASS(gst_seam_csv_src_parent_class)->send_event(element, event);
    gst_event_unref(event);
    return FALSE;
}

static gboolean do_seek(GstBaseSrc *base, GstSegment *segment)
{
    GstSeamCsvSrc *self = GST_SEAM_CSV_SRC(base);
    guint64 sample = gst_util_uint64_scale_int(segment->start, (gint)self->rows.rate, GST_SECOND);
    self->position = (gint64)MIN(sample, (guint64)self->rows.n);
    self->began = FALSE;
    self->discont = TRUE;
    segment->time = segment->position = segment->start;
    return TRUE;
}

static gboolean query(GstBaseSrc *base, GstQuery *q)
{
    GstSeamCsvSrc *self = GST_SEAM_CSV_SRC(base);
    GstFormat format;
    if (GST_QUERY_TYPE(q) != GST_QUERY_DURATION || self->rows.n == 0)
        return GST_BASE_SRC_CLASS(gst_seam_csv_src_parent_class)->query(base, q);
    gst_query_parse_duration(q, &format, NULL);
    if (format != GST_FORMAT_TIME)
        return FALSE;
    gst_query_set_duration(q, format, (gint64)time_of(self, self->rows.n));
    return TRUE;
}

// ---- properties and class ---------------------------------------------------------------------------------------------------------------

static char **string_field(GstSeamCsvSrc *self, guint id)
{
    switch (id) {
    case PROP_LOCATION: return &self->location;
    case PROP_CHANNELS: return &self->channels;
    case PROP_MODEL: return &self->model;
    case PROP_MODALITY: return &self->modality;
    default: return NULL;
    }
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
    GstSeamCsvSrc *self = GST_SEAM_CSV_SRC(object);
    char **field = string_field(self, id);
    GST_OBJECT_LOCK(self);
    if (field) {
        g_free(*field);
        *field = g_value_dup_string(value);
        if (*field && !**field)
            g_clear_pointer(field, g_free);
    } else if (id == PROP_RATE) {
        self->rate = g_value_get_uint(value);
    }
    GST_OBJECT_UNLOCK(self);
    if (id == PROP_IS_LIVE)
        gst_base_src_set_live(GST_BASE_SRC(self), g_value_get_boolean(value));
    else if (!field && id != PROP_RATE)
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
    GstSeamCsvSrc *self = GST_SEAM_CSV_SRC(object);
    char **field = string_field(self, id);
    if (id == PROP_IS_LIVE) {
        g_value_set_boolean(value, gst_base_src_is_live(GST_BASE_SRC(self)));
        return;
    }
    GST_OBJECT_LOCK(self);
    if (field)
        g_value_set_string(value, *field);
    else if (id == PROP_RATE)
        g_value_set_uint(value, self->rate);
    GST_OBJECT_UNLOCK(self);
    if (!field && id != PROP_RATE)
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
}

static void finalize(GObject *object)
{
    GstSeamCsvSrc *self = GST_SEAM_CSV_SRC(object);
    for (guint id = PROP_LOCATION; id <= PROP_MODALITY; id++)
        if (string_field(self, id))
            g_free(*string_field(self, id));
    g_free(self->rows.x);
    G_OBJECT_CLASS(gst_seam_csv_src_parent_class)->finalize(object);
}

static void gst_seam_csv_src_init(GstSeamCsvSrc *self)
{
    gst_base_src_set_format(GST_BASE_SRC(self), GST_FORMAT_TIME);
}

static void install_properties(GObjectClass *klass)
{
    const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;
    g_object_class_install_property(klass, PROP_LOCATION,
        g_param_spec_string("location", "Location", "The CSV file", NULL, flags));
    g_object_class_install_property(klass, PROP_RATE,
        g_param_spec_uint("rate", "Rate",
                          "Samples a second that are made of the rows; 0: the model's rate (without a model 50), or the rows' own where they "
                          "come faster", 0, MOST_RATE, 0, flags));
    g_object_class_install_property(klass, PROP_CHANNELS,
        g_param_spec_string("channels", "Channels", "Names of the columns that become channels, in order, with commas between; unset: the model's",
                            NULL, flags));
    g_object_class_install_property(klass, PROP_MODEL,
        g_param_spec_string("model", "Model", "Folder of the model (NAME.seam) whose sensor modality says columns and rate", NULL, flags));
    g_object_class_install_property(klass, PROP_MODALITY,
        g_param_spec_string("modality", "Modality", "Which of the model's modalities; unset: the first one whose channels have names", NULL, flags));
    g_object_class_install_property(klass, PROP_IS_LIVE,
        g_param_spec_boolean("is-live", "Is live", "Send each sample at its time, as a sensor would, not as fast as possible", FALSE, flags));
}

static void gst_seam_csv_src_class_init(GstSeamCsvSrcClass *klass)
{
    GObjectClass *object_class = G_OBJECT_CLASS(klass);
    GstElementClass *element_class = GST_ELEMENT_CLASS(klass);
    GstBaseSrcClass *base_class = GST_BASE_SRC_CLASS(klass);
    GST_DEBUG_CATEGORY_INIT(seam_csv_src_debug, "seamcsvsrc", 0, "sensor rows from a file");
    object_class->set_property = set_property;
    object_class->get_property = get_property;
    object_class->finalize = finalize;
    install_properties(object_class);
    base_class->start = start;
    base_class->stop = stop;
    base_class->get_caps = get_caps;
    base_class->get_times = get_times;
    base_class->is_seekable = is_seekable;
    base_class->event = src_event;
    element_class->send_event = send_event;
    base_class->do_seek = do_seek;
    base_class->query = query;
    GST_PUSH_SRC_CLASS(klass)->create = create;
    gst_element_class_add_static_pad_template(element_class, &src_template);
    gst_element_class_set_static_metadata(element_class, "Seam CSV source", "Source/File/Audio",
                                          "Reads sensor rows of a CSV file as samples on an even clock", "The Seam authors");
}
