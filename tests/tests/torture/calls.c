/* System calls that fail, and a record of those that do not. Loaded in front of the C library (LD_PRELOAD) by the tests.
 *
 * LANDFALL_DIR     only calls on files under this directory count
 * LANDFALL_FAULT   name:nth:errno:times   the nth call of this name (or of any, with *) fails with errno, so many times
 *                  in a row (0: for ever); errno 0 with write: only half of the bytes are written, and that is reported
 * LANDFALL_COUNT   where to write how many calls of each name there were, at the end
 * LANDFALL_RECORD  where to write the calls that change something, with their bytes
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE, SYNC, RENAME, TRUNCATE, OPEN, UNLINK, LINK, MKDIR, READ, LOCK, NAMES };
static const char *names[NAMES] = {"write", "sync", "rename", "truncate", "open", "unlink", "link", "mkdir", "read", "lock"};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char dir[4096];
static int fault_name = -2, fault_errno;
static long fault_nth, fault_times, counts[NAMES], all;
static int record = -1;
static const char *count_path;
static __thread int inside;

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int real_open(const char *path, int flags, mode_t mode) {
    REAL(int, "open64", const char *, int, ...);
    return real(path, flags, mode);
}

static ssize_t real_write(int fd, const void *bytes, size_t length) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return real(fd, bytes, length);
}

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("LANDFALL_DIR");
    snprintf(dir, sizeof dir, "%s", text ? text : "");
    count_path = getenv("LANDFALL_COUNT");
    if ((text = getenv("LANDFALL_RECORD"))) record = real_open(text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if ((text = getenv("LANDFALL_FAULT"))) {
        char name[32];
        if (sscanf(text, "%31[^:]:%ld:%d:%ld", name, &fault_nth, &fault_errno, &fault_times) == 4) {
            fault_name = -1;
            for (int at = 0; at < NAMES; at++) if (!strcmp(names[at], name)) fault_name = at;
        }
    }
}

__attribute__((destructor)) static void end(void) {
    if (!count_path) return;
    int fd = real_open(count_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (int at = 0; at < NAMES; at++) {
        char line[64];
        int length = snprintf(line, sizeof line, "%s %ld\n", names[at], counts[at]);
        if (real_write(fd, line, length) < 0) break;
    }
    close(fd);
}

static int ours(const char *path) {
    size_t length = strlen(dir);
    return length > 0 && path && !strncmp(path, dir, length) && (path[length] == '/' || !path[length]);
}

static const char *path_of(int fd, char *out, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, out, size - 1);
    out[length < 0 ? 0 : length] = 0;
    return out;
}

/* Whether this call is to fail. */
static int fails(int name) {
    if (inside) return 0;
    pthread_mutex_lock(&lock);
    counts[name]++;
    long nth = fault_name == -1 ? ++all : counts[name];
    int yes = (fault_name == -1 || fault_name == name) && nth >= fault_nth &&
              (fault_times == 0 || nth < fault_nth + fault_times);
    pthread_mutex_unlock(&lock);
    if (yes) errno = fault_errno;
    return yes;
}

/* One entry: a line of text, then so many bytes. */
static void entry(const void *bytes, size_t length, const char *format, ...) {
    if (record < 0) return;
    char head[9000];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(head, sizeof head - 32, format, arguments);
    va_end(arguments);
    size += snprintf(head + size, 32, " %zu\n", length);
    struct iovec parts[2] = {{head, size}, {(void *)bytes, length}};
    pthread_mutex_lock(&lock);
    if (writev(record, parts, length ? 2 : 1) < 0) abort();
    pthread_mutex_unlock(&lock);
}

static ssize_t do_write(int fd, const void *bytes, size_t length, off_t offset, int positioned) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
    char path[4200];
    if (fd == 1) {
        ssize_t written = real_write(fd, bytes, length);
        entry(bytes, length, "said - 0");
        return written;
    }
    if (!ours(path_of(fd, path, sizeof path))) return positioned ? real(fd, bytes, length, offset) : real_write(fd, bytes, length);
    if (fails(WRITE)) {
        if (fault_errno) return -1;
        length = (length + 1) / 2;
    }
    if (!positioned) offset = lseek(fd, 0, SEEK_CUR);
    ssize_t written = positioned ? real(fd, bytes, length, offset) : real_write(fd, bytes, length);
    if (written > 0) entry(bytes, written, "write %s %ld", path, (long)offset);
    return written;
}

ssize_t write(int fd, const void *bytes, size_t length) { return do_write(fd, bytes, length, 0, 0); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return do_write(fd, bytes, length, offset, 1); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) { return do_write(fd, bytes, length, offset, 1); }

static int do_sync(int fd, const char *which) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, which);
    char path[4200];
    if (!ours(path_of(fd, path, sizeof path))) return real(fd);
    if (fails(SYNC)) {
        int error = errno;
        if (error != EINTR) entry(0, 0, "lost %s 0", path);
        errno = error;
        return -1;
    }
    int done = real(fd);
    if (!done) entry(0, 0, "sync %s 0", path);
    return done;
}

int fsync(int fd) { return do_sync(fd, "fsync"); }
int fdatasync(int fd) { return do_sync(fd, "fdatasync"); }

static int do_truncate(int fd, off_t length) {
    REAL(int, "ftruncate64", int, off_t);
    char path[4200];
    if (!ours(path_of(fd, path, sizeof path))) return real(fd, length);
    if (fails(TRUNCATE)) return -1;
    int done = real(fd, length);
    if (!done) entry(0, 0, "truncate %s %ld", path, (long)length);
    return done;
}

int ftruncate(int fd, off_t length) { return do_truncate(fd, length); }
int ftruncate64(int fd, off_t length) { return do_truncate(fd, length); }

static int do_allocate(int fd, off_t offset, off_t length, int mode, const char *which) {
    char path[4200];
    int mine = ours(path_of(fd, path, sizeof path));
    if (mine && fails(WRITE)) return which[0] == 'p' ? errno : -1;
    int done;
    if (which[0] == 'p') done = ((int (*)(int, off_t, off_t))dlsym(RTLD_NEXT, which))(fd, offset, length);
    else done = ((int (*)(int, int, off_t, off_t))dlsym(RTLD_NEXT, which))(fd, mode, offset, length);
    struct stat now;
    if (mine && !done && !fstat(fd, &now)) entry(0, 0, "truncate %s %ld", path, (long)now.st_size);
    return done;
}

int fallocate(int fd, int mode, off_t offset, off_t length) { return do_allocate(fd, offset, length, mode, "fallocate"); }
int fallocate64(int fd, int mode, off_t offset, off_t length) { return do_allocate(fd, offset, length, mode, "fallocate64"); }
int posix_fallocate(int fd, off_t offset, off_t length) { return do_allocate(fd, offset, length, 0, "posix_fallocate"); }
int posix_fallocate64(int fd, off_t offset, off_t length) { return do_allocate(fd, offset, length, 0, "posix_fallocate64"); }

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    if (!ours(from)) return real(from, to);
    if (fails(RENAME)) return -1;
    int done = real(from, to);
    if (!done) entry(to, strlen(to), "rename %s 0", from);
    return done;
}

int link(const char *from, const char *to) {
    REAL(int, "link", const char *, const char *);
    if (!ours(from)) return real(from, to);
    if (fails(LINK)) return -1;
    int done = real(from, to);
    if (!done) entry(to, strlen(to), "link %s 0", from);
    return done;
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
    REAL(int, "linkat", int, const char *, int, const char *, int);
    if (!ours(from)) return real(from_dir, from, to_dir, to, flags);
    if (fails(LINK)) return -1;
    int done = real(from_dir, from, to_dir, to, flags);
    if (!done) entry(to, strlen(to), "link %s 0", from);
    return done;
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    if (!ours(path)) return real(path);
    if (fails(UNLINK)) return -1;
    int done = real(path);
    if (!done) entry(0, 0, "unlink %s 0", path);
    return done;
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    if (ours(path) && fails(MKDIR)) return -1;
    return real(path, mode);
}

static int do_open(const char *path, int flags, mode_t mode) {
    int mine = ours(path);
    if (mine && fails(OPEN)) return -1;
    struct stat before;
    int there = mine && !stat(path, &before);
    int fd = real_open(path, flags, mode);
    if (mine && fd >= 0 && (flags & O_CREAT) && !there) entry(0, 0, "create %s 0", path);
    if (mine && fd >= 0 && (flags & O_TRUNC) && there) entry(0, 0, "truncate %s 0", path);
    return fd;
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return do_open(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return do_open(path, flags | O_LARGEFILE, mode);
}

static ssize_t do_read(int fd, void *bytes, size_t length, off_t offset, int positioned) {
    REAL(ssize_t, "pread64", int, void *, size_t, off_t);
    static ssize_t (*plain)(int, void *, size_t);
    if (!plain) plain = (ssize_t (*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
    char path[4200];
    if (fd > 2 && ours(path_of(fd, path, sizeof path)) && fails(READ)) return -1;
    return positioned ? real(fd, bytes, length, offset) : plain(fd, bytes, length);
}

ssize_t read(int fd, void *bytes, size_t length) { return do_read(fd, bytes, length, 0, 0); }
ssize_t pread(int fd, void *bytes, size_t length, off_t offset) { return do_read(fd, bytes, length, offset, 1); }
ssize_t pread64(int fd, void *bytes, size_t length, off_t offset) { return do_read(fd, bytes, length, offset, 1); }

int flock(int fd, int operation) {
    REAL(int, "flock", int, int);
    char path[4200];
    if (ours(path_of(fd, path, sizeof path)) && fails(LOCK)) return -1;
    return real(fd, operation);
}
