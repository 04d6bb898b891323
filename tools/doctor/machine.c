// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The machine: is the plugin found, which elements and decoders are there and which Debian package has those that are not, processor, kernels, GPU.
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/utsname.h>

#include "kernels/kernels.h"
#include "kernels/pool.h"
#include "tools/doctor/doctor.h"

// ---- packages ------------------------------------------------------------------------------------------------------------------

typedef struct {
    const char *name, *package; // the name may end in "*"
} Package;

static const char base[] = "gstreamer1.0-plugins-base", good[] = "gstreamer1.0-plugins-good", bad[] = "gstreamer1.0-plugins-bad",
                  ugly[] = "gstreamer1.0-plugins-ugly", libav[] = "gstreamer1.0-libav", core[] = "libgstreamer1.0-0";

static const Package packages[] = {
    {"filesrc", core},
    {"filesink", core},
    {"fakesrc", core},
    {"fakesink", core},
    {"queue", core},
    {"queue2", core},
    {"tee", core},
    {"identity", core},
    {"capsfilter", core},
    {"concat", core},
    {"funnel", core},
    {"typefind", core},
    {"valve", core},
    {"input-selector", core},
    {"multiqueue", core},
    {"fdsrc", core},
    {"fdsink", core},
    {"tcpserversink", base},
    {"decodebin*", base},
    {"uridecodebin*", base},
    {"playbin*", base},
    {"parsebin", base},
    {"videoconvert*", base},
    {"videoscale", base},
    {"videorate", base},
    {"videotestsrc", base},
    {"audioconvert", base},
    {"audioresample", base},
    {"audiorate", base},
    {"audiotestsrc", base},
    {"volume", base},
    {"appsrc", base},
    {"appsink", base},
    {"subparse", base},
    {"textoverlay", base},
    {"compositor", base},
    {"oggdemux", base},
    {"vorbis*", base},
    {"theora*", base},
    {"opus*", base},
    {"alsasrc", "gstreamer1.0-alsa"},
    {"alsasink", "gstreamer1.0-alsa"},
    {"xvimagesink", "gstreamer1.0-x"},
    {"ximagesink", "gstreamer1.0-x"},
    {"glimagesink", "gstreamer1.0-gl"},
    {"tcpclientsrc", base},
    {"rawvideoparse", base},
    {"flac*", good},
    {"wav*", good},
    {"avidemux", good},
    {"avimux", good},
    {"matroska*", good},
    {"webmmux", good},
    {"qtdemux", good},
    {"mp4mux", good},
    {"qtmux", good},
    {"jpeg*", good},
    {"png*", good},
    {"vp8*", good},
    {"vp9*", good},
    {"multifile*", good},
    {"splitfile*", good},
    {"splitmux*", good},
    {"rtsp*", good},
    {"rtp*", good},
    {"udp*", good},
    {"v4l2*", good},
    {"autovideo*", good},
    {"autoaudio*", good},
    {"videocrop", good},
    {"videobalance", good},
    {"deinterlace", good},
    {"capssetter", good},
    {"progressreport", good},
    {"imagefreeze", good},
    {"pulse*", "gstreamer1.0-pulseaudio"},
    {"level", good},
    {"spectrum", good},
    {"interleave", good},
    {"deinterleave", good},
    {"souphttpsrc", good},
    {"y4menc", good},
    {"level", good},
    {"tsdemux", bad},
    {"tsparse", bad},
    {"h264parse", bad},
    {"h265parse", bad},
    {"mpegtsmux", bad},
    {"fpsdisplaysink", bad},
    {"openh264*", bad},
    {"srt*", bad},
    {"webrtc*", bad},
    {"nvh26*", bad},
    {"kmssink", bad},
    {"wayland*", bad},
    {"x264enc", ugly},
    {"asfdemux", ugly},
    {"mpg123*", good},
    {"avdec_*", libav},
    {"avenc_*", libav},
    {"avdemux_*", libav},
    {"x265enc", bad},
    {"aravissrc", "gstreamer1.0-plugins-aravis (or build it from Aravis)"},
};

static bool has_name(const Package *p, const char *name) {
    size_t n = strlen(p->name);
    return p->name[n - 1] == '*' ? strncmp(p->name, name, n - 1) == 0 : strcmp(p->name, name) == 0;
}

const char *doctor_package(const char *element) {
    for (size_t i = 0; i < G_N_ELEMENTS(packages); i++)
        if (has_name(&packages[i], element))
            return packages[i].package;
    return NULL;
}

static char *install(const char *package) {
    return g_strdup_printf("apt-get install %s", package);
}

// ---- the plugin ----------------------------------------------------------------------------------------------------------------

static bool has_element(const char *name) {
    GstElementFactory *factory = gst_element_factory_find(name);
    bool found = factory != NULL;
    gst_clear_object(&factory);
    return found;
}

// Where the build leaves the plugin, seen from this program.
static char *own_plugin(void) {
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *tools = self ? g_path_get_dirname(self) : NULL, *build = tools ? g_path_get_dirname(tools) : NULL;
    char *plugin = build ? g_build_filename(build, "plugins", "libgstseam.so", NULL) : NULL;
    if (plugin && !g_file_test(plugin, G_FILE_TEST_EXISTS))
        g_clear_pointer(&plugin, g_free);
    return plugin;
}

static void explain_plugin(Doctor *d, const char *file) {
    g_autoptr(GError) error = NULL;
    GstPlugin *plugin = file ? gst_plugin_load_file(file, &error) : NULL;
    const char *path = g_getenv("GST_PLUGIN_PATH");
    g_autofree char *folder = file ? g_path_get_dirname(file) : NULL;
    if (!file)
        doctor_add(d, DOCTOR_PROBLEM, "plugin",
                   g_strdup_printf("GStreamer does not find Seam's plugin (GST_PLUGIN_PATH is %s)", path ? path : "not set"),
                   g_strdup("build it with ./run build, then: export GST_PLUGIN_PATH=\"$PWD/build/plugins\""));
    else if (!plugin)
        doctor_add(d, DOCTOR_PROBLEM, "plugin", g_strdup_printf("%s cannot be loaded: %s", file, error->message),
                   g_strdup("install what it names, or build it anew with ./run build"));
    else
        doctor_add(d, DOCTOR_PROBLEM, "plugin",
                   g_strdup_printf("GStreamer does not find Seam's plugin (GST_PLUGIN_PATH is %s), which is in %s", path ? path : "not set", folder),
                   g_strdup_printf("export GST_PLUGIN_PATH=\"%s\"", folder));
    g_clear_object(&plugin);
}

void doctor_check_plugin(Doctor *d) {
    GstPlugin *plugin = gst_registry_find_plugin(gst_registry_get(), "seam");
    g_autofree char *file = own_plugin();
    if (plugin && has_element("seaminspect"))
        doctor_add(d, DOCTOR_GOOD, "plugin", g_strdup_printf("Seam %s in %s", gst_plugin_get_version(plugin), gst_plugin_get_filename(plugin)), NULL);
    else
        explain_plugin(d, file);
    if (plugin && g_strcmp0(gst_plugin_get_version(plugin), SEAM_VERSION) != 0)
        doctor_add(d, DOCTOR_PROBLEM, "plugin",
                   g_strdup_printf("the plugin is version %s, this command is %s", gst_plugin_get_version(plugin), SEAM_VERSION),
                   g_strdup("build or install both from the same source"));
    g_clear_object(&plugin);
}

// ---- elements and decoders -----------------------------------------------------------------------------------------------------

static const char *const needed[] = {"filesrc",      "filesink",     "queue",         "tee",     "capsfilter",   "decodebin",
                                     "videoconvert", "videoscale",   "videorate",     "appsink", "audioconvert", "audioresample",
                                     "subparse",     "multifilesrc", "jpegenc",       "vp8enc",  "webmmux",      "videotestsrc",
                                     "avidemux",     "wavparse",     "matroskademux", "qtdemux"};

typedef struct {
    const char *name, *caps, *element; // element: of a package that brings a decoder
    DoctorLevel missing;
} Codec;

static const Codec codecs[] = {
    {"H.264", "video/x-h264", "avdec_h264", DOCTOR_NOTE},
    {"MPEG-4", "video/mpeg,mpegversion=4", "avdec_mpeg4", DOCTOR_NOTE},
    {"H.265", "video/x-h265", "avdec_h265", DOCTOR_NOTE},
    {"VP8", "video/x-vp8", "vp8dec", DOCTOR_NOTE},
    {"JPEG", "image/jpeg", "jpegdec", DOCTOR_PROBLEM},
    {"PNG", "image/png", "pngdec", DOCTOR_PROBLEM},
    {"FLAC", "audio/x-flac", "flacdec", DOCTOR_PROBLEM},
    {"MP3", "audio/mpeg,mpegversion=1,layer=3", "mpg123audiodec", DOCTOR_NOTE},
    {"AAC", "audio/mpeg,mpegversion=4", "avdec_aac", DOCTOR_NOTE},
};

static char *find_decoder(const char *caps_text) {
    GstCaps *caps = gst_caps_from_string(caps_text);
    GList *all = gst_element_factory_list_get_elements(GST_ELEMENT_FACTORY_TYPE_DECODER, GST_RANK_MARGINAL);
    GList *fit = gst_element_factory_list_filter(all, caps, GST_PAD_SINK, FALSE);
    char *name = fit ? g_strdup(GST_OBJECT_NAME(fit->data)) : NULL;
    gst_plugin_feature_list_free(all);
    gst_plugin_feature_list_free(fit);
    gst_caps_unref(caps);
    return name;
}

static void check_codec(Doctor *d, const Codec *c, GString *there) {
    g_autofree char *decoder = find_decoder(c->caps);
    if (decoder)
        g_string_append_printf(there, "%s%s by %s", there->len ? ", " : "", c->name, decoder);
    else
        doctor_add(d, c->missing, "codecs", g_strdup_printf("no decoder for %s", c->name), install(doctor_package(c->element)));
}

void doctor_check_elements(Doctor *d) {
    g_autoptr(GString) there = g_string_new(NULL);
    int32_t found = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++) {
        if (has_element(needed[i])) {
            found++;
            continue;
        }
        const char *package = doctor_package(needed[i]);
        doctor_add(d, DOCTOR_PROBLEM, "elements", g_strdup_printf("no element \"%s\"", needed[i]), install(package ? package : good));
    }
    doctor_add(d, DOCTOR_GOOD, "elements", g_strdup_printf("%d of the %d elements that Seam's pipelines use", found, (int)G_N_ELEMENTS(needed)),
               NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(codecs); i++)
        check_codec(d, &codecs[i], there);
    if (there->len)
        doctor_add(d, DOCTOR_GOOD, "codecs", g_strdup(there->str), NULL);
}

// ---- processor and GPU ---------------------------------------------------------------------------------------------------------

// The first line of a file of /proc that begins like this, after its colon.
static char *proc_value(const char *path, const char *key) {
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    g_auto(GStrv) line = g_strsplit(text, "\n", -1);
    for (char **l = line; *l; l++) {
        char *colon = g_str_has_prefix(*l, key) ? strchr(*l, ':') : NULL;
        if (colon)
            return g_strdup(g_strstrip(colon + 1));
    }
    return NULL;
}

static void check_gpu(Doctor *d) {
    g_autofree char *driver = NULL;
    bool device = g_file_test("/dev/nvidiactl", G_FILE_TEST_EXISTS),
         version = g_file_get_contents("/proc/driver/nvidia/version", &driver, NULL, NULL);
    if (version)
        g_strdelimit(driver, "\n", 0);
    if (version && device)
        doctor_add(d, DOCTOR_NOTE, "machine", g_strdup_printf("GPU driver: %s; this build computes on the processor all the same", driver), NULL);
    else if (version || device)
        doctor_add(d, DOCTOR_NOTE, "machine",
                   g_strdup("a GPU driver is there, but not whole (/dev/nvidiactl and /proc/driver/nvidia/version): the GPU cannot be used"), NULL);
    else
        doctor_add(d, DOCTOR_GOOD, "machine", g_strdup("no GPU driver: everything is computed on the processor"), NULL);
}

void doctor_check_machine(Doctor *d) {
    struct utsname system = {0};
    g_autofree char *processor = proc_value("/proc/cpuinfo", "model name"), *memory = proc_value("/proc/meminfo", "MemAvailable");
    g_autofree char *gst = gst_version_string();
    uname(&system);
    doctor_add(d, DOCTOR_GOOD, "machine",
               g_strdup_printf("%s, GLib %u.%u.%u, JSON-GLib %s, %s %s", gst, glib_major_version, glib_minor_version, glib_micro_version,
                               JSON_VERSION_S, system.sysname, system.machine),
               NULL);
    doctor_add(d, DOCTOR_GOOD, "machine",
               g_strdup_printf("%s, %u cores, %d threads for one job, %s of memory free", processor ? processor : "processor", g_get_num_processors(),
                               seam_pool_lanes(), memory ? memory : "?"),
               NULL);
    check_gpu(d);
}
