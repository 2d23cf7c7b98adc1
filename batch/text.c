#include "batch/text.h"

#include <endian.h>
#include <stdio.h>

static const char PAIRS[] = "00010203040506070809101112131415161718192021222324"
                            "25262728293031323334353637383940414243444546474849"
                            "50515253545556575859606162636465666768697071727374"
                            "75767778798081828384858687888990919293949596979899";
static const char HEX[] = "0123456789abcdef";

char *put_u64(char *at, uint64_t value)
{
    char digits[TEXT_U64_MAX];
    char *first = digits + sizeof digits;
    while (value >= 100) {
        first -= 2;
        memcpy(first, PAIRS + 2 * (value % 100), 2);
        value /= 100;
    }
    if (value >= 10) {
        first -= 2;
        memcpy(first, PAIRS + 2 * value, 2);
    } else {
        *--first = (char)('0' + value);
    }
    return put_bytes(at, first, (size_t)(digits + sizeof digits - first));
}

char *put_i64(char *at, int64_t value)
{
    if (value >= 0)
        return put_u64(at, (uint64_t)value);
    *at++ = '-';
    return put_u64(at, 0 - (uint64_t)value);
}

/* Eight digits at once: a nibble goes to each byte, and those above 9 get the distance to 'a'. */
static char *put_hex8(char *at, uint32_t value)
{
    uint64_t x = value;
    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x | x << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    const uint64_t letters = (x + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    x = htobe64(x + UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10));
    return put_bytes(at, &x, sizeof x);
}

char *put_hex(char *at, uint64_t value, unsigned digits)
{
    if (digits == 16)
        return put_hex8(put_hex8(at, (uint32_t)(value >> 32)), (uint32_t)value);
    for (unsigned i = digits; i-- > 0;) {
        at[i] = HEX[value & 15];
        value >>= 4;
    }
    return at + digits;
}

char *put_hex_bytes(char *at, const uint8_t *bytes, size_t len)
{
    size_t i = 0;
    for (uint32_t word; len - i >= sizeof word; i += sizeof word) {
        memcpy(&word, bytes + i, sizeof word);
        at = put_hex8(at, be32toh(word));
    }
    for (; i < len; i++) {
        *at++ = HEX[bytes[i] >> 4];
        *at++ = HEX[bytes[i] & 15];
    }
    return at;
}

static char *put_escape(char *at, unsigned char c)
{
    static const char SHORT[] = "\b\t\n\f\r\"\\";
    static const char NAMES[] = "btnfr\"\\";
    const char *found = c == 0 ? NULL : strchr(SHORT, c);
    *at++ = '\\';
    if (found != NULL) {
        *at++ = NAMES[found - SHORT];
        return at;
    }
    at = put_literal(at, "u00");
    return put_hex(at, c, 2);
}

char *put_json(char *at, const char *text, size_t len)
{
    *at++ = '"';
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == '"' || c == '\\')
            at = put_escape(at, c);
        else
            *at++ = (char)c;
    }
    *at++ = '"';
    return at;
}

const char *text_grouped(char *buffer, uint64_t value)
{
    char plain[TEXT_U64_MAX];
    const size_t len = (size_t)(put_u64(plain, value) - plain);
    char *at = buffer;
    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            *at++ = ',';
        *at++ = plain[i];
    }
    *at = '\0';
    return buffer;
}

const char *text_scaled(char *buffer, double value)
{
    static const char UNITS[] = "\0kMGTPE";
    size_t unit = 0;
    while (value >= 999.5 && unit + 2 < sizeof UNITS) {
        value /= 1000;
        unit++;
    }
    const int decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(buffer, 32, "%.*f%.1s", decimals, value, UNITS + unit);
    return buffer;
}

const char *text_size(char *buffer, uint64_t bytes)
{
    static const char *const UNITS[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1023.95 && unit + 1 < sizeof UNITS / sizeof *UNITS) {
        value /= 1024;
        unit++;
    }
    snprintf(buffer, 32, unit == 0 ? "%.0f %s" : "%.1f %s", value, UNITS[unit]);
    return buffer;
}
