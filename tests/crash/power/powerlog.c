/* powerlog.so: LD_PRELOAD shim that remembers what a power loss could take back.
 *
 * Every change below $POWERLOG_BELOW is noted in $POWERLOG_LOG before it is made: what stood there,
 * and what comes. fsync and fdatasync strike out the notes of their file (or directory); they do
 * not touch the disk. After kill -9, whatever is still noted may be undone, all or any part of it:
 * that is what tests/crash/power/loss.py does.
 *
 *   NUMBER.data  notes of the file with this inode: struct note, path, old octets, new octets
 *   NUMBER.dir   notes of the directory: struct note, name, other name
 *   kept/        links to files whose last name was removed or replaced, by inode
 *
 * $POWERLOG_COUNT names a file that is told, at an orderly end, how many steps there were (changes and
 * syncs). POWERLOG_END_AT=N ends the process by SIGKILL instead of its step N; POWERLOG_FAIL_AT=N makes
 * step N fail, with $POWERLOG_ERROR (a number of errno.h).
 *
 * A note is written under the lock of its log, so that one process's sync never strikes out what
 * another has changed since. With POWERLOG_LIE=1 nothing is ever struck out: a disk that lies.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { WRITE = 1, RESIZE = 2, CREATE = 3, REMOVE = 4, RENAME = 5 };

struct note {
    uint32_t kind, first; /* first: length of the path or name */
    uint64_t ino, offset, size, old, new; /* size: of the file before; old, new: lengths */
};

/* What libc would have done, without coming back to us. */
#define REAL(result, name, types) \
    static result(*real) types; \
    if (!real) real = (result(*) types)dlsym(RTLD_NEXT, #name)

static const char *below(void) { return getenv("POWERLOG_BELOW"); }

static void die(const char *what) {
    dprintf(2, "powerlog: %s: %s\n", what, strerror(errno));
    _exit(99);
}

static int is_below(const char *path) {
    const char *top = below();
    size_t n = top ? strlen(top) : 0;
    return n && !strncmp(path, top, n) && (path[n] == '/' || !path[n]);
}

static int path_of(int fd, char path[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return is_below(path);
}

/* Absolute form of a name that need not exist; 0 where it is not below. */
static int resolve(int dir, const char *name, char path[PATH_MAX]) {
    char base[PATH_MAX] = "";
    if (name[0] != '/') {
        if (dir == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return 0;
        } else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
            ssize_t n = readlink(link, base, sizeof base - 1);
            if (n <= 0) return 0;
            base[n] = 0;
        }
    }
    if (snprintf(path, PATH_MAX, "%s%s%s", base, base[0] ? "/" : "", name) >= PATH_MAX) return 0;
    return is_below(path);
}

static int open_log(uint64_t ino, const char *kind) {
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s/%llu.%s", getenv("POWERLOG_LOG"), (unsigned long long)ino, kind);
    int log = syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0 || flock(log, LOCK_EX)) die(name);
    return log;
}

static void close_log(int log) { syscall(SYS_close, log); }

static void append(int log, const struct iovec *parts, int count) {
    size_t all = 0;
    for (int i = 0; i < count; i++) all += parts[i].iov_len;
    /* O_APPEND; a short write would leave a torn note, which only a kill may do */
    if (syscall(SYS_writev, log, parts, count) != (ssize_t)all) die("note");
}

static unsigned steps;

static long number(const char *name) {
    const char *value = getenv(name);
    return value && *value ? atol(value) : 0;
}

/* One more step; 0 where it is to be made, -1 with errno where it fails. */
static int step(void) {
    long now = __atomic_add_fetch(&steps, 1, __ATOMIC_SEQ_CST);
    if (now == number("POWERLOG_END_AT")) {
        kill(getpid(), SIGKILL);
        pause();
    }
    if (now != number("POWERLOG_FAIL_AT")) return 0;
    errno = number("POWERLOG_ERROR");
    return -1;
}

__attribute__((destructor)) static void tell(void) {
    const char *name = getenv("POWERLOG_COUNT");
    int file = name ? syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
    if (file >= 0) dprintf(file, "%u\n", steps);
}

static void strike_out(int fd) {
    struct stat st;
    char path[PATH_MAX];
    const char *lie = getenv("POWERLOG_LIE");
    if (fstat(fd, &st) || !path_of(fd, path) || (lie && *lie == '1')) return;
    int log = open_log(st.st_ino, S_ISDIR(st.st_mode) ? "dir" : "data");
    if (syscall(SYS_ftruncate, log, 0)) die("strike out");
    close_log(log);
}

/* -- contents */

/* What the makers of notes return beside a locked log. */
enum { NOT_OURS = -1, FAILS = -2 };

/* Note a change of `length` octets at `offset` (of the size, where `kind` is RESIZE) and return the
 * locked log. */
static int note_change(int fd, enum kind kind, off_t offset, const struct iovec *iov, int count, off_t length) {
    struct stat st;
    char path[PATH_MAX];
    if (!below() || fstat(fd, &st) || !S_ISREG(st.st_mode) || !path_of(fd, path)) return NOT_OURS;
    if (step()) return FAILS;
    int log = open_log(st.st_ino, "data");
    if (fstat(fd, &st)) die("stat"); /* as it is now that nobody else changes it */
    if (offset < 0) offset = st.st_size; /* O_APPEND */
    off_t begin = offset, end = kind == RESIZE ? st.st_size : offset + length;
    if (end > st.st_size) end = st.st_size;
    size_t old = end > begin ? end - begin : 0;
    char *octets = malloc(old ? old : 1);
    if (old) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        int reader = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
        if (reader < 0 || syscall(SYS_pread64, reader, octets, old, begin) != (long)old) die("read what stood there");
        syscall(SYS_close, reader);
    }
    struct note note = {kind, strlen(path), st.st_ino, offset, st.st_size, old, kind == RESIZE ? 0 : length};
    struct iovec parts[3 + count];
    parts[0] = (struct iovec){&note, sizeof note};
    parts[1] = (struct iovec){path, note.first};
    parts[2] = (struct iovec){octets, old};
    for (int i = 0; i < count; i++) parts[3 + i] = iov[i];
    append(log, parts, 3 + count);
    free(octets);
    return log;
}

static off_t sum(const struct iovec *iov, int count) {
    off_t all = 0;
    for (int i = 0; i < count; i++) all += iov[i].iov_len;
    return all;
}

static off_t position(int fd) { return fcntl(fd, F_GETFL) & O_APPEND ? -1 : lseek(fd, 0, SEEK_CUR); }

#define NOTED(call) \
    if (log == FAILS) return -1; \
    if (log < 0) return call; \
    ssize_t done = call; \
    int error = errno; \
    close_log(log); \
    errno = error; \
    return done

ssize_t write(int fd, const void *data, size_t n) {
    struct iovec iov = {(void *)data, n};
    struct stat st;
    int log = below() && !fstat(fd, &st) && S_ISREG(st.st_mode) ? note_change(fd, WRITE, position(fd), &iov, 1, n) : NOT_OURS;
    NOTED(syscall(SYS_write, fd, data, n));
}

ssize_t writev(int fd, const struct iovec *iov, int count) {
    struct stat st;
    int log = below() && !fstat(fd, &st) && S_ISREG(st.st_mode)
        ? note_change(fd, WRITE, position(fd), iov, count, sum(iov, count)) : NOT_OURS;
    NOTED(syscall(SYS_writev, fd, iov, count));
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t offset) {
    struct iovec iov = {(void *)data, n};
    int log = note_change(fd, WRITE, offset, &iov, 1, n);
    NOTED(syscall(SYS_pwrite64, fd, data, n, offset));
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t offset) { return pwrite64(fd, data, n, offset); }

ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags) {
    if (offset == -1) return writev(fd, iov, count);
    int log = note_change(fd, WRITE, offset, iov, count, sum(iov, count));
    NOTED(syscall(SYS_pwritev2, fd, iov, count, (long)offset, 0L, flags));
}
ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags) {
    return pwritev64v2(fd, iov, count, offset, flags);
}
ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t offset) {
    return pwritev64v2(fd, iov, count, offset, 0);
}
ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset) {
    return pwritev64v2(fd, iov, count, offset, 0);
}

int ftruncate64(int fd, off64_t length) {
    int log = note_change(fd, RESIZE, length, NULL, 0, 0);
    NOTED(syscall(SYS_ftruncate, fd, length));
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

/* Ways to change a file that are not noted: whoever takes one must hear of it. */
static int refuse(int fd, const char *how) {
    char path[PATH_MAX];
    if (!below() || !path_of(fd, path)) return 0;
    errno = ENOTSUP;
    die(how);
    return -1;
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    refuse(fd, "fallocate");
    return syscall(SYS_fallocate, fd, mode, offset, length);
}
int fallocate(int fd, int mode, off_t offset, off_t length) { return fallocate64(fd, mode, offset, length); }
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return fallocate64(fd, 0, offset, length) ? errno : 0; }
int posix_fallocate(int fd, off_t offset, off_t length) { return posix_fallocate64(fd, offset, length); }
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t n, unsigned flags) {
    refuse(out, "copy_file_range");
    return syscall(SYS_copy_file_range, in, from, out, to, n, flags);
}
ssize_t sendfile64(int out, int in, off64_t *offset, size_t n) {
    refuse(out, "sendfile");
    return syscall(SYS_sendfile, out, in, offset, n);
}
ssize_t sendfile(int out, int in, off_t *offset, size_t n) { return sendfile64(out, in, offset, n); }

/* -- names */

/* Note a change of a name and return the locked log of its directory. */
static int note_name(enum kind kind, const char *path, uint64_t ino, const char *other) {
    char parent[PATH_MAX];
    strcpy(parent, path);
    char *slash = strrchr(parent, '/');
    if (!slash) return NOT_OURS;
    *slash = 0;
    struct stat st;
    if (stat(parent, &st)) return NOT_OURS;
    if (step()) return FAILS;
    int log = open_log(st.st_ino, "dir");
    struct note note = {kind, strlen(path), ino, 0, 0, strlen(other), 0};
    struct iovec parts[3] = {{&note, sizeof note}, {(void *)path, note.first}, {(void *)other, note.old}};
    append(log, parts, 3);
    return log;
}

/* Keep a file alive whose last name goes. */
static uint64_t keep(const char *path) {
    struct stat st;
    char kept[PATH_MAX];
    if (lstat(path, &st) || !S_ISREG(st.st_mode)) return 0;
    snprintf(kept, sizeof kept, "%s/kept/%llu", getenv("POWERLOG_LOG"), (unsigned long long)st.st_ino);
    syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, kept, 0);
    return st.st_ino;
}

static int open_noted(int dir, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    struct stat st;
    if (!below() || !(flags & (O_CREAT | O_TRUNC)) || !resolve(dir, name, path))
        return syscall(SYS_openat, dir, name, flags, mode);
    int log = lstat(path, &st) ? note_name(CREATE, path, 0, "") : NOT_OURS;
    if (log == FAILS) return -1;
    int fd = syscall(SYS_openat, dir, name, flags & ~O_TRUNC, mode);
    int error = errno;
    if (log >= 0) close_log(log);
    if (fd >= 0 && log == NOT_OURS && flags & O_TRUNC && ftruncate64(fd, 0)) {
        error = errno;
        syscall(SYS_close, fd);
        fd = -1;
    }
    errno = error;
    return fd;
}

#define MODE \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }
int open(const char *name, int flags, ...) { MODE return open_noted(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE return open_noted(AT_FDCWD, name, flags, mode); }
int openat(int dir, const char *name, int flags, ...) { MODE return open_noted(dir, name, flags, mode); }
int openat64(int dir, const char *name, int flags, ...) { MODE return open_noted(dir, name, flags, mode); }

int unlinkat(int dir, const char *name, int flags) {
    char path[PATH_MAX];
    int log = NOT_OURS;
    if (below() && !(flags & AT_REMOVEDIR) && resolve(dir, name, path)) {
        uint64_t ino = keep(path);
        if (ino) log = note_name(REMOVE, path, ino, "");
    }
    NOTED(syscall(SYS_unlinkat, dir, name, flags));
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    char old[PATH_MAX], new[PATH_MAX];
    int log = NOT_OURS;
    if (below() && resolve(from_dir, from, old) && resolve(to_dir, to, new)) log = note_name(RENAME, new, keep(new), old);
    NOTED(syscall(SYS_renameat2, from_dir, from, to_dir, to, flags));
}
int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    return renameat2(from_dir, from, to_dir, to, 0);
}
int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int mkdirat(int dir, const char *name, mode_t mode) {
    char path[PATH_MAX];
    struct stat st;
    int log = NOT_OURS;
    if (below() && resolve(dir, name, path) && lstat(path, &st)) log = note_name(CREATE, path, 0, "");
    NOTED(syscall(SYS_mkdirat, dir, name, mode));
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

/* -- syncs */

/* Lasts $POWERLOG_SYNC_NS, as on a real disk: the power shall find something that is on its way. */
int fsync(int fd) {
    if (fcntl(fd, F_GETFD) < 0) return -1;
    char path[PATH_MAX];
    if (!below() || !path_of(fd, path)) return 0;
    if (step()) return -1;
    nanosleep(&(struct timespec){0, number("POWERLOG_SYNC_NS")}, NULL);
    strike_out(fd);
    return 0;
}
int fdatasync(int fd) { return fsync(fd); }
