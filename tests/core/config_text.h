// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A whole configuration as text, with every kind of front end and task: what the tests of reading take apart, and the fuzz target's seed.
#pragma once

static const char config_text[] =
    "{\"dim\":96,\"layers\":4,\"heads\":3,\"experts\":8,\"groups\":4,\"groups_kept\":2,\"top_k\":2,"
    "\"expert_width\":96,"
    "\"router_rank\":8,\"router_shared_a\":true,\"mixer\":[\"local\",\"global\"],\"local_radius\":"
    "3,\"gate_threshold\":0.02,"
    "\"fusion_layers\":1,\"fusion_neighbours\":8,\"fusion_width\":96,\"window\":1.0,\"modalities\":"
    "["
    "{\"name\":\"video\",\"front\":\"image\",\"channels\":1,\"size\":192,\"normalise\":\"picture\",\"stem\":[12,24,48,96],\"blocks\":[0,1,2,0],"
    "\"delta_rank\":4,\"arc_on\":0.02},"
    "{\"name\":\"sensors\",\"front\":\"sensor\",\"channels\":2,\"channel_names\":[\"current\","
    "\"flow\"],\"columns\":[2,4],\"rate\":10,\"patch\":10,"
    "\"time_bins\":10,\"fft\":8,\"bands\":4,\"arc_channel\":0,\"arc_on\":50,\"mean\":[120.5,3],"
    "\"std\":[30.1,1]},"
    "{\"name\":\"text\",\"front\":\"text\",\"buckets\":2048,\"ngram_min\":3,\"ngram_max\":5,\"max_"
    "tokens\":32,\"sparse\":true},"
    "{\"name\":\"table\",\"front\":\"features\",\"channels\":100,\"tokens\":6,\"quantiles\":17}],"
    "\"classes\":[\"good\",\"porosity\"],\"tasks\":[{\"name\":\"classify\",\"kind\":\"classify\","
    "\"rank\":8},"
    "{\"name\":\"localise\",\"kind\":\"localise\",\"rank\":8,\"upscale\":2},"
    "{\"name\":\"anomaly\",\"kind\":\"anomaly\",\"rank\":0,\"memory\":512,\"neighbours\":3,\"patches\":3},"
    "{\"name\":\"rul\",\"kind\":\"rul\",\"rank\":0,\"limit\":125,\"bins\":25},"
    "{\"name\":\"next\",\"kind\":\"generate\",\"rank\":4,\"what\":\"forecast\",\"modality\":\"sensors\",\"horizon\":1},"
    "{\"name\":\"fill\",\"kind\":\"generate\",\"rank\":4,\"what\":\"signal\",\"modality\":\"sensors\",\"mask\":0.3}]}";

// The envelope of a sensor, and a whole configuration that has one.
#define ENVELOPE_TEXT                                                                                                                  \
    "\"envelope\":{\"low\":100,\"high\":4900,\"bands\":8,\"shape\":24,\"shaft\":29.53,\"tolerance\":0.017,\"background\":20,"        \
    "\"orders\":[1,0.398,3.585,5.415]}"
static const char config_vibration_text[] =
    "{\"dim\":96,\"layers\":1,\"heads\":3,\"experts\":8,\"groups\":4,\"groups_kept\":2,\"top_k\":2,\"expert_width\":96,"
    "\"router_rank\":8,\"router_shared_a\":true,\"mixer\":\"global\",\"local_radius\":3,\"gate_threshold\":0.02,"
    "\"fusion_layers\":0,\"fusion_neighbours\":8,\"fusion_width\":96,\"window\":1.0,\"modalities\":["
    "{\"name\":\"vibration\",\"front\":\"sensor\",\"channels\":1,\"rate\":12000,\"patch\":12000,\"time_bins\":0,\"fft\":0,"
    "\"bands\":0,\"arc_channel\":-1,\"std\":[0.004]," ENVELOPE_TEXT "}],"
    "\"classes\":[\"good\",\"inner\"],\"tasks\":[{\"name\":\"classify\",\"kind\":\"classify\",\"rank\":0}]}";

// A whole configuration with all options of the architecture.
static const char config_options_text[] =
    "{\"dim\":96,\"layers\":4,\"heads\":3,\"experts\":8,\"groups\":4,\"groups_kept\":2,\"top_k\":2,\"expert_width\":96,"
    "\"router_rank\":8,\"router_shared_a\":true,\"mixer\":[\"hash\",\"gated\",\"scan\",\"local\"],\"local_radius\":3,\"gate_threshold\":0.02,"
    "\"fusion_layers\":1,\"fusion_neighbours\":8,\"fusion_width\":96,\"window\":1.0,\"windows\":3,\"hash_bucket\":64,\"hash_rounds\":2,"
    "\"hash_causal\":true,\"gated_budget\":0.25,\"scan_state\":16,\"fusion_bucket\":8,\"bank_slots\":32,\"bank_write\":4,\"modalities\":["
    "{\"name\":\"sensors\",\"front\":\"sensor\",\"channels\":2,\"rate\":10,\"patch\":5,\"time_bins\":5,\"fft\":0,\"bands\":0,\"arc_channel\":0}],"
    "\"classes\":[\"good\",\"porosity\"],\"tasks\":[{\"name\":\"classify\",\"kind\":\"classify\",\"rank\":0},"
    "{\"name\":\"next\",\"kind\":\"generate\",\"rank\":0,\"what\":\"forecast\",\"modality\":\"sensors\",\"horizon\":1}]}";
