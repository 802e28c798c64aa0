/* Records what a process does to the files below EDGE_RECORD_ROOT, in order, into EDGE_RECORD_LOG (LD_PRELOAD).
 *
 * A record is: kind (1 byte), length of the first text (4), of the second (4), offset (8), length of the data (8), then
 * both texts and the data. Kinds: w write, t truncate, s sync, c create, r rename, u unlink, d sync of a folder,
 * m make a folder, k remove one.
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
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static const char *root;
static size_t root_length;
static int record_file = -1;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("EDGE_RECORD_LOG");
    root = getenv("EDGE_RECORD_ROOT");
    if (!path || !root) return;
    root_length = strlen(root);
    record_file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

static int inside(const char *path) {
    return record_file >= 0 && path && strncmp(path, root, root_length) == 0 && path[root_length] == '/';
}

static int path_of(int file, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, 4095);
    if (length < 0) return 0;
    path[length] = 0;
    return inside(path) || (record_file >= 0 && strcmp(path, root) == 0);
}

static void record(char kind, const char *first, const char *second, int64_t at, const void *data, uint64_t size) {
    uint32_t lengths[2] = {(uint32_t)strlen(first), (uint32_t)strlen(second)};
    struct iovec parts[] = {{&kind, 1},           {lengths, 8},         {&at, 8}, {&size, 8}, {(void *)first, lengths[0]},
                            {(void *)second, lengths[1]}, {(void *)data, size}};
    if (writev(record_file, parts, 7) < 0) _exit(97);
}

static int64_t place(int file) { return (int64_t)lseek64(file, 0, SEEK_CUR); }

ssize_t write(int file, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    char path[4096];
    if (record_file < 0 || file == record_file || !path_of(file, path)) return real(file, data, size);
    pthread_mutex_lock(&order);
    ssize_t done = real(file, data, size);
    if (done > 0) record('w', path, "", place(file) - done, data, (uint64_t)done);
    pthread_mutex_unlock(&order);
    return done;
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    char path[4096];
    if (!path_of(file, path)) return real(file, data, size, at);
    pthread_mutex_lock(&order);
    ssize_t done = real(file, data, size, at);
    if (done > 0) record('w', path, "", at, data, (uint64_t)done);
    pthread_mutex_unlock(&order);
    return done;
}

int ftruncate64(int file, off64_t size) {
    REAL(int, ftruncate64, int, off64_t);
    char path[4096];
    int known = path_of(file, path);
    pthread_mutex_lock(&order);
    int code = real(file, size);
    if (code == 0 && known) record('t', path, "", size, "", 0);
    pthread_mutex_unlock(&order);
    return code;
}

int ftruncate(int file, off_t size) { return ftruncate64(file, size); }

static int synced(int file, int code) {
    char path[4096];
    struct stat about;
    if (code == 0 && path_of(file, path) && fstat(file, &about) == 0) {
        pthread_mutex_lock(&order);
        record(S_ISDIR(about.st_mode) ? 'd' : 's', path, "", 0, "", 0);
        pthread_mutex_unlock(&order);
    }
    return code;
}

int fsync(int file) {
    REAL(int, fsync, int);
    return synced(file, real(file));
}

int fdatasync(int file) {
    REAL(int, fdatasync, int);
    return synced(file, real(file));
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    pthread_mutex_lock(&order);
    int code = real(from, to);
    if (code == 0 && (inside(from) || inside(to))) record('r', from, to, 0, "", 0);
    pthread_mutex_unlock(&order);
    return code;
}

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    pthread_mutex_lock(&order);
    int code = real(path);
    if (code == 0 && inside(path)) record('u', path, "", 0, "", 0);
    pthread_mutex_unlock(&order);
    return code;
}

static int noted(const char *path, char kind, int code) {
    if (code == 0 && inside(path)) record(kind, path, "", 0, "", 0);
    return code;
}

int unlinkat(int folder, const char *name, int flags) {
    REAL(int, unlinkat, int, const char *, int);
    char path[8192];
    if (name[0] == '/' || folder == AT_FDCWD || !path_of(folder, path)) snprintf(path, sizeof path, "%s", name);
    else snprintf(path + strlen(path), sizeof path - strlen(path), "/%s", name);
    pthread_mutex_lock(&order);
    int code = noted(path, flags & AT_REMOVEDIR ? 'k' : 'u', real(folder, name, flags));
    pthread_mutex_unlock(&order);
    return code;
}

int rmdir(const char *path) {
    REAL(int, rmdir, const char *);
    pthread_mutex_lock(&order);
    int code = noted(path, 'k', real(path));
    pthread_mutex_unlock(&order);
    return code;
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    pthread_mutex_lock(&order);
    int code = noted(path, 'm', real(path, mode));
    pthread_mutex_unlock(&order);
    return code;
}

static int opened(const char *path, int flags, mode_t mode, int (*real)(const char *, int, ...)) {
    if (!inside(path) || !(flags & (O_CREAT | O_TRUNC))) return real(path, flags, mode);
    pthread_mutex_lock(&order);
    int was_there = access(path, F_OK) == 0;
    int file = real(path, flags, mode);
    if (file >= 0 && !was_there) record('c', path, "", 0, "", 0);
    if (file >= 0 && was_there && (flags & O_TRUNC)) record('t', path, "", 0, "", 0);
    pthread_mutex_unlock(&order);
    return file;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, name, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return opened(path, flags, mode, real); \
    }

OPEN(open)
OPEN(open64)
