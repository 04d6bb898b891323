// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Pieces of `seam doctor`. Each looks at one thing and adds what it found to a list; nothing here changes the machine.
#pragma once

#include <glib.h>
#include <gst/gst.h>
#include <stdbool.h>

typedef enum { DOCTOR_GOOD, DOCTOR_NOTE, DOCTOR_PROBLEM } DoctorLevel;

// One finding. area: "plugin", "elements", "codecs", "machine", "model", "pipeline".
typedef struct {
    DoctorLevel level;
    const char *area;
    char *text, *remedy; // remedy: "" when nothing is to be done
} DoctorFinding;

typedef struct {
    GArray *finding; // of DoctorFinding
} Doctor;

Doctor *doctor_new(void);
void doctor_free(Doctor *d);
// Takes both texts; remedy may be NULL.
void doctor_add(Doctor *d, DoctorLevel level, const char *area, char *text, char *remedy);
int32_t doctor_problems(const Doctor *d);

// ---- machine.c ---------------------------------------------------------------------------------------------------------------

void doctor_check_plugin(Doctor *d);
void doctor_check_elements(Doctor *d); // those that Seam's own pipelines need, and decoders
void doctor_check_machine(Doctor *d);  // versions, processor, threads, GPU
// The Debian package that has an element, or NULL when it is not known here.
const char *doctor_package(const char *element);

// ---- model.c -----------------------------------------------------------------------------------------------------------------

void doctor_check_model(Doctor *d, const char *path);

// ---- pipeline.c, run.c -------------------------------------------------------------------------------------------------------

// Unknown elements and properties, links that cannot be; when there is nothing of that, what happens when it starts (without writing to its sinks).
void doctor_check_pipeline(Doctor *d, const char *text);
// argv: the pipeline's words. Starts it with all sinks but the application's replaced, and says what goes wrong.
void doctor_run_pipeline(Doctor *d, char **argv);

// ---- caps.c ------------------------------------------------------------------------------------------------------------------

// Why `from` and `to` have nothing in common: adds a finding that names both pads, the field, both values and the line to add.
void doctor_explain_caps(Doctor *d, const char *from_name, const GstCaps *from, const char *to_name, const GstCaps *to);
