// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The strict reader of JSON's grammar that stands before json-glib, and the printer of JSON whose
// numbers are as short as they can be. It builds nothing: json-glib does that.
#include "core/json_text.h"

#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/files.h"

enum { MAX_DEPTH = 32, MAX_NUMBER = 64, MAX_WHOLE_DIGITS = 18 };

typedef struct {
    const char *text, *at, *end;
    const char *problem;
    size_t members;
    int depth;
} Check;

static bool fail(Check *c, const char *problem) {
    if (!c->problem)
        c->problem = problem;
    return false;
}

// The next byte, 0 at the end: a 0 is never part of JSON.
static char peek(const Check *c) {
    return c->at < c->end ? *c->at : 0;
}

static void skip_space(Check *c) {
    while (c->at < c->end && strchr(" \t\r\n", *c->at) && *c->at)
        c->at++;
}

static bool expect(Check *c, char byte, const char *problem) {
    skip_space(c);
    if (peek(c) != byte)
        return fail(c, problem);
    c->at++;
    return true;
}

// The four hex digits after \u; -1 when they are not.
static int hex4(Check *c) {
    int value = 0;
    for (int i = 0; i < 4; i++, c->at++) {
        if (!g_ascii_isxdigit(peek(c)))
            return -1;
        value = value * 16 + g_ascii_xdigit_value(*c->at);
    }
    return value;
}

static bool check_escape(Check *c) {
    char kind = peek(c);
    if (kind == 0 || !strchr("\"\\/bfnrtu", kind))
        return fail(c, "an unknown escape");
    c->at++;
    if (kind != 'u')
        return true;
    int unit = hex4(c);
    if (unit <= 0 || (unit >= 0xDC00 && unit <= 0xDFFF))
        return fail(c, "an escape that is no character");
    if (unit < 0xD800 || unit > 0xDBFF)
        return true;
    if (c->end - c->at < 2 || c->at[0] != '\\' || c->at[1] != 'u')
        return fail(c, "half a surrogate pair");
    c->at += 2;
    unit = hex4(c);
    return (unit >= 0xDC00 && unit <= 0xDFFF) || fail(c, "half a surrogate pair");
}

static bool check_string(Check *c) {
    if (!expect(c, '"', "a string was expected"))
        return false;
    for (;;) {
        unsigned char byte = (unsigned char)peek(c);
        if (byte < 0x20)
            return fail(c, c->at < c->end ? "a control character in a string"
                                          : "a string without end");
        c->at++;
        if (byte == '"')
            return true;
        if (byte == '\\' && !check_escape(c))
            return false;
    }
}

static int digits(Check *c) {
    const char *start = c->at;
    while (g_ascii_isdigit(peek(c)))
        c->at++;
    return (int)MIN(c->at - start, MAX_NUMBER);
}

// number = [ "-" ] int [ frac ] [ exp ] (RFC 8259, section 6)
static bool check_number(Check *c) {
    const char *start = c->at;
    if (peek(c) == '-')
        c->at++;
    bool zero = peek(c) == '0';
    int n = digits(c);
    bool whole = true;
    if (n == 0 || (zero && n > 1))
        return fail(c, "a number was expected");
    if (peek(c) == '.') {
        c->at++;
        whole = false;
        if (digits(c) == 0)
            return fail(c, "a number without digits after its point");
    }
    if (peek(c) == 'e' || peek(c) == 'E') {
        c->at++;
        whole = false;
        if (peek(c) == '+' || peek(c) == '-')
            c->at++;
        if (digits(c) == 0)
            return fail(c, "a number without digits in its exponent");
    }
    char copy[MAX_NUMBER];
    size_t length = (size_t)(c->at - start);
    if (length >= sizeof copy || (whole && n > MAX_WHOLE_DIGITS))
        return fail(c, "a number with too many digits");
    memcpy(copy, start, length);
    copy[length] = 0;
    return isfinite(g_ascii_strtod(copy, NULL)) || fail(c, "a number that is too large");
}

static bool check_word(Check *c, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0)
        return fail(c, "a value was expected");
    c->at += length;
    return true;
}

static bool check_value(Check *c);

static bool check_member(Check *c) {
    c->members++;
    return check_string(c) && expect(c, ':', "a colon was expected") && check_value(c);
}

// What stands between the brackets of an object or array, and the closing one.
static bool check_items(Check *c, char close, bool (*check_item)(Check *)) {
    if (++c->depth > MAX_DEPTH)
        return fail(c, "too deep a nesting");
    c->at++;
    skip_space(c);
    bool first = true;
    while (peek(c) != close || !first) {
        if (!check_item(c))
            return false;
        first = false;
        skip_space(c);
        if (peek(c) == close)
            break;
        if (!expect(c, ',', "a comma or a closing bracket was expected"))
            return false;
    }
    c->at++;
    c->depth--;
    return true;
}

static bool check_value(Check *c) {
    skip_space(c);
    switch (peek(c)) {
    case '{':
        return check_items(c, '}', check_member);
    case '[':
        return check_items(c, ']', check_value);
    case '"':
        return check_string(c);
    case 't':
        return check_word(c, "true");
    case 'f':
        return check_word(c, "false");
    case 'n':
        return check_word(c, "null");
    default:
        return check_number(c);
    }
}

bool seam_json_check(const char *text, size_t size, size_t *members, const char **problem,
                     size_t *offset) {
    Check c = {.text = text, .at = text, .end = text + size};
    const char *invalid;
    if (!g_utf8_validate(text, (gssize)size, &invalid)) {
        c.at = invalid;
        fail(&c, "bytes that are not UTF-8");
    } else if (check_value(&c)) {
        skip_space(&c);
        if (c.at < c.end)
            fail(&c, "text after the end");
    }
    *members = c.members;
    *problem = c.problem;
    *offset = (size_t)(c.at - text);
    return c.problem == NULL;
}

char *seam_json_excerpt(const char *text) {
    return g_utf8_substring(text, 0, MIN(g_utf8_strlen(text, -1), 48));
}

// ---- printing
// -------------------------------------------------------------------------------------------------

static void print_string(GString *out, const char *text) {
    g_string_append_c(out, '"');
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\')
            g_string_append_printf(out, "\\%c", *p);
        else if ((unsigned char)*p < 0x20)
            g_string_append_printf(out, "\\u%04x", (unsigned)(unsigned char)*p);
        else
            g_string_append_c(out, *p);
    }
    g_string_append_c(out, '"');
}

// The shortest decimal that reads back as the same double. JSON has no NaN and no infinity: they
// become null.
static void print_double(GString *out, double value) {
    char buffer[G_ASCII_DTOSTR_BUF_SIZE], format[8];
    if (!isfinite(value)) {
        g_string_append(out, "null");
        return;
    }
    for (int precision = 6; precision <= 17; precision++) {
        g_snprintf(format, sizeof format, "%%.%dg", precision);
        g_ascii_formatd(buffer, sizeof buffer, format, value);
        if (g_ascii_strtod(buffer, NULL) == value)
            break;
    }
    g_string_append(out, buffer);
    // So that a double stays a double when it is read again.
    if (!strpbrk(buffer, ".e"))
        g_string_append(out, ".0");
}

static void print_node(GString *out, JsonNode *node, int indent);

static void print_line(GString *out, int indent) {
    g_string_append_printf(out, "\n%*s", 2 * indent, "");
}

static void print_object(GString *out, JsonObject *object, int indent) {
    JsonObjectIter iter;
    const char *name;
    JsonNode *node;
    const char *before = "";
    g_string_append_c(out, '{');
    json_object_iter_init_ordered(&iter, object);
    while (json_object_iter_next_ordered(&iter, &name, &node)) {
        g_string_append(out, before);
        before = ",";
        print_line(out, indent + 1);
        print_string(out, name);
        g_string_append(out, ": ");
        print_node(out, node, indent + 1);
    }
    if (json_object_get_size(object) > 0)
        print_line(out, indent);
    g_string_append_c(out, '}');
}

// Arrays of numbers and words go on one line, arrays of objects and arrays one item a line.
static void print_array(GString *out, JsonArray *array, int indent) {
    guint n = json_array_get_length(array);
    bool lines = n > 0 && !JSON_NODE_HOLDS_VALUE(json_array_get_element(array, 0));
    g_string_append_c(out, '[');
    for (guint i = 0; i < n; i++) {
        if (lines)
            print_line(out, indent + 1);
        print_node(out, json_array_get_element(array, i), indent + 1);
        if (i + 1 < n)
            g_string_append(out, lines ? "," : ", ");
    }
    if (lines)
        print_line(out, indent);
    g_string_append_c(out, ']');
}

static void print_value(GString *out, JsonNode *node) {
    GType type = json_node_get_value_type(node);
    if (type == G_TYPE_STRING)
        print_string(out, json_node_get_string(node));
    else if (type == G_TYPE_BOOLEAN)
        g_string_append(out, json_node_get_boolean(node) ? "true" : "false");
    else if (type == G_TYPE_INT64)
        g_string_append_printf(out, "%" G_GINT64_FORMAT, json_node_get_int(node));
    else
        print_double(out, json_node_get_double(node));
}

static void print_node(GString *out, JsonNode *node, int indent) {
    if (JSON_NODE_HOLDS_OBJECT(node))
        print_object(out, json_node_get_object(node), indent);
    else if (JSON_NODE_HOLDS_ARRAY(node))
        print_array(out, json_node_get_array(node), indent);
    else if (JSON_NODE_HOLDS_VALUE(node))
        print_value(out, node);
    else
        g_string_append(out, "null");
}

char *seam_json_print(JsonObject *object) {
    GString *out = g_string_new(NULL);
    print_object(out, object, 0);
    g_string_append_c(out, '\n');
    return g_string_free(out, FALSE);
}
