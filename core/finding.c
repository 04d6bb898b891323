// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The grammar is a text a verdict:
//   (a|b|c)   one of them
//   {x ...}   if fact x is known: c class, s sure, p place, w which modality
//   [x ...]   the same, or nothing
//   <x>       the fact
// Groups may hold groups. A sentence is a list of choices, one a group that has some, in the order in which they come; all lists are gone through as a
// counter goes through numbers, so that checking a sentence takes as many expansions as there are ways to put the facts (some hundreds), and no memory.
#include "core/finding.h"

#include <math.h>
#include <string.h>

enum { MOST_CHOICES = 16 };

static const char *const grammar[] = {
    [SEAM_PASS] = "((The weld|This weld|The seam) (passes|is good|has passed)|Passed, no defect was found)"
                  "{s(, at least <s> % sure|: at least <s> % certain|, with a confidence of at least <s> %)}.",
    [SEAM_REJECT] = "((The weld|This weld|The seam) is rejected{c(: |, because of )<c>}[p(, at <p> % of its length|, <p> % along the seam)]"
                    "[w(, seen most by|, shown best by) <w>]|"
                    "{cThere is <c>[p( at <p> % of the length| <p> % along the seam)][w(, as| as) <w> shows]: }(the weld|it|this weld) is rejected)"
                    "{s(, at least <s> % sure|; at least <s> % certain|, with a confidence of at least <s> %)}.",
    [SEAM_REFER] = "((The weld|This weld|The seam) is referred to a person|A person must decide)"
                   "{c(: perhaps <c>|; the likeliest is <c>|, it may be <c>)}[p( at <p> % of its length|, look <p> % along the seam)]"
                   "{s(, at least <s> % sure|; at least <s> % certain)}.",
};

typedef struct {
    const SeamFacts *facts;
    const SeamConfig *config;
    SeamRandom *random;            // NULL: the choices below
    int32_t n;                     // choices made
    int32_t choice[MOST_CHOICES];  // of each
    int32_t options[MOST_CHOICES]; // among how many
    char *text;
    size_t length;
} Expansion;

// ---- the pieces ------------------------------------------------------------------------------------------------------------------

static int32_t choose(Expansion *e, int32_t options) {
    int32_t at = e->n++;
    g_assert(at < MOST_CHOICES); // the grammar is ours
    if (e->random)
        e->choice[at] = seam_random_below(e->random, options);
    e->options[at] = options;
    return e->choice[at];
}

static void put(Expansion *e, const char *text, size_t length) {
    length = MIN(length, SEAM_MAX_FINDING - 1 - e->length);
    memcpy(e->text + e->length, text, length);
    e->length += length;
}

static bool known(const SeamFacts *f, char fact) {
    int32_t value = fact == 'c' ? f->class_index : fact == 's' ? f->sure : fact == 'p' ? f->place : f->modality;
    return value >= 0;
}

static void put_fact(Expansion *e, char fact) {
    const SeamFacts *f = e->facts;
    char number[12];
    const char *text = number;
    g_snprintf(number, sizeof number, "%d", fact == 's' ? f->sure : f->place);
    if (fact == 'c')
        text = e->config->class_name[f->class_index];
    else if (fact == 'w')
        text = e->config->modality[f->modality].name;
    put(e, text, strlen(text));
}

// ---- walking the grammar ---------------------------------------------------------------------------------------------------------

// The end of the part that begins at `at`: where '|' or the closing bracket of its group stands.
static const char *part_end(const char *at) {
    for (int32_t depth = 0; *at; at++) {
        if (depth == 0 && strchr("|)}]", *at))
            return at;
        depth += strchr("({[", *at) ? 1 : strchr(")}]", *at) ? -1 : 0;
    }
    return at;
}

static void expand(Expansion *e, const char *at, const char *end);

// The group that opens at `at`; returns what comes behind it.
static const char *expand_group(Expansion *e, const char *at) {
    const char *part[8], *close = at + 1;
    int32_t n = 0;
    if (*at != '(') { // a fact's
        close = part_end(at + 2);
        if (known(e->facts, at[1]) && (*at == '{' || choose(e, 2) == 0))
            expand(e, at + 2, close);
        return close + 1;
    }
    for (close = at; *close != ')'; close = part_end(close + 1))
        part[n++] = close + 1;
    const char *chosen = part[choose(e, n)];
    expand(e, chosen, part_end(chosen));
    return close + 1;
}

static void expand(Expansion *e, const char *at, const char *end) {
    while (at < end) {
        if (strchr("({[", *at)) {
            at = expand_group(e, at);
        } else if (*at == '<') {
            put_fact(e, at[1]);
            at += 3;
        } else {
            put(e, at++, 1);
        }
    }
}

static void sentence(Expansion *e) {
    const char *text = grammar[e->facts->decision];
    e->n = 0;
    e->length = 0;
    expand(e, text, text + strlen(text));
    e->text[e->length] = 0;
}

// The next list of choices; false after the last one.
static bool next(Expansion *e) {
    while (e->n > 0 && e->choice[e->n - 1] + 1 == e->options[e->n - 1])
        e->choice[--e->n] = 0;
    if (e->n == 0)
        return false;
    e->choice[e->n - 1]++;
    return true;
}

// ---- what others ask for ---------------------------------------------------------------------------------------------------------

SeamFacts seam_facts_of(const SeamVerdict *v, const SeamConfig *config) {
    SeamFacts f = {.decision = v->decision, .class_index = v->class_index, .sure = -1, .place = -1, .modality = -1};
    float most = 0;
    if (f.class_index >= config->n_classes)
        f.class_index = -1;
    if (f.class_index >= 0 && isfinite(v->confidence))
        f.sure = CLAMP((int32_t)floorf(100 * v->confidence), 0, 99);
    if (v->windows > 1 && v->decision != SEAM_PASS && isfinite(v->place))
        f.place = CLAMP((int32_t)lrintf(100 * v->place), 0, 100);
    for (int32_t m = 0; m < config->n_modalities && v->decision == SEAM_REJECT; m++)
        if (v->present >> m & 1 && v->contribution[m] > most) {
            most = v->contribution[m];
            f.modality = m;
        }
    return f;
}

void seam_finding_plain(const SeamFacts *facts, const SeamConfig *config, char text[SEAM_MAX_FINDING]) {
    Expansion e = {.facts = facts, .config = config, .text = text};
    sentence(&e);
}

void seam_finding_draw(const SeamFacts *facts, const SeamConfig *config, SeamRandom *random, char text[SEAM_MAX_FINDING]) {
    Expansion e = {.facts = facts, .config = config, .random = random, .text = text};
    sentence(&e);
}

int32_t seam_finding_ways(const SeamFacts *facts, const SeamConfig *config) {
    char text[SEAM_MAX_FINDING];
    Expansion e = {.facts = facts, .config = config, .text = text};
    int32_t n = 0;
    do {
        sentence(&e);
        n++;
    } while (next(&e));
    return n;
}

bool seam_finding_true(const char *text, const SeamFacts *facts, const SeamConfig *config) {
    char way[SEAM_MAX_FINDING];
    Expansion e = {.facts = facts, .config = config, .text = way};
    do {
        sentence(&e);
        if (strcmp(text, way) == 0)
            return true;
    } while (next(&e));
    return false;
}
