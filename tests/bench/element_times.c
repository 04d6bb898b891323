// SPDX-License-Identifier: LGPL-2.1-or-later
#define GST_USE_UNSTABLE_API
#include "tests/bench/element_times.h"

#include <gst/gst.h>
#include <time.h>

enum { MOST_DEPTH = 64 };

typedef struct {
    gint64 ns;      // processor time
    gint64 pushes, bytes;
} Counter;

// Of one streaming thread: whose time is running, and whose were interrupted by pushing.
typedef struct {
    Counter *owner[MOST_DEPTH];
    gint depth;
    gint64 mark;
} Thread;

static __thread Thread thread;
static gboolean recording;
static GHashTable *counters; // factory name -> Counter
static GMutex lock;

static gint64 thread_time(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

// Cached on the element; bins and their ghost pads count for nobody.
static Counter *counter_of(GstObject *pad) {
    static GQuark quark;
    GstObject *parent = pad ? GST_OBJECT_PARENT(pad) : NULL;
    if (!parent || !GST_IS_ELEMENT(parent) || GST_IS_BIN(parent))
        return NULL;
    if (!quark)
        quark = g_quark_from_static_string("seam-element-times");
    Counter *counter = g_object_get_qdata(G_OBJECT(parent), quark);
    if (counter)
        return counter;
    const char *name = GST_OBJECT_NAME(gst_element_get_factory(GST_ELEMENT(parent)));
    g_mutex_lock(&lock);
    counter = g_hash_table_lookup(counters, name);
    if (!counter)
        g_hash_table_insert(counters, g_strdup(name), counter = g_new0(Counter, 1));
    g_mutex_unlock(&lock);
    g_object_set_qdata(G_OBJECT(parent), quark, counter);
    return counter;
}

static void settle(Thread *t) {
    gint64 now = thread_time();
    Counter *owner = t->owner[t->depth];
    if (owner && g_atomic_int_get(&recording))
        __atomic_add_fetch(&owner->ns, now - t->mark, __ATOMIC_RELAXED);
    t->mark = now;
}

static void enter(GstPad *pad, gint64 buffers, gsize bytes) {
    Thread *t = &thread;
    GstPad *peer = GST_PAD_PEER(pad);
    Counter *from = t->depth == 0 ? counter_of(GST_OBJECT(pad)) : NULL, *to = counter_of(GST_OBJECT(peer));
    if (t->mark == 0)
        t->mark = thread_time();
    if (from)
        t->owner[0] = from; // a task's or a source's own time since its last push
    settle(t);
    g_assert(t->depth + 1 < MOST_DEPTH);
    t->depth++;
    t->owner[t->depth] = to ? to : t->owner[t->depth - 1];
    if (to && g_atomic_int_get(&recording)) {
        __atomic_add_fetch(&to->pushes, buffers, __ATOMIC_RELAXED);
        __atomic_add_fetch(&to->bytes, (gint64)bytes, __ATOMIC_RELAXED);
    }
}

static void leave(void) {
    settle(&thread);
    if (thread.depth > 0)
        thread.depth--;
}

static void push_pre(GstTracer *tracer, GstClockTime time, GstPad *pad, GstBuffer *buffer) { enter(pad, 1, gst_buffer_get_size(buffer)); }

static void list_pre(GstTracer *tracer, GstClockTime time, GstPad *pad, GstBufferList *list) {
    enter(pad, gst_buffer_list_length(list), gst_buffer_list_calculate_size(list));
}

static void event_pre(GstTracer *tracer, GstClockTime time, GstPad *pad, GstEvent *event) { enter(pad, 0, 0); }

static void any_post(GstTracer *tracer, GstClockTime time, GstPad *pad, gint result) { leave(); }

void seam_element_times_install(void) {
    counters = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    gst_tracing_register_hook(NULL, "pad-push-pre", G_CALLBACK(push_pre));
    gst_tracing_register_hook(NULL, "pad-push-post", G_CALLBACK(any_post));
    gst_tracing_register_hook(NULL, "pad-push-list-pre", G_CALLBACK(list_pre));
    gst_tracing_register_hook(NULL, "pad-push-list-post", G_CALLBACK(any_post));
    gst_tracing_register_hook(NULL, "pad-push-event-pre", G_CALLBACK(event_pre));
    gst_tracing_register_hook(NULL, "pad-push-event-post", G_CALLBACK(any_post));
}

void seam_element_times_record(gboolean on) { g_atomic_int_set(&recording, on); }

void seam_element_times_print(GString *json) {
    GHashTableIter iterator;
    gpointer name, value;
    const char *comma = "";
    g_hash_table_iter_init(&iterator, counters);
    for (; g_hash_table_iter_next(&iterator, &name, &value); comma = ", ") {
        const Counter *c = value;
        g_string_append_printf(json, "%s\"%s\": {\"us\": %.3f, \"pushes\": %" G_GINT64_FORMAT ", \"bytes\": %" G_GINT64_FORMAT "}", comma,
                               (char *)name, c->ns / 1000.0, c->pushes, c->bytes);
    }
}
