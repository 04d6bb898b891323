// SPDX-License-Identifier: LGPL-2.1-or-later
//
// See probe.h. Every allocation unwinds its stack: slow, so nothing is timed while the probe is on. Addresses are told apart by the
// executable segments of the loaded libraries. memcpy inside libc and what compilers put in line is not seen.
#include "tests/bench/probe.h"

#include <execinfo.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
enum { MOST_SEGMENTS = 512, MOST_SITES = 1024, MOST_FRAMES = 48 };

// glibc's own names: no dlsym, which allocates.
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

typedef struct {
    uintptr_t begin, end, base;
    const char *name; // without folders; the loader's string
    bool helper;      // calls malloc for others
} Segment;

typedef struct {
    const char *via;
    uintptr_t offset;
    uint64_t calls, bytes;
} Site;

static Segment segment[MOST_SEGMENTS];
static Site site[MOST_SITES];
static int segments, sites;
static SeamProbeTotals totals;
static const char *ours;
static uintptr_t watched, watched_end;
static volatile bool on;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread bool inside __attribute__((tls_model("initial-exec")));

// ---- libraries --------------------------------------------------------------------------------------------------------------------

static bool is_helper(const char *name) {
    static const char *const helpers[] = {"libseamprobe", "libc.so", "ld-linux", "libglib-2.0", "libgobject-2.0", "libstdc++"};
    for (size_t i = 0; i < sizeof helpers / sizeof *helpers; i++)
        if (strncmp(name, helpers[i], strlen(helpers[i])) == 0)
            return true;
    return false;
}

static int add_segments(struct dl_phdr_info *info, size_t size, void *user) {
    const char *slash = strrchr(info->dlpi_name, '/'), *name = slash ? slash + 1 : info->dlpi_name;
    for (int i = 0; i < info->dlpi_phnum && segments < MOST_SEGMENTS; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_LOAD && (header->p_flags & PF_X))
            segment[segments++] = (Segment){begin, begin + header->p_memsz, info->dlpi_addr, name[0] ? name : "program", is_helper(name)};
    }
    return 0;
}

static const Segment *find_segment(uintptr_t address) {
    for (int i = 0; i < segments; i++)
        if (address >= segment[i].begin && address < segment[i].end)
            return &segment[i];
    return NULL;
}

static bool is_ours(const Segment *s) { return strstr(s->name, ours) != NULL; }

// ---- allocations ------------------------------------------------------------------------------------------------------------------

static void add_site(const char *via, uintptr_t offset, size_t bytes) {
    for (int i = 0; i < sites; i++)
        if (site[i].via == via && site[i].offset == offset) {
            site[i].calls++;
            site[i].bytes += bytes;
            return;
        }
    if (sites < MOST_SITES)
        site[sites++] = (Site){via, offset, 1, bytes};
    else
        totals.lost++;
}

static void note_allocation(size_t bytes) {
    if (!on || inside)
        return;
    inside = true;
    void *frame[MOST_FRAMES];
    int frames = backtrace(frame, MOST_FRAMES);
    const char *via = NULL;
    uintptr_t offset = 0;
    for (int i = 0; i < frames && !offset; i++) {
        const Segment *s = find_segment((uintptr_t)frame[i]);
        if (!s || s->helper)
            continue;
        if (!via)
            via = s->name;
        if (is_ours(s))
            offset = (uintptr_t)frame[i] - s->base;
    }
    pthread_mutex_lock(&lock);
    totals.allocations++;
    add_site(via ? via : "unknown", offset, bytes);
    pthread_mutex_unlock(&lock);
    inside = false;
}

EXPORT void *malloc(size_t size) {
    note_allocation(size);
    return __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size) {
    note_allocation(count * size);
    return __libc_calloc(count, size);
}

EXPORT void *realloc(void *old, size_t size) {
    note_allocation(size);
    return __libc_realloc(old, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size) {
    note_allocation(size);
    return __libc_memalign(alignment, size);
}

EXPORT void *memalign(size_t alignment, size_t size) { return aligned_alloc(alignment, size); }

EXPORT int posix_memalign(void **out, size_t alignment, size_t size) {
    void *memory = aligned_alloc(alignment, size);
    if (memory)
        *out = memory;
    return memory ? 0 : 12; // ENOMEM
}

EXPORT void free(void *memory) {
    if (on && !inside && memory)
        __atomic_add_fetch(&totals.frees, 1, __ATOMIC_RELAXED);
    __libc_free(memory);
}

// ---- copies -----------------------------------------------------------------------------------------------------------------------

// Plain bytes; the build forbids the compiler to make a call of memcpy of it.
static void *move(void *to, const void *from, size_t size) {
    unsigned char *d = to;
    const unsigned char *s = from;
    if ((uintptr_t)d - (uintptr_t)s >= size)
        for (size_t i = 0; i < size; i++)
            d[i] = s[i];
    else
        while (size--)
            d[size] = s[size];
    return to;
}

static void note_copy(const void *from, size_t size, void *caller) {
    if (!on || inside || size < SEAM_PROBE_COPY_LEAST)
        return;
    __atomic_add_fetch(&totals.copies, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&totals.copied_bytes, size, __ATOMIC_RELAXED);
    if ((uintptr_t)from >= watched && (uintptr_t)from < watched_end)
        __atomic_add_fetch(&totals.watched_bytes, size, __ATOMIC_RELAXED);
    const Segment *s = find_segment((uintptr_t)caller);
    if (s && is_ours(s))
        __atomic_add_fetch(&totals.our_copied_bytes, size, __ATOMIC_RELAXED);
}

EXPORT void *memmove(void *to, const void *from, size_t size) {
    note_copy(from, size, __builtin_return_address(0));
    return move(to, from, size);
}

EXPORT void *memcpy(void *restrict to, const void *restrict from, size_t size) {
    note_copy(from, size, __builtin_return_address(0));
    return move(to, from, size);
}

EXPORT void *__memcpy_chk(void *to, const void *from, size_t size, size_t room) { return memcpy(to, from, size <= room ? size : room); }
EXPORT void *__memmove_chk(void *to, const void *from, size_t size, size_t room) { return memmove(to, from, size <= room ? size : room); }

// ---- control ----------------------------------------------------------------------------------------------------------------------

static void start(const char *library, const void *memory, size_t size) {
    void *frame[2];
    backtrace(frame, 2); // its first call loads the unwinder
    ours = library;
    watched = (uintptr_t)memory;
    watched_end = watched + size;
    segments = sites = 0;
    memset(&totals, 0, sizeof totals);
    dl_iterate_phdr(add_segments, NULL);
    on = true;
}

static void stop(void) { on = false; }

static void get_totals(SeamProbeTotals *out) {
    pthread_mutex_lock(&lock);
    *out = totals;
    pthread_mutex_unlock(&lock);
}

static size_t get_sites(SeamProbeSite *out, size_t room) {
    pthread_mutex_lock(&lock);
    size_t n = (size_t)sites < room ? (size_t)sites : room;
    for (size_t i = 0; i < n; i++) {
        out[i] = (SeamProbeSite){.calls = site[i].calls, .bytes = site[i].bytes, .offset = site[i].offset};
        strncpy(out[i].via, site[i].via, sizeof out[i].via - 1);
    }
    pthread_mutex_unlock(&lock);
    return n;
}

EXPORT void seam_probe_get(SeamProbe *probe) { *probe = (SeamProbe){start, stop, get_totals, get_sites}; }
