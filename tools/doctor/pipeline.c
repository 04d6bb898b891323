// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A pipeline as it is written: its words are sorted into elements, properties, caps and references, and each link is tried on the pads' templates. It
// owns the elements that it makes to look at, and starts none.
#include <string.h>

#include "core/files.h"
#include "tools/doctor/doctor.h"

typedef enum { ELEMENT, CAPS, REFERENCE } Kind;

typedef struct Node {
    Kind kind;
    char *text;             // the word
    char *name;             // ELEMENT: by name= or made up; REFERENCE: the element
    char *pad;              // REFERENCE: the pad, or NULL
    GstElement *element;    // ELEMENT, when the factory is known
    GstCaps *caps;          // CAPS
    struct Node *from, *to; // links
} Node;

typedef struct {
    Doctor *doctor;
    GPtrArray *node; // of Node *
    Node *last;      // what properties and `!` refer to
    bool linking;    // `!` was read
} Reading;

static void free_node(gpointer data) {
    Node *n = data;
    g_free(n->text);
    g_free(n->name);
    g_free(n->pad);
    gst_clear_object(&n->element);
    gst_clear_caps(&n->caps);
    g_free(n);
}

// ---- elements ------------------------------------------------------------------------------------------------------------------

static char **element_names(void) {
    GList *all = gst_registry_get_feature_list(gst_registry_get(), GST_TYPE_ELEMENT_FACTORY);
    GPtrArray *names = g_ptr_array_new();
    for (GList *l = all; l; l = l->next)
        g_ptr_array_add(names, g_strdup(GST_OBJECT_NAME(l->data)));
    gst_plugin_feature_list_free(all);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

static void report_unknown_element(Doctor *d, const char *name) {
    g_auto(GStrv) names = element_names();
    const char *package = doctor_package(name);
    size_t distance;
    const char *near = seam_nearest_name(name, (const char *const *)names, &distance);
    char *remedy;
    if (package)
        remedy = g_strdup_printf("apt-get install %s", package);
    else if (near && distance <= 3)
        remedy = g_strdup_printf("did you mean \"%s\"?", near);
    else if (g_str_has_prefix(name, "seam"))
        remedy = g_strdup("export GST_PLUGIN_PATH to the folder of libgstseam.so; gst-inspect-1.0 seam lists its elements");
    else
        remedy = g_strdup("find the package with `apt-cache search gstreamer1.0`, or correct the name");
    doctor_add(d, DOCTOR_PROBLEM, "pipeline", g_strdup_printf("there is no element \"%s\" on this machine", name), remedy);
}

// ---- properties ----------------------------------------------------------------------------------------------------------------

static char **property_names(GObjectClass *klass) {
    guint n;
    g_autofree GParamSpec **spec = g_object_class_list_properties(klass, &n);
    char **names = g_new0(char *, n + 1);
    for (guint i = 0; i < n; i++)
        names[i] = g_strdup(spec[i]->name);
    return names;
}

static char *enum_values(GParamSpec *spec) {
    GString *text = g_string_new(NULL);
    const GEnumClass *values = G_PARAM_SPEC_ENUM(spec)->enum_class;
    for (guint i = 0; i < values->n_values; i++)
        g_string_append_printf(text, "%s%s", i ? ", " : "", values->values[i].value_nick);
    return g_string_free(text, FALSE);
}

static char *allowed_values(GParamSpec *spec) {
    if (G_IS_PARAM_SPEC_ENUM(spec))
        return enum_values(spec);
    if (G_IS_PARAM_SPEC_INT(spec))
        return g_strdup_printf("a whole number from %d to %d", G_PARAM_SPEC_INT(spec)->minimum, G_PARAM_SPEC_INT(spec)->maximum);
    if (G_IS_PARAM_SPEC_UINT(spec))
        return g_strdup_printf("a whole number from %u to %u", G_PARAM_SPEC_UINT(spec)->minimum, G_PARAM_SPEC_UINT(spec)->maximum);
    if (G_IS_PARAM_SPEC_DOUBLE(spec))
        return g_strdup_printf("a number from %g to %g", G_PARAM_SPEC_DOUBLE(spec)->minimum, G_PARAM_SPEC_DOUBLE(spec)->maximum);
    return g_strdup_printf("of the type %s", g_type_name(spec->value_type));
}

static void check_value(Doctor *d, const Node *n, GParamSpec *spec, const char *text) {
    GValue value = G_VALUE_INIT;
    g_value_init(&value, spec->value_type);
    bool known = gst_value_deserialize_with_pspec(&value, text, spec), changed = known && g_param_value_validate(spec, &value);
    if (known && !changed) {
        g_object_set_property(G_OBJECT(n->element), spec->name, &value);
    } else if (GST_TYPE_CAPS != spec->value_type || !known) {
        g_autofree char *allowed = allowed_values(spec);
        doctor_add(d, DOCTOR_PROBLEM, "pipeline", g_strdup_printf("%s: %s is \"%s\"", n->name, spec->name, text),
                   g_strdup_printf("it must be %s", allowed));
    }
    g_value_unset(&value);
}

// Properties of a bin's children ("child::property") are not looked at.
static void check_property(Doctor *d, Node *n, const char *word) {
    g_autofree char *name = g_strndup(word, (gsize)(strchr(word, '=') - word));
    const char *value = strchr(word, '=') + 1;
    if (!n || n->kind != ELEMENT || !n->element || strstr(name, "::") || strcmp(name, "name") == 0)
        return;
    GObjectClass *klass = G_OBJECT_GET_CLASS(n->element);
    GParamSpec *spec = g_object_class_find_property(klass, name);
    if (spec && !(spec->flags & G_PARAM_WRITABLE)) {
        doctor_add(d, DOCTOR_PROBLEM, "pipeline", g_strdup_printf("%s: %s can only be read", n->name, name), g_strdup("take it out"));
    } else if (spec) {
        check_value(d, n, spec, value);
    } else {
        g_auto(GStrv) names = property_names(klass);
        const char *factory = GST_OBJECT_NAME(gst_element_get_factory(n->element));
        size_t distance;
        const char *near = seam_nearest_name(name, (const char *const *)names, &distance);
        doctor_add(d, DOCTOR_PROBLEM, "pipeline", g_strdup_printf("%s has no property \"%s\"", n->name, name),
                   near && distance <= 3 ? g_strdup_printf("did you mean \"%s\"? gst-inspect-1.0 %s lists them", near, factory)
                                         : g_strdup_printf("gst-inspect-1.0 %s lists them", factory));
    }
}

// ---- words ---------------------------------------------------------------------------------------------------------------------

static bool is_property(const char *word) {
    const char *equals = strchr(word, '=');
    size_t before = equals ? strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_:") : 0;
    return equals && before > 0 && word + before == equals;
}

static Node *add_node(Reading *r, Kind kind, const char *word) {
    Node *n = g_new0(Node, 1);
    n->kind = kind;
    n->text = g_strdup(word);
    if (r->linking && r->last) {
        n->from = r->last;
        r->last->to = n;
    }
    r->linking = false;
    r->last = n;
    g_ptr_array_add(r->node, n);
    return n;
}

static void add_element(Reading *r, const char *word) {
    Node *n = add_node(r, ELEMENT, word);
    GstElementFactory *factory = gst_element_factory_find(word);
    n->element = factory ? gst_element_factory_create(factory, NULL) : NULL;
    n->name = g_strdup(word);
    if (!n->element && strcmp(word, "bin") != 0 && strcmp(word, "pipeline") != 0)
        report_unknown_element(r->doctor, word);
    gst_clear_object(&factory);
}

static void add_caps(Reading *r, const char *word) {
    Node *n = add_node(r, CAPS, word);
    n->caps = gst_caps_from_string(word);
    n->name = g_strdup_printf("the filter %s", word);
    if (!n->caps)
        doctor_add(r->doctor, DOCTOR_PROBLEM, "pipeline", g_strdup_printf("\"%s\" is neither an element nor caps", word),
                   g_strdup("caps look like video/x-raw,format=I420,width=640; quote them when there are spaces"));
}

static void add_reference(Reading *r, const char *word) {
    char *dot = strchr(word, '.');
    if (!r->linking)
        r->last = NULL; // begins a new branch
    Node *n = add_node(r, REFERENCE, word);
    n->name = g_strndup(word, (gsize)(dot - word));
    n->pad = dot[1] ? g_strdup(dot + 1) : NULL;
}

static void read_word(Reading *r, const char *word) {
    if (strcmp(word, "!") == 0) {
        if (!r->last)
            doctor_add(r->doctor, DOCTOR_PROBLEM, "pipeline", g_strdup("a \"!\" without an element before it"),
                       g_strdup("take it out, or add the element"));
        r->linking = true;
    } else if (is_property(word)) {
        if (g_str_has_prefix(word, "name=") && r->last && r->last->kind == ELEMENT) {
            g_free(r->last->name);
            r->last->name = g_strdup(word + 5);
        }
        check_property(r->doctor, r->last, word);
    } else if (strcmp(word, "(") == 0 || strcmp(word, ")") == 0 || g_str_has_suffix(word, ".(")) {
        r->last = NULL;
    } else if (strchr(word, '/')) {
        add_caps(r, word);
    } else if (strchr(word, '.')) {
        add_reference(r, word);
    } else {
        if (!r->linking)
            r->last = NULL;
        add_element(r, word);
    }
}

// ---- links ---------------------------------------------------------------------------------------------------------------------

static Node *find_named(const Reading *r, const char *name) {
    for (guint i = 0; i < r->node->len; i++) {
        Node *n = r->node->pdata[i];
        if (n->kind == ELEMENT && strcmp(n->name, name) == 0)
            return n;
    }
    return NULL;
}

// "sensor_%s" takes "sensor_sound".
static bool pad_matches(const char *template, const char *pad) {
    const char *percent = strchr(template, '%');
    return percent ? strncmp(template, pad, (size_t)(percent - template)) == 0 : strcmp(template, pad) == 0;
}

// All that the element's pads of a direction, or the one that is named, may ever carry. Empty: there is no such pad.
static GstCaps *template_caps(GstElement *element, GstPadDirection direction, const char *pad) {
    GstCaps *caps = gst_caps_new_empty();
    for (GList *l = gst_element_class_get_pad_template_list(GST_ELEMENT_GET_CLASS(element)); l; l = l->next) {
        GstPadTemplate *t = l->data;
        if (GST_PAD_TEMPLATE_DIRECTION(t) == direction && (!pad || pad_matches(GST_PAD_TEMPLATE_NAME_TEMPLATE(t), pad)))
            caps = gst_caps_merge(caps, gst_pad_template_get_caps(t));
    }
    return caps;
}

// Elements that hand on what they are given.
static bool passes_on(const Node *n) {
    static const char *const names[] = {"queue", "queue2", "multiqueue", "tee", "identity", "valve", "progressreport"};
    const char *factory = n->element ? GST_OBJECT_NAME(gst_element_get_factory(n->element)) : "";
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (strcmp(factory, names[i]) == 0)
            return true;
    return false;
}

// What comes out of a node: NULL when that is not known.
static GstCaps *caps_from(const Reading *r, const Node *n, int32_t depth) {
    const Node *element = n->kind == REFERENCE ? find_named(r, n->name) : n;
    if (!element || depth > 32)
        return NULL;
    GstCaps *before = element->from && (element->kind == CAPS || passes_on(element)) ? caps_from(r, element->from, depth + 1) : NULL;
    if (element->kind == CAPS) {
        GstCaps *caps = element->caps && before ? gst_caps_intersect(before, element->caps) : element->caps ? gst_caps_ref(element->caps) : NULL;
        gst_clear_caps(&before);
        return caps;
    }
    return before ? before : element->element ? template_caps(element->element, GST_PAD_SRC, n->pad) : NULL;
}

static GstCaps *caps_to(const Reading *r, const Node *n) {
    const Node *element = n->kind == REFERENCE ? find_named(r, n->name) : n;
    if (element && element->kind == CAPS)
        return element->caps ? gst_caps_ref(element->caps) : NULL;
    return element && element->element ? template_caps(element->element, GST_PAD_SINK, n->kind == REFERENCE ? n->pad : NULL) : NULL;
}

static void check_link(Reading *r, const Node *from, const Node *to) {
    GstCaps *left = caps_from(r, from, 0), *right = caps_to(r, to);
    if (left && right && !gst_caps_is_any(left) && gst_caps_is_empty(left) && from->kind != CAPS)
        doctor_add(r->doctor, DOCTOR_PROBLEM, "pipeline", g_strdup_printf("%s has no such output; it cannot stand before \"!\"", from->text),
                   g_strdup("gst-inspect-1.0 lists its pads"));
    else if (left && right && gst_caps_is_empty(right) && to->kind != CAPS)
        doctor_add(r->doctor, DOCTOR_PROBLEM, "pipeline", g_strdup_printf("%s has no such input; it cannot stand after \"!\"", to->text),
                   g_strdup("gst-inspect-1.0 lists its pads"));
    else if (left && right && !gst_caps_is_empty(left) && !gst_caps_can_intersect(left, right))
        doctor_explain_caps(r->doctor, from->name, left, to->name, right);
    gst_clear_caps(&left);
    gst_clear_caps(&right);
}

static void check_references(Reading *r) {
    for (guint i = 0; i < r->node->len; i++) {
        const Node *n = r->node->pdata[i];
        if (n->kind == REFERENCE && !find_named(r, n->name))
            doctor_add(r->doctor, DOCTOR_PROBLEM, "pipeline", g_strdup_printf("\"%s\" refers to an element that nothing names", n->text),
                       g_strdup_printf("add name=%s to the element that is meant", n->name));
    }
}

// A tee without queues stops as soon as one of its branches waits for another.
static void check_tee(Reading *r, const Node *tee) {
    int32_t branches = 0, bare = 0;
    for (guint i = 0; i < r->node->len; i++) {
        const Node *n = r->node->pdata[i];
        bool branch = n->to && (n == tee || (n->kind == REFERENCE && strcmp(n->name, tee->name) == 0));
        branches += branch;
        bare += branch && !(n->to->element && strstr(GST_OBJECT_NAME(gst_element_get_factory(n->to->element)), "queue"));
    }
    if (branches > 1 && bare > 0)
        doctor_add(r->doctor, DOCTOR_NOTE, "pipeline",
                   g_strdup_printf("%d of the %d branches of the tee \"%s\" begin without a queue: they may wait for each other for ever", bare,
                                   branches, tee->name),
                   g_strdup_printf("write `%s. ! queue ! ...`", tee->name));
}

static void check_links(Reading *r) {
    for (guint i = 0; i < r->node->len; i++) {
        const Node *n = r->node->pdata[i];
        if (n->to)
            check_link(r, n, n->to);
        if (n->element && strcmp(GST_OBJECT_NAME(gst_element_get_factory(n->element)), "tee") == 0)
            check_tee(r, n);
    }
    if (r->linking)
        doctor_add(r->doctor, DOCTOR_PROBLEM, "pipeline", g_strdup("the pipeline ends with \"!\""),
                   g_strdup("add what comes after it, for example `fakesink`"));
}

// ---- all of it -----------------------------------------------------------------------------------------------------------------

// "gst-launch-1.0 -q -e" may stand before it.
static char **pipeline_words(Doctor *d, const char *text, char ***argv) {
    g_autoptr(GError) error = NULL;
    if (!g_shell_parse_argv(text, NULL, argv, &error)) {
        doctor_add(d, DOCTOR_PROBLEM, "pipeline", g_strdup_printf("it cannot be read: %s", error->message), g_strdup("close its quotes"));
        return NULL;
    }
    char **word = *argv;
    if (g_str_has_suffix(*word, "gst-launch-1.0"))
        for (word++; *word && **word == '-'; word++)
            ;
    return word;
}

void doctor_check_pipeline(Doctor *d, const char *text) {
    g_auto(GStrv) argv = NULL;
    int32_t before = doctor_problems(d);
    Reading r = {.doctor = d, .node = g_ptr_array_new_with_free_func(free_node)};
    char **word = pipeline_words(d, text, &argv);
    for (char **w = word; w && *w; w++)
        read_word(&r, *w);
    if (word) {
        check_references(&r);
        check_links(&r);
    }
    g_ptr_array_unref(r.node);
    if (word && doctor_problems(d) == before)
        doctor_run_pipeline(d, word);
}
