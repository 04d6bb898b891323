// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Tokens between elements: their caps, their meta and the pool of their buffers. It owns the layout of a meta's one block of arrays and
// the checks of what comes in; it never changes a token.
#include "plugins/gstseamtokens.h"

#include <math.h>
#include <string.h>


// A program may link this file and load the plugin, which has a copy of its own: so the category is looked up by its name.
#define GST_CAT_DEFAULT debug_category()
static GstDebugCategory *debug_category(void)
{
    static gsize category = 0;
    if (g_once_init_enter(&category))
        g_once_init_leave(&category, (gsize)_gst_debug_category_new("seamtokens", 0, "buffers of tokens"));
    return (GstDebugCategory *)category;
}

// ---- caps -------------------------------------------------------------------------------------------------------------------------------

GstCaps *gst_seam_tokens_caps_new(const SeamConfig *config, const char *fingerprint, SeamStage stage, int32_t modality, int32_t layers)
{
    GstCaps *caps = gst_caps_new_simple(GST_SEAM_TOKENS_CAPS_NAME, "model", G_TYPE_STRING, fingerprint, "dim", G_TYPE_INT, config->dim,
                                        "type", G_TYPE_STRING, "f32", "stage", G_TYPE_STRING, seam_stage_name(stage), NULL);
    if (stage != SEAM_STAGE_FUSED)
        gst_caps_set_simple(caps, "modality", G_TYPE_STRING, config->modality[modality].name, NULL);
    if (stage == SEAM_STAGE_ENCODED)
        gst_caps_set_simple(caps, "layers", G_TYPE_INT, layers, NULL);
    return caps;
}

static gboolean fail(char **message, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean fail(char **message, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    *message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return FALSE;
}

static gboolean parse_stage(const char *name, SeamStage *stage)
{
    for (SeamStage s = SEAM_STAGE_EMBEDDED; s <= SEAM_STAGE_FUSED; s++)
        if (g_strcmp0(name, seam_stage_name(s)) == 0) {
            *stage = s;
            return TRUE;
        }
    return FALSE;
}

static gboolean check_model(const GstStructure *s, GstSeamTokensInfo *info, const SeamConfig *config, const char *fingerprint,
                            char **message)
{
    const char *model = gst_structure_get_string(s, "model"), *type = gst_structure_get_string(s, "type");
    const char *branch = gst_structure_get_string(s, "modality");
    if (g_strcmp0(model, fingerprint) != 0)
        return fail(message, "caps field \"model\": the %s branch uses model %s, this element model %s: give all elements the same model=",
                    branch ? branch : "fused", model ? model : "(none)", fingerprint);
    if (!gst_structure_get_int(s, "dim", &info->dim) || info->dim != config->dim)
        return fail(message, "caps field \"dim\": tokens are %d wide, this element's model has %d: give all elements the same model=",
                    info->dim, config->dim);
    if (g_strcmp0(type, "f32") != 0)
        return fail(message, "caps field \"type\": %s came, must be f32: take the tokens from an element of this plugin",
                    type ? type : "(none)");
    info->fingerprint = g_intern_string(fingerprint);
    return TRUE;
}

gboolean gst_seam_tokens_info_from_caps(GstSeamTokensInfo *info, const GstCaps *caps, const SeamConfig *config, const char *fingerprint,
                                        char **message)
{
    const GstStructure *s = gst_caps_get_structure(caps, 0);
    *info = (GstSeamTokensInfo){.modality = -1};
    if (!gst_structure_has_name(s, GST_SEAM_TOKENS_CAPS_NAME))
        return fail(message, "caps %s came, must be %s: put an embedding element before this one", gst_structure_get_name(s),
                    GST_SEAM_TOKENS_CAPS_NAME);
    if (!check_model(s, info, config, fingerprint, message))
        return FALSE;
    const char *stage = gst_structure_get_string(s, "stage"), *modality = gst_structure_get_string(s, "modality");
    if (!parse_stage(stage, &info->stage))
        return fail(message, "caps field \"stage\": %s came, must be embedded, encoded or fused", stage ? stage : "(none)");
    if (info->stage == SEAM_STAGE_FUSED)
        return TRUE;
    info->modality = modality ? seam_config_modality(config, modality) : -1;
    if (info->modality < 0)
        return fail(message, "caps field \"modality\": the model has no modality \"%s\": give all elements the same model=",
                    modality ? modality : "(none)");
    if (info->stage == SEAM_STAGE_ENCODED &&
        (!gst_structure_get_int(s, "layers", &info->layers) || info->layers < 1 || info->layers > config->layers))
        return fail(message, "caps field \"layers\": %d encoder layers have been run, the model has %d: give all elements the same model=",
                    info->layers, config->layers);
    return TRUE;
}

// ---- meta -------------------------------------------------------------------------------------------------------------------------------

static GType register_api(void)
{
    static const gchar *tags[] = {NULL};
    GType type = g_type_from_name("GstSeamTokensMetaAPI");
    return type ? type : gst_meta_api_type_register("GstSeamTokensMetaAPI", tags);
}

GType gst_seam_tokens_meta_api_get_type(void)
{
    static gsize type = 0;
    if (g_once_init_enter(&type))
        g_once_init_leave(&type, register_api());
    return type;
}

// All but the block: what a buffer that comes out of its pool begins with.
static void reset_meta(GstSeamTokensMeta *m)
{
    m->stage = SEAM_STAGE_EMBEDDED;
    m->tokens = (SeamTokens){0};
    m->size_room = NULL;
    m->present = m->missing = 0;
    m->window_time = m->window_duration = 0;
    m->n_levels = 0;
    m->levels = NULL;
    m->level_modality = NULL;
    memset(m->expert_use, 0, sizeof m->expert_use);
    for (int32_t i = 0; i < SEAM_MAX_MODALITIES; i++)
        m->clock_offset[i] = NAN;
    m->clock_reference = -1;
    m->degraded = 0;
    m->level = 0;
    m->more = FALSE;
    m->effort = (SeamEffort){0};
}

static gboolean meta_init(GstMeta *meta, gpointer params, GstBuffer *buffer)
{
    GstSeamTokensMeta *m = (GstSeamTokensMeta *)meta;
    reset_meta(m);
    m->block = NULL;
    m->block_size = 0;
    return TRUE;
}

static void meta_free(GstMeta *meta, GstBuffer *buffer)
{
    g_free(((GstSeamTokensMeta *)meta)->block);
}

// Bytes of the block, whose arrays come in this order: seq_time, levels, place, size, seq_start, level_modality, seq_left (widest alignment first).
static gsize block_bytes(int32_t tokens, int32_t seqs, int32_t levels)
{
    return (gsize)seqs * sizeof(double) + (gsize)levels * sizeof(SeamLevel) + (gsize)tokens * (sizeof(SeamPlace) + sizeof(float)) +
           ((gsize)seqs + 1) * sizeof(int32_t) + (gsize)levels + (gsize)seqs;
}

static gboolean make_room(GstSeamTokensMeta *m, gsize bytes)
{
    if (bytes <= m->block_size)
        return TRUE;
    g_free(m->block);
    m->block = g_try_malloc(bytes);
    m->block_size = m->block ? bytes : 0;
    return m->block != NULL;
}

// Copies the arrays into the meta's block. n_levels with one modality for all (level_modality NULL), or one each.
static gboolean fill_arrays(GstSeamTokensMeta *m, const SeamTokens *tokens, const SeamLevel *levels, int32_t n_levels,
                            const uint8_t *level_modality, int32_t modality)
{
    if (!make_room(m, block_bytes(tokens->n, tokens->seqs, n_levels)))
        return FALSE;
    m->tokens = (SeamTokens){.n = tokens->n, .dim = tokens->dim, .seqs = tokens->seqs};
    m->tokens.seq_time = m->block;
    m->levels = (SeamLevel *)(m->tokens.seq_time + tokens->seqs);
    m->tokens.place = (SeamPlace *)(m->levels + n_levels);
    m->size_room = (float *)(m->tokens.place + tokens->n);
    m->tokens.size = tokens->size ? m->size_room : NULL;
    m->tokens.seq_start = (int32_t *)(m->size_room + tokens->n);
    m->level_modality = (uint8_t *)(m->tokens.seq_start + tokens->seqs + 1);
    m->tokens.seq_left = m->level_modality + n_levels;
    m->n_levels = n_levels;
    if (tokens->seqs > 0 && tokens->seq_left)
        memcpy(m->tokens.seq_left, tokens->seq_left, (gsize)tokens->seqs);
    else if (tokens->seqs > 0)
        memset(m->tokens.seq_left, 0, (gsize)tokens->seqs);
    if (tokens->seqs > 0)
        memcpy(m->tokens.seq_time, tokens->seq_time, (gsize)tokens->seqs * sizeof(double));
    if (tokens->n > 0)
        memcpy(m->tokens.place, tokens->place, (gsize)tokens->n * sizeof(SeamPlace));
    if (tokens->n > 0 && tokens->size)
        memcpy(m->size_room, tokens->size, (gsize)tokens->n * sizeof(float));
    m->tokens.seq_start[0] = 0;
    if (tokens->seqs > 0)
        memcpy(m->tokens.seq_start, tokens->seq_start, ((gsize)tokens->seqs + 1) * sizeof(int32_t));
    if (n_levels > 0)
        memcpy(m->levels, levels, (gsize)n_levels * sizeof(SeamLevel));
    if (n_levels > 0 && level_modality)
        memcpy(m->level_modality, level_modality, (gsize)n_levels);
    else if (n_levels > 0)
        memset(m->level_modality, modality < 0 ? 0 : modality, (gsize)n_levels);
    return TRUE;
}

// Only whole copies: a part of the values would not fit the places. Without memory the copy has no meta, which its reader reports.
static gboolean meta_transform(GstBuffer *to, GstMeta *meta, GstBuffer *from, GQuark type, gpointer data)
{
    const GstSeamTokensMeta *source = (const GstSeamTokensMeta *)meta;
    if (!GST_META_TRANSFORM_IS_COPY(type) || (data && ((GstMetaTransformCopy *)data)->region))
        return FALSE;
    GstSeamTokensMeta *copy = (GstSeamTokensMeta *)gst_buffer_add_meta(to, gst_seam_tokens_meta_get_info(), NULL);
    if (!copy)
        return FALSE;
    if (source->block && !fill_arrays(copy, &source->tokens, source->levels, source->n_levels, source->level_modality, 0))
        return gst_buffer_remove_meta(to, &copy->meta) && FALSE;
    copy->stage = source->stage;
    copy->present = source->present;
    copy->missing = source->missing;
    copy->window_time = source->window_time;
    copy->window_duration = source->window_duration;
    memcpy(copy->expert_use, source->expert_use, sizeof copy->expert_use);
    memcpy(copy->clock_offset, source->clock_offset, sizeof copy->clock_offset);
    copy->clock_reference = source->clock_reference;
    copy->degraded = source->degraded;
    copy->level = source->level;
    copy->more = source->more;
    copy->effort = source->effort;
    return TRUE;
}

static const GstMetaInfo *register_info(void)
{
    const GstMetaInfo *info = gst_meta_get_info("GstSeamTokensMeta");
    return info ? info
                : gst_meta_register(GST_SEAM_TOKENS_META_API_TYPE, "GstSeamTokensMeta", sizeof(GstSeamTokensMeta), meta_init,
                                    meta_free, meta_transform);
}

const GstMetaInfo *gst_seam_tokens_meta_get_info(void)
{
    static const GstMetaInfo *info = NULL;
    if (g_once_init_enter((GstMetaInfo **)&info))
        g_once_init_leave((GstMetaInfo **)&info, (GstMetaInfo *)register_info());
    return info;
}

// ---- pool -------------------------------------------------------------------------------------------------------------------------------

struct _GstSeamTokensPool {
    GstBufferPool *buffers;
    gsize bytes;     // of a buffer's memory
    gsize meta_bytes; // of a new buffer's block
    guint grown;
};

// A pool of plain buffers; the one that was there lives on until its last buffer has come home.
static gboolean set_bytes(GstSeamTokensPool *pool, gsize bytes)
{
    if (bytes > G_MAXUINT)
        return FALSE;
    GstBufferPool *buffers = gst_buffer_pool_new();
    GstStructure *config = gst_buffer_pool_get_config(buffers);
    gst_buffer_pool_config_set_params(config, NULL, (guint)bytes, 0, 0);
    if (!gst_buffer_pool_set_config(buffers, config) || !gst_buffer_pool_set_active(buffers, TRUE)) {
        gst_object_unref(buffers);
        return FALSE;
    }
    if (pool->buffers) {
        gst_buffer_pool_set_active(pool->buffers, FALSE);
        gst_object_unref(pool->buffers);
    }
    pool->buffers = buffers;
    pool->bytes = bytes;
    return TRUE;
}

GstSeamTokensPool *gst_seam_tokens_pool_new(int32_t tokens, int32_t dim, int32_t seqs, int32_t levels)
{
    GstSeamTokensPool *pool = g_new0(GstSeamTokensPool, 1);
    pool->meta_bytes = block_bytes(tokens, seqs, levels);
    if (!set_bytes(pool, (gsize)MAX(tokens, 1) * (gsize)dim * sizeof(float)))
        GST_WARNING("no memory for a pool of %d tokens", tokens);
    return pool;
}

void gst_seam_tokens_pool_free(GstSeamTokensPool *pool)
{
    if (pool->buffers) {
        gst_buffer_pool_set_active(pool->buffers, FALSE);
        gst_object_unref(pool->buffers);
    }
    GST_DEBUG("a pool had to grow %u times", pool->grown);
    g_free(pool);
}

// The buffer's meta, which stays with it when it goes back to its pool.
static GstSeamTokensMeta *pooled_meta(GstSeamTokensPool *pool, GstBuffer *buffer)
{
    GstSeamTokensMeta *m = gst_buffer_get_seam_tokens_meta(buffer);
    if (!m) {
        m = (GstSeamTokensMeta *)gst_buffer_add_meta(buffer, gst_seam_tokens_meta_get_info(), NULL);
        GST_META_FLAG_SET(&m->meta, GST_META_FLAG_POOLED);
        make_room(m, pool->meta_bytes);
    }
    reset_meta(m);
    return m;
}

GstBuffer *gst_seam_tokens_pool_acquire(GstSeamTokensPool *pool, SeamStage stage, const SeamTokens *tokens, const SeamLevel *levels,
                                        int32_t n_levels, int32_t modality)
{
    gsize bytes = (gsize)tokens->n * (gsize)tokens->dim * sizeof(float);
    GstBuffer *buffer = NULL;
    if (bytes > pool->bytes) {
        pool->grown++;
        GST_DEBUG("%d tokens do not fit into %" G_GSIZE_FORMAT " bytes: the pool grows for the %u. time", tokens->n, pool->bytes,
                  pool->grown);
        if (!set_bytes(pool, MAX(bytes, 2 * pool->bytes)) && !set_bytes(pool, bytes))
            return NULL;
    }
    if (!pool->buffers || gst_buffer_pool_acquire_buffer(pool->buffers, &buffer, NULL) != GST_FLOW_OK)
        return NULL;
    GstSeamTokensMeta *m = pooled_meta(pool, buffer);
    gst_buffer_set_size(buffer, (gssize)bytes);
    if (!fill_arrays(m, tokens, levels, n_levels, NULL, modality) ||
        (bytes > 0 && gst_buffer_fill(buffer, 0, tokens->x, bytes) != bytes)) {
        gst_buffer_unref(buffer);
        return NULL;
    }
    m->stage = stage;
    if (modality >= 0 && tokens->n > 0)
        m->present = 1u << modality;
    return buffer;
}

// ---- reading ----------------------------------------------------------------------------------------------------------------------------

// The sequences tile the tokens.
static gboolean check_sequences(const SeamTokens *t, char **message)
{
    if (t->n < 0 || t->seqs < 0 || t->dim < 1 || !t->seq_start || t->seq_start[0] != 0 || t->seq_start[t->seqs] != t->n)
        return fail(message, "the buffer's SeamTokensMeta is broken: %d sequences do not cover its %d tokens", t->seqs, t->n);
    for (int32_t s = 0; s < t->seqs; s++)
        if (t->seq_start[s] > t->seq_start[s + 1])
            return fail(message, "the buffer's SeamTokensMeta is broken: sequence %d ends before it begins", s);
    return TRUE;
}

void gst_seam_tokens_shorten(GstBuffer *buffer, const SeamTokens *tokens)
{
    GstSeamTokensMeta *m = gst_buffer_get_seam_tokens_meta(buffer);
    if (tokens->size && tokens->size != m->size_room)
        memcpy(m->size_room, tokens->size, (gsize)tokens->n * sizeof(float));
    m->tokens.size = tokens->size ? m->size_room : NULL;
    m->tokens.n = tokens->n;
    gst_buffer_set_size(buffer, (gssize)tokens->n * tokens->dim * (gssize)sizeof(float));
}

gboolean gst_seam_tokens_map(GstBuffer *buffer, GstMapFlags flags, SeamTokens *view, GstMapInfo *map, char **message)
{
    const GstSeamTokensMeta *m = gst_buffer_get_seam_tokens_meta(buffer);
    if (!m)
        return fail(message, "the buffer has no SeamTokensMeta: only elements of this plugin, queue, tee and identity may carry tokens");
    *view = m->tokens;
    if (!check_sequences(view, message))
        return FALSE;
    gsize expected = (gsize)view->n * (gsize)view->dim * sizeof(float), size = gst_buffer_get_size(buffer);
    if (size != expected)
        return fail(message, "the buffer has %" G_GSIZE_FORMAT " bytes, its meta says %d tokens of %d floats (%" G_GSIZE_FORMAT " bytes)",
                    size, view->n, view->dim, expected);
    if (!gst_buffer_map(buffer, map, flags))
        return fail(message, "the buffer cannot be mapped");
    view->x = (float *)(void *)map->data;
    return TRUE;
}
