// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Pictures by OpenCV: scaling, files, components, drawing. The only C++ of the project; no
// exception leaves it, and pictures stay their callers'. OpenCV's own threads are off: the pipeline
// has a thread for each stream already.
#include <glib.h>
#include <json-glib/json-glib.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

extern "C" {
#include "core/error.h"
#include "core/files.h"
#include "core/picture_header.h"
#include "core/picture_level.h"
#include "core/vision.h"
}

namespace {

constexpr int max_side = 32768;          // pixels
constexpr size_t max_pixels = 64u << 20; // of a file
constexpr size_t max_file = 256u << 20;  // bytes
constexpr int max_map = 1024;            // cells of a heat map each way

void use_one_thread() {
    static const bool done = (cv::setNumThreads(1), true);
    (void)done;
}

bool fail(GError **error, SeamErrorCode code, const char *where, const char *what) {
    g_set_error(error, SEAM_ERROR, code, "%s: %s", where, what);
    return false;
}

// Runs what calls OpenCV; false with an error when it throws.
template <typename Work> bool guarded(const char *where, GError **error, Work work) {
    try {
        use_one_thread();
        return work();
    } catch (const std::bad_alloc &) {
        return fail(error, SEAM_ERROR_MEMORY, where, "no memory for the picture");
    } catch (const cv::Exception &e) {
        return fail(error, SEAM_ERROR_FORMAT, where, e.err.c_str());
    } catch (...) {
        return fail(error, SEAM_ERROR_FORMAT, where, "the picture cannot be processed");
    }
}

// ---- formats
// -------------------------------------------------------------------------------------

bool is_planar(SeamPixels format) {
    return format == SEAM_PIXELS_I420 || format == SEAM_PIXELS_NV12;
}

// Bytes a pixel of plane 0.
int pixel_bytes(SeamPixels format) {
    static const int bytes[] = {1, 3, 3, 4, 4, 1, 1, 2}; // in the order of SeamPixels
    return bytes[format];
}

// Plane 0 at full size, or a chroma plane at half; YUY2 as one pixel of two bytes.
cv::Mat plane_of(const SeamPicture *p, int index) {
    int channels = index == 0 ? pixel_bytes(p->format) : p->format == SEAM_PIXELS_NV12 ? 2 : 1;
    int w = index == 0 ? p->width : (p->width + 1) / 2,
        h = index == 0 ? p->height : (p->height + 1) / 2;
    return cv::Mat(h, w, CV_8UC(channels), p->plane[index], (size_t)p->stride[index]);
}

bool is_valid(const SeamPicture *p) {
    if (p->width < 1 || p->height < 1 || p->width > max_side || p->height > max_side)
        return false;
    int planes = p->format == SEAM_PIXELS_I420 ? 3 : p->format == SEAM_PIXELS_NV12 ? 2 : 1;
    for (int i = 0; i < planes; i++) {
        int row = i == 0 ? p->width * pixel_bytes(p->format)
                         : (p->width + 1) / 2 * (p->format == SEAM_PIXELS_NV12 ? 2 : 1);
        // A YUY2 row of odd width still holds whole pairs.
        if (p->format == SEAM_PIXELS_YUY2)
            row = (p->width + 1) / 2 * 4;
        if (!p->plane[i] || p->stride[i] < row)
            return false;
    }
    return true;
}

uint8_t to_byte(double value) {
    return (uint8_t)std::clamp(std::lround(value), 0l, 255l);
}

// ITU-R BT.601, limited range (Y 16..235, U and V 16..240).
void rgb_to_yuv(const double rgb[3], uint8_t yuv[3]) {
    double r = rgb[0] / 255.0, g = rgb[1] / 255.0, b = rgb[2] / 255.0,
           y = 0.299 * r + 0.587 * g + 0.114 * b;
    yuv[0] = to_byte(16.0 + 219.0 * y);
    yuv[1] = to_byte(128.0 + 224.0 * (b - y) / 1.772);
    yuv[2] = to_byte(128.0 + 224.0 * (r - y) / 1.402);
}

void yuv_to_rgb(int y, int u, int v, uint8_t *rgb) {
    // 16.16 fixed point of the inverse of the above.
    int luma = 76309 * (y - 16) + 32768;
    rgb[0] = cv::saturate_cast<uint8_t>((luma + 104597 * (v - 128)) >> 16);
    rgb[1] = cv::saturate_cast<uint8_t>((luma - 25675 * (u - 128) - 53279 * (v - 128)) >> 16);
    rgb[2] = cv::saturate_cast<uint8_t>((luma + 132201 * (u - 128)) >> 16);
}

} // namespace

// ---- the model's input
// ---------------------------------------------------------------------------

// Mats that keep their memory from call to call.
struct SeamVisionScratch {
    cv::Mat middle, scaled, luma, first, second;
};

namespace {

// Each way that shrinks by area averaging first, then each way that grows by bilinear
// interpolation.
void scale(const cv::Mat &from, int size, cv::Mat &middle, cv::Mat &to) {
    cv::Size target(size, size), between(std::min(from.cols, size), std::min(from.rows, size));
    if (between == from.size()) {
        cv::resize(from, to, target, 0, 0, cv::INTER_LINEAR);
    } else if (between == target) {
        cv::resize(from, to, target, 0, 0, cv::INTER_AREA);
    } else {
        cv::resize(from, middle, between, 0, 0, cv::INTER_AREA);
        cv::resize(middle, to, target, 0, 0, cv::INTER_LINEAR);
    }
}

// Luma of limited range (black 16, white 235) as GRAY8 has it; video from encoders is so, and black must mean the same to the model.
void spread_range(cv::Mat &luma) {
    luma.convertTo(luma, CV_8U, 255.0 / 219.0, -16.0 * 255.0 / 219.0);
}

// Luma as it is in the picture: of limited range where the format is of Y, U and V.
void to_luma(SeamVisionScratch *s, const SeamPicture *p, int size, cv::Mat &out) {
    cv::Mat source = plane_of(p, 0);
    if (p->format == SEAM_PIXELS_GRAY8 || is_planar(p->format)) {
        scale(source, size, s->middle, out);
        return;
    }
    scale(source, size, s->middle, s->scaled);
    switch (p->format) {
    case SEAM_PIXELS_RGB:
        cv::cvtColor(s->scaled, out, cv::COLOR_RGB2GRAY);
        break;
    case SEAM_PIXELS_BGR:
        cv::cvtColor(s->scaled, out, cv::COLOR_BGR2GRAY);
        break;
    case SEAM_PIXELS_RGBX:
        cv::cvtColor(s->scaled, out, cv::COLOR_RGBA2GRAY);
        break;
    case SEAM_PIXELS_BGRX:
        cv::cvtColor(s->scaled, out, cv::COLOR_BGRA2GRAY);
        break;
    default:
        cv::extractChannel(s->scaled, out, 0);
    }
}

void to_grey(SeamVisionScratch *s, const SeamPicture *p, int size, cv::Mat &out) {
    to_luma(s, p, size, out);
    if (is_planar(p->format) || p->format == SEAM_PIXELS_YUY2)
        spread_range(out);
}

// Luma of full range at the picture's own size; `to` is its memory, or the picture's.
void full_luma(const SeamPicture *p, cv::Mat &to) {
    cv::Mat source = plane_of(p, 0);
    if (p->format == SEAM_PIXELS_GRAY8)
        to = source;
    else if (is_planar(p->format))
        source.convertTo(to, CV_8U, 255.0 / 219.0, -16.0 * 255.0 / 219.0);
    else if (p->format == SEAM_PIXELS_YUY2) {
        cv::extractChannel(source, to, 0);
        spread_range(to);
    } else
        cv::cvtColor(source, to, p->format == SEAM_PIXELS_RGB    ? cv::COLOR_RGB2GRAY
                                 : p->format == SEAM_PIXELS_BGR  ? cv::COLOR_BGR2GRAY
                                 : p->format == SEAM_PIXELS_RGBX ? cv::COLOR_RGBA2GRAY
                                                                 : cv::COLOR_BGRA2GRAY);
}

void to_level(SeamVisionScratch *s, const SeamPicture *p, int size, cv::Mat &out) {
    uint32_t count[256] = {};
    uint8_t becomes[256];
    cv::Mat luma, table(1, 256, CV_8U, becomes);
    full_luma(p, p->format == SEAM_PIXELS_GRAY8 ? luma : s->luma);
    if (p->format != SEAM_PIXELS_GRAY8)
        luma = s->luma;
    for (int y = 0; y < luma.rows; y++)
        for (int x = 0; x < luma.cols; x++)
            count[luma.ptr(y)[x]]++;
    seam_picture_level(count, becomes);
    cv::LUT(luma, table, s->first);
    scale(s->first, size, s->middle, out);
}

// Luma and chroma are scaled apart, so that pictures need not lie in one piece, and joined pixel by
// pixel.
void yuv_to_input(SeamVisionScratch *s, const SeamPicture *p, int size, cv::Mat &out) {
    to_luma(s, p, size, s->luma);
    cv::Mat source = p->format == SEAM_PIXELS_YUY2 ? cv::Mat(p->height, (p->width + 1) / 2, CV_8UC4,
                                                             p->plane[0], (size_t)p->stride[0])
                                                   : plane_of(p, 1);
    scale(source, size, s->middle, s->first);
    if (p->format == SEAM_PIXELS_I420)
        scale(plane_of(p, 2), size, s->middle, s->second);
    // Where U and V lie: I420 in two planes; NV12 U V; YUY2 Y U Y V.
    const cv::Mat &v_plane = p->format == SEAM_PIXELS_I420 ? s->second : s->first;
    int step = s->first.channels(), u_at = step == 4 ? 1 : 0,
        v_at = step == 4   ? 3
               : step == 2 ? 1
                           : 0;
    for (int y = 0; y < size; y++) {
        const uint8_t *luma = s->luma.ptr(y), *u = s->first.ptr(y) + u_at,
                      *v = v_plane.ptr(y) + v_at;
        uint8_t *rgb = out.ptr(y);
        for (int x = 0; x < size; x++)
            yuv_to_rgb(luma[x], u[x * step], v[x * step], rgb + 3 * x);
    }
}

void to_rgb(SeamVisionScratch *s, const SeamPicture *p, int size, cv::Mat &out) {
    if (is_planar(p->format) || p->format == SEAM_PIXELS_YUY2) {
        yuv_to_input(s, p, size, out);
        return;
    }
    cv::Mat source = plane_of(p, 0);
    if (p->format == SEAM_PIXELS_RGB) {
        scale(source, size, s->middle, out);
        return;
    }
    scale(source, size, s->middle, s->scaled);
    int code = p->format == SEAM_PIXELS_BGR    ? cv::COLOR_BGR2RGB
               : p->format == SEAM_PIXELS_RGBX ? cv::COLOR_RGBA2RGB
               : p->format == SEAM_PIXELS_BGRX ? cv::COLOR_BGRA2RGB
                                               : cv::COLOR_GRAY2RGB;
    cv::cvtColor(s->scaled, out, code);
}

} // namespace

extern "C" SeamVisionScratch *seam_vision_scratch_new(void) {
    return new (std::nothrow) SeamVisionScratch;
}

extern "C" void seam_vision_scratch_free(SeamVisionScratch *scratch) {
    delete scratch;
}

extern "C" bool seam_vision_to_input(SeamVisionScratch *scratch, const SeamPicture *picture,
                                     int32_t size, int32_t channels, uint8_t *out, GError **error) {
    if (!scratch)
        return fail(error, SEAM_ERROR_MEMORY, "picture", "no memory for scaling");
    if (!is_valid(picture) || size < 1 || size > max_side || (channels != 1 && channels != 3))
        return fail(error, SEAM_ERROR_SHAPE, "picture",
                    "its size, planes or strides make no sense");
    return guarded("picture", error, [&] {
        cv::Mat target(size, size, CV_8UC(channels), out);
        if (channels == 1)
            to_grey(scratch, picture, size, target);
        else
            to_rgb(scratch, picture, size, target);
        return true;
    });
}

extern "C" bool seam_vision_to_level_input(SeamVisionScratch *scratch, const SeamPicture *picture,
                                           int32_t size, uint8_t *out, GError **error) {
    if (!scratch)
        return fail(error, SEAM_ERROR_MEMORY, "picture", "no memory for scaling");
    if (!is_valid(picture) || size < 1 || size > max_side)
        return fail(error, SEAM_ERROR_SHAPE, "picture",
                    "its size, planes or strides make no sense");
    return guarded("picture", error, [&] {
        cv::Mat target(size, size, CV_8U, out);
        to_level(scratch, picture, size, target);
        return true;
    });
}

extern "C" float seam_vision_brightness(const SeamPicture *picture) {
    if (!is_valid(picture))
        return 0.0f;
    const int most = 64, bytes = pixel_bytes(picture->format);
    int columns = std::min(picture->width, most), rows = std::min(picture->height, most);
    bool colour = bytes >= 3,
         blue_first = picture->format == SEAM_PIXELS_BGR || picture->format == SEAM_PIXELS_BGRX;
    double sum = 0.0;
    for (int j = 0; j < rows; j++) {
        // The middle of each cell of the coarse grid.
        const uint8_t *row =
            picture->plane[0] + (size_t)((2 * j + 1) * (int64_t)picture->height / (2 * rows)) *
                                    (size_t)picture->stride[0];
        for (int i = 0; i < columns; i++) {
            const uint8_t *at = row + (2 * i + 1) * (int64_t)picture->width / (2 * columns) * bytes;
            sum += colour ? 0.299 * at[blue_first ? 2 : 0] + 0.587 * at[1] +
                                0.114 * at[blue_first ? 0 : 2]
                          : at[0];
        }
    }
    double mean = sum / (rows * columns);
    if (is_planar(picture->format) || picture->format == SEAM_PIXELS_YUY2)
        mean = (mean - 16.0) * 255.0 / 219.0; // limited range, see spread_range
    return (float)std::clamp(mean / 255.0, 0.0, 1.0);
}

// ---- files
// ---------------------------------------------------------------------------------------

namespace {

bool check_header(const char *path, const char *bytes, size_t size, GError **error) {
    uint32_t w, h;
    if (!seam_picture_header((const uint8_t *)bytes, size, &w, &h))
        return fail(error, SEAM_ERROR_FORMAT, path, "is not a JPEG, PNG, BMP, TIFF or PGM picture");
    if (w > (uint32_t)max_side || h > (uint32_t)max_side || (size_t)w * h > max_pixels)
        return fail(error, SEAM_ERROR_VALUE, path, "is larger than 64 megapixels: scale it down");
    return true;
}

bool decode(const char *path, const char *bytes, size_t size, int channels, uint8_t **pixels,
            int32_t *width, int32_t *height, GError **error) {
    // EXIF orientation is ignored, because decoders in a pipeline ignore it, too.
    int flags =
        (channels == 1 ? cv::IMREAD_GRAYSCALE : cv::IMREAD_COLOR) | cv::IMREAD_IGNORE_ORIENTATION;
    cv::Mat picture = cv::imdecode(cv::Mat(1, (int)size, CV_8U, const_cast<char *>(bytes)), flags);
    if (picture.empty())
        return fail(error, SEAM_ERROR_FORMAT, path, "is a damaged picture");
    if (picture.total() > max_pixels || picture.depth() != CV_8U)
        return fail(error, SEAM_ERROR_VALUE, path, "is larger than 64 megapixels: scale it down");
    size_t total = picture.total() * (size_t)channels;
    uint8_t *copy = (uint8_t *)malloc(total);
    if (!copy)
        return fail(error, SEAM_ERROR_MEMORY, path, "no memory for the picture");
    cv::Mat target(picture.rows, picture.cols, CV_8UC(channels), copy);
    if (channels == 3)
        cv::cvtColor(picture, target, cv::COLOR_BGR2RGB);
    else
        picture.copyTo(target);
    *pixels = copy;
    *width = picture.cols;
    *height = picture.rows;
    return true;
}

} // namespace

extern "C" bool seam_vision_read(const char *path, int32_t channels, uint8_t **pixels,
                                 int32_t *width, int32_t *height, GError **error) {
    size_t size;
    if (channels != 1 && channels != 3)
        return fail(error, SEAM_ERROR_VALUE, path, "can be read to 1 or 3 channels only");
    char *bytes = seam_file_read(path, max_file, &size, error);
    bool good = bytes && check_header(path, bytes, size, error) && guarded(path, error, [&] {
                    return decode(path, bytes, size, channels, pixels, width, height, error);
                });
    g_free(bytes);
    return good;
}

extern "C" bool seam_vision_encode(const char *ending, const uint8_t *pixels, int32_t width,
                                   int32_t height, int32_t channels, uint8_t **bytes, size_t *size,
                                   GError **error) {
    const char *dot = *ending == '.' ? ending : strrchr(ending, '.');
    bool known = dot && (!strcmp(dot, ".png") || !strcmp(dot, ".jpg") || !strcmp(dot, ".jpeg"));
    if (!known)
        return fail(error, SEAM_ERROR_UNSUPPORTED, ending, "must end with .png, .jpg or .jpeg");
    if (width < 1 || height < 1 || width > max_side || height > max_side ||
        (channels != 1 && channels != 3))
        return fail(error, SEAM_ERROR_SHAPE, ending, "the picture's size makes no sense");
    return guarded(ending, error, [&] {
        cv::Mat picture(height, width, CV_8UC(channels), const_cast<uint8_t *>(pixels)), swapped;
        std::vector<uint8_t> out;
        if (channels == 3)
            cv::cvtColor(picture, swapped, cv::COLOR_RGB2BGR);
        if (!cv::imencode(dot, channels == 3 ? swapped : picture, out))
            return fail(error, SEAM_ERROR_IO, ending, "the picture cannot be encoded");
        *bytes = (uint8_t *)g_try_malloc(out.size());
        if (!*bytes)
            return fail(error, SEAM_ERROR_MEMORY, ending, "no memory for the picture");
        memcpy(*bytes, out.data(), out.size());
        *size = out.size();
        return true;
    });
}

extern "C" bool seam_vision_write(const char *path, const uint8_t *pixels, int32_t width,
                                  int32_t height, int32_t channels, GError **error) {
    uint8_t *bytes = nullptr;
    size_t size = 0;
    bool good = seam_vision_encode(path, pixels, width, height, channels, &bytes, &size, error) &&
                seam_file_write_atomic(path, bytes, size, error);
    g_free(bytes);
    return good;
}

// ---- boxes
// ---------------------------------------------------------------------------------------

namespace {

// Puts a box into its place among the n best; returns how many there are now.
int32_t keep_best(SeamBox *boxes, int32_t n, int32_t most, const SeamBox &box) {
    int32_t at = n;
    while (at > 0 && boxes[at - 1].score < box.score)
        at--;
    if (at >= most)
        return n;
    n = std::min(n + 1, most);
    std::copy_backward(boxes + at, boxes + n - 1, boxes + n);
    boxes[at] = box;
    return n;
}

int32_t find_boxes(const float *map, int w, int h, float threshold, SeamBox *boxes, int32_t most) {
    cv::Mat values(h, w, CV_32F, const_cast<float *>(map)), mask = values > threshold, labels,
                                                            stats, centroids;
    int count = cv::connectedComponentsWithStats(mask, labels, stats, centroids, 8, CV_32S);
    std::vector<float> best((size_t)count, -INFINITY);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            best[(size_t)labels.at<int>(y, x)] =
                std::max(best[(size_t)labels.at<int>(y, x)], values.at<float>(y, x));
    int32_t n = 0;
    for (int i = 1; i < count; i++) {
        const int *s = stats.ptr<int>(i);
        SeamBox box = {};
        box.w = (float)s[cv::CC_STAT_WIDTH] / (float)w;
        box.h = (float)s[cv::CC_STAT_HEIGHT] / (float)h;
        box.x = (float)s[cv::CC_STAT_LEFT] / (float)w + 0.5f * box.w;
        box.y = (float)s[cv::CC_STAT_TOP] / (float)h + 0.5f * box.h;
        box.score = best[(size_t)i];
        n = keep_best(boxes, n, most, box);
    }
    return n;
}

} // namespace

extern "C" int32_t seam_vision_boxes(const float *map, int32_t w, int32_t h, float threshold,
                                     SeamBox *boxes, int32_t most) {
    int32_t n = 0;
    if (w < 1 || h < 1 || w > max_side || h > max_side || most < 1)
        return 0;
    guarded("heat map", nullptr, [&] {
        n = find_boxes(map, w, h, threshold, boxes, most);
        return true;
    });
    return n;
}

// ---- drawing
// -------------------------------------------------------------------------------------

namespace {

// What drawing touches: packed pixels, or luma and then subsampled chroma. A shape is drawn into
// every layer.
struct Layer {
    cv::Mat mat;
    int shift;        // 1 for chroma: half the size each way
    int component[4]; // of each channel: 0 1 2 are R G B or Y U V, 3 is padding
};

int layers_of(const SeamPicture *p, Layer layers[3]) {
    if (!is_valid(p) || p->format == SEAM_PIXELS_YUY2)
        return 0;
    bool blue_first = p->format == SEAM_PIXELS_BGR || p->format == SEAM_PIXELS_BGRX;
    layers[0] = {plane_of(p, 0), 0, {blue_first ? 2 : 0, 1, blue_first ? 0 : 2, 3}};
    if (!is_planar(p->format))
        return 1;
    layers[1] = {plane_of(p, 1), 1, {1, 2, 3, 3}};
    if (p->format == SEAM_PIXELS_NV12)
        return 2;
    layers[2] = {plane_of(p, 2), 1, {2, 3, 3, 3}};
    return 3;
}

// The colour's components as the picture has them, Y U V for grey as well.
void colour_components(const SeamPicture *p, const double rgb[3], uint8_t out[4]) {
    bool is_yuv = is_planar(p->format) || p->format == SEAM_PIXELS_GRAY8;
    out[3] = 255;
    if (is_yuv)
        rgb_to_yuv(rgb, out);
    for (int i = 0; i < 3 && !is_yuv; i++)
        out[i] = to_byte(rgb[i]);
}

cv::Scalar colour_in(const SeamPicture *p, const Layer &layer, uint32_t colour) {
    const double rgb[3] = {(double)(colour >> 16 & 255), (double)(colour >> 8 & 255),
                           (double)(colour & 255)};
    uint8_t part[4];
    colour_components(p, rgb, part);
    return {(double)part[layer.component[0]], (double)part[layer.component[1]],
            (double)part[layer.component[2]], (double)part[layer.component[3]]};
}

// Calls draw(layer, colour in that layer) for each layer.
template <typename Draw> void draw_layers(SeamPicture *p, uint32_t colour, Draw draw) {
    guarded("picture", nullptr, [&] {
        Layer layers[3];
        int n = layers_of(p, layers);
        for (int i = 0; i < n; i++)
            draw(layers[i], colour_in(p, layers[i], colour));
        return true;
    });
}

// Far outside the picture is as good as a little outside; OpenCV's fixed-point coordinates overflow
// otherwise.
int clip(int64_t value) {
    return (int)std::clamp<int64_t>(value, -max_side, 2 * max_side);
}

int thickness_in(const Layer &layer, int thickness) {
    return (std::clamp(thickness, 1, 255 << layer.shift) + layer.shift) >> layer.shift;
}

void blend(uint8_t *target, int channels, const uint8_t *colour, int weight) {
    for (int c = 0; c < 4 && c < channels; c++)
        target[c] = (uint8_t)((target[c] * (256 - weight) + colour[c] * weight + 128) >> 8);
}

// One row of the map at height v in cells, between the two nearest rows.
void map_row(const float *map, int w, int h, double v, float *row) {
    v = std::clamp(v, 0.0, (double)(h - 1));
    int top = std::min((int)v, std::max(h - 2, 0)), bottom = std::min(top + 1, h - 1);
    float part = (float)(v - top);
    for (int i = 0; i < w; i++)
        row[i] = map[top * w + i] + part * (map[bottom * w + i] - map[top * w + i]);
}

// From yellow where the value is low to red where it is high, 256 steps, in the layer's components.
void heat_colours(const SeamPicture *p, const Layer &layer, uint8_t colours[256][4]) {
    for (int i = 0; i < 256; i++) {
        const double rgb[3] = {255.0, 230.0 * (255 - i) / 255.0, 0.0};
        uint8_t part[4];
        colour_components(p, rgb, part);
        for (int c = 0; c < 4; c++)
            colours[i][c] = part[layer.component[c]];
    }
}

void draw_heat_layer(Layer &layer, const uint8_t colours[256][4], const float *map, int w, int h,
                     float strength) {
    float row[max_map];
    int channels = layer.mat.channels();
    for (int y = 0; y < layer.mat.rows; y++) {
        // Cell centres lie at (i + 0.5) / h of the picture.
        map_row(map, w, h, (y + 0.5) * h / layer.mat.rows - 0.5, row);
        uint8_t *target = layer.mat.ptr(y);
        for (int x = 0; x < layer.mat.cols; x++, target += channels) {
            float u = std::clamp((x + 0.5f) * w / layer.mat.cols - 0.5f, 0.0f, (float)(w - 1));
            int left = std::min((int)u, std::max(w - 2, 0)), right = std::min(left + 1, w - 1);
            float value = row[left] + (u - left) * (row[right] - row[left]);
            if (!(value > 1.0f / 256.0f))
                continue;
            value = std::min(value, 1.0f);
            blend(target, channels, colours[(int)(value * 255.0f)],
                  (int)(strength * value * 256.0f));
        }
    }
}

} // namespace

extern "C" void seam_vision_draw_heat(SeamPicture *picture, const float *map, int32_t w, int32_t h,
                                      float strength) {
    if (w < 1 || h < 1 || w > max_map || h > max_map || !(strength > 0.0f))
        return;
    draw_layers(picture, 0, [&](Layer &layer, const cv::Scalar &) {
        uint8_t colours[256][4];
        heat_colours(picture, layer, colours);
        draw_heat_layer(layer, colours, map, w, h, std::min(strength, 1.0f));
    });
}

extern "C" void seam_vision_draw_box(SeamPicture *picture, int32_t x, int32_t y, int32_t w,
                                     int32_t h, uint32_t colour, int32_t thickness) {
    if (w < 1 || h < 1)
        return;
    draw_layers(picture, colour, [&](Layer &layer, const cv::Scalar &value) {
        cv::Point from(clip(x) >> layer.shift, clip(y) >> layer.shift);
        cv::Point to(clip((int64_t)x + w - 1) >> layer.shift,
                     clip((int64_t)y + h - 1) >> layer.shift);
        cv::rectangle(layer.mat, from, to, value, thickness_in(layer, thickness));
    });
}

extern "C" void seam_vision_draw_text(SeamPicture *picture, int32_t x, int32_t y, const char *text,
                                      uint32_t colour, double height) {
    if (!(height >= 1.0 && height <= max_side))
        return;
    // Twice: a wider dark line below makes the text legible on the bright arc.
    const uint32_t colours[] = {0x101010, colour};
    int thickness = std::max(1, (int)(height / 10.0)), outline = std::max(1, (int)(height / 12.0));
    for (int pass = 0; pass < 2; pass++)
        draw_layers(picture, colours[pass], [&](Layer &layer, const cv::Scalar &value) {
            // The capitals of this font are 21 units high at scale 1.
            double scale_of_font = height / 21.0 / (1 << layer.shift);
            int width = thickness_in(layer, thickness + (pass == 0 ? 2 * outline : 0));
            cv::Point at(clip(x) >> layer.shift, clip(y) >> layer.shift);
            cv::putText(layer.mat, text, at, cv::FONT_HERSHEY_SIMPLEX, scale_of_font, value, width,
                        cv::LINE_AA);
        });
}

extern "C" void seam_vision_fill(SeamPicture *picture, int32_t x, int32_t y, int32_t w, int32_t h,
                                 uint32_t colour, float alpha) {
    if (w < 1 || h < 1 || !(alpha > 0.0f))
        return;
    int weight = (int)(std::min(alpha, 1.0f) * 256.0f);
    draw_layers(picture, colour, [&](Layer &layer, const cv::Scalar &value) {
        const uint8_t part[4] = {(uint8_t)value[0], (uint8_t)value[1], (uint8_t)value[2],
                                 (uint8_t)value[3]};
        int left = std::max(clip(x) >> layer.shift, 0), top = std::max(clip(y) >> layer.shift, 0);
        int right = std::min((clip((int64_t)x + w) + layer.shift) >> layer.shift, layer.mat.cols);
        int bottom = std::min((clip((int64_t)y + h) + layer.shift) >> layer.shift, layer.mat.rows);
        for (int j = top; j < bottom; j++)
            for (int i = left; i < right; i++)
                blend(layer.mat.ptr(j) + i * layer.mat.channels(), layer.mat.channels(), part,
                      weight);
    });
}

extern "C" void seam_vision_draw_line(SeamPicture *picture, const float *xy, int32_t points,
                                      uint32_t colour, int32_t thickness) {
    draw_layers(picture, colour, [&](Layer &layer, const cv::Scalar &value) {
        constexpr int fraction = 4; // bits of a pixel
        for (int32_t i = 0; i + 1 < points; i++) {
            const float *p = xy + 2 * i;
            // A point that is not a number interrupts the line.
            if (!std::isfinite(p[0]) || !std::isfinite(p[1]) || !std::isfinite(p[2]) ||
                !std::isfinite(p[3]))
                continue;
            auto fixed = [&](float v) {
                return (int)(std::clamp(v, -(float)max_side, 2.0f * max_side) * (1 << fraction)) >>
                       layer.shift;
            };
            cv::line(layer.mat, {fixed(p[0]), fixed(p[1])}, {fixed(p[2]), fixed(p[3])}, value,
                     thickness_in(layer, thickness), cv::LINE_AA, fraction);
        }
    });
}
