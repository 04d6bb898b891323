// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A pipeline as it runs: it is paused with a fakesink in place of every sink, so that no file, screen or network sees it, and the first error is
// explained: which two pads could not agree, by their caps at that moment.
#include <string.h>

#include "tools/doctor/doctor.h"

static const GstClockTime patience = 12 * GST_SECOND;

// ---- sinks ---------------------------------------------------------------------------------------------------------------------

static bool is_sink(const char *word) {
    GstElementFactory *factory = gst_element_factory_find(word);
    const char *klass = factory ? gst_element_factory_get_metadata(factory, GST_ELEMENT_METADATA_KLASS) : NULL;
    bool sink = klass && strstr(klass, "Sink") && strcmp(word, "appsink") != 0;
    gst_clear_object(&factory);
    return sink;
}

// The words with fakesink for each sink; of its properties only the name stays.
static GPtrArray *without_sinks(char **argv) {
    GPtrArray *out = g_ptr_array_new();
    bool inside = false;
    for (; *argv; argv++) {
        bool property = strchr(*argv, '=') && !strchr(*argv, ' ') && strcspn(*argv, "=") < strcspn(*argv, "/");
        if (!property)
            inside = is_sink(*argv);
        if (inside && !property)
            g_ptr_array_add(out, (gpointer) "fakesink");
        else if (!inside || g_str_has_prefix(*argv, "name="))
            g_ptr_array_add(out, *argv);
    }
    g_ptr_array_add(out, NULL);
    return out;
}

// ---- explaining ----------------------------------------------------------------------------------------------------------------

static char *pad_name(GstPad *pad) {
    g_autoptr(GstElement) element = gst_pad_get_parent_element(pad);
    return g_strdup_printf("%s.%s", element ? GST_OBJECT_NAME(element) : "?", GST_PAD_NAME(pad));
}

// What the left side offers now: its caps of the moment, else all that it could give.
static bool explain_pad(Doctor *d, GstPad *src) {
    g_autoptr(GstPad) sink = gst_pad_get_peer(src);
    if (!sink)
        return false;
    g_autoptr(GstCaps) left = gst_pad_get_current_caps(src), right = gst_pad_query_caps(sink, NULL);
    if (!left)
        left = gst_pad_query_caps(src, NULL);
    if (!left || !right || gst_caps_is_empty(left) || gst_caps_is_empty(right) || gst_caps_can_intersect(left, right))
        return false;
    g_autofree char *from = pad_name(src), *to = pad_name(sink);
    doctor_explain_caps(d, from, left, to, right);
    return true;
}

static gpointer ref_pad(gconstpointer pad, gpointer user) {
    return gst_object_ref((gpointer)pad);
}

static bool explain_pads(Doctor *d, GstElement *pipeline) {
    GstIterator *elements = gst_bin_iterate_recurse(GST_BIN(pipeline));
    GValue item = G_VALUE_INIT;
    bool found = false;
    while (!found && gst_iterator_next(elements, &item) == GST_ITERATOR_OK) {
        GstElement *element = g_value_get_object(&item);
        GST_OBJECT_LOCK(element);
        GList *pads = g_list_copy_deep(element->srcpads, ref_pad, NULL);
        GST_OBJECT_UNLOCK(element);
        for (GList *l = pads; l && !found; l = l->next)
            found = !GST_IS_PROXY_PAD(l->data) && explain_pad(d, l->data);
        g_list_free_full(pads, gst_object_unref);
        g_value_reset(&item);
    }
    g_value_unset(&item);
    gst_iterator_free(elements);
    return found;
}

static char *missing_remedy(const char *text) {
    if (strstr(text, "plug-in") || strstr(text, "plugin"))
        return g_strdup("seam doctor, without a pipeline, lists the decoders that are missing and their packages");
    return g_strdup("correct what it names");
}

static void explain_error(Doctor *d, GstElement *pipeline, GstMessage *message) {
    g_autoptr(GError) error = NULL;
    g_autofree char *debug = NULL;
    gst_message_parse_error(message, &error, &debug);
    const char *detail = debug ? strrchr(debug, '\n') : NULL; // the last line is the element's own; those before it name source lines
    bool negotiation = g_error_matches(error, GST_CORE_ERROR, GST_CORE_ERROR_NEGOTIATION) || (debug && strstr(debug, "not-negotiated")) ||
                       (debug && strstr(debug, "not negotiated"));
    if (negotiation && explain_pads(d, pipeline))
        return;
    doctor_add(
        d, DOCTOR_PROBLEM, "pipeline",
        g_strdup_printf("%s: %s%s%s", GST_MESSAGE_SRC_NAME(message), error->message, detail ? " " : "", detail ? detail + 1 : ""),
        negotiation
            ? g_strdup("two elements after it agree on no format: try `audioconvert ! audioresample` or `videoconvert ! videoscale` before them")
            : missing_remedy(error->message));
}

// ---- running -------------------------------------------------------------------------------------------------------------------

static void watch(Doctor *d, GstElement *pipeline) {
    g_autoptr(GstBus) bus = gst_element_get_bus(pipeline);
    GstStateChangeReturn change = gst_element_set_state(pipeline, GST_STATE_PAUSED);
    GstMessage *message =
        gst_bus_timed_pop_filtered(bus, change == GST_STATE_CHANGE_NO_PREROLL ? 2 * GST_SECOND : patience,
                                   GST_MESSAGE_ERROR | (change == GST_STATE_CHANGE_NO_PREROLL ? 0 : GST_MESSAGE_ASYNC_DONE | GST_MESSAGE_EOS));
    if (message && GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR)
        explain_error(d, pipeline, message);
    else if (message || change == GST_STATE_CHANGE_NO_PREROLL)
        doctor_add(d, DOCTOR_GOOD, "pipeline", g_strdup("all elements, properties and links are right, and the first data reach every sink"), NULL);
    else if (change == GST_STATE_CHANGE_FAILURE)
        doctor_add(d, DOCTOR_PROBLEM, "pipeline", g_strdup("it cannot be started, and no element says why"), g_strdup("run it with GST_DEBUG=3"));
    else
        doctor_add(d, DOCTOR_PROBLEM, "pipeline", g_strdup_printf("after %d s not every sink has data: a branch waits", (int)(patience / GST_SECOND)),
                   g_strdup("put `queue` behind every branch of a tee and before every input of seamfusion and seamattach"));
    gst_clear_message(&message);
    gst_element_set_state(pipeline, GST_STATE_NULL);
}

void doctor_run_pipeline(Doctor *d, char **argv) {
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) words = without_sinks(argv);
    GstElement *pipeline = gst_parse_launchv_full((const char **)words->pdata, NULL, GST_PARSE_FLAG_FATAL_ERRORS, &error);
    if (pipeline && GST_IS_BIN(pipeline))
        watch(d, pipeline);
    else if (error)
        doctor_add(d, DOCTOR_PROBLEM, "pipeline", g_strdup(error->message),
                   g_strdup("correct what it names; gst-inspect-1.0 shows an element's pads"));
    if (pipeline)
        gst_object_unref(gst_object_ref_sink(pipeline));
}
