// SPDX-License-Identifier: LGPL-2.1-or-later
//
// JSON text as RFC 8259 has it, and no more. json-glib reads comments, assignments and other
// extensions, calls itself for each level of nesting and stops the process at a broken surrogate;
// so every text is checked here before json-glib sees it.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// True when text[0 .. size) is one JSON value: nested at most 32 deep, UTF-8 without U+0000, whole
// numbers of at most 18 digits, other numbers finite as doubles. *members: the members of all
// objects together. Otherwise *problem and *offset say what is wrong and where.
bool seam_json_check(const char *text, size_t size, size_t *members, const char **problem,
                     size_t *offset);

// The first 48 characters, for messages about a text that somebody else wrote. g_free it.
char *seam_json_excerpt(const char *text);
