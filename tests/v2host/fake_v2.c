#include "fake_v2.h"

#include <string.h>

bool javm_v2_accessible(struct javm_v2 *v2, uint64_t address, uint64_t len, bool write)
{
    (void)v2;
    const uint64_t low = write ? WRITABLE : READ_ONLY;
    return len == 0 || (address >= low && address <= BEHIND && len <= BEHIND - address);
}

bool javm_v2_read(struct javm_v2 *v2, uint64_t address, void *to, uint64_t len)
{
    v2->reads++;
    if (!javm_v2_accessible(v2, address, len, false))
        return false;
    if (len != 0)
        memcpy(to, v2->memory + address, len);
    return true;
}

bool javm_v2_write(struct javm_v2 *v2, uint64_t address, const void *from, uint64_t len)
{
    if (!javm_v2_accessible(v2, address, len, true))
        return false;
    if (len != 0)
        memcpy(v2->memory + address, from, len);
    return true;
}
