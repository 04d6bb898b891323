// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Picture folders: which pictures there are, what each is called, and where its boxes are. Boxes are relative to the picture: centre and size.
#include "core/train/image_folder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/files.h"

static const size_t text_limit = (size_t)16 << 20;

static bool is_picture(const char *name) {
    static const char *const endings[] = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".pgm"};
    g_autofree char *low = g_ascii_strdown(name, -1);
    for (size_t i = 0; i < G_N_ELEMENTS(endings); i++)
        if (g_str_has_suffix(low, endings[i]))
            return true;
    return false;
}

static bool has_folder(const char *path, const char *name) {
    g_autofree char *full = g_build_filename(path, name, NULL);
    return g_file_test(full, G_FILE_TEST_IS_DIR);
}

static int compare_names(gconstpointer a, gconstpointer b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Names in a folder, sorted, hidden ones left out; empty when it cannot be read.
static GPtrArray *list_folder(const char *path) {
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    GDir *dir = g_dir_open(path, 0, NULL);
    if (!dir)
        return names;
    for (const char *name; (name = g_dir_read_name(dir));)
        if (name[0] != '.')
            g_ptr_array_add(names, g_strdup(name));
    g_dir_close(dir);
    g_ptr_array_sort(names, compare_names);
    return names;
}

GPtrArray *seam_image_list(const char *folder) {
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) names = list_folder(folder);
    for (guint i = 0; i < names->len; i++)
        if (is_picture(names->pdata[i]))
            g_ptr_array_add(paths, g_build_filename(folder, names->pdata[i], NULL));
    return paths;
}

static bool holds_pictures(const char *path) {
    g_autoptr(GPtrArray) pictures = seam_image_list(path);
    return pictures->len > 0;
}

bool seam_image_folder_kind(const char *path, SeamDataKind *kind) {
    if (has_folder(path, "annotations") && has_folder(path, "images")) {
        *kind = SEAM_DATA_VOC;
        return true;
    }
    if (has_folder(path, "labels") && has_folder(path, "images")) {
        *kind = SEAM_DATA_YOLO;
        return true;
    }
    g_autoptr(GPtrArray) names = list_folder(path);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *full = g_build_filename(path, names->pdata[i], NULL);
        if (g_file_test(full, G_FILE_TEST_IS_DIR) && holds_pictures(full)) {
            *kind = SEAM_DATA_CLASS_FOLDERS;
            return true;
        }
    }
    return false;
}

static void free_file(gpointer data) {
    SeamImageFile *f = data;
    g_free(f->path);
    g_free(f->label);
    g_free(f->mask);
    g_array_unref(f->box);
    g_free(f);
}

static SeamImageFile *add_file(SeamImageFolder *folder, const char *path, const char *label) {
    SeamImageFile *f = g_new0(SeamImageFile, 1);
    f->path = g_strdup(path);
    f->label = g_strdup(label);
    f->box = g_array_new(FALSE, TRUE, sizeof(SeamBox));
    g_ptr_array_add(folder->files, f);
    return f;
}

static int32_t name_index(GPtrArray *names, const char *name) {
    for (guint i = 0; i < names->len; i++)
        if (strcmp(names->pdata[i], name) == 0)
            return (int32_t)i;
    g_ptr_array_add(names, g_strdup(name));
    return (int32_t)names->len - 1;
}

// ---- one folder a class --------------------------------------------------------------------------------------------------------

// Pictures beside the pictures: segmentations of the same files.
static bool is_mask_folder(const char *name) {
    return g_ascii_strcasecmp(name, "masks") == 0 || g_ascii_strcasecmp(name, "ground_truth") == 0;
}

static char *find_mask(const char *path, const char *picture) {
    g_autofree char *name = g_path_get_basename(picture);
    char *mask = g_build_filename(path, "masks", name, NULL);
    if (!g_file_test(mask, G_FILE_TEST_IS_REGULAR))
        g_clear_pointer(&mask, g_free);
    return mask;
}

uint8_t *seam_image_mask_read(const char *path, int32_t width, int32_t height, GError **error) {
    uint8_t *pixels = NULL, *mask = NULL;
    int32_t w, h;
    if (!seam_vision_read(path, 1, &pixels, &w, &h, error))
        return NULL;
    if (w == width && h == height)
        mask = g_memdup2(pixels, (size_t)w * h);
    else
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_SHAPE, "%s: is %dx%d, its picture %dx%d; give a mask of the picture's size", path, w, h, width, height);
    free(pixels);
    return mask;
}

static void read_class_folders(SeamImageFolder *folder, const char *path) {
    g_autoptr(GPtrArray) classes = list_folder(path);
    for (guint i = 0; i < classes->len; i++) {
        if (is_mask_folder(classes->pdata[i]))
            continue;
        g_autofree char *sub = g_build_filename(path, classes->pdata[i], NULL);
        g_autoptr(GPtrArray) pictures = seam_image_list(sub);
        for (guint j = 0; j < pictures->len; j++)
            add_file(folder, pictures->pdata[j], classes->pdata[i])->mask = find_mask(path, pictures->pdata[j]);
    }
}

// ---- YOLO ----------------------------------------------------------------------------------------------------------------------

// "names: [a, b]" or a list of lines "- a" / "0: a" after "names:" in data.yaml; lines of classes.txt.
static void take_names(SeamImageFolder *folder, const char *const *given) {
    for (; given && *given; given++)
        g_ptr_array_add(folder->names, g_strdup(*given));
}

static void read_yolo_names(SeamImageFolder *folder, const char *path) {
    g_autofree char *yaml = g_build_filename(path, "data.yaml", NULL), *plain = g_build_filename(path, "classes.txt", NULL);
    g_autofree char *text = NULL;
    bool is_yaml = !g_file_get_contents(plain, &text, NULL, NULL);
    if (is_yaml && !g_file_get_contents(yaml, &text, NULL, NULL))
        return;
    char *at = is_yaml ? strstr(text, "names:") : text;
    at = at && is_yaml ? at + strlen("names:") : at;
    g_auto(GStrv) lines = g_strsplit_set(at ? at : "", is_yaml ? "\n,[]" : "\n", -1);
    for (char **l = lines; *l; l++) {
        char *name = g_strstrip(*l);
        char *colon = is_yaml ? strchr(name, ':') : NULL;
        if (colon && !g_ascii_isdigit(name[0]))
            break; // the next key
        name = colon ? colon + 1 : name;
        while (is_yaml && *name && strchr("- '\"", *name))
            name++;
        g_strdelimit(name, "'\"", ' ');
        if (*g_strstrip(name))
            g_ptr_array_add(folder->names, g_strdup(name));
    }
}

static bool read_yolo_line(SeamImageFile *f, const char *line, int32_t number, const char *path, GError **error) {
    double v[5];
    const char *at = line;
    for (int32_t i = 0; i < 5; i++) {
        char *end;
        v[i] = g_ascii_strtod(at, &end);
        if (end == at || !isfinite(v[i]) || (i > 0 && !(v[i] >= 0 && v[i] <= 1.001)) || v[0] < 0 || v[0] > 9999) {
            g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "%s: line %d is not \"class x y w h\" with numbers from 0 to 1", path, number);
            return false;
        }
        at = end;
    }
    SeamBox box = {(float)v[1], (float)v[2], (float)v[3], (float)v[4], 1, (int32_t)v[0]};
    g_array_append_val(f->box, box);
    return true;
}

static bool read_yolo_labels(SeamImageFolder *folder, SeamImageFile *f, const char *path, GError **error) {
    size_t size;
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return true;
    g_autofree char *text = seam_file_read(path, text_limit, &size, error);
    if (!text)
        return false;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (int32_t i = 0; lines[i]; i++)
        if (*g_strstrip(lines[i]) && !read_yolo_line(f, lines[i], i + 1, path, error))
            return false;
    for (guint b = 0; b < f->box->len; b++)
        while (g_array_index(f->box, SeamBox, b).class_index >= (int32_t)folder->names->len)
            g_ptr_array_add(folder->names, g_strdup_printf("%u", folder->names->len));
    return true;
}

// ---- Pascal VOC ----------------------------------------------------------------------------------------------------------------

typedef struct {
    SeamImageFolder *folder;
    SeamImageFile *file;
    char *object;                 // its name
    double size[2], corner[4];    // width, height; xmin, ymin, xmax, ymax
    double *number;               // where the current element's text goes
    bool in_object, take_name;
} Voc;

static void voc_start(GMarkupParseContext *context, const gchar *element, const gchar **names, const gchar **values, gpointer user, GError **error) {
    static const char *const corners[] = {"xmin", "ymin", "xmax", "ymax"};
    Voc *v = user;
    v->number = NULL;
    v->take_name = v->in_object && strcmp(element, "name") == 0 && !v->object;
    if (strcmp(element, "object") == 0)
        v->in_object = true;
    if (!v->in_object && strcmp(element, "width") == 0)
        v->number = &v->size[0];
    if (!v->in_object && strcmp(element, "height") == 0)
        v->number = &v->size[1];
    for (int32_t i = 0; v->in_object && i < 4; i++)
        if (strcmp(element, corners[i]) == 0)
            v->number = &v->corner[i];
}

static void voc_text(GMarkupParseContext *context, const gchar *text, gsize size, gpointer user, GError **error) {
    Voc *v = user;
    g_autofree char *copy = g_strndup(text, size);
    if (v->number)
        *v->number = g_ascii_strtod(copy, NULL);
    if (v->take_name)
        v->object = g_strdup(g_strstrip(copy));
    v->number = NULL;
    v->take_name = false;
}

static void voc_end(GMarkupParseContext *context, const gchar *element, gpointer user, GError **error) {
    Voc *v = user;
    const double *c = v->corner;
    if (strcmp(element, "object") != 0)
        return;
    double w = c[2] - c[0], h = c[3] - c[1];
    if (!v->object || !(v->size[0] > 0 && v->size[1] > 0 && w > 0 && h > 0)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "an object needs a name, and a bndbox inside a picture with width and height over 0");
    } else {
        SeamBox box = {(float)((c[0] + w / 2) / v->size[0]), (float)((c[1] + h / 2) / v->size[1]), (float)(w / v->size[0]),
                       (float)(h / v->size[1]), 1, name_index(v->folder->names, v->object)};
        g_array_append_val(v->file->box, box);
    }
    g_clear_pointer(&v->object, g_free);
    v->in_object = false;
}

static bool read_voc_boxes(SeamImageFolder *folder, SeamImageFile *f, const char *path, GError **error) {
    static const GMarkupParser parser = {voc_start, voc_end, voc_text, NULL, NULL};
    size_t size;
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return true;
    g_autofree char *text = seam_file_read(path, text_limit, &size, error);
    if (!text)
        return false;
    Voc v = {.folder = folder, .file = f};
    GMarkupParseContext *context = g_markup_parse_context_new(&parser, G_MARKUP_TREAT_CDATA_AS_TEXT, &v, NULL);
    bool ok = g_markup_parse_context_parse(context, text, (gssize)size, error) && g_markup_parse_context_end_parse(context, error);
    g_markup_parse_context_free(context);
    g_free(v.object);
    if (!ok)
        g_prefix_error(error, "%s: ", path);
    return ok;
}

// ---- both ----------------------------------------------------------------------------------------------------------------------

static bool is_name(const SeamImageFolder *folder, const char *name) {
    for (guint i = 0; i < folder->names->len; i++)
        if (strcmp(folder->names->pdata[i], name) == 0)
            return true;
    return false;
}

// A picture's label is the class of its largest box that is not good. Where the class stands in the file's name (up to the last '_' or '-' before a
// number), that is the label when it is what boxes are called, too, or when there is no box.
static void label_file(const SeamImageFolder *folder, SeamImageFile *f, bool class_in_name) {
    float largest = 0;
    const char *label = NULL;
    for (guint i = 0; i < f->box->len; i++) {
        const SeamBox *b = &g_array_index(f->box, SeamBox, i);
        const char *name = folder->names->pdata[b->class_index];
        bool good = g_ascii_strncasecmp(name, "good", 4) == 0;
        float area = good ? 1e-6f : b->w * b->h;
        if (area > largest) {
            largest = area;
            label = name;
        }
    }
    g_autofree char *base = g_path_get_basename(f->path);
    if (class_in_name) {
        size_t n = strcspn(base, ".");
        while (n > 0 && (g_ascii_isdigit(base[n - 1]) || base[n - 1] == '_' || base[n - 1] == '-'))
            n--;
        base[n] = 0;
        label = !label || is_name(folder, base) ? base : label;
    }
    g_free(f->label);
    f->label = g_strdup(label ? label : "");
}

static bool read_boxed(SeamImageFolder *folder, const char *path, SeamDataKind kind, GError **error) {
    g_autofree char *images = g_build_filename(path, "images", NULL);
    g_autoptr(GPtrArray) pictures = seam_image_list(images);
    bool voc = kind == SEAM_DATA_VOC;
    for (guint i = 0; i < pictures->len; i++) {
        g_autofree char *name = g_path_get_basename(pictures->pdata[i]);
        g_autofree char *stem = g_strndup(name, (gsize)(strrchr(name, '.') - name));
        g_autofree char *file = g_strconcat(stem, voc ? ".xml" : ".txt", NULL);
        g_autofree char *boxes = g_build_filename(path, voc ? "annotations" : "labels", file, NULL);
        SeamImageFile *f = add_file(folder, pictures->pdata[i], "");
        if (voc ? !read_voc_boxes(folder, f, boxes, error) : !read_yolo_labels(folder, f, boxes, error))
            return false;
    }
    for (guint i = 0; i < folder->files->len; i++) // when all names are known
        label_file(folder, folder->files->pdata[i], voc);
    return true;
}

static void name_numbers(SeamImageFolder *folder, const char *path, const char *const *given, const char *const *otherwise) {
    take_names(folder, given);
    if (folder->names->len == 0)
        read_yolo_names(folder, path);
    if (folder->names->len == 0)
        take_names(folder, otherwise);
}

SeamImageFolder *seam_image_folder_read(const char *path, SeamDataKind kind, const char *const *class_names, const char *const *otherwise,
                                        GError **error) {
    SeamImageFolder *folder = g_new0(SeamImageFolder, 1);
    folder->files = g_ptr_array_new_with_free_func(free_file);
    folder->names = g_ptr_array_new_with_free_func(g_free);
    bool ok = true;
    if (kind == SEAM_DATA_YOLO)
        name_numbers(folder, path, class_names, otherwise);
    if (kind == SEAM_DATA_CLASS_FOLDERS)
        read_class_folders(folder, path);
    else
        ok = read_boxed(folder, path, kind, error);
    if (!ok)
        g_clear_pointer(&folder, seam_image_folder_free);
    return folder;
}

void seam_image_folder_free(SeamImageFolder *folder) {
    if (!folder)
        return;
    g_ptr_array_unref(folder->files);
    g_ptr_array_unref(folder->names);
    g_free(folder);
}
