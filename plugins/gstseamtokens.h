// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Tokens as GStreamer sees them: the caps application/x-seam-tokens, the buffer (one memory, float [tokens, dim]) and SeamTokensMeta, which holds
// everything of SeamTokens but the values. All elements go through this file, none fills the meta by hand.
#pragma once

#include <gst/gst.h>

#include "core/config.h"
#include "core/run.h"
#include "core/tokens.h"

G_BEGIN_DECLS

#define GST_SEAM_TOKENS_CAPS_NAME "application/x-seam-tokens"
#define GST_SEAM_RESULTS_CAPS "application/json"

// application/x-seam-tokens, model=(string)FINGERPRINT, dim=(int), type=(string)f32, stage=(string)embedded|encoded|fused,
// modality=(string)NAME (absent when fused), layers=(int) (how many encoder layers have been run; encoded only)
GstCaps *gst_seam_tokens_caps_new(const SeamConfig *config, const char *fingerprint, SeamStage stage, int32_t modality, int32_t layers);

typedef struct {
    const char *fingerprint; // interned
    int32_t dim, layers, modality; // modality -1 when fused
    SeamStage stage;
} GstSeamTokensInfo;

// Reads caps and compares them with the model that the element runs. False with a message that says which field disagrees, both values, and what to do
// ("the camera branch uses model A (…), this element model B (…): give all elements the same model=").
gboolean gst_seam_tokens_info_from_caps(GstSeamTokensInfo *info, const GstCaps *caps, const SeamConfig *config, const char *fingerprint, char **message);

typedef struct {
    GstMeta meta;
    SeamStage stage;
    SeamTokens tokens;  // x is NULL here: map the buffer. Arrays belong to the meta (one block, kept when the buffer returns to its pool).
    uint32_t present, missing; // modality bits (fused: of this window)
    double window_time, window_duration; // fused only, running time in seconds
    int32_t n_levels;   // readings of all modalities, with level_modality beside each
    SeamLevel *levels;
    uint8_t *level_modality;
    float expert_use[SEAM_MAX_EXPERTS]; // choices counted so far
    double clock_offset[SEAM_MAX_MODALITIES]; // measured by seamfusion, NAN where not
    int32_t clock_reference;                  // -1: none
    int32_t degraded;   // how often seamfusion halved the window's sequences to keep max-tokens: 0 not at all
    int32_t level;      // of the encoders' degrading to keep their deadline (core/deadline.h), the highest; 0: nothing was left out for it
    SeamEffort effort;  // at which the encoders worked, joined by seam_effort_join(); means nothing before them
    gboolean more;      // the last sequence goes on in the next buffer: a chunk of a long text, which acts through the state of layers that scan and
                        // is dropped when all layers have seen it (seamencoder), so that elements behind see a text's last chunk alone
    float *size_room;   // private: tokens.size or where it would be
    gsize block_size;   // private
    gpointer block;     // private
} GstSeamTokensMeta;

GType gst_seam_tokens_meta_api_get_type(void);
const GstMetaInfo *gst_seam_tokens_meta_get_info(void);
#define GST_SEAM_TOKENS_META_API_TYPE (gst_seam_tokens_meta_api_get_type())
#define gst_buffer_get_seam_tokens_meta(b) ((GstSeamTokensMeta *)gst_buffer_get_meta((b), GST_SEAM_TOKENS_META_API_TYPE))

// A pool that gives buffers with room for `tokens` tokens and `seqs` sequences and `levels` readings; buffers keep their memory and meta between uses.
typedef struct _GstSeamTokensPool GstSeamTokensPool;
GstSeamTokensPool *gst_seam_tokens_pool_new(int32_t tokens, int32_t dim, int32_t seqs, int32_t levels);
void gst_seam_tokens_pool_free(GstSeamTokensPool *pool);
// A buffer that holds a copy of `tokens` and `levels` (of one modality). Grows beyond the planned room when it must (counted in the debug log). NULL: no memory or flushing.
GstBuffer *gst_seam_tokens_pool_acquire(GstSeamTokensPool *pool, SeamStage stage, const SeamTokens *tokens, const SeamLevel *levels, int32_t n_levels, int32_t modality);

// Maps a token buffer: a view with x set. False with a message when the buffer's size does not fit its meta or the meta is absent.
gboolean gst_seam_tokens_map(GstBuffer *buffer, GstMapFlags flags, SeamTokens *view, GstMapInfo *map, char **message);

// The buffer's tokens have become fewer in place, in a view that was mapped and is unmapped again: takes over their number and their sizes.
void gst_seam_tokens_shorten(GstBuffer *buffer, const SeamTokens *tokens);

G_END_DECLS
