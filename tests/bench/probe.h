// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The probe: a library for LD_PRELOAD that counts allocations and copies while it is on, and who asked for them. It owns its fixed
// tables and allocates nothing. A program that wants it looks up the functions below with dlsym: without the preload they are absent.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { SEAM_PROBE_PATH = 128 };

// One place in our library from which memory was asked for (malloc, calloc, realloc, aligned forms), and by whom in the end.
typedef struct {
    uint64_t calls, bytes;
    uintptr_t offset;          // of the innermost return address inside our library, from its load address; 0: not called by us
    char via[SEAM_PROBE_PATH]; // the library that called malloc, helpers (libc, glib, libstdc++) aside; our own library's name: ourselves
} SeamProbeSite;

// Copies by memcpy and memmove of at least SEAM_PROBE_COPY_LEAST bytes; smaller ones are struct copies and never pictures.
enum { SEAM_PROBE_COPY_LEAST = 128 };
typedef struct {
    uint64_t allocations, frees;  // of the whole process
    uint64_t copies, copied_bytes, our_copied_bytes; // ours: called by our library
    uint64_t watched_bytes;       // of them, read from the watched memory
    uint64_t lost;                // allocations that found the table of sites full
} SeamProbeTotals;

typedef struct {
    void (*start)(const char *library, const void *watched, size_t size); // library: the name (or its end) of what is "ours"
    void (*stop)(void);
    void (*totals)(SeamProbeTotals *totals);
    size_t (*sites)(SeamProbeSite *sites, size_t room);
} SeamProbe;

void seam_probe_get(SeamProbe *probe);
