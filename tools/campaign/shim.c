/* Faults of files, preloaded into a program (LD_PRELOAD) by the campaign of this folder.
 *
 * Every call that changes something below FAULT_BELOW is counted, from 1. At number FAULT_AT the program is killed, receives a signal, or
 * the call fails:
 *
 *   FAULT_DO=kill       SIGKILL, before the call
 *   FAULT_DO=signal:N   signal N to itself, then the call
 *   FAULT_DO=errno:N    the call fails with errno N; with FAULT_ON=1 so do all that follow and need room on the disk
 *   FAULT_ROOM=BYTES    so many bytes can be written; then writes are short and fail with ENOSPC, as on a full disk
 *   FAULT_LOG=FILE      a line a counted call: its name and path
 *   FAULT_NOW=SECONDS   what the clock shows, from 1970
 *   FAULT_HEARS=1       SIGHUP ends the program, also where whoever started it ignores it
 *
 * A call on a descriptor is looked up in /proc/self/fd, so that a file is known by its path of the moment. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum deed { NOTHING, KILL, SIGNAL, FAIL };

static const char *below;
static enum deed deed;
static int argument, stays, log_fd = -1, has_room, has_clock;
static long at = -1;
static long long now_s;
static atomic_long n_calls;
static atomic_llong room;

__attribute__((constructor)) static void read_environment(void) {
    const char *text;
    below = getenv("FAULT_BELOW");
    if ((text = getenv("FAULT_AT"))) at = atol(text);
    if ((text = getenv("FAULT_DO"))) {
        if (!strcmp(text, "kill")) deed = KILL;
        else if (sscanf(text, "signal:%d", &argument) == 1) deed = SIGNAL;
        else if (sscanf(text, "errno:%d", &argument) == 1) deed = FAIL;
    }
    stays = getenv("FAULT_ON") != NULL;
    if ((text = getenv("FAULT_ROOM"))) { has_room = 1; atomic_store(&room, atoll(text)); }
    if ((text = getenv("FAULT_LOG"))) log_fd = (int)syscall(SYS_openat, AT_FDCWD, text, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
    if ((text = getenv("FAULT_NOW"))) { has_clock = 1; now_s = atoll(text); }
    if (getenv("FAULT_HEARS")) signal(SIGHUP, SIG_DFL);
}

/* Whether a path, absolute or below the working folder, lies below FAULT_BELOW. */
static int is_below(const char *path) {
    if (!below || !path) return 0;
    size_t n = strlen(below);
    if (path[0] == '/') return !strncmp(path, below, n);
    char whole[PATH_MAX];
    if (!getcwd(whole, sizeof whole)) return 0;
    size_t length = strlen(whole);
    snprintf(whole + length, sizeof whole - length, "/%s", path);
    return !strncmp(whole, below, n);
}

/* The path of a descriptor, if it is a file below; else NULL. */
static const char *path_of(int fd, char *buffer, size_t size) {
    char link[64];
    if (!below) return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, buffer, size - 1);
    if (length <= 0) return NULL;
    buffer[length] = 0;
    return is_below(buffer) ? buffer : NULL;
}

/* Counts a call and does what is due; whether the call fails, with errno set. */
static int fails(const char *call, const char *path, int needs_room) {
    long k = atomic_fetch_add(&n_calls, 1) + 1;
    if (log_fd >= 0) {
        char line[PATH_MAX + 64];
        int length = snprintf(line, sizeof line, "%s %s\n", call, path);
        syscall(SYS_write, log_fd, line, (size_t)length);
    }
    if (k != at && !(stays && needs_room && at > 0 && k > at)) return 0;
    switch (deed) {
    case KILL: kill(getpid(), SIGKILL); for (;;) pause();
    case SIGNAL: kill(getpid(), argument); return 0;
    case FAIL: errno = argument; return 1;
    default: return 0;
    }
}

/* How many of `length` bytes there is room for. */
static size_t fit(size_t length) {
    if (!has_room) return length;
    long long left = atomic_load(&room);
    size_t fitting = left < (long long)length ? (size_t)(left < 0 ? 0 : left) : length;
    atomic_fetch_sub(&room, (long long)fitting);
    return fitting;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static int changes(int flags) { return (flags & (O_CREAT | O_TRUNC)) || (flags & O_ACCMODE) != O_RDONLY; }

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
        REAL(int, name, const char *, int, ...); \
        if (changes(flags) && is_below(path) && fails("open", path, (flags & O_CREAT) != 0)) return -1; \
        return real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define WRITE(call, bytes, limited, ...) \
    { \
        char buffer[PATH_MAX]; \
        const char *path = path_of(fd, buffer, sizeof buffer); \
        if (path) { \
            if (fails(call, path, 1)) return -1; \
            size_t fitting = fit(bytes); \
            if ((bytes) > 0 && fitting == 0) { errno = ENOSPC; return -1; } \
            if (fitting < (bytes)) return limited; \
        } \
        return real(__VA_ARGS__); \
    }

ssize_t write(int fd, const void *data, size_t n) {
    REAL(ssize_t, write, int, const void *, size_t);
    WRITE("write", n, real(fd, data, fitting), fd, data, n)
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t offset) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    WRITE("pwrite", n, real(fd, data, fitting, offset), fd, data, n, offset)
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t offset) {
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    WRITE("pwrite", n, real(fd, data, fitting, offset), fd, data, n, offset)
}
ssize_t writev(int fd, const struct iovec *parts, int n_parts) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    ssize_t (*one)(int, const void *, size_t) = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    size_t n = 0;
    for (int i = 0; i < n_parts; i++) n += parts[i].iov_len;
    size_t first = n_parts ? parts[0].iov_len : 0;
    WRITE("writev", n, one(fd, parts[0].iov_base, fitting < first ? fitting : first), fd, parts, n_parts)
}
ssize_t copy_file_range(int in, off64_t *in_at, int fd, off64_t *out_at, size_t n, unsigned flags) {
    REAL(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned);
    char buffer[PATH_MAX];
    const char *path = path_of(fd, buffer, sizeof buffer);
    if (path) {
        if (fails("copy_file_range", path, 1)) return -1;
        size_t fitting = fit(n > (1 << 20) ? 1 << 20 : n);
        if (fitting == 0) { errno = ENOSPC; return -1; }
        return real(in, in_at, fd, out_at, fitting, flags);
    }
    return real(in, in_at, fd, out_at, n, flags);
}

#define LOOK(call, needs_room) \
        char buffer[PATH_MAX]; \
        const char *path = path_of(fd, buffer, sizeof buffer); \
        if (path && fails(call, path, needs_room)) return -1;

int ftruncate(int fd, off_t n) { REAL(int, ftruncate, int, off_t); LOOK("ftruncate", 0) return real(fd, n); }
int ftruncate64(int fd, off64_t n) { REAL(int, ftruncate64, int, off64_t); LOOK("ftruncate", 0) return real(fd, n); }
int fsync(int fd) { REAL(int, fsync, int); LOOK("fsync", 1) return real(fd); }
int fdatasync(int fd) { REAL(int, fdatasync, int); LOOK("fdatasync", 1) return real(fd); }

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    return is_below(to) && fails("rename", to, 0) ? -1 : real(from, to);
}
int unlink(const char *path) {
    REAL(int, unlink, const char *);
    return is_below(path) && fails("unlink", path, 0) ? -1 : real(path);
}
int rmdir(const char *path) {
    REAL(int, rmdir, const char *);
    return is_below(path) && fails("rmdir", path, 0) ? -1 : real(path);
}
int unlinkat(int folder, const char *path, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    char buffer[PATH_MAX];
    const char *parent = folder == AT_FDCWD ? (is_below(path) ? path : NULL) : path_of(folder, buffer, sizeof buffer);
    return parent && fails("unlinkat", parent, 0) ? -1 : real(folder, path, flags);
}
int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    return is_below(path) && fails("mkdir", path, 1) ? -1 : real(path, mode);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    REAL(int, clock_gettime, clockid_t, struct timespec *);
    int result = real(clock, time);
    if (has_clock && clock == CLOCK_REALTIME && result == 0) time->tv_sec = (time_t)now_s;
    return result;
}
