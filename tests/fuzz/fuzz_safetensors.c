// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fuzz target: bytes as a safetensors file. What is accepted must be readable to its last value.
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/array_i8.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    SeamSafetensors *file = seam_safetensors_parse(data, size, "fuzz", NULL);
    for (int32_t i = 0; file && i < seam_safetensors_count(file); i++) {
        const SeamArray *array = seam_safetensors_array(file, i);
        g_autofree float *values = g_new(float, array->size);
        seam_array_to_f32(file, array, values, NULL);
        if (array->dtype == SEAM_I8 && seam_array_dequantise(file, array, 0, values, NULL, NULL))
            for (size_t k = 0; k < array->size; k++)
                g_assert_true(isfinite(values[k]));
        g_assert_true(seam_safetensors_find(file, array->name) == array);
    }
    if (file)
        seam_safetensors_metadata(file, "seam.base");
    seam_safetensors_free(file);
    return 0;
}

static const char one[] = "\x3A\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_"
                          "offsets\":[0,8]}}  12345678";
static const char two[] =
    "\x91\0\0\0\0\0\0\0{\"__metadata__\":{\"seam.base\":\"0123\"},"
    "\"a\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[0,6]},"
    "\"b\":{\"dtype\":\"I8\",\"shape\":[],\"data_offsets\":[6,7]}}    1234567";

static const char quantised[] = "\x78\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"I8\",\"shape\":[2,3],\"data_offsets\":[0,6]},"
                                "\"a.scale\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[6,14]}}     " "123456" "\0\0\x80?\0\0\0?";

FuzzSeed fuzz_seed(size_t index) {
    const FuzzSeed seeds[] = {
        {one, sizeof one - 1}, {two, sizeof two - 1}, {quantised, sizeof quantised - 1}, {"\x02\0\0\0\0\0\0\0{}", 10}, {NULL, 0}};
    return seeds[MIN(index, G_N_ELEMENTS(seeds) - 1)];
}
