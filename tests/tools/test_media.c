// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Subtitle files as texts: their markup goes, all else stays, also what looks like the beginning of a tag.
#include "tools/media.h"

#include <glib/gstdio.h>
#include <gst/gst.h>

static void free_text(gpointer text) { g_free(((SeamTimedText *)text)->text); }

static void check_texts(const char *name, const char *content) {
    g_autofree char *folder = g_dir_make_tmp("seam-media-XXXXXX", NULL), *path = g_build_filename(folder, name, NULL);
    g_autoptr(GArray) texts = g_array_new(FALSE, TRUE, sizeof(SeamTimedText));
    g_autoptr(GError) error = NULL;
    g_array_set_clear_func(texts, free_text);
    g_assert_true(g_file_set_contents(path, content, -1, NULL));
    g_assert_true(seam_media_gst()->text(path, texts, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(texts->len, ==, 2);
    g_assert_cmpstr(g_array_index(texts, SeamTimedText, 0).text, ==, "gas low & wire slow");
    g_assert_cmpfloat(g_array_index(texts, SeamTimedText, 0).time, ==, 1);
    g_assert_cmpstr(g_array_index(texts, SeamTimedText, 1).text, ==, "pressure < 3 bar, flow <5 l/min");
    g_assert_cmpfloat(g_array_index(texts, SeamTimedText, 1).time, ==, 3.5);
    g_unlink(path);
    g_rmdir(folder);
}

// GStreamer gives the first as markup, in which a < of the text is &lt;, and the second as it is.
static void test_subtitles(void) {
    check_texts("log.srt", "1\n00:00:01,000 --> 00:00:02,000\n<b>gas low</b> & wire slow\n\n"
                           "2\n00:00:03,500 --> 00:00:04,000\npressure < 3 bar, flow <5 l/min\n\n");
    check_texts("log.lrc", "[00:01.00]<b>gas low</b> & wire slow\n[00:03.50]pressure < 3 bar, flow <5 l/min\n");
}

int main(int argc, char **argv) {
    gst_init(&argc, &argv);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/media/subtitles", test_subtitles);
    return g_test_run();
}
