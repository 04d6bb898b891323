// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The model inside an element: its two properties, its start and stop, and core's errors in GStreamer's words. It owns one reference on
// the shared model and the arena of the element's streaming thread; it never runs the model.
#include "plugins/gstseammodel.h"

#include "core/conformal.h"
#include "core/error.h"

static const char default_device[] = "auto";

void gst_seam_model_install_properties(GObjectClass *klass)
{
    const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;
    g_object_class_install_property(
        klass, GST_SEAM_PROP_MODEL,
        g_param_spec_string("model", "Model", "Folder of the model (NAME.seam), the same for all elements of a graph; read at the start",
                            NULL, flags));
    g_object_class_install_property(
        klass, GST_SEAM_PROP_DEVICE,
        g_param_spec_string("device", "Device", "What computes: auto, cpu, or ref (the slow definition in plain C); read at the start",
                            default_device, flags));
}

static void set_string(GstSeamModel *m, GstElement *element, char **field, const char *value)
{
    GST_OBJECT_LOCK(element);
    g_free(*field);
    *field = g_strdup(value);
    gboolean running = m->model != NULL;
    GST_OBJECT_UNLOCK(element);
    if (running)
        GST_WARNING_OBJECT(element, "model and device are read at the start: the new value holds from the next one on");
}

gboolean gst_seam_model_set_property(GstSeamModel *m, GstElement *element, guint id, const GValue *value)
{
    const char *text = id == GST_SEAM_PROP_MODEL || id == GST_SEAM_PROP_DEVICE ? g_value_get_string(value) : NULL;
    switch (id) {
    case GST_SEAM_PROP_MODEL: set_string(m, element, &m->path, text); return TRUE;
    case GST_SEAM_PROP_DEVICE: set_string(m, element, &m->device, text ? text : default_device); return TRUE;
    default: return FALSE;
    }
}

gboolean gst_seam_model_get_property(GstSeamModel *m, guint id, GValue *value)
{
    switch (id) {
    case GST_SEAM_PROP_MODEL: g_value_set_string(value, m->path); return TRUE;
    case GST_SEAM_PROP_DEVICE: g_value_set_string(value, m->device); return TRUE;
    default: return FALSE;
    }
}

void gst_seam_model_init(GstSeamModel *m)
{
    *m = (GstSeamModel){.device = g_strdup(default_device)};
}

void gst_seam_model_finalize(GstSeamModel *m)
{
    gst_seam_model_stop(m);
    g_clear_pointer(&m->path, g_free);
    g_clear_pointer(&m->device, g_free);
}

// What cannot be found, what cannot be read, what does not fit, what is set wrong.
static void post_error(GstElement *element, const GError *error)
{
    switch (error->domain == SEAM_ERROR ? error->code : SEAM_ERROR_IO) {
    case SEAM_ERROR_MISSING: GST_ELEMENT_ERROR(element, RESOURCE, NOT_FOUND, ("%s", error->message), (NULL)); break;
    case SEAM_ERROR_MEMORY: GST_ELEMENT_ERROR(element, RESOURCE, NO_SPACE_LEFT, ("%s", error->message), (NULL)); break;
    case SEAM_ERROR_UNSUPPORTED: GST_ELEMENT_ERROR(element, RESOURCE, SETTINGS, ("%s", error->message), (NULL)); break;
    default: GST_ELEMENT_ERROR(element, RESOURCE, OPEN_READ, ("%s", error->message), (NULL));
    }
}

gboolean gst_seam_model_start(GstSeamModel *m, GstElement *element)
{
    g_autoptr(GError) error = NULL;
    if (!m->path || !*m->path) {
        GST_ELEMENT_ERROR(element, RESOURCE, SETTINGS, ("%s: property model is not set: give model=FOLDER.seam", GST_OBJECT_NAME(element)),
                          (NULL));
        return FALSE;
    }
    m->run = (SeamRun){seam_device_kernels(m->device, &error), &m->arena};
    m->model = m->run.kernels ? seam_model_acquire(m->path, m->run.kernels, &error) : NULL;
    if (m->model)
        return TRUE;
    post_error(element, error);
    m->run = (SeamRun){0};
    return FALSE;
}

void gst_seam_model_stop(GstSeamModel *m)
{
    g_clear_pointer(&m->model, seam_model_release);
    seam_arena_clear(&m->arena);
    m->run = (SeamRun){0};
}

gboolean gst_seam_model_effort(const GstSeamModel *m, GstElement *element, SeamEffort *effort)
{
    g_autoptr(GError) error = NULL;
    SeamCalibration *calibration = seam_calibration_load(&m->model->config, m->path, &error);
    if (!calibration) {
        post_error(element, error);
        return FALSE;
    }
    *effort = calibration->effort;
    seam_calibration_free(calibration);
    return TRUE;
}

gboolean gst_seam_model_reserve(GstSeamModel *m, GstElement *element, gsize bytes)
{
    if (seam_arena_reserve(&m->arena, bytes))
        return TRUE;
    GST_ELEMENT_ERROR(element, RESOURCE, NO_SPACE_LEFT,
                      ("%s: no memory for %" G_GSIZE_FORMAT " bytes of working space: choose a smaller model", GST_OBJECT_NAME(element),
                       bytes), (NULL));
    return FALSE;
}

GstFlowReturn gst_seam_model_flow(GstElement *element, SeamStatus status, const char *what)
{
    if (status == SEAM_OK)
        return GST_FLOW_OK;
    if (status == SEAM_NO_MEMORY)
        GST_ELEMENT_ERROR(element, RESOURCE, NO_SPACE_LEFT, ("%s: %s", what, seam_status_text(status)), (NULL));
    else
        GST_ELEMENT_ERROR(element, STREAM, FAILED, ("%s: %s", what, seam_status_text(status)), (NULL));
    return GST_FLOW_ERROR;
}
