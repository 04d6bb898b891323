// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The safetensors reader and writer. The reader owns a private copy of the file; nothing of it is
// believed before it is checked.
#include "core/safetensors.h"

#include <math.h>
#include <string.h>

#include "core/bfloat.h"
#include "core/error.h"
#include "core/files.h"
#include "core/json_text.h"
#include "kernels/kernels.h"

static const size_t MAX_FILE = (size_t)8 << 30;
static const size_t MAX_HEADER = 16 << 20;
enum { LENGTH_BYTES = 8, MAX_TENSORS = 65536, MAX_NAME = 512, CHUNK = 1024 };

static const char *const dtype_names[] = {
    [SEAM_F32] = "F32", [SEAM_F16] = "F16", [SEAM_BF16] = "BF16", [SEAM_I8] = "I8", [SEAM_I32] = "I32", NULL};

struct SeamSafetensors {
    char *path;
    unsigned char *bytes;
    size_t size;
    JsonObject *header;   // owns the names
    JsonObject *metadata; // inside header, or NULL
    SeamArray *arrays;    // [count] in the order of the file
    int32_t count;
    GHashTable *by_name; // name -> SeamArray *, both inside this struct
};

size_t seam_dtype_size(SeamDtype dtype) {
    static const size_t sizes[] = {[SEAM_F32] = 4, [SEAM_F16] = 2, [SEAM_BF16] = 2, [SEAM_I8] = 1, [SEAM_I32] = 4};
    return sizes[dtype];
}

// ---- reading
// -------------------------------------------------------------------------------------

// A tensor's entry in the header before its place in the file is known to be good.
typedef struct {
    SeamArray array;
    size_t begin, end;
} Entry;

G_GNUC_PRINTF(3, 4)
static bool refuse(GError **error, SeamErrorCode code, const char *format, ...) {
    va_list list;
    va_start(list, format);
    g_autofree char *text = g_strdup_vprintf(format, list);
    va_end(list);
    g_set_error_literal(error, SEAM_ERROR, code, text);
    return false;
}

// Names are printed, and others may make files of them: no control characters, no way out of a
// folder.
static bool check_name(const char *name, const char *path, GError **error) {
    size_t length = strlen(name);
    bool good = length > 0 && length <= MAX_NAME && name[0] != '/' && !strstr(name, "..") &&
                !strchr(name, '\\');
    for (size_t i = 0; i < length; i++)
        good = good && (unsigned char)name[i] >= 0x20 && name[i] != 0x7F;
    return good || refuse(error, SEAM_ERROR_FORMAT,
                          "%s: a tensor's name is empty, longer than %d bytes, or has characters "
                          "that are not allowed",
                          path, MAX_NAME);
}

// A whole number that is not negative, as item i of an array.
static bool read_count(JsonArray *array, guint i, const char *where, const char *field,
                       int64_t *value, GError **error) {
    JsonNode *node = json_array_get_element(array, i);
    bool whole = JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64;
    *value = whole ? json_node_get_int(node) : -1;
    return *value >= 0 || refuse(error, SEAM_ERROR_FORMAT,
                                 "%s: \"%s\" must hold whole numbers from 0", where, field);
}

static bool read_dtype(JsonObject *o, const char *where, SeamDtype *dtype, GError **error) {
    const char *text = NULL;
    if (!seam_json_string(o, where, "dtype", true, &text, error))
        return false;
    for (int i = 0; dtype_names[i]; i++) {
        *dtype = (SeamDtype)i;
        if (strcmp(dtype_names[i], text) == 0)
            return true;
    }
    g_autofree char *shown = seam_json_excerpt(text);
    return refuse(error, SEAM_ERROR_UNSUPPORTED,
                  "%s: \"dtype\" is \"%s\", must be F32, F16, BF16, I8 or I32: convert the file",
                  where, shown);
}

static bool read_shape(JsonObject *o, const char *where, SeamArray *array, GError **error) {
    JsonArray *shape = NULL;
    if (!seam_json_array(o, where, "shape", true, &shape, error))
        return false;
    guint rank = json_array_get_length(shape);
    if (rank > G_N_ELEMENTS(array->shape))
        return refuse(error, SEAM_ERROR_UNSUPPORTED, "%s: has %u dimensions, must have at most 4",
                      where, rank);
    array->rank = (int32_t)rank;
    array->size = 1;
    for (guint i = 0; i < rank; i++) {
        int64_t d;
        if (!read_count(shape, i, where, "shape", &d, error))
            return false;
        if (d < 1 || d > INT32_MAX || __builtin_mul_overflow(array->size, (size_t)d, &array->size))
            return refuse(error, SEAM_ERROR_SHAPE,
                          "%s: \"shape\" has a dimension outside 1 to %d, or is too large", where,
                          INT32_MAX);
        array->shape[i] = (int32_t)d;
    }
    return true;
}

static bool read_offsets(JsonObject *o, const char *where, Entry *entry, GError **error) {
    JsonArray *offsets = NULL;
    int64_t begin, end;
    size_t bytes;
    if (!seam_json_array(o, where, "data_offsets", true, &offsets, error))
        return false;
    if (json_array_get_length(offsets) != 2)
        return refuse(error, SEAM_ERROR_FORMAT, "%s: \"data_offsets\" must be two numbers", where);
    if (!read_count(offsets, 0, where, "data_offsets", &begin, error) ||
        !read_count(offsets, 1, where, "data_offsets", &end, error))
        return false;
    entry->begin = (size_t)begin;
    entry->end = (size_t)end;
    if (__builtin_mul_overflow(entry->array.size, seam_dtype_size(entry->array.dtype), &bytes) ||
        end < begin || entry->end - entry->begin != bytes)
        return refuse(error, SEAM_ERROR_SHAPE,
                      "%s: \"data_offsets\" do not span what \"dtype\" and \"shape\" need", where);
    return true;
}

static bool read_entry(JsonNode *node, const char *name, const char *path, Entry *entry,
                       GError **error) {
    static const char *const fields[] = {"dtype", "shape", "data_offsets", NULL};
    if (!check_name(name, path, error))
        return false;
    g_autofree char *where = g_strdup_printf("%s: tensor \"%s\"", path, name);
    if (!JSON_NODE_HOLDS_OBJECT(node))
        return refuse(error, SEAM_ERROR_FORMAT, "%s: must be an object", where);
    JsonObject *o = json_node_get_object(node);
    entry->array.name = name;
    return seam_json_known(o, where, fields, error) &&
           read_dtype(o, where, &entry->array.dtype, error) &&
           read_shape(o, where, &entry->array, error) && read_offsets(o, where, entry, error);
}

static bool read_metadata(SeamSafetensors *file, JsonNode *node, GError **error) {
    JsonObjectIter iter;
    JsonNode *value;
    if (!JSON_NODE_HOLDS_OBJECT(node))
        return refuse(error, SEAM_ERROR_FORMAT, "%s: \"__metadata__\" must be an object",
                      file->path);
    file->metadata = json_node_get_object(node);
    json_object_iter_init(&iter, file->metadata);
    while (json_object_iter_next(&iter, NULL, &value))
        if (!JSON_NODE_HOLDS_VALUE(value) || json_node_get_value_type(value) != G_TYPE_STRING)
            return refuse(error, SEAM_ERROR_FORMAT, "%s: \"__metadata__\" must hold strings only",
                          file->path);
    return true;
}

static int by_begin(const void *a, const void *b) {
    size_t x = ((const Entry *)a)->begin, y = ((const Entry *)b)->begin;
    return x < y ? -1 : x > y;
}

// The tensors must lie end to end from the first byte after the header to the last of the file.
static bool place_entries(SeamSafetensors *file, Entry *entries, size_t data_start,
                          GError **error) {
    size_t at = 0, data_size = file->size - data_start;
    qsort(entries, (size_t)file->count, sizeof *entries, by_begin);
    for (int32_t i = 0; i < file->count; i++) {
        if (entries[i].begin != at || entries[i].end > data_size)
            return refuse(
                error, SEAM_ERROR_SHAPE,
                "%s: tensor \"%s\" overlaps another, leaves a hole, or leads out of the file",
                file->path, entries[i].array.name);
        at = entries[i].end;
        file->arrays[i] = entries[i].array;
        file->arrays[i].data = file->bytes + data_start + entries[i].begin;
        g_hash_table_insert(file->by_name, (char *)file->arrays[i].name, &file->arrays[i]);
    }
    return at == data_size ||
           refuse(error, SEAM_ERROR_SHAPE, "%s: has %zu bytes after its last tensor", file->path,
                  data_size - at);
}

static bool read_entries(SeamSafetensors *file, Entry *entries, GError **error) {
    JsonObjectIter iter;
    const char *name;
    JsonNode *node;
    json_object_iter_init_ordered(&iter, file->header);
    while (json_object_iter_next_ordered(&iter, &name, &node)) {
        if (strcmp(name, "__metadata__") == 0) {
            if (!read_metadata(file, node, error))
                return false;
        } else if (!read_entry(node, name, file->path, &entries[file->count++], error)) {
            return false;
        }
    }
    return true;
}

// The header's text as JSON. *data_start: the first byte after it.
static JsonObject *read_header(const SeamSafetensors *file, size_t *data_start, GError **error) {
    uint64_t length = 0;
    for (int i = 0; i < LENGTH_BYTES && file->size >= LENGTH_BYTES; i++)
        length |= (uint64_t)file->bytes[i] << (8 * i);
    if (length < 2 || length > MAX_HEADER || length > file->size - LENGTH_BYTES) {
        refuse(error, SEAM_ERROR_FORMAT,
               "%s: is not a safetensors file: its header's length is wrong", file->path);
        return NULL;
    }
    *data_start = LENGTH_BYTES + (size_t)length;
    g_autofree char *text = g_try_malloc(length + 1);
    if (!text) {
        refuse(error, SEAM_ERROR_MEMORY, "%s: no memory for the header", file->path);
        return NULL;
    }
    memcpy(text, file->bytes + LENGTH_BYTES, length);
    text[length] = 0;
    if (strlen(text) != length) {
        refuse(error, SEAM_ERROR_FORMAT, "%s: the header has a byte 0", file->path);
        return NULL;
    }
    return seam_json_parse(text, file->path, error);
}

static bool parse(SeamSafetensors *file, GError **error) {
    size_t data_start;
    file->header = read_header(file, &data_start, error);
    if (!file->header)
        return false;
    guint members = json_object_get_size(file->header);
    if (members > MAX_TENSORS)
        return refuse(error, SEAM_ERROR_UNSUPPORTED, "%s: has %u tensors, must have at most %d",
                      file->path, members, MAX_TENSORS);
    g_autofree Entry *entries = g_new0(Entry, members + 1);
    file->arrays = g_new0(SeamArray, members + 1);
    file->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    return read_entries(file, entries, error) && place_entries(file, entries, data_start, error);
}

// Takes the bytes, whatever comes of it.
static SeamSafetensors *parse_owned(char *bytes, size_t size, const char *name, GError **error) {
    SeamSafetensors *file = g_new0(SeamSafetensors, 1);
    file->path = g_strdup(name);
    file->bytes = (unsigned char *)bytes;
    file->size = size;
    if (parse(file, error))
        return file;
    seam_safetensors_free(file);
    return NULL;
}

SeamSafetensors *seam_safetensors_read(const char *path, GError **error) {
    size_t size;
    char *bytes = seam_file_read(path, MAX_FILE, &size, error);
    return bytes ? parse_owned(bytes, size, path, error) : NULL;
}

SeamSafetensors *seam_safetensors_parse(const void *bytes, size_t size, const char *name,
                                        GError **error) {
    char *copy = g_try_malloc(size + 1);
    if (!copy) {
        refuse(error, SEAM_ERROR_MEMORY, "%s: no memory for its %zu bytes", name, size);
        return NULL;
    }
    if (size > 0)
        memcpy(copy, bytes, size);
    return parse_owned(copy, size, name, error);
}

void seam_safetensors_free(SeamSafetensors *file) {
    if (!file)
        return;
    g_clear_pointer(&file->by_name, g_hash_table_unref);
    g_clear_pointer(&file->header, json_object_unref);
    g_free(file->arrays);
    g_free(file->bytes);
    g_free(file->path);
    g_free(file);
}

const char *seam_safetensors_path(const SeamSafetensors *file) {
    return file->path;
}

const void *seam_safetensors_bytes(const SeamSafetensors *file, size_t *size) {
    *size = file->size;
    return file->bytes;
}

int32_t seam_safetensors_count(const SeamSafetensors *file) {
    return file->count;
}

const SeamArray *seam_safetensors_array(const SeamSafetensors *file, int32_t index) {
    return &file->arrays[index];
}

const SeamArray *seam_safetensors_find(const SeamSafetensors *file, const char *name) {
    return g_hash_table_lookup(file->by_name, name);
}

const char *seam_safetensors_metadata(const SeamSafetensors *file, const char *key) {
    if (!file->metadata || !json_object_has_member(file->metadata, key))
        return NULL;
    return json_object_get_string_member(file->metadata, key);
}

// ---- values
// --------------------------------------------------------------------------------------

static bool has_floats(SeamDtype dtype) {
    return dtype == SEAM_F32 || dtype == SEAM_F16 || dtype == SEAM_BF16;
}

static void widen(SeamDtype dtype, size_t n, const uint16_t *halves, float *values) {
    if (dtype == SEAM_F16)
        seam_kernels_ref()->f16_to_f32(n, halves, values);
    for (size_t i = 0; i < n && dtype == SEAM_BF16; i++)
        values[i] = seam_bf16_to_f32(halves[i]);
}

static void narrow(SeamDtype dtype, size_t n, const float *values, uint16_t *halves) {
    if (dtype == SEAM_F16)
        seam_kernels_ref()->f32_to_f16(n, values, halves);
    for (size_t i = 0; i < n && dtype == SEAM_BF16; i++)
        halves[i] = seam_bf16_from_f32(values[i]);
}

// n <= CHUNK values from element `at` on; memcpy, because the data may lie at any address.
static void load_chunk(const SeamArray *array, size_t at, size_t n, float *values) {
    const char *source = (const char *)array->data + at * seam_dtype_size(array->dtype);
    uint16_t halves[CHUNK];
    if (array->dtype == SEAM_F32) {
        memcpy(values, source, n * sizeof *values);
        return;
    }
    memcpy(halves, source, n * sizeof *halves);
    widen(array->dtype, n, halves, values);
}

static bool all_finite(const float *values, size_t n) {
    bool finite = true;
    for (size_t i = 0; i < n; i++)
        finite &= isfinite(values[i]) != 0;
    return finite;
}

// Reads every value; they go to `out` when it is not NULL.
static bool load_values(const SeamSafetensors *file, const SeamArray *array, float *out,
                        GError **error) {
    float values[CHUNK];
    for (size_t at = 0; at < array->size; at += CHUNK) {
        size_t n = MIN(array->size - at, (size_t)CHUNK);
        load_chunk(array, at, n, values);
        if (!all_finite(values, n))
            return refuse(
                error, SEAM_ERROR_VALUE,
                "%s: tensor \"%s\" has a value that is not finite: train or copy the model again",
                file->path, array->name);
        if (out)
            memcpy(out + at, values, n * sizeof *values);
    }
    return true;
}

bool seam_array_to_f32(const SeamSafetensors *file, const SeamArray *array, float *out,
                       GError **error) {
    if (!has_floats(array->dtype))
        return refuse(error, SEAM_ERROR_UNSUPPORTED, "%s: tensor \"%s\" is %s, must be F32, F16 or BF16",
                      file->path, array->name, dtype_names[array->dtype]);
    return load_values(file, array, out, error);
}

bool seam_array_check(const SeamSafetensors *file, const SeamArray *array, GError **error) {
    return !has_floats(array->dtype) || load_values(file, array, NULL, error);
}

// ---- writing
// -------------------------------------------------------------------------------------

static bool count_elements(const SeamNamedArray *array, const char *path, size_t *size,
                           GError **error) {
    *size = 1;
    for (int32_t i = 0; i < array->rank; i++)
        if (array->shape[i] < 1 || __builtin_mul_overflow(*size, (size_t)array->shape[i], size))
            return refuse(error, SEAM_ERROR_SHAPE,
                          "%s: tensor \"%s\" has a dimension below 1, or is too large", path,
                          array->name);
    if (!has_floats(array->dtype) && array->dtype != SEAM_I8)
        return refuse(error, SEAM_ERROR_UNSUPPORTED,
                      "%s: tensor \"%s\" can be written as F32, F16, BF16 or I8 only", path, array->name);
    return true;
}

// Of a shape that count_elements() has found good.
static size_t elements_of(const SeamNamedArray *array) {
    size_t size = 1;
    for (int32_t i = 0; i < array->rank; i++)
        size *= (size_t)array->shape[i];
    return size;
}

static JsonObject *entry_object(const SeamNamedArray *array, size_t begin, size_t end) {
    JsonObject *entry = json_object_new();
    JsonArray *shape = json_array_new(), *offsets = json_array_new();
    for (int32_t i = 0; i < array->rank; i++)
        json_array_add_int_element(shape, array->shape[i]);
    json_array_add_int_element(offsets, (int64_t)begin);
    json_array_add_int_element(offsets, (int64_t)end);
    json_object_set_string_member(entry, "dtype", dtype_names[array->dtype]);
    json_object_set_array_member(entry, "shape", shape);
    json_object_set_array_member(entry, "data_offsets", offsets);
    return entry;
}

static bool add_entries(JsonObject *header, const char *path, const SeamNamedArray *arrays,
                        int32_t n, size_t *data_size, GError **error) {
    *data_size = 0;
    for (int32_t i = 0; i < n; i++) {
        size_t size;
        if (!check_name(arrays[i].name, path, error) ||
            !count_elements(&arrays[i], path, &size, error))
            return false;
        if (json_object_has_member(header, arrays[i].name))
            return refuse(error, SEAM_ERROR_FORMAT, "%s: tensor \"%s\" was given twice", path,
                          arrays[i].name);
        size_t begin = *data_size;
        if (size > MAX_FILE / seam_dtype_size(arrays[i].dtype) ||
            (*data_size += size * seam_dtype_size(arrays[i].dtype)) > MAX_FILE)
            return refuse(error, SEAM_ERROR_UNSUPPORTED, "%s: would be larger than %zu bytes", path,
                          MAX_FILE);
        json_object_set_object_member(header, arrays[i].name,
                                      entry_object(&arrays[i], begin, *data_size));
    }
    return true;
}

static char *header_text(JsonObject *header) {
    g_autoptr(JsonNode) root = json_node_init_object(json_node_alloc(), header);
    g_autoptr(JsonGenerator) generator = json_generator_new();
    json_generator_set_root(generator, root);
    return json_generator_to_data(generator, NULL);
}

static bool store_values(char *target, const SeamNamedArray *array, const char *path,
                         GError **error) {
    size_t size = elements_of(array);
    uint16_t halves[CHUNK];
    float back[CHUNK];
    if (array->dtype == SEAM_I8) {
        memcpy(target, array->data, size);
        return true;
    }
    for (size_t at = 0; at < size; at += CHUNK) {
        size_t n = MIN(size - at, (size_t)CHUNK);
        const float *values = (const float *)array->data + at;
        bool finite = all_finite(values, n);
        if (array->dtype == SEAM_F32) {
            memcpy(target + at * sizeof *values, values, n * sizeof *values);
        } else {
            narrow(array->dtype, n, values, halves);
            widen(array->dtype, n, halves, back);
            finite = finite && all_finite(back, n);
            memcpy(target + at * sizeof *halves, halves, n * sizeof *halves);
        }
        if (!finite)
            return refuse(error, SEAM_ERROR_VALUE,
                          "%s: tensor \"%s\" has a value that is not finite%s; it was not written",
                          path, array->name, array->dtype == SEAM_F32 ? "" : " in half precision");
    }
    return true;
}

// The whole file in memory. The header is padded with spaces, so that the data begin at a multiple
// of 8.
static char *make_file(JsonObject *header, const SeamNamedArray *arrays, int32_t n,
                       size_t data_size, const char *path, size_t *size, GError **error) {
    g_autofree char *text = header_text(header);
    size_t length = strlen(text), padded = (length + 7) & ~(size_t)7;
    *size = LENGTH_BYTES + padded + data_size;
    char *bytes = g_try_malloc(*size);
    if (!bytes || padded > MAX_HEADER) {
        refuse(error, SEAM_ERROR_MEMORY, "%s: no memory for its %zu bytes", path, *size);
        g_free(bytes);
        return NULL;
    }
    for (int i = 0; i < LENGTH_BYTES; i++)
        bytes[i] = (char)(padded >> (8 * i));
    memset(bytes + LENGTH_BYTES, ' ', padded);
    memcpy(bytes + LENGTH_BYTES, text, length);
    char *target = bytes + LENGTH_BYTES + padded;
    for (int32_t i = 0; i < n; i++) {
        if (!store_values(target, &arrays[i], path, error)) {
            g_free(bytes);
            return NULL;
        }
        target += elements_of(&arrays[i]) * seam_dtype_size(arrays[i].dtype);
    }
    return bytes;
}

bool seam_safetensors_write(const char *path, const SeamNamedArray *arrays, int32_t n,
                            const char *const *metadata, GError **error) {
    JsonObject *header = json_object_new();
    size_t data_size, size;
    if (metadata && metadata[0]) {
        JsonObject *object = json_object_new();
        for (; metadata[0]; metadata += 2)
            json_object_set_string_member(object, metadata[0], metadata[1]);
        json_object_set_object_member(header, "__metadata__", object);
    }
    char *bytes = add_entries(header, path, arrays, n, &data_size, error)
                      ? make_file(header, arrays, n, data_size, path, &size, error)
                      : NULL;
    bool written = bytes && seam_file_write_atomic(path, bytes, size, error);
    g_free(bytes);
    json_object_unref(header);
    return written;
}
