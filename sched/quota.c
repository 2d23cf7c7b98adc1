/* /proc/self/cgroup names our group in each hierarchy; the tightest quota on the way from there to
 * the root holds. In a container the name may be the host's, below a mount that shows only our
 * part: then the files are not there, and going up ends at the mount's root, which is ours.
 *
 *   v2: a line "0::/a/b"; /sys/fs/cgroup[/unified]/a/b/cpu.max holds "max 100000" (none) or
 *       "150000 100000"
 *   v1: a line "4:cpu,cpuacct:/a"; cpu.cfs_quota_us (-1: none) and cpu.cfs_period_us are in
 *       /sys/fs/cgroup/cpu[,cpuacct]/a/ */
#include "sched/quota.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static unsigned tighter(unsigned a, unsigned b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

static unsigned cpus_of(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    const long long cpus = quota / period + (quota % period != 0);
    return cpus < UINT_MAX ? (unsigned)cpus : UINT_MAX;
}

static bool read_line(const char *dir, const char *file, char *line, int size)
{
    char path[PATH_MAX];
    const int length = snprintf(path, sizeof path, "%s/%s", dir, file);
    if (length < 0 || (size_t)length >= sizeof path)
        return false;
    FILE *stream = fopen(path, "re");
    if (stream == NULL)
        return false;
    const bool got = fgets(line, size, stream) != NULL;
    (void)fclose(stream);
    return got;
}

static unsigned quota_v2(const char *dir)
{
    char line[128];
    long long quota;
    long long period;
    if (!read_line(dir, "cpu.max", line, sizeof line) ||
        sscanf(line, "%lld %lld", &quota, &period) != 2) /* "max" is no number: no quota */
        return 0;
    return cpus_of(quota, period);
}

static unsigned quota_v1(const char *dir)
{
    char line[128];
    long long quota;
    long long period;
    if (!read_line(dir, "cpu.cfs_quota_us", line, sizeof line) || sscanf(line, "%lld", &quota) != 1)
        return 0;
    if (!read_line(dir, "cpu.cfs_period_us", line, sizeof line) ||
        sscanf(line, "%lld", &period) != 1)
        return 0;
    return cpus_of(quota, period);
}

/* Every directory from mount + path up to the mount itself. */
static unsigned walk(const char *root, const char *mount, const char *path,
                     unsigned (*quota)(const char *dir))
{
    char dir[PATH_MAX];
    const int length = snprintf(dir, sizeof dir, "%s/sys/fs/cgroup%s%s", root, mount, path);
    if (length < 0 || (size_t)length >= sizeof dir)
        return 0;
    const size_t stop = strlen(root) + strlen("/sys/fs/cgroup") + strlen(mount);
    unsigned cpus = 0;
    for (;;) {
        cpus = tighter(cpus, quota(dir));
        if (strlen(dir) <= stop)
            return cpus;
        char *slash = strrchr(dir, '/'); /* there is one: dir is longer than the mount, and path
                                            begins with a slash */
        *slash = '\0';
    }
}

static bool lists_cpu(const char *controllers)
{
    for (const char *at = controllers; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, "cpu", 3) == 0 && (at[3] == ',' || at[3] == '\0'))
            return true;
    }
    return false;
}

/* One line of /proc/self/cgroup, "number:controllers:path". */
static unsigned quota_of_line(const char *root, char *line)
{
    char *controllers = strchr(line, ':');
    char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL || path[1] != '/')
        return 0;
    *controllers++ = '\0';
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    if (*controllers == '\0')
        return tighter(walk(root, "", path, quota_v2), walk(root, "/unified", path, quota_v2));
    if (!lists_cpu(controllers))
        return 0;
    return tighter(walk(root, "/cpu", path, quota_v1), walk(root, "/cpu,cpuacct", path, quota_v1));
}

unsigned quota_cpus(const char *root)
{
    char path[PATH_MAX];
    const int length = snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *stream = length >= 0 && (size_t)length < sizeof path ? fopen(path, "re") : NULL;
    if (stream == NULL)
        return 0;
    unsigned cpus = 0;
    char line[PATH_MAX + 256];
    while (fgets(line, sizeof line, stream) != NULL)
        cpus = tighter(cpus, quota_of_line(root, line));
    (void)fclose(stream);
    return cpus;
}
