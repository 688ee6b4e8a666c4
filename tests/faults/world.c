/* world.so: LD_PRELOAD shim under which a test turns the clock and breaks the disk of a running program.
 *
 * $WORLD_CONTROL names a file of 64-bit numbers that every process maps:
 *   [0] seconds that the time of day is off (CLOCK_REALTIME alone; CLOCK_MONOTONIC goes on as it does)
 *   [1] errno with which every change below $WORLD_BELOW fails; 0: none
 *   [2] errno with which whatever needs a new file descriptor fails; 0: none
 *   [3] process in which who syncs a write-ahead log below waits for a lock that nobody lets go of; 0: none
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *control;
static const char *below;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("WORLD_CONTROL");
    below = getenv("WORLD_BELOW");
    int file = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, 32, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) control = mapped;
    close(file);
}

#define REAL(result, name, types) \
    static result(*real) types; \
    if (!real) real = (result(*) types)dlsym(RTLD_NEXT, #name)

/* ---- the clock */

static int64_t off(void) { return control ? control[0] : 0; }

int clock_gettime(clockid_t id, struct timespec *at) {
    int result = (int)syscall(SYS_clock_gettime, id, at);
    if (!result && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += off();
    return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

/* ---- the disk */

static int is_below(const char *path) {
    size_t n = below ? strlen(below) : 0;
    return n && !strncmp(path, below, n) && (path[n] == '/' || !path[n]);
}

static int broken(void) { return control ? (int)control[1] : 0; }

/* Tells whether a file is below; its path is written into `path`. */
static int lies_below(int fd, char path[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return is_below(path);
}

/* Fails with the error that is wanted, where the file is below. */
static int fails(int fd) {
    char path[PATH_MAX];
    int error = broken();
    if (!error || !lies_below(fd, path)) return 0;
    errno = error;
    return 1;
}

static void perhaps_deadlock(int fd) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    char path[PATH_MAX];
    if (!control || control[3] != getpid() || !lies_below(fd, path)) return;
    size_t n = strlen(path);
    if (n < 4 || strcmp(path + n - 4, "-wal")) return;
    pthread_mutex_lock(&lock);
    pthread_mutex_lock(&lock);
}

static int fails_at(const char *path) {
    int error = broken();
    if (!error || !is_below(path)) return 0;
    errno = error;
    return 1;
}

ssize_t write(int fd, const void *octets, size_t n) {
    REAL(ssize_t, write, (int, const void *, size_t));
    return fails(fd) ? -1 : real(fd, octets, n);
}

ssize_t pwrite(int fd, const void *octets, size_t n, off_t at) {
    REAL(ssize_t, pwrite, (int, const void *, size_t, off_t));
    return fails(fd) ? -1 : real(fd, octets, n, at);
}

ssize_t pwrite64(int fd, const void *octets, size_t n, off64_t at) {
    REAL(ssize_t, pwrite64, (int, const void *, size_t, off64_t));
    return fails(fd) ? -1 : real(fd, octets, n, at);
}

ssize_t pwritev(int fd, const struct iovec *some, int n, off_t at) {
    REAL(ssize_t, pwritev, (int, const struct iovec *, int, off_t));
    return fails(fd) ? -1 : real(fd, some, n, at);
}

ssize_t pwritev64(int fd, const struct iovec *some, int n, off64_t at) {
    REAL(ssize_t, pwritev64, (int, const struct iovec *, int, off64_t));
    return fails(fd) ? -1 : real(fd, some, n, at);
}

int fdatasync(int fd) {
    REAL(int, fdatasync, (int));
    perhaps_deadlock(fd);
    return fails(fd) ? -1 : real(fd);
}

int fsync(int fd) {
    REAL(int, fsync, (int));
    perhaps_deadlock(fd);
    return fails(fd) ? -1 : real(fd);
}

int ftruncate64(int fd, off64_t size) {
    REAL(int, ftruncate64, (int, off64_t));
    return fails(fd) ? -1 : real(fd, size);
}

int unlink(const char *path) {
    REAL(int, unlink, (const char *));
    return fails_at(path) ? -1 : real(path);
}

int rename(const char *old, const char *new) {
    REAL(int, rename, (const char *, const char *));
    return fails_at(new) ? -1 : real(old, new);
}

/* A read-only disk lets nobody open for writing; one that has other trouble lets nobody make a file. */
static int refuses(const char *path, int flags) {
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    return (flags & O_CREAT || (writes && broken() == EROFS)) && fails_at(path);
}

/* ---- descriptors */

static int has_none(void) {
    int error = control ? (int)control[2] : 0;
    if (error) errno = error;
    return error;
}

int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict size, int flags) {
    REAL(int, accept4, (int, struct sockaddr *restrict, socklen_t *restrict, int));
    return has_none() ? -1 : real(fd, address, size, flags);
}

int accept(int fd, struct sockaddr *restrict address, socklen_t *restrict size) {
    REAL(int, accept, (int, struct sockaddr *restrict, socklen_t *restrict));
    return has_none() ? -1 : real(fd, address, size);
}

int socket(int family, int type, int protocol) {
    REAL(int, socket, (int, int, int));
    return has_none() ? -1 : real(family, type, protocol);
}

int socketpair(int family, int type, int protocol, int both[2]) {
    REAL(int, socketpair, (int, int, int, int[2]));
    return has_none() ? -1 : real(family, type, protocol, both);
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, int) : 0;
    va_end(more);
    REAL(int, open64, (const char *, int, ...));
    return has_none() || refuses(path, flags) ? -1 : real(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, int) : 0;
    va_end(more);
    return open64(path, flags, mode);
}
