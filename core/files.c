// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Reading and writing whole files, and typed access to JSON objects. It owns the temporary file of
// an atomic write and removes it when the write fails. It never reads more than its caller allows.
#include "core/files.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "core/json_text.h"

static const size_t MAX_JSON =
    64u << 20; // bytes of a JSON file: calibration tables and reports stay far below

// Sets an error from errno; always returns false.
static bool system_failed(const char *what, const char *path, int code, GError **error) {
    g_set_error(error, SEAM_ERROR, code == ENOENT ? SEAM_ERROR_MISSING : SEAM_ERROR_IO,
                "%s: cannot %s: %s", path, what, g_strerror(code));
    return false;
}

// ---- writing
// -------------------------------------------------------------------------------------------------

static bool write_all(int fd, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t n = write(fd, bytes, MIN(size, (size_t)1 << 30));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n < 0 ? errno : EIO;
            return false;
        }
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

// A rename is lasting only once the folder is on disk.
static bool sync_folder_of(const char *path, GError **error) {
    g_autofree char *folder = g_path_get_dirname(path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return system_failed("open", folder, errno, error);
    // Some network file systems cannot sync a folder and say EINVAL; there is nothing better to do
    // there.
    bool synced = fsync(fd) == 0 || errno == EINVAL;
    int code = errno;
    close(fd);
    return synced || system_failed("sync", folder, code, error);
}

bool seam_file_write_atomic(const char *path, const void *bytes, size_t size, GError **error) {
    g_autofree char *temporary = g_strconcat(path, ".XXXXXX", NULL);
    int fd = g_mkstemp_full(temporary, O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0)
        return system_failed("create a file beside", path, errno, error);
    bool written = write_all(fd, bytes, size) && fsync(fd) == 0;
    int code = errno;
    if (close(fd) != 0 && written) {
        written = false;
        code = errno;
    }
    if (written && g_rename(temporary, path) == 0)
        return sync_folder_of(path, error);
    code = written ? errno : code;
    g_unlink(temporary);
    return system_failed("write", path, code, error);
}

// ---- reading
// -------------------------------------------------------------------------------------------------

// Reads until `size` bytes are there or the file ends; the bytes read, or -1.
static ssize_t read_all(int fd, char *bytes, size_t size) {
    size_t done = 0;
    while (done < size) {
        ssize_t n = read(fd, bytes + done, MIN(size - done, (size_t)1 << 30));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static char *read_open(int fd, const char *path, size_t limit, size_t *size, GError **error) {
    struct stat info;
    if (fstat(fd, &info) != 0) {
        system_failed("look at", path, errno, error);
        return NULL;
    }
    if (!S_ISREG(info.st_mode)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_IO, "%s: is not a file", path);
        return NULL;
    }
    if ((uint64_t)info.st_size > limit) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE,
                    "%s: has %" G_GINT64_FORMAT " bytes, must have at most %zu", path,
                    (gint64)info.st_size, limit);
        return NULL;
    }
    size_t expected = (size_t)info.st_size;
    char *bytes = g_try_malloc(expected + 1);
    if (!bytes) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MEMORY, "%s: no memory for its %zu bytes", path,
                    expected);
        return NULL;
    }
    // One byte more than there should be: a file that grows meanwhile is seen as well as one that
    // shrinks.
    ssize_t got = read_all(fd, bytes, expected + 1);
    if (got == (ssize_t)expected) {
        bytes[expected] = 0;
        *size = expected;
        return bytes;
    }
    if (got < 0)
        system_failed("read", path, errno, error);
    else
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_IO, "%s: changed while it was read; try again",
                    path);
    g_free(bytes);
    return NULL;
}

char *seam_file_read(const char *path, size_t limit, size_t *size, GError **error) {
    size_t ignored;
    // Without O_NONBLOCK, opening a FIFO would wait for a writer.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        system_failed("open", path, errno, error);
        return NULL;
    }
    char *bytes = read_open(fd, path, limit, size ? size : &ignored, error);
    close(fd);
    return bytes;
}

// ---- JSON texts
// -------------------------------------------------------------------------------------------------

static size_t count_members(JsonNode *node);

static size_t count_object(JsonObject *object) {
    JsonObjectIter iter;
    JsonNode *node;
    size_t count = json_object_get_size(object);
    json_object_iter_init(&iter, object);
    while (json_object_iter_next(&iter, NULL, &node))
        count += count_members(node);
    return count;
}

static size_t count_members(JsonNode *node) {
    if (JSON_NODE_HOLDS_OBJECT(node))
        return count_object(json_node_get_object(node));
    size_t count = 0;
    if (JSON_NODE_HOLDS_ARRAY(node)) {
        JsonArray *array = json_node_get_array(node);
        for (guint i = 0; i < json_array_get_length(array); i++)
            count += count_members(json_array_get_element(array, i));
    }
    return count;
}

static bool malformed(const char *where, const char *problem, GError **error) {
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "%s: is not the JSON that it should be: %s",
                where, problem);
    return false;
}

static bool check_text(const char *text, const char *where, size_t *members, GError **error) {
    const char *problem;
    size_t offset, size = strlen(text);
    if (size > MAX_JSON)
        return malformed(where, "more than 64 MiB", error);
    if (seam_json_check(text, size, members, &problem, &offset))
        return true;
    int line = 1;
    for (size_t i = 0; i < offset; i++)
        line += text[i] == '\n';
    g_autofree char *place = g_strdup_printf("%s, in line %d", problem, line);
    return malformed(where, place, error);
}

JsonObject *seam_json_parse(const char *text, const char *where, GError **error) {
    size_t members;
    if (!check_text(text, where, &members, error))
        return NULL;
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) problem = NULL;
    if (!json_parser_load_from_data(parser, text, -1, &problem)) {
        malformed(where, problem->message, error);
        return NULL;
    }
    JsonNode *root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        malformed(where, "an object { ... } was expected", error);
        return NULL;
    }
    // Of two members with one name json-glib keeps the last; readers differ, so neither is right.
    if (count_members(root) != members) {
        malformed(where, "a name stands twice in one object", error);
        return NULL;
    }
    return json_object_ref(json_node_get_object(root));
}

JsonObject *seam_json_read(const char *path, GError **error) {
    size_t size;
    g_autofree char *text = seam_file_read(path, MAX_JSON, &size, error);
    if (!text)
        return NULL;
    if (strlen(text) != size) {
        malformed(path, "a byte 0 in the text", error);
        return NULL;
    }
    return seam_json_parse(text, path, error);
}

// ---- JSON members
// -------------------------------------------------------------------------------------------------

// The member, or NULL: then *result is what the getter returns (true when it may be missing).
static JsonNode *find_member(JsonObject *o, const char *where, const char *field, bool required,
                             bool *result, GError **error) {
    JsonNode *node = json_object_get_member(o, field);
    *result = node || !required;
    if (!*result)
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_MISSING, "%s: \"%s\" is missing", where, field);
    return node;
}

static bool wrong_type(const char *where, const char *field, JsonNode *node, const char *wanted,
                       GError **error) {
    const char *found = "a number";
    GType type = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_INVALID;
    if (JSON_NODE_HOLDS_OBJECT(node))
        found = "an object";
    else if (JSON_NODE_HOLDS_ARRAY(node))
        found = "an array";
    else if (JSON_NODE_HOLDS_NULL(node))
        found = "null";
    else if (type == G_TYPE_STRING)
        found = "a string";
    else if (type == G_TYPE_BOOLEAN)
        found = "true or false";
    g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT, "%s: \"%s\" is %s, must be %s", where, field,
                found, wanted);
    return false;
}

static bool holds(JsonNode *node, GType type) {
    return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

bool seam_json_int(JsonObject *o, const char *where, const char *field, bool required, int64_t min,
                   int64_t max, int64_t *value, GError **error) {
    bool result;
    JsonNode *node = find_member(o, where, field, required, &result, error);
    if (!node)
        return result;
    if (!holds(node, G_TYPE_INT64))
        return wrong_type(where, field, node, "a whole number", error);
    int64_t found = json_node_get_int(node);
    if (found < min || found > max) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE,
                    "%s: \"%s\" is %" G_GINT64_FORMAT ", must be %" G_GINT64_FORMAT
                    " to %" G_GINT64_FORMAT,
                    where, field, found, min, max);
        return false;
    }
    *value = found;
    return true;
}

bool seam_json_double(JsonObject *o, const char *where, const char *field, bool required,
                      double min, double max, double *value, GError **error) {
    bool result;
    JsonNode *node = find_member(o, where, field, required, &result, error);
    if (!node)
        return result;
    if (!holds(node, G_TYPE_INT64) && !holds(node, G_TYPE_DOUBLE))
        return wrong_type(where, field, node, "a number", error);
    double found =
        holds(node, G_TYPE_INT64) ? (double)json_node_get_int(node) : json_node_get_double(node);
    if (!(found >= min && found <= max) || !isfinite(found)) {
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_VALUE, "%s: \"%s\" is %g, must be %g to %g",
                    where, field, found, min, max);
        return false;
    }
    *value = found;
    return true;
}

bool seam_json_bool(JsonObject *o, const char *where, const char *field, bool required, bool *value,
                    GError **error) {
    bool result;
    JsonNode *node = find_member(o, where, field, required, &result, error);
    if (!node)
        return result;
    if (!holds(node, G_TYPE_BOOLEAN))
        return wrong_type(where, field, node, "true or false", error);
    *value = json_node_get_boolean(node);
    return true;
}

bool seam_json_string(JsonObject *o, const char *where, const char *field, bool required,
                      const char **value, GError **error) {
    bool result;
    JsonNode *node = find_member(o, where, field, required, &result, error);
    if (!node)
        return result;
    if (!holds(node, G_TYPE_STRING))
        return wrong_type(where, field, node, "a string", error);
    *value = json_node_get_string(node);
    return true;
}

bool seam_json_object(JsonObject *o, const char *where, const char *field, bool required,
                      JsonObject **value, GError **error) {
    bool result;
    JsonNode *node = find_member(o, where, field, required, &result, error);
    if (!node)
        return result;
    if (!JSON_NODE_HOLDS_OBJECT(node))
        return wrong_type(where, field, node, "an object", error);
    *value = json_node_get_object(node);
    return true;
}

bool seam_json_array(JsonObject *o, const char *where, const char *field, bool required,
                     JsonArray **value, GError **error) {
    bool result;
    JsonNode *node = find_member(o, where, field, required, &result, error);
    if (!node)
        return result;
    if (!JSON_NODE_HOLDS_ARRAY(node))
        return wrong_type(where, field, node, "an array", error);
    *value = json_node_get_array(node);
    return true;
}

// ---- unknown members
// -------------------------------------------------------------------------------------------------

// Levenshtein's distance, one row kept.
static size_t edit_distance(const char *a, const char *b) {
    enum { MOST = 64 };
    size_t row[MOST + 1], n = strlen(b);
    if (n > MOST || strlen(a) > MOST)
        return MOST;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; *a; a++, i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t change = diagonal + (*a != b[j - 1]);
            diagonal = row[j];
            row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[n];
}

static bool is_known(const char *name, const char *const *fields) {
    for (; *fields; fields++)
        if (strcmp(*fields, name) == 0)
            return true;
    return false;
}

const char *seam_nearest_name(const char *name, const char *const *names, size_t *distance) {
    const char *best = NULL;
    *distance = SIZE_MAX;
    for (; *names; names++) {
        size_t now = edit_distance(name, *names);
        if (now < *distance) {
            best = *names;
            *distance = now;
        }
    }
    return best;
}

bool seam_json_known(JsonObject *o, const char *where, const char *const *fields, GError **error) {
    JsonObjectIter iter;
    const char *name;
    size_t distance;
    json_object_iter_init_ordered(&iter, o);
    while (json_object_iter_next_ordered(&iter, &name, NULL)) {
        if (is_known(name, fields))
            continue;
        g_autofree char *shown = seam_json_excerpt(name);
        g_set_error(error, SEAM_ERROR, SEAM_ERROR_FORMAT,
                    "%s: \"%s\" is not a field; did you mean \"%s\"?", where, shown,
                    seam_nearest_name(name, fields, &distance));
        return false;
    }
    return true;
}
