// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A folder for targets that read files: made once, in memory where the system has that, and removed at the end.
#pragma once

#include <glib.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/remove.h"

static char *fuzz_folder_path;

static inline void fuzz_remove_folder(void) { remove_tree(fuzz_folder_path); }

static inline const char *fuzz_folder(void) {
    if (!fuzz_folder_path) {
        fuzz_folder_path = g_build_filename(g_access("/dev/shm", W_OK) == 0 ? "/dev/shm" : g_get_tmp_dir(), "seam-fuzz-XXXXXX", NULL);
        g_assert_nonnull(g_mkdtemp(fuzz_folder_path));
        atexit(fuzz_remove_folder);
    }
    return fuzz_folder_path;
}

// Writes the bytes to `name` in the folder; g_free the path.
static inline char *fuzz_file(const char *name, const uint8_t *data, size_t size) {
    char *path = g_build_filename(fuzz_folder(), name, NULL);
    FILE *file = g_fopen(path, "wb");
    g_assert_nonnull(file);
    g_assert_cmpuint(fwrite(data, 1, size, file), ==, size);
    g_assert_cmpint(fclose(file), ==, 0);
    return path;
}
