/* A library to be loaded before all others (LD_PRELOAD): it lets one call that touches a file below FAULT_ROOT go wrong.

   FAULT_CALL  write, flush, sync, rename, open, unlink, mkdir, truncate, clock
   FAULT_KIND  number of an error, or 0: less is written than was asked for, or the clock goes back a day
   FAULT_AT    which of these calls, from 1, counted over all processes that share FAULT_COUNT; 0 counts all kinds of
               calls and lets none go wrong
   FAULT_COUNT a file of 8 bytes, zeros, for each kind of call in the order above */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const char *const CALLS[] = {"write", "flush", "sync", "rename", "open", "unlink", "mkdir", "truncate", "clock"};
static _Atomic long *count;
static const char *root, *call;
static long at;
static int kind;

/* Done when the library is loaded, and again by whoever was forked and knows more. */
__attribute__((constructor)) void begin_faults(void) {
    root = getenv("FAULT_ROOT");
    call = getenv("FAULT_CALL");
    const char *file = getenv("FAULT_COUNT"), *which = getenv("FAULT_AT"), *what = getenv("FAULT_KIND");
    if (!root || !call || !file || !which || !what) return;
    int fd = ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open"))(file, O_RDWR);
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof CALLS / sizeof *CALLS * 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) return;
    at = atol(which);
    kind = atoi(what);
    count = page;
}

static int below(const char *path) { return path && strstr(path, root) != NULL; }

static int below_fd(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return below(path);
}

/* Flushing a folder is a courtesy: the name is there already, and some file systems cannot. */
static int is_folder(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

static int wanted(const char *name) { return count && (at == 0 || strcmp(call, name) == 0); }

static long counted(const char *name) {
    int k = 0;
    while (strcmp(CALLS[k], name) != 0) k++;
    return atomic_fetch_add(count + k, 1) + 1;
}

static int now(const char *name) { return counted(name) == at; }

#define REAL(name, type) static __typeof__(type) real; if (!real) real = (__typeof__(type))dlsym(RTLD_NEXT, name)

ssize_t write(int fd, const void *buffer, size_t size) {
    REAL("write", ssize_t (*)(int, const void *, size_t));
    if (wanted("write") && size > 1 && below_fd(fd) && now("write")) {
        if (!kind) return real(fd, buffer, size / 2);
        errno = kind;
        return -1;
    }
    return real(fd, buffer, size);
}

#define PWRITE(name, offset_type)                                                    \
    ssize_t name(int fd, const void *buffer, size_t size, offset_type offset) {      \
        REAL(#name, ssize_t (*)(int, const void *, size_t, offset_type));            \
        if (wanted("write") && size > 1 && below_fd(fd) && now("write")) {           \
            if (!kind) return real(fd, buffer, size / 2, offset);                    \
            errno = kind;                                                            \
            return -1;                                                               \
        }                                                                            \
        return real(fd, buffer, size, offset);                                       \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

size_t fwrite(const void *buffer, size_t size, size_t n, FILE *file) {
    REAL("fwrite", size_t (*)(const void *, size_t, size_t, FILE *));
    if (wanted("write") && kind && size * n > 1 && below_fd(fileno(file)) && now("write")) {
        errno = kind;
        return 0;
    }
    return real(buffer, size, n, file);
}

int fflush(FILE *file) {
    REAL("fflush", int (*)(FILE *));
    if (file && wanted("flush") && below_fd(fileno(file)) && now("flush")) {
        errno = kind;
        return EOF;
    }
    return real(file);
}

#define ON_FD(name)                                                    \
    int name(int fd) {                                                 \
        REAL(#name, int (*)(int));                                     \
        if (wanted("sync") && below_fd(fd) && !is_folder(fd) && now("sync")) { \
            errno = kind;                                              \
            return -1;                                                 \
        }                                                              \
        return real(fd);                                               \
    }
ON_FD(fsync)
ON_FD(fdatasync)

#define TRUNCATE(name, length_type)                                            \
    int name(int fd, length_type length) {                                     \
        REAL(#name, int (*)(int, length_type));                                \
        if (wanted("truncate") && below_fd(fd) && now("truncate")) {           \
            errno = kind;                                                      \
            return -1;                                                         \
        }                                                                      \
        return real(fd, length);                                               \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int rename(const char *from, const char *to) {
    REAL("rename", int (*)(const char *, const char *));
    if (wanted("rename") && below(to) && now("rename")) {
        errno = kind;
        return -1;
    }
    return real(from, to);
}

#define ON_PATH(name, word, arguments, passed)                                  \
    int name arguments {                                                        \
        REAL(#name, int (*) arguments);                                         \
        if (wanted(word) && below(path) && now(word)) {                         \
            errno = kind;                                                       \
            return -1;                                                          \
        }                                                                       \
        return real passed;                                                     \
    }
ON_PATH(unlink, "unlink", (const char *path), (path))
ON_PATH(mkdir, "mkdir", (const char *path, mode_t mode), (path, mode))

#define OPEN(name)                                                              \
    int name(const char *path, int flags, ...) {                                \
        REAL(#name, int (*)(const char *, int, ...));                           \
        va_list rest;                                                           \
        va_start(rest, flags);                                                  \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                           \
        if (wanted("open") && below(path) && now("open")) {                     \
            errno = kind;                                                       \
            return -1;                                                          \
        }                                                                       \
        return real(path, flags, mode);                                         \
    }
OPEN(open)
OPEN(open64)

#define FOPEN(name)                                                             \
    FILE *name(const char *path, const char *mode) {                            \
        REAL(#name, FILE *(*)(const char *, const char *));                     \
        if (wanted("open") && below(path) && now("open")) {                     \
            errno = kind;                                                       \
            return NULL;                                                        \
        }                                                                       \
        return real(path, mode);                                                \
    }
FOPEN(fopen)
FOPEN(fopen64)

int clock_gettime(clockid_t which, struct timespec *time) {
    REAL("clock_gettime", int (*)(clockid_t, struct timespec *));
    int status = real(which, time);
    if (which == CLOCK_REALTIME && wanted("clock") && counted("clock") >= at && at) time->tv_sec -= 86400;
    return status;
}
