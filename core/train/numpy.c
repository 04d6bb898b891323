// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The .npy format (NumPy enhancement proposal 1): a magic string, a version, the length of a header, the header, the values. The header is a
// Python dictionary with exactly the keys descr, fortran_order and shape; it is read by its grammar, not evaluated.
#include "core/train/numpy.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/files.h"

static const size_t size_limit = (size_t)1 << 30;
static const char magic[] = "\x93NUMPY";
enum { MAGIC = 6, MOST_DIMENSIONS = 8 };

typedef struct {
    const char *at, *end;
    char descr[16];
    bool fortran, has_descr, has_order, has_shape;
    int32_t dimensions;
    int64_t shape[MOST_DIMENSIONS];
} Header;

static void skip(Header *h) {
    while (h->at < h->end && g_ascii_isspace(*h->at))
        h->at++;
}

static bool take(Header *h, const char *text) {
    size_t n = strlen(text);
    skip(h);
    if ((size_t)(h->end - h->at) < n || memcmp(h->at, text, n) != 0)
        return false;
    h->at += n;
    return true;
}

// A string in single or double quotes, without escapes.
static bool take_string(Header *h, char *out, size_t size) {
    skip(h);
    if (h->at == h->end || (*h->at != '\'' && *h->at != '"'))
        return false;
    const char *begin = h->at + 1, *close = memchr(begin, *h->at, (size_t)(h->end - begin));
    if (!close || (size_t)(close - begin) >= size)
        return false;
    memcpy(out, begin, (size_t)(close - begin));
    out[close - begin] = 0;
    h->at = close + 1;
    return strlen(out) == (size_t)(close - begin);
}

static bool take_whole(Header *h, int64_t *value) {
    skip(h);
    const char *begin = h->at;
    for (*value = 0; h->at < h->end && g_ascii_isdigit(*h->at) && *value <= G_MAXINT32; h->at++)
        *value = *value * 10 + (*h->at - '0');
    return h->at > begin && *value <= G_MAXINT32;
}

// "(1111, 410)", "(3,)", "()"
static bool take_shape(Header *h) {
    if (!take(h, "("))
        return false;
    while (!take(h, ")")) {
        if (h->dimensions == MOST_DIMENSIONS || !take_whole(h, &h->shape[h->dimensions++]))
            return false;
        if (!take(h, ","))
            return take(h, ")");
    }
    return true;
}

static bool take_order(Header *h) {
    h->fortran = take(h, "True");
    return h->fortran || take(h, "False");
}

static bool once(bool *seen) {
    bool first = !*seen;
    *seen = true;
    return first;
}

static bool take_item(Header *h) {
    char key[16];
    if (!take_string(h, key, sizeof key) || !take(h, ":"))
        return false;
    if (strcmp(key, "descr") == 0)
        return once(&h->has_descr) && take_string(h, h->descr, sizeof h->descr);
    if (strcmp(key, "fortran_order") == 0)
        return once(&h->has_order) && take_order(h);
    return strcmp(key, "shape") == 0 && once(&h->has_shape) && take_shape(h);
}

static bool parse_header(Header *h) {
    if (!take(h, "{"))
        return false;
    while (!take(h, "}")) {
        if (!take_item(h))
            return false;
        if (!take(h, ",")) {
            if (!take(h, "}"))
                return false;
            break;
        }
    }
    skip(h);
    return h->at == h->end && h->has_descr && h->has_order && h->has_shape;
}

static bool refuse(const char *path, const char *what, GError **error) {
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "%s: %s", path, what);
    return false;
}

// Finds the header; its end is where the values begin.
static bool find_header(const char *path, const uint8_t *bytes, size_t size, Header *h, GError **error) {
    if (size < MAGIC + 4 || memcmp(bytes, magic, MAGIC) != 0)
        return refuse(path, "not a NumPy file (.npy)", error);
    if (bytes[MAGIC] < 1 || bytes[MAGIC] > 3 || bytes[MAGIC + 1] != 0)
        return refuse(path, "of a NumPy format that is not read; save it as version 1.0, 2.0 or 3.0", error);
    size_t start = bytes[MAGIC] == 1 ? MAGIC + 4 : MAGIC + 6, length = bytes[MAGIC + 2] | (size_t)bytes[MAGIC + 3] << 8;
    if (bytes[MAGIC] > 1 && size >= start)
        length |= (size_t)bytes[MAGIC + 4] << 16 | (size_t)bytes[MAGIC + 5] << 24;
    if (size < start || length > size - start)
        return refuse(path, "cut off within its header", error);
    *h = (Header){.at = (const char *)bytes + start, .end = (const char *)bytes + start + length};
    return parse_header(h) || refuse(path, "its header is not {'descr': ..., 'fortran_order': ..., 'shape': (...)}", error);
}

static size_t item_size(const Header *h) {
    return strcmp(h->descr, "<f4") == 0 ? 4 : strcmp(h->descr, "<f8") == 0 ? 8 : 0;
}

static bool check_matrix(const char *path, const Header *h, size_t bytes, GError **error) {
    size_t item = item_size(h), cells = 0;
    if (item == 0 || h->fortran || h->dimensions != 2) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_UNSUPPORTED, "%s: %d dimensions of type \"%s\" in %s order; must be a matrix of \"<f4\" or \"<f8\" in C order",
                    path, h->dimensions, h->descr, h->fortran ? "Fortran" : "C");
        return false;
    }
    bool ok = !__builtin_mul_overflow((size_t)h->shape[0], (size_t)h->shape[1], &cells) && !__builtin_mul_overflow(cells, item, &item) && item == bytes;
    if (!ok)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "%s: %" G_GSIZE_FORMAT " bytes of values, not those of %" G_GINT64_FORMAT " rows of %" G_GINT64_FORMAT,
                    path, bytes, h->shape[0], h->shape[1]);
    return ok;
}

static float value_at(const uint8_t *at, size_t item) {
    uint64_t bits = 0;
    for (size_t i = item; i-- > 0;)
        bits = bits << 8 | at[i];
    double wide;
    float single;
    memcpy(&single, &(uint32_t){(uint32_t)bits}, sizeof single);
    memcpy(&wide, &bits, sizeof wide);
    wide = item == 8 ? wide : (double)single;
    return fabs(wide) <= FLT_MAX ? (float)wide : NAN;
}

bool seam_numpy_read(const char *path, SeamMatrix *matrix, GError **error) {
    size_t size;
    Header h;
    *matrix = (SeamMatrix){0};
    g_autofree uint8_t *bytes = (uint8_t *)seam_file_read(path, size_limit, &size, error);
    if (!bytes || !find_header(path, bytes, size, &h, error) || !check_matrix(path, &h, size - (size_t)((const uint8_t *)h.end - bytes), error))
        return false;
    size_t cells = (size_t)h.shape[0] * (size_t)h.shape[1], item = item_size(&h);
    matrix->x = g_try_new(float, cells + 1);
    if (!matrix->x) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "%s: no memory for %" G_GSIZE_FORMAT " values", path, cells);
        return false;
    }
    matrix->rows = (int32_t)h.shape[0];
    matrix->columns = (int32_t)h.shape[1];
    for (size_t i = 0; i < cells; i++)
        matrix->x[i] = value_at((const uint8_t *)h.end + i * item, item);
    return true;
}

void seam_matrix_clear(SeamMatrix *matrix) {
    g_free(matrix->x);
    *matrix = (SeamMatrix){0};
}
