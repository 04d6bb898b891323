// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Configurations: the round trip through JSON, the presets, and one refused example for each rule.
#include "core/config.h"

#include <string.h>

#include "core/error.h"
#include "tests/core/config_text.h"

static SeamConfig config, again;

static void test_round_trip(void) {
    g_autoptr(GError) error = NULL;
    g_assert_true(seam_config_parse(&config, config_text, "good", &error));
    g_assert_no_error(error);
    g_assert_cmpint(config.mixer[0], ==, SEAM_MIXER_LOCAL);
    g_assert_cmpint(config.mixer[3], ==, SEAM_MIXER_GLOBAL);
    g_assert_cmpfloat(config.modality[0].mean[0], ==, 127.5f);
    g_assert_cmpfloat(config.modality[1].std[0], ==, 30.1f);
    g_assert_cmpint(config.modality[1].sensor.column[1], ==, 4);
    g_autofree char *text = seam_config_print(&config);
    g_assert_nonnull(strstr(text, "\"gate_threshold\": 0.02,"));
    g_assert_cmpint(config.modality[0].image.blocks[2], ==, 2);
    g_assert_nonnull(strstr(text, "\"blocks\""));
    g_assert_true(seam_config_parse(&again, text, "printed", &error));
    g_assert_cmpmem(&config, sizeof config, &again, sizeof again);
    g_autofree char *reprinted = seam_config_print(&again);
    g_assert_cmpstr(text, ==, reprinted);
}

// What came later is absent from old models, and stays when it is there.
static void test_boxes(void) {
    g_autoptr(GError) error = NULL;
    const char *at = strstr(config_text, "\"upscale\":2"), *tasks = strstr(config_text, "\"tasks\"");
    g_autofree char *text = g_strdup_printf("%.*s\"label_names\":[\"bad\",\"fine\"],%.*s\"boxes\":\"regress\",\"by_class\":true,\"good_boxes\":true,%s",
                                            (int)(tasks - config_text), config_text, (int)(at - tasks), tasks, at);
    g_assert_true(seam_config_parse(&config, config_text, "old", NULL));
    g_assert_cmpint(config.task[1].boxes, ==, SEAM_BOXES_COMPONENTS);
    g_assert_false(seam_config_good_boxes(&config));
    g_autofree char *old = seam_config_print(&config);
    g_assert_null(strstr(old, "boxes"));
    g_assert_null(strstr(old, "label_names"));
    g_assert_true(seam_config_parse(&config, text, "new", &error));
    g_assert_no_error(error);
    g_assert_cmpint(config.task[1].boxes, ==, SEAM_BOXES_REGRESS);
    g_assert_true(config.task[1].by_class && seam_config_good_boxes(&config));
    g_assert_cmpstr(config.label_name[1], ==, "fine");
    g_autofree char *printed = seam_config_print(&config);
    g_assert_true(seam_config_parse(&again, printed, "printed", &error));
    g_assert_cmpmem(&config, sizeof config, &again, sizeof again);
}

// Bundles from before there were blocks are read, and printed as they were.
static void test_no_blocks(void) {
    static const char blocks[] = "\"blocks\":[0,1,2,0],";
    const char *at = strstr(config_text, blocks);
    g_assert_nonnull(at);
    g_autofree char *text =
        g_strdup_printf("%.*s%s", (int)(at - config_text), config_text, at + strlen(blocks));
    g_assert_true(seam_config_parse(&config, text, "old", NULL));
    for (int32_t i = 0; i < SEAM_MAX_STEM; i++)
        g_assert_cmpint(config.modality[0].image.blocks[i], ==, 0);
    g_autofree char *printed = seam_config_print(&config);
    g_assert_null(strstr(printed, "blocks"));
}

static void test_envelope(void) {
    g_autoptr(GError) error = NULL;
    g_assert_true(seam_config_parse(&config, config_vibration_text, "good", &error));
    g_assert_no_error(error);
    const SeamEnvelopeConfig *e = &config.modality[0].sensor.envelope;
    g_assert_cmpint(e->bands, ==, 8);
    g_assert_cmpint(e->n_orders, ==, 4);
    g_assert_cmpfloat(e->order[3], ==, 5.415f);
    g_assert_cmpint(seam_modality_tokens(&config, 0), ==, 1);
    g_autofree char *text = seam_config_print(&config);
    g_assert_nonnull(strstr(text, "5.415"));
    g_assert_true(seam_config_parse(&again, text, "printed", &error));
    g_assert_cmpmem(&config, sizeof config, &again, sizeof again);
}

// All options keep their values; a model without them prints none, and so has the fingerprint that it had before there were any.
static void test_options(void) {
    g_autoptr(GError) error = NULL;
    g_assert_true(seam_config_parse(&config, config_options_text, "good", &error));
    g_assert_no_error(error);
    g_assert_cmpint(config.windows, ==, 3);
    g_assert_cmpint(config.hash_bucket, ==, 64);
    g_assert_cmpint(config.hash_rounds, ==, 2);
    g_assert_true(config.hash_causal);
    g_assert_cmpfloat(config.gated_budget, ==, 0.25f);
    g_assert_cmpint(config.scan_state, ==, 16);
    g_assert_cmpint(config.fusion_bucket, ==, 8);
    g_assert_cmpint(config.bank_slots, ==, 32);
    g_assert_cmpint(config.bank_write, ==, 4);
    g_autofree char *text = seam_config_print(&config);
    g_assert_nonnull(strstr(text, "\"windows\""));
    g_assert_true(strstr(text, "\"windows\"") < strstr(text, "\"hash_bucket\""));
    g_assert_true(seam_config_parse(&again, text, "printed", &error));
    g_assert_cmpmem(&config, sizeof config, &again, sizeof again);
    g_assert_true(seam_config_parse(&config, config_text, "good", NULL));
    g_autofree char *plain = seam_config_print(&config);
    for (const char *const *name = (const char *const[]){"windows", "hash", "gated", "scan", "bucket\"", "bank", "exit", NULL}; *name; name++)
        g_assert_null(strstr(plain, *name));
}

static void test_lookups(void) {
    g_assert_true(seam_config_parse(&config, config_text, "good", NULL));
    g_assert_cmpint(seam_config_modality(&config, "sensors"), ==, 1);
    g_assert_cmpint(seam_config_modality(&config, "sound"), ==, -1);
    g_assert_cmpint(seam_config_class(&config, "porosity"), ==, 1);
    g_assert_cmpint(seam_config_task(&config, "anomaly"), ==, 2);
    g_assert_cmpint(seam_modality_grid(&config.modality[0]), ==, 12);
    g_assert_cmpint(seam_modality_tokens(&config, 0), ==, 145);
    g_assert_cmpint(seam_modality_tokens(&config, 1), ==, 4);
    g_assert_cmpint(seam_modality_tokens(&config, 2), ==, 32);
    g_assert_cmpint(seam_modality_tokens(&config, 3), ==, 6);
}

static void test_presets(void) {
    const char *const names[] = {"nano", "small", "base", "full"};
    g_autoptr(GError) error = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_assert_true(seam_config_parse(&again, config_text, "good", NULL));
        g_assert_true(seam_config_preset(&config, names[i], NULL));
        memcpy(config.modality, again.modality, sizeof config.modality);
        config.modality[0].image.stem_width[3] = config.dim;
        config.n_modalities = 4;
        g_assert_true(seam_config_validate(&config, names[i], &error));
        g_assert_no_error(error);
    }
    g_assert_false(seam_config_preset(&config, "huge", &error));
    g_assert_error(error, SEAM_ERROR, SEAM_ERROR_VALUE);
}

// What is replaced in the good text, by what, and what the message must say.
static const struct {
    const char *from, *to, *message;
} refused[] = {
    {"\"dim\":96", "\"dim\":0", "\"dim\" is 0, must be 8 to 8192"},
    {"\"dim\":96,", "", "\"dim\" is missing"},
    {"\"dim\":96", "\"dim\":96.0", "must be a whole number"},
    {"\"dim\":96", "\"dimm\":96", "\"dimm\" is not a field; did you mean \"dim\"?"},
    {"\"dim\":96", "\"dim\":64", "\"heads\" is 3"},
    {"\"layers\":4", "\"layers\":65", "\"layers\" is 65"},
    {"\"layers\":4", "\"layers\":1", "\"mixer\" has 2 items"},
    {"\"local\",", "\"looong\",", "\"mixer\" is \"looong\""},
    {"\"groups\":4", "\"groups\":3", "\"groups\" is 3, must divide"},
    {"\"groups_kept\":2", "\"groups_kept\":5", "\"groups_kept\" is 5"},
    {"\"top_k\":2", "\"top_k\":5", "\"top_k\" is 5, must be at most the 4"},
    {"0.02,\"fusion", "1.5,\"fusion", "\"gate_threshold\" is 1.5"},
    {"\"window\":1.0", "\"window\":-1", "\"window\" is -1"},
    {"\"window\":1.0", "\"window\":1.05", "\"rate\" times \"window\""},
    {"\"channels\":1", "\"channels\":2", "modalities[0]: \"channels\" is 2"},
    {"\"size\":192", "\"size\":200", "\"size\" is 200, must be a multiple of 16"},
    {"48,96]", "48,90]", "\"stem\" ends with 90"},
    {"[0,1,2,0]", "[0,1,2]", "\"blocks\" has 3 items, must have 4"},
    {"[0,1,2,0]", "[0,1,9,0]", "\"blocks\" must hold whole numbers from 0 to 8"},
    {"[0,1,2,0]", "[0,1,-1,0]", "\"blocks\" must hold whole numbers from 0 to 8"},
    {"[0,1,2,0]", "[0,1,\"a\",0]", "\"blocks\" must hold whole numbers from 0 to 8"},
    {"[12,", "[0,", "\"stem\" must hold whole numbers"},
    {"\"delta_rank\":4", "\"delta_rank\":97", "\"delta_rank\" is 97"},
    {"\"current\",\"flow\"", "\"current\"", "\"channel_names\" has 1 items, must have 2"},
    {"\"current\",\"flow\"", "\"flow\",\"flow\"", "\"flow\" twice"},
    {"\"rate\":10,", "\"rate\":0,", "\"rate\" is 0"},
    {"\"patch\":10", "\"patch\":4", "multiple of \"patch\""},
    {"\"time_bins\":10", "\"time_bins\":3", "\"time_bins\" is 3, must divide"},
    {"\"fft\":8", "\"fft\":11", "\"fft\" is 11"},
    {"\"bands\":4", "\"bands\":5", "\"bands\" is 5"},
    {"\"bands\":4", "\"bands\":0", "\"fft\" is 8"},
    {"\"arc_channel\":0", "\"arc_channel\":2", "\"arc_channel\" is 2"},
    {"\"columns\":[2,4]", "\"columns\":[2]", "\"columns\" has 1 items, must have 2"},
    {"\"columns\":[2,4]", "\"columns\":[0,4]", "\"columns\" must hold whole numbers from 1"},
    {"\"window\":1.0,", "\"window\":1.0,\"windows\":3,", "\"windows\" is 3, but a task of kind \"rul\" judges the last window"},
    {"[30.1,1]", "[0,1]", "\"std\" is 0"},
    {"[120.5,3]", "[120.5]", "\"mean\" has 1 items"},
    {"[120.5,3]", "[1e300,3]", "\"mean\" is inf"},
    {"\"ngram_max\":5", "\"ngram_max\":2", "\"ngram_min\" is 3"},
    {"\"front\":\"text\"", "\"front\":\"speech\"", "\"front\" is \"speech\", must be one of"},
    {"\"channels\":100", "\"channels\":513", "\"channels\" is 513"},
    {"\"channels\":100", "\"channels\":0", "\"channels\" is 0, must be 1 to 512"},
    {"\"tokens\":6", "\"tokens\":101", "\"tokens\" is 101, must be at most \"channels\" (100)"},
    {"\"tokens\":6", "\"tokens\":0", "\"tokens\" is 0"},
    {"\"quantiles\":17", "\"quantiles\":1", "\"quantiles\" is 1"},
    {"\"channels\":2", "\"channels\":65", "\"channels\" is 65"},
    {"\"name\":\"text\"", "\"name\":\"video\"", "\"modalities\" has \"video\" twice"},
    {"\"name\":\"text\"", "\"name\":\"a.b\"", "\"name\" must be 1 to 47 letters"},
    {"\"good\",\"porosity\"", "\"good\"", "needs at least 2 names"},
    {"\"good\",\"porosity\"", "\"good\",\"good\"", "\"classes\" has \"good\" twice"},
    {"\"good\",\"porosity\"", "\"good\",\"a\\nb\"", "without control characters"},
    {"\"upscale\":2", "\"upscale\":3", "\"upscale\" is 3"},
    {"\"upscale\":2", "\"upscale\":2,\"boxes\":\"round\"", "\"boxes\" is \"round\", must be one of"},
    {"\"upscale\":2", "\"upscale\":2,\"by_class\":true", "\"by_class\" needs \"boxes\": \"regress\""},
    {"\"upscale\":2", "\"upscale\":2,\"good_boxes\":true", "\"good_boxes\" needs \"boxes\": \"regress\""},
    {"[{\"name\":\"classify\",\"kind\":\"classify\",\"rank\":8},{\"name\":\"localise\",",
     "[{\"name\":\"localise\",\"boxes\":\"regress\",\"by_class\":true,", "\"by_class\" needs a task of kind \"classify\" before"},
    {"\"tasks\":", "\"label_names\":[\"a\",\"a\"],\"tasks\":", "\"label_names\" has \"a\" twice"},
    {"\"tasks\":", "\"label_names\":[1],\"tasks\":", "\"label_names\" must hold strings"},
    {"\"memory\":512", "\"memory\":2", "\"neighbours\" is 3"},
    {"\"name\":\"anomaly\"", "\"name\":\"../x\"", "tasks[2]: \"name\" must be"},
    {"\"patches\":3", "\"patches\":2", "\"patches\" is 2, must be 1, 3 or 5"},
    {"\"patches\":3", "\"patches\":7", "\"patches\" is 7"},
    {"\"rank\":8},", "\"rank\":8,\"patches\":1},", "\"patches\" is not a field"},
    {"\"normalise\":\"picture\"", "\"normalise\":\"sample\"", "\"normalise\" is \"sample\", must be one of"},
    {"\"channels\":1,", "\"channels\":3,", "needs \"channels\" 1"},
    {"\"what\":\"forecast\"", "\"what\":\"dream\"", "tasks[4]: \"what\" must be"},
    {"\"what\":\"forecast\",", "", "\"what\" is missing"},
    {"\"modality\":\"sensors\"", "\"modality\":\"video\"", "\"modality\" is \"video\", must be the name of a modality with \"front\" \"sensor\""},
    {"\"modality\":\"sensors\"", "\"modality\":\"sound\"", "\"modality\" is \"sound\""},
    {"\"horizon\":1}", "\"horizon\":1},{\"name\":\"say\",\"kind\":\"generate\",\"rank\":0,\"what\":\"text\",\"depth\":5,\"width\":32,\"length\":200}",
     "\"depth\" is 5"},
    {"\"horizon\":1}", "\"horizon\":1},{\"name\":\"say\",\"kind\":\"generate\",\"rank\":0,\"what\":\"text\",\"depth\":1,\"width\":30,\"length\":200}",
     "\"width\" is 30, must be a multiple of 4"},
    {"\"horizon\":1}", "\"horizon\":1},{\"name\":\"say\",\"kind\":\"generate\",\"rank\":0,\"what\":\"text\",\"depth\":1,\"width\":32,\"length\":256}",
     "\"length\" is 256"},
    {"\"horizon\":1}", "\"horizon\":1},{\"name\":\"say\",\"kind\":\"generate\",\"rank\":0,\"what\":\"text\",\"depth\":1,\"width\":32,\"length\":200,\"modality\":\"sensors\"}",
     "\"modality\" is not a field"},
    {"\"horizon\":1", "\"horizon\":2", "\"horizon\" is 2, must be at most the 1 stretches"},
    {"\"horizon\":1", "\"horizon\":0", "\"horizon\" is 0"},
    {"\"horizon\":1", "\"horizons\":1", "\"horizons\" is not a field; did you mean \"horizon\"?"},
    {"\"horizon\":1}", "\"horizon\":1},{\"name\":\"more\",\"kind\":\"generate\",\"rank\":0,\"what\":\"forecast\",\"modality\":\"sensors\",\"horizon\":1}",
     "asked for twice of \"sensors\""},
    {"\"mask\":0.3", "\"mask\":0.3,\"horizon\":1", "\"horizon\" is not a field"},
    {"\"mask\":0.3", "\"mask\":0.6", "\"mask\" is 0.6"},
    {"\"mask\":0.3", "\"mask\":0", "\"mask\" is 0"},
    {",\"mask\":0.3", "", "\"mask\" is missing"},
    {"\"modality\":\"sensors\",\"mask\"", "\"modality\":\"video\",\"mask\"", "tasks[5]: \"modality\" is \"video\", must be the name of a modality with"},
    {"\"mask\":0.3}", "\"mask\":0.3},{\"name\":\"more\",\"kind\":\"generate\",\"rank\":0,\"what\":\"signal\",\"modality\":\"sensors\",\"mask\":0.3}",
     "\"what\" \"signal\" is asked for twice of \"sensors\""},
    {"\"rate\":10", "\"together\":true,\"rate\":10", "needs windows of 2 stretches at least, those of \"sensors\" have 1: choose a smaller \"patch\""},
    {"\"rate\":10", "\"rate\":8000", "would tell up to 1600 stretches of channels a window, must be at most 1024: choose a larger \"patch\" for \"sensors\""},
    {"\"kind\":\"anomaly\"", "\"kind\":\"guess\"", "\"kind\" is \"guess\""},
};

static const struct {
    const char *from, *to, *message;
} refused_envelope[] = {
    {"\"bands\":8", "\"bands\":0", "envelope: \"bands\" is 0"},
    {"\"bands\":8", "\"bands\":64", "the order 3.585 needs bands of more than"},
    {"\"shape\":24", "\"shape\":0", "envelope: \"shape\" is 0"},
    {"\"low\":100", "\"low\":4900", "\"low\" to \"high\" is 4900 to 4900"},
    {"\"high\":4900", "\"high\":6001", "end at half of \"rate\""},
    {"\"shaft\":29.53", "\"shaft\":0", "\"shaft\" is 0"},
    {"\"tolerance\":0.017", "\"tolerance\":0.6", "\"tolerance\" is 0.6"},
    {"\"background\":20,", "", "\"background\" is missing"},
    {"\"background\":20,", "\"backgroud\":20,", "\"backgroud\" is not a field"},
    {"[1,0.398", "[-1,0.398", "\"orders\" has -1"},
    {"[1,0.398,3.585,5.415]", "[]", "\"orders\" must have 1 to 64"},
    {"[1,0.398", "[\"one\",0.398", "\"orders\" must hold numbers only"},
    {"\"patch\":12000", "\"patch\":50", "narrower than 2 bins"},
    {"\"time_bins\":0", "\"time_bins\":10", "\"time_bins\" is 10, must be 0"},
    {"," ENVELOPE_TEXT, "", "\"time_bins\" is 0, must divide"},
};

static const struct {
    const char *from, *to, *message;
} refused_options[] = {
    {"\"windows\":3", "\"windows\":-1", "\"windows\" is -1"},
    {"\"windows\":3", "\"windows\":1", "\"windows\" is 1, but \"what\" \"forecast\" needs a window after it"},
    {"\"hash_bucket\":64,", "", "\"hash_bucket\" must be there: a layer with \"mixer\" \"hash\" needs it"},
    {"\"hash_bucket\":64", "\"hash_bucket\":1", "\"hash_bucket\" is 1, must be 2 to 4096"},
    {"\"hash_rounds\":2,", "", "\"hash_rounds\" must be there"},
    {"\"hash_rounds\":2", "\"hash_rounds\":9", "\"hash_rounds\" is 9"},
    {"\"hash_causal\":true", "\"hash_causal\":1", "\"hash_causal\""},
    {"[\"hash\",", "[\"local\",", "\"hash_bucket\" needs a layer with \"mixer\" \"hash\""},
    {"[\"hash\",\"gated\",\"scan\",\"local\"],\"local_radius\":3,\"gate_threshold\":0.02,\"fusion_layers\":1,\"fusion_neighbours\":8,\"fusion_width\":96,"
     "\"window\":1.0,\"windows\":3,\"hash_bucket\":64,\"hash_rounds\":2,",
     "[\"local\",\"gated\",\"scan\",\"local\"],\"local_radius\":3,\"gate_threshold\":0.02,\"fusion_layers\":1,\"fusion_neighbours\":8,\"fusion_width\":96,\"window\":1.0,",
     "\"hash_causal\" needs a layer"},
    {"\"gated_budget\":0.25,", "", "\"gated_budget\" must be there"},
    {"\"gated_budget\":0.25", "\"gated_budget\":1.5", "\"gated_budget\" is 1.5"},
    {"\"gated\",", "\"local\",", "\"gated_budget\" needs a layer with \"mixer\" \"gated\""},
    {"\"scan_state\":16,", "", "\"scan_state\" must be there"},
    {"\"scan_state\":16", "\"scan_state\":129", "\"scan_state\" is 129"},
    {"\"scan\",", "\"local\",", "\"scan_state\" needs a layer with \"mixer\" \"scan\""},
    {"\"fusion_bucket\":8", "\"fusion_bucket\":257", "\"fusion_bucket\" is 257"},
    {"\"fusion_layers\":1", "\"fusion_layers\":0", "\"fusion_bucket\" is 8, but \"fusion_layers\" is 0"},
    {"\"bank_slots\":32,", "", "\"bank_write\" needs \"bank_slots\""},
    {"\"bank_write\":4,", "", "\"bank_write\" must be there: \"bank_slots\" needs it"},
    {"\"bank_write\":4", "\"bank_write\":33", "\"bank_write\" is 33, must be at most \"bank_slots\" (32)"},
    {"\"bank_write\":4", "\"bank_write\":4,\"exit_every\":4", "\"exit_every\" is 4, must be less than \"layers\" (4)"},
    {"\"bank_write\":4", "\"bank_write\":4,\"exit_every\":2", "\"exit_every\" cannot be beside a layer with \"mixer\" \"scan\""},
    {"\"bank_write\":4", "\"bank_write\":4,\"exit_evry\":2", "\"exit_evry\" is not a field; did you mean \"exit_every\"?"},
};

static void refuse(const char *good, const char *from, const char *to, const char *message) {
    g_autoptr(GError) error = NULL;
    const char *at = strstr(good, from);
    g_assert_nonnull(at);
    g_autofree char *text = g_strdup_printf("%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    bool accepted = seam_config_parse(&config, text, "model.json", &error);
    g_test_message("%s -> %s: %s", from, to, error ? error->message : "accepted");
    g_assert_false(accepted);
    g_assert_true(g_str_has_prefix(error->message, "model.json: "));
    g_assert_nonnull(strstr(error->message, message));
}

static void test_refused(void) {
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
        refuse(config_text, refused[i].from, refused[i].to, refused[i].message);
    for (size_t i = 0; i < G_N_ELEMENTS(refused_options); i++)
        refuse(config_options_text, refused_options[i].from, refused_options[i].to, refused_options[i].message);
    for (size_t i = 0; i < G_N_ELEMENTS(refused_envelope); i++)
        refuse(config_vibration_text, refused_envelope[i].from, refused_envelope[i].to, refused_envelope[i].message);
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/round-trip", test_round_trip);
    g_test_add_func("/config/boxes", test_boxes);
    g_test_add_func("/config/no-blocks", test_no_blocks);
    g_test_add_func("/config/envelope", test_envelope);
    g_test_add_func("/config/options", test_options);
    g_test_add_func("/config/lookups", test_lookups);
    g_test_add_func("/config/presets", test_presets);
    g_test_add_func("/config/refused", test_refused);
    return g_test_run();
}
