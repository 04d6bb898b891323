// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Running and printing the tests of trust.
#include "tools/eval_trust.h"

#include <math.h>
#include <stdio.h>

#include "tools/progress.h"

static void show(void *user, int32_t done, int32_t all) {
    g_autofree char *detail = g_strdup_printf("%d of %d", done, all);
    seam_progress_show(user, done, all, detail);
}

bool seam_trust_run(SeamTrust *t, const SeamEvaluateOptions *options, const SeamDataset *data, const SeamEvaluateWhat *what, const SeamEvaluation *e,
                    GError **error) {
    SeamProgressBar bar;
    SeamEvaluateWhat watched = *what;
    bool ok = true;
    watched.progress = show;
    watched.user = &bar;
    if (t->deletion) {
        seam_progress_begin(&bar, "deleting", false);
        ok = seam_deletion(options, data, &watched, &t->found, error);
        seam_progress_end(&bar);
    }
    if (ok && t->probe)
        t->probes = seam_probe(&options->model->config, data, what, e);
    return ok;
}

void seam_trust_clear(SeamTrust *t) {
    g_clear_pointer(&t->probes, g_ptr_array_unref);
}

// ---- tables --------------------------------------------------------------------------------------------------------------------

static void print_interval(SeamInterval in) {
    if (isfinite(in.low))
        printf(" [%.3f, %.3f]", in.low, in.high);
}

static void print_test(const char *name, const SeamDeletionTest *d) {
    if (d->n == 0)
        return;
    printf("%-20s pointed at %.3f, elsewhere %.3f, difference %.3f", name, d->pointed, d->elsewhere, d->pointed - d->elsewhere);
    print_interval(d->difference);
    printf("; larger in %.3f", d->share);
    print_interval(d->share_interval);
    printf(" of %d\n", d->n);
}

static void print_deletion(const SeamDeletion *d) {
    printf("\ndeletion: how far the defect's margin over good falls, in logits (without a classifier: the distance from good ones)\n");
    print_test("hottest cells", &d->pictures);
    if (d->with_boxes > 0)
        printf("%-20s %.3f of the heat in true boxes, which cover %.3f; the hottest cell in one in %.3f of %d pictures\n", "", d->heat_in_boxes,
               d->area_of_boxes, d->pointing, d->with_boxes);
    print_test("highest modality", &d->modalities);
    if (d->modalities.n > 0)
        printf("%-20s is the one whose absence changes most in %.3f\n", "", d->agreement);
}

static void print_figure(double value) {
    if (isfinite(value))
        printf("  %8.3f", value);
    else
        printf("  %8s", "-");
}

static void print_probes(const GPtrArray *probes) {
    printf("\n%-36s     AUROC  macro-F1  of a probe on it alone\n", "trivial feature");
    for (guint i = 0; i < probes->len; i++) {
        const SeamProbe *p = probes->pdata[i];
        printf("%-36s", p->feature);
        print_figure(p->auroc);
        print_figure(p->macro_f1);
        printf("%s%s\n", p->warns ? "  WARNING: reaches the model's figure" : "", p->hidden ? "  (the model sees the first windows only)" : "");
    }
    if (probes->len == 0)
        printf("none can be probed: too few groups, or all records are alike\n");
}

void seam_trust_table(const SeamTrust *t) {
    if (t->deletion)
        print_deletion(&t->found);
    if (t->probes)
        print_probes(t->probes);
}

void seam_trust_json(const SeamTrust *t, JsonObject *o) {
    if (t->deletion)
        json_object_set_object_member(o, "deletion", seam_deletion_print(&t->found));
    if (t->probes)
        json_object_set_array_member(o, "probe", seam_probe_print(t->probes));
}
