/* The demo image as an instance, in a directory of the test's own, and packets that invoke it. */
#ifndef TESTS_NUB_WORLD_H
#define TESTS_NUB_WORLD_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "javm/nub_host.h"
#include "tests/cli/demo_image.h"
#include "tests/require.h"

struct world {
    struct javm_directory *directory;
    struct javm_dir_thread *dir;
    struct javm_cap *pinned, *image, *cnode;
    struct javm_cap *instance;
    struct javm_hash hash;
};

static inline void world_open(struct world *world)
{
    struct javm_hash image;
    REQUIRE(javm_directory_create(1, 0, &world->directory, NULL) == JAVM_OK);
    world->dir = javm_directory_join(world->directory);
    world->image = demo_image(&world->pinned);
    REQUIRE(world->dir != NULL && world->image != NULL);
    REQUIRE(javm_directory_put(world->dir, world->pinned, NULL, NULL) == JAVM_OK);
    REQUIRE(javm_directory_put(world->dir, world->image, &image, NULL) == JAVM_OK);
    REQUIRE(javm_vm_instantiate(world->dir, &image, &world->hash, NULL) == JAVM_OK);
    world->instance = javm_directory_get(world->dir, &world->hash);
    world->cnode =
        javm_directory_get(world->dir, &javm_instance_of(world->instance)->root_cnode.hash);
}

static inline void world_close(struct world *world)
{
    javm_cap_release(world->pinned);
    javm_cap_release(world->image);
    javm_cap_release(world->cnode);
    javm_cap_release(world->instance);
    javm_directory_leave(world->dir);
    javm_directory_destroy(world->directory);
}

static inline void world_publish(const struct world *world, struct javm_nub *nub)
{
    struct javm_cap *const caps[] = {world->pinned, world->image, world->cnode, world->instance};
    struct javm_hash hash;
    struct javm_error err = {.text = ""};
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(javm_nub_put_cap(nub, caps[i], &hash, &err), JAVM_OK, "%s", err.text);
    cr_assert(javm_hash_equal(&hash, &world->hash));
}

static inline struct javm_nub_invoke packet_of(const struct world *world, uint32_t endpoint,
                                               uint64_t a, uint64_t b)
{
    struct javm_nub_invoke packet = {
        .endpoint_idx = endpoint, .args = {a, b}, .initial_gas = 1000000};
    memcpy(packet.instance_hash, world->hash.bytes, sizeof packet.instance_hash);
    return packet;
}

/* The processes that isolate this one's guests: children of its children. */
static inline unsigned grandchildren(pid_t *pids, unsigned room)
{
    unsigned count = 0;
    pid_t pid, parent;
    unsigned all = 0;
    DIR *proc = opendir("/proc");
    REQUIRE(proc != NULL);
    static struct {
        pid_t pid, parent;
        char state;
    } seen[65536];
    for (struct dirent *entry; (entry = readdir(proc)) != NULL && all < 65536;) {
        char path[300], state;
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
            continue;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        if (fscanf(file, "%d (%*[^)]) %c %d", &pid, &state, &parent) == 3) {
            seen[all].pid = pid;
            seen[all].state = state;
            seen[all++].parent = parent;
        }
        fclose(file);
    }
    closedir(proc);
    for (unsigned i = 0; i < all; i++)
        for (unsigned j = 0; j < all && count < room; j++)
            if (seen[i].parent == seen[j].pid && seen[j].parent == getpid() && seen[i].state != 'Z')
                pids[count++] = seen[i].pid;
    return count;
}

#endif
