// SPDX-License-Identifier: LGPL-2.1-or-later
//
// It owns the engine, which lives as long as the process, and for each thread a stream, primitives and their memory objects (at most
// SEAM_ONEDNN_CACHE; the longest unused goes first), which go with the thread. Compiled code is shared between threads by oneDNN's own cache.
// It never owns data: memory objects point to the caller's, and scratch memory is the thread's of cpu.h.
#include "kernels/cpu/onednn_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    dnnl_stream_t stream;
    uint64_t clock;
    SeamOnednn entry[SEAM_ONEDNN_CACHE];
} Cache;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key;
static dnnl_engine_t engine; // NULL: oneDNN does not work here
static dnnl_primitive_attr_t attributes;
static _Thread_local Cache *own;

SeamStatus seam_onednn_status(dnnl_status_t status) {
    return status == dnnl_success ? SEAM_OK : status == dnnl_out_of_memory ? SEAM_NO_MEMORY : SEAM_DEVICE_ERROR;
}

// ---- life -------------------------------------------------------------------------------------

static void clear_entry(SeamOnednn *e) {
    dnnl_memory_t memory[] = {e->x, e->y, e->weights, e->plain, e->bias, e->scratch, e->reorder_scratch};
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++)
        dnnl_memory_destroy(memory[i]);
    dnnl_primitive_destroy(e->run);
    dnnl_primitive_destroy(e->reorder);
    *e = (SeamOnednn){0};
}

static void free_cache(void *data) {
    Cache *cache = data;
    own = NULL;
    for (int i = 0; i < SEAM_ONEDNN_CACHE; i++)
        clear_entry(&cache->entry[i]);
    dnnl_stream_destroy(cache->stream);
    free(cache);
}

// The scratch memory is ours, and the environment may not lower the precision.
static void start(void) {
    if (pthread_key_create(&thread_key, free_cache) != 0 || dnnl_primitive_attr_create(&attributes) != dnnl_success)
        return;
    if (dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user) != dnnl_success ||
        dnnl_primitive_attr_set_fpmath_mode(attributes, dnnl_fpmath_mode_strict) != dnnl_success ||
        dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success)
        engine = NULL;
}

bool seam_onednn_start(void) {
    pthread_once(&once, start);
    return engine != NULL;
}

static Cache *own_cache(void) {
    if (own || !engine)
        return own;
    Cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return NULL;
    if (dnnl_stream_create(&cache->stream, engine, dnnl_stream_default_flags) != dnnl_success ||
        pthread_setspecific(thread_key, cache) != 0) {
        dnnl_stream_destroy(cache->stream);
        free(cache);
        return NULL;
    }
    return own = cache;
}

// ---- primitives -------------------------------------------------------------------------------

typedef struct {
    dnnl_memory_desc_t x, y, weights, plain, bias;
} Descs;

static dnnl_memory_desc_t tagged(int dims, const dnnl_dims_t size, dnnl_format_tag_t tag) {
    dnnl_memory_desc_t desc = {0};
    dnnl_memory_desc_init_by_tag(&desc, dims, size, dnnl_f32, tag); // of a wrong size the primitive fails
    return desc;
}

static Descs describe(const SeamOnednnPart *k) {
    dnnl_dims_t x = {1, k->in, k->h, k->w}, y = {1, k->out, k->out_h, k->out_w}, w = {k->out, k->in, k->kernel, k->kernel}, b = {k->out};
    return (Descs){.x = tagged(4, x, dnnl_nhwc),
                   .y = tagged(4, y, dnnl_nhwc),
                   .weights = tagged(4, w, dnnl_format_tag_any),
                   .plain = tagged(4, w, dnnl_ohwi),
                   .bias = tagged(1, b, dnnl_a)};
}

// Backward needs the forward pass as a hint.
static dnnl_status_t choose(const SeamOnednnPart *k, const Descs *d, dnnl_primitive_desc_t *desc) {
    dnnl_dims_t stride = {k->stride, k->stride}, before = {k->top, k->left}, after = {k->bottom, k->right};
    dnnl_convolution_desc_t conv;
    dnnl_primitive_desc_t hint = NULL;
    dnnl_prop_kind_t kind = k->kind == SEAM_ONEDNN_FORWARD ? dnnl_forward_inference : dnnl_forward_training;
    dnnl_status_t status = dnnl_convolution_forward_desc_init(&conv, kind, dnnl_convolution_direct, &d->x, &d->weights, k->bias ? &d->bias : NULL,
                                                              &d->y, stride, before, after);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(k->kind == SEAM_ONEDNN_FORWARD ? desc : &hint, &conv, attributes, engine, NULL);
    if (status != dnnl_success || k->kind == SEAM_ONEDNN_FORWARD)
        return status;
    if (k->kind == SEAM_ONEDNN_DATA)
        status = dnnl_convolution_backward_data_desc_init(&conv, dnnl_convolution_direct, &d->x, &d->weights, &d->y, stride, before, after);
    else
        status = dnnl_convolution_backward_weights_desc_init(&conv, dnnl_convolution_direct, &d->x, &d->weights, NULL, &d->y, stride, before,
                                                             after);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(desc, &conv, attributes, engine, hint);
    dnnl_primitive_desc_destroy(hint);
    return status;
}

static bool is_fast(const_dnnl_primitive_desc_t desc) {
    const char *name = "";
    dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &name);
    return strncmp(name, "jit", 3) == 0 || strncmp(name, "brg", 3) == 0; // not its reference, nor a product over copied patches
}

static dnnl_status_t new_memory(const dnnl_memory_desc_t *desc, dnnl_memory_t *memory) {
    return dnnl_memory_create(memory, desc, engine, DNNL_MEMORY_NONE);
}

// A primitive and the memory of its scratch.
static dnnl_status_t new_primitive(const_dnnl_primitive_desc_t desc, dnnl_primitive_t *primitive, dnnl_memory_t *scratch, size_t *bytes) {
    const dnnl_memory_desc_t *need = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    size_t size = dnnl_memory_desc_get_size(need);
    *bytes = size > *bytes ? size : *bytes;
    dnnl_status_t status = new_memory(need, scratch);
    return status == dnnl_success ? dnnl_primitive_create(primitive, desc) : status;
}

static dnnl_status_t new_reorder(SeamOnednn *e, const Descs *d) {
    const dnnl_memory_desc_t *from = &d->plain, *to = &e->weights_desc;
    if (e->key.kind == SEAM_ONEDNN_WEIGHTS)
        from = &e->weights_desc, to = &d->plain;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&desc, from, engine, to, engine, attributes);
    if (status == dnnl_success)
        status = new_primitive(desc, &e->reorder, &e->reorder_scratch, &e->scratch_bytes);
    dnnl_primitive_desc_destroy(desc);
    return status;
}

// An entry that oneDNN has nothing fast for is kept too, so that it is asked once.
static dnnl_status_t fill_entry(SeamOnednn *e) {
    Descs d = describe(&e->key);
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t status = choose(&e->key, &d, &desc);
    if (status == dnnl_unimplemented || status == dnnl_invalid_arguments || (status == dnnl_success && !is_fast(desc))) {
        dnnl_primitive_desc_destroy(desc);
        return dnnl_success;
    }
    if (status == dnnl_success) {
        dnnl_query_t weights = e->key.kind == SEAM_ONEDNN_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
        e->weights_desc = *dnnl_primitive_desc_query_md(desc, weights, 0);
        e->weights_bytes = dnnl_memory_desc_get_size(&e->weights_desc);
        status = new_primitive(desc, &e->run, &e->scratch, &e->scratch_bytes);
    }
    dnnl_primitive_desc_destroy(desc);
    const struct {
        const dnnl_memory_desc_t *desc;
        dnnl_memory_t *memory;
    } memory[] = {{&d.x, &e->x}, {&d.y, &e->y}, {&e->weights_desc, &e->weights}, {&d.plain, &e->plain}, {&d.bias, &e->bias}};
    for (size_t i = 0; status == dnnl_success && i < sizeof memory / sizeof memory[0]; i++)
        status = new_memory(memory[i].desc, memory[i].memory);
    if (status == dnnl_success)
        status = new_reorder(e, &d);
    e->fit = status == dnnl_success;
    return status;
}

SeamOnednn *seam_onednn_find(const SeamOnednnPart *key, SeamStatus *status) {
    Cache *cache = own_cache();
    *status = SEAM_NO_MEMORY;
    if (!cache)
        return NULL;
    SeamOnednn *oldest = cache->entry;
    for (SeamOnednn *e = cache->entry; e < cache->entry + SEAM_ONEDNN_CACHE; e++) {
        if (e->used && memcmp(&e->key, key, sizeof *key) == 0) {
            e->used = ++cache->clock;
            *status = SEAM_OK;
            return e;
        }
        if (e->used < oldest->used)
            oldest = e;
    }
    clear_entry(oldest);
    oldest->key = *key;
    *status = seam_onednn_status(fill_entry(oldest));
    if (*status != SEAM_OK) {
        clear_entry(oldest);
        return NULL;
    }
    oldest->used = ++cache->clock;
    return oldest;
}

dnnl_status_t seam_onednn_run(const SeamOnednn *e, dnnl_primitive_t primitive, dnnl_memory_t scratch, int n, dnnl_exec_arg_t *args) {
    void *block = seam_scratch(SEAM_SCRATCH_PACK, e->scratch_bytes);
    if (!block)
        return dnnl_out_of_memory;
    dnnl_status_t status = dnnl_memory_set_data_handle(scratch, block);
    args[n] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, scratch};
    return status == dnnl_success ? dnnl_primitive_execute(primitive, own->stream, n + 1, args) : status;
}
