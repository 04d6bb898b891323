// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Learn then test (Angelopoulos 2021, sec. 3; Schuster 2022, sec. 4, for early exits): each rung of the ladder is a hypothesis "more than `loss` of the windows
// are lost", whose p-value is the binomial chance of so few losses at just that share. Rungs are tested in a fixed order, safest first, and the first that
// cannot be ruled out ends it: so the whole climb errs with probability `risk` at most, without correction for the number of rungs. It holds for windows
// that are like those it was measured on and independent; windows of one weld are alike, which makes the bound too narrow where welds have many.
//
// A window is lost when all of the work gives its class and the effort does not; that the effort also puts some right is not set off.
#include "core/train/thrift.h"

static const SeamEffort ladder[SEAM_THRIFT_RUNGS] = {
    {.expert_mass = 0, .exit_margin = 0},       {.expert_mass = 0.95f, .exit_margin = 0.99f}, {.expert_mass = 0.9f, .exit_margin = 0.97f},
    {.expert_mass = 0.8f, .exit_margin = 0.95f}, {.expert_mass = 0.7f, .exit_margin = 0.9f},   {.expert_mass = 0.6f, .exit_margin = 0.8f},
    {.expert_mass = 0.5f, .exit_margin = 0.7f},  {.expert_mass = 0.4f, .exit_margin = 0.6f},   {.expert_mass = 0.3f, .exit_margin = 0.5f},
    {.expert_mass = 0.2f, .exit_margin = 0.4f},
};

SeamEffort seam_thrift_rung(int32_t rung) {
    return ladder[CLAMP(rung, 0, SEAM_THRIFT_RUNGS - 1)];
}

double seam_thrift_bound(int32_t n, int32_t lost, double risk) {
    return n == 0 || lost >= n ? 1 : seam_binomial_share(lost, n, risk);
}

typedef struct {
    const SeamConfig *config;
    const SeamRecord *record;
    GByteArray *right; // of each window: 1, or 0
} Gathered;

static void gather(void *user, int32_t subset, const SeamTokens *fused, const SeamWindowResult *r) {
    Gathered *g = user;
    int32_t said = 0, truth = seam_batch_label(g->config, g->record, r->time, r->present);
    for (int32_t c = 1; c < g->config->n_classes; c++)
        said = r->probability[c] > r->probability[said] ? c : said;
    if (r->has_classify && g->record->label && truth >= 0)
        g_byte_array_append(g->right, &(guint8){truth == said}, 1);
}

// Which windows are right with an effort.
static bool judge(const SeamEvaluateOptions *options, const SeamDataset *data, const bool *use, Gathered *g, GError **error) {
    g_autofree SeamVerdict *verdict = g_new0(SeamVerdict, 1);
    SeamEvaluator *e = seam_evaluator_new(options, error);
    bool ok = e != NULL;
    g_byte_array_set_size(g->right, 0);
    for (int32_t i = 0; ok && i < data->n; i++) {
        g->record = &data->record[i];
        if (use[i] && g->record->label && g->record->use != SEAM_USE_TRAINING)
            ok = seam_evaluate_record(e, g->record, &(uint32_t){UINT32_MAX}, 1, verdict, error);
    }
    seam_evaluator_free(e);
    return ok;
}

bool seam_thrift_calibrate(const SeamModel *model, const SeamKernels *kernels, const SeamDataset *data, const bool *use, int32_t frames, double loss,
                           double risk, SeamThrift *out, GError **error) {
    SeamCalibration *plain = seam_calibration_new();
    Gathered g = {.config = &model->config, .right = g_byte_array_new()};
    SeamEvaluateOptions options = {.model = model, .kernels = kernels, .calibration = plain, .weld = SEAM_WELD_OPTIONS_DEFAULT, .frames = frames,
                                   .tasks = UINT32_MAX, .window = gather, .user = &g};
    bool ok = judge(&options, data, use, &g, error);
    int32_t n = (int32_t)g.right->len;
    g_autofree guint8 *whole = g_memdup2(g.right->data, g.right->len);
    *out = (SeamThrift){.windows = n, .bound = n > 0 ? 0 : 1};
    for (int32_t rung = 1; ok && n > 0 && rung < SEAM_THRIFT_RUNGS; rung++) {
        int32_t lost = 0;
        options.effort = ladder[rung];
        ok = judge(&options, data, use, &g, error);
        for (int32_t i = 0; ok && i < n; i++)
            lost += whole[i] && !g.right->data[i];
        if (!ok || seam_binomial_below(lost, n, loss) > risk)
            break;
        *out = (SeamThrift){ladder[rung], n, lost, seam_thrift_bound(n, lost, risk)};
    }
    g_byte_array_unref(g.right);
    seam_calibration_free(plain);
    return ok;
}
