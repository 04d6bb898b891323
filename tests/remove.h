// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Removing what a test has written.
#pragma once

#include <glib.h>
#include <glib/gstdio.h>

// A file, or a folder with all that is in it; a link is removed, not followed.
static inline void remove_tree(const char *path) {
    GDir *dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        remove_tree(child);
    }
    g_clear_pointer(&dir, g_dir_close);
    g_remove(path);
}
