// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The reference table: every operation in plain C. It is constant and owns nothing.
#include "kernels/ref/ref.h"

static const SeamKernels table = {
    .backend = "ref",
    .gemm = seam_ref_gemm,
    .pack_bytes = seam_ref_pack_bytes,
    .pack = seam_ref_pack,
    .pack_i8 = seam_ref_pack_i8,
    .linear = seam_ref_linear,
    .conv_packed = seam_ref_conv_packed,
    .grouped_gemm = seam_ref_grouped_gemm,
    .grouped_gemm_dw = seam_ref_grouped_gemm_dw,
    .add_bias = seam_ref_add_bias,
    .bias_grad = seam_ref_bias_grad,
    .grouped_add_bias = seam_ref_grouped_add_bias,
    .grouped_bias_grad = seam_ref_grouped_bias_grad,
    .add = seam_ref_add,
    .gelu = seam_ref_gelu,
    .gelu_backward = seam_ref_gelu_backward,
    .sigmoid = seam_ref_sigmoid,
    .layer_norm = seam_ref_layer_norm,
    .layer_norm_backward = seam_ref_layer_norm_backward,
    .attention = seam_ref_attention,
    .attention_backward = seam_ref_attention_backward,
    .scan = seam_ref_scan,
    .scan_backward = seam_ref_scan_backward,
    .route = seam_ref_route,
    .route_backward = seam_ref_route_backward,
    .route_sort = seam_ref_route_sort,
    .gather = seam_ref_gather,
    .gather_backward = seam_ref_gather_backward,
    .combine = seam_ref_combine,
    .combine_backward = seam_ref_combine_backward,
    .pool = seam_ref_pool,
    .pool_backward = seam_ref_pool_backward,
    .embed_bag = seam_ref_embed_bag,
    .embed_bag_backward = seam_ref_embed_bag_backward,
    .conv = seam_ref_conv,
    .conv_backward_data = seam_ref_conv_backward_data,
    .conv_backward_weights = seam_ref_conv_backward_weights,
    .normalise_u8 = seam_ref_normalise_u8,
    .distances = seam_ref_distances,
    .adamw = seam_ref_adamw,
    .sum_squares = seam_ref_sum_squares,
    .f16_to_f32 = seam_ref_f16_to_f32,
    .f32_to_f16 = seam_ref_f32_to_f16,
};

const SeamKernels *seam_kernels_ref(void) {
    return &table;
}
