// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The meta that carries results beside a buffer: registering, copying, releasing. It holds one reference on the model whose
// configuration it points to, so that a result outlives a swap of models.
#include "plugins/gstseamresults.h"

#include <stddef.h>
#include <string.h>

#include "core/model.h"

// A program may link this file and load the plugin, which has a copy of its own: whoever comes second takes the type that is there.
static GType register_api(void)
{
    static const gchar *tags[] = {NULL};
    GType type = g_type_from_name("GstSeamResultsMetaAPI");
    return type ? type : gst_meta_api_type_register("GstSeamResultsMetaAPI", tags);
}

GType gst_seam_results_meta_api_get_type(void)
{
    static gsize type = 0;
    if (g_once_init_enter(&type))
        g_once_init_leave(&type, register_api());
    return type;
}

static gboolean meta_init(GstMeta *meta, gpointer params, GstBuffer *buffer)
{
    memset((char *)meta + sizeof(GstMeta), 0, sizeof(GstSeamResultsMeta) - sizeof(GstMeta));
    return TRUE;
}

static void meta_free(GstMeta *meta, GstBuffer *buffer)
{
    GstSeamResultsMeta *results = (GstSeamResultsMeta *)meta;
    if (results->owner)
        seam_model_release(results->owner);
    results->owner = NULL;
}

// Places in results are relative and times absolute, so a copy is right for whatever becomes of the buffer.
static gboolean meta_transform(GstBuffer *to, GstMeta *meta, GstBuffer *from, GQuark type, gpointer data)
{
    const GstSeamResultsMeta *source = (const GstSeamResultsMeta *)meta;
    GstSeamResultsMeta *copy = gst_buffer_add_seam_results_meta(to, source->owner, source->config);
    size_t first = offsetof(GstSeamResultsMeta, has_window);
    memcpy((char *)copy + first, (const char *)source + first, offsetof(GstSeamResultsMeta, config) - first);
    return TRUE;
}

static const GstMetaInfo *register_info(void)
{
    const GstMetaInfo *info = gst_meta_get_info("GstSeamResultsMeta");
    return info ? info
                : gst_meta_register(GST_SEAM_RESULTS_META_API_TYPE, "GstSeamResultsMeta", sizeof(GstSeamResultsMeta), meta_init,
                                    meta_free, meta_transform);
}

const GstMetaInfo *gst_seam_results_meta_get_info(void)
{
    static const GstMetaInfo *info = NULL;
    if (g_once_init_enter((GstMetaInfo **)&info))
        g_once_init_leave((GstMetaInfo **)&info, (GstMetaInfo *)register_info());
    return info;
}

GstSeamResultsMeta *gst_buffer_add_seam_results_meta(GstBuffer *buffer, SeamModel *owner, const SeamConfig *config)
{
    GstSeamResultsMeta *meta =
        (GstSeamResultsMeta *)gst_buffer_add_meta(buffer, gst_seam_results_meta_get_info(), NULL);
    meta->owner = owner ? seam_model_ref(owner) : NULL;
    meta->config = config;
    return meta;
}

gboolean gst_seam_results_meta_about_frame(const GstSeamResultsMeta *meta)
{
    const SeamConfig *config = meta->config;
    if (!meta->has_window || meta->window.heat_w == 0 || !config->modality[meta->window.heat_modality].sparse)
        return TRUE;
    for (int32_t m = 0; m < config->n_modalities; m++)
        if (config->modality[m].front == SEAM_FRONT_IMAGE && !config->modality[m].sparse && meta->window.present >> m & 1)
            return FALSE;
    return TRUE;
}
