/* A disk that forgets everything that was not synced.
 *
 * Loaded before the server (LD_PRELOAD), it copies a file of LOSSY_DIR to LOSSY_SHADOW whenever the file is synced. What
 * LOSSY_SHADOW holds after the process was killed is what a disk would hold that lost every unsynced write. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void remember(int fd) {
    const char *dir = getenv("LOSSY_DIR"), *shadow = getenv("LOSSY_SHADOW");
    char link[64], path[PATH_MAX], temporary[PATH_MAX], final[PATH_MAX];
    static char buffer[1 << 20];
    static int locked;
    if (!dir || !shadow) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return;
    path[length] = 0;
    size_t prefix = strlen(dir);
    if (strncmp(path, dir, prefix) != 0 || path[prefix] != '/') return;
    const char *name = path + prefix + 1;
    while (__sync_lock_test_and_set(&locked, 1)) usleep(100);
    snprintf(temporary, sizeof temporary, "%s/.%s.new", shadow, name);
    snprintf(final, sizeof final, "%s/%s", shadow, name);
    int out = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    off_t offset = 0;
    ssize_t got;
    while ((got = pread(fd, buffer, sizeof buffer, offset)) > 0) {
        if (write(out, buffer, got) != got) abort();
        offset += got;
    }
    close(out);
    /* A kill between the two leaves the older state, as if the sync had not happened: it was not acknowledged yet. */
    rename(temporary, final);
    __sync_lock_release(&locked);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    int result = real(fd);
    if (result == 0) remember(fd);
    return result;
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    int result = real(fd);
    if (result == 0) remember(fd);
    return result;
}
