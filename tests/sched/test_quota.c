/* Container limits, on made-up file trees below the working directory. Would catch: a quota that is
 * ignored, rounded down (to nothing), read from our group only though an outer one is tighter,
 * taken from a controller that merely begins with "cpu", or not found where a container mounts only
 * its part. */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sched/quota.h"

static char root[sizeof "quota-XXXXXX"];
static char made[32][PATH_MAX]; /* what to remove at the end, in order of making */
static unsigned made_count;

static void note(const char *path)
{
    cr_assert_lt(made_count, sizeof made / sizeof *made);
    snprintf(made[made_count++], sizeof *made, "%s", path);
}

static void put(const char *path, const char *text)
{
    char full[PATH_MAX];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *at = strchr(full + strlen(root) + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        if (mkdir(full, 0700) == 0)
            note(full);
        else
            cr_assert_eq(errno, EEXIST);
        *at = '/';
    }
    FILE *stream = fopen(full, "w");
    cr_assert_not_null(stream);
    cr_assert_geq(fputs(text, stream), 0);
    cr_assert_eq(fclose(stream), 0);
    note(full);
}

static void make_root(void)
{
    memcpy(root, "quota-XXXXXX", sizeof root);
    cr_assert_not_null(mkdtemp(root));
}

static void remove_all(void)
{
    while (made_count > 0)
        (void)remove(made[--made_count]);
    (void)rmdir(root);
}

/* Each test in a tree of its own. */
#define QUOTA_TEST(name) Test(quota, name, .init = make_root, .fini = remove_all)

QUOTA_TEST(none)
{
    cr_assert_eq(quota_cpus(root), 0); /* not even a file */
    put("/proc/self/cgroup", "0::/a\n");
    cr_assert_eq(quota_cpus(root), 0);
    put("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    cr_assert_eq(quota_cpus(root), 0);
}

QUOTA_TEST(v2_rounds_up)
{
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "250000 100000\n");
    cr_assert_eq(quota_cpus(root), 3);
    put("/sys/fs/cgroup/a/b/cpu.max", "200000 100000\n");
    cr_assert_eq(quota_cpus(root), 2);
    put("/sys/fs/cgroup/a/b/cpu.max", "5000 100000\n");
    cr_assert_eq(quota_cpus(root), 1);
}

QUOTA_TEST(v2_tightest_on_the_way_up)
{
    put("/proc/self/cgroup", "0::/a/b/c\n");
    put("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "800000 100000\n");
    put("/sys/fs/cgroup/a/cpu.max", "400000 100000\n");
    cr_assert_eq(quota_cpus(root), 4);
}

QUOTA_TEST(v2_in_a_container)
{
    put("/proc/self/cgroup", "0::/system.slice/container-1\n");
    put("/sys/fs/cgroup/cpu.max",
        "300000 100000\n"); /* the mount's root is the container's group */
    cr_assert_eq(quota_cpus(root), 3);
}

QUOTA_TEST(v1)
{
    put("/proc/self/cgroup", "4:memory:/m\n3:cpuset:/set\n2:cpu,cpuacct:/job\n");
    put("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "600000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu/set/cpu.cfs_quota_us", "100000\n"); /* the path of cpuset, not of cpu */
    put("/sys/fs/cgroup/cpu/set/cpu.cfs_period_us", "100000\n");
    cr_assert_eq(quota_cpus(root), 6);
}

QUOTA_TEST(v1_without_limit)
{
    put("/proc/self/cgroup", "1:cpu:/\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    cr_assert_eq(quota_cpus(root), 0);
}

QUOTA_TEST(nonsense_is_no_quota)
{
    put("/proc/self/cgroup", "::\n0:\n\nno colons\n0::relative\n0::/a\n");
    put("/sys/fs/cgroup/a/cpu.max", "many few\n");
    cr_assert_eq(quota_cpus(root), 0);
    put("/sys/fs/cgroup/a/cpu.max", "100000 0\n");
    cr_assert_eq(quota_cpus(root), 0);
    put("/sys/fs/cgroup/a/cpu.max", "-5 100000\n");
    cr_assert_eq(quota_cpus(root), 0);
}
