/* Loaded into the daemon (LD_PRELOAD) by the fault schedules: slow syncs, a disk that refuses, a wall clock that was set.
 *
 * EDGE_FAULT_SHIM names a file with three 64-bit numbers that the harness writes at any time:
 *   [0] milliseconds that every fsync and fdatasync takes longer
 *   [1] errno that every write to a regular file on the device [3] gets instead (0: none)
 *   [2] seconds by which the wall clock is ahead
 *   [3] device number (st_dev) of the disk that refuses
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t none[4];
static volatile int64_t *control = none;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("EDGE_FAULT_SHIM");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *map = mmap(NULL, 4 * sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (map != MAP_FAILED) control = map;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static void slowly(void) {
    if (control[0] > 0) usleep((useconds_t)(control[0] * 1000));
}

static int refused(int file) {
    struct stat about;
    if (control[1] == 0 || fstat(file, &about) != 0) return 0;
    if (!S_ISREG(about.st_mode) || (int64_t)about.st_dev != control[3]) return 0;
    errno = (int)control[1];
    return 1;
}

int fsync(int file) {
    REAL(int, fsync, int);
    slowly();
    return refused(file) ? -1 : real(file);
}

int fdatasync(int file) {
    REAL(int, fdatasync, int);
    slowly();
    return refused(file) ? -1 : real(file);
}

ssize_t write(int file, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    return refused(file) ? -1 : real(file, data, size);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
    return refused(file) ? -1 : real(file, data, size, at);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(int, clock_gettime, clockid_t, struct timespec *);
    int code = real(clock, now);
    if (code == 0 && clock == CLOCK_REALTIME) now->tv_sec += control[2];
    return code;
}

int gettimeofday(struct timeval *now, void *zone) {
    REAL(int, gettimeofday, struct timeval *, void *);
    int code = real(now, zone);
    if (code == 0) now->tv_sec += control[2];
    return code;
}
