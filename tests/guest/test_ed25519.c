/* The Ed25519 guest natively against libsodium and the RFC's vectors, and its image against the
 * twin. Finds: a wrong carry or bound in the field arithmetic, a wrong entry in the table of the
 * base point, lost checks (s < L, canonical key, small order), h not reduced modulo L, a message
 * cut at a block's edge, code that the machine lowers otherwise than the compiler of the twin. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "guest/native/guest_vm.h"

#define SCRATCH 16384
#define HEAD    96
#define MESSAGE (SCRATCH - HEAD)
#define BUDGET  UINT64_C(1000000000)

/* Key, signature and message, as the guest takes them. */
struct input {
    uint8_t key[32], signature[64], message[MESSAGE];
};

static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                  0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
/* A point of order 8, the encoding of y. */
static const uint8_t order8[32] = {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
                                   0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
                                   0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a};

static void start(void)
{
    cr_assert_geq(sodium_init(), 0);
}
TestSuite(ed25519, .init = start);

/* The same bytes each time: stream number n. */
static void fill(void *out, size_t len, uint32_t n)
{
    uint8_t seed[randombytes_SEEDBYTES] = {0};
    memcpy(seed, &n, sizeof n);
    randombytes_buf_deterministic(out, len, seed);
}

/* Key pair and message from stream n, signed by libsodium. */
static void make(struct input *in, uint8_t secret[64], size_t len, uint32_t n)
{
    uint8_t seed[32];
    fill(seed, sizeof seed, 2 * n);
    fill(in->message, len, 2 * n + 1);
    crypto_sign_seed_keypair(in->key, secret, seed);
    crypto_sign_detached(in->signature, NULL, in->message, len, secret);
}

static uint64_t native(uint64_t a0, uint64_t a1, uint64_t a2, const struct input *in)
{
    static struct input scratch;
    const uint64_t args[4] = {a0, a1, a2, 0};
    const struct guest_native *twin = guest_native_find("ed25519");
    cr_assert_not_null(twin);
    if (in == NULL)
        return guest_native_run(twin, args, NULL);
    memcpy(&scratch, in, sizeof scratch);
    const uint64_t value = guest_native_run(twin, args, (uint8_t *)&scratch);
    cr_expect_arr_eq(&scratch, in, sizeof scratch, "the scratchpad was written to");
    return value;
}

static int holds(const struct input *in, size_t len)
{
    return (int)native(0, HEAD + len, 0, in);
}

static int sodium_holds(const struct input *in, size_t len)
{
    return crypto_sign_verify_detached(in->signature, in->message, len, in->key) == 0;
}

static void flip(uint8_t *bytes, uint32_t bit)
{
    bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

/* a += b, 256 bits */
static void add(uint8_t a[32], const uint8_t b[32])
{
    unsigned carry = 0;
    for (int i = 0; i < 32; i++) {
        carry += (unsigned)a[i] + b[i];
        a[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

/* h = SHA-512(R | A | message) mod L */
static void challenge(uint8_t h[32], const struct input *in, size_t len)
{
    crypto_hash_sha512_state sha;
    uint8_t digest[64];
    crypto_hash_sha512_init(&sha);
    crypto_hash_sha512_update(&sha, in->signature, 32);
    crypto_hash_sha512_update(&sha, in->key, 32);
    crypto_hash_sha512_update(&sha, in->message, len);
    crypto_hash_sha512_final(&sha, digest);
    crypto_core_ed25519_scalar_reduce(h, digest);
}

/* s = r + ha */
static void complete(struct input *in, size_t len, const uint8_t r[32], const uint8_t a[32])
{
    uint8_t h[32];
    challenge(h, in, len);
    crypto_core_ed25519_scalar_mul(h, h, a);
    crypto_core_ed25519_scalar_add(in->signature + 32, h, r);
}

Test(ed25519, rfc_8032_vectors)
{
    static const struct {
        const char *key, *signature, *message;
    } vectors[] = {
        {"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e3970"
         "1cf9b46bd25bf5f0595bbe24655141438e7a100b",
         ""},
        {"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613"
         "d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
         "72"},
        {"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760"
         "984dc6594a7c15e9716ed28dc027beceea1ec40a",
         "af82"},
        {"ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
         "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c6"
         "6431e0303dca179c138ac17ad9bef1177331a704",
         "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23"
         "a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
        {"278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
         "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350aa5371b1508f9f4528ecea23"
         "c436d94b5e8fcd4f681e30a6ac00a9704a188a03",
         "08b8b2b733424243760fe426a4b54908632110a66c2f6591eabd3345e3e4eb98fa6e264bf09efe12ee50f8f5"
         "4e9f77b1e355f6c50544e23fb1433ddf73be84d879de7c0046dc4996d9e773f4bc9efe5738829adb26c81b37"
         "c93a1b270b20329d658675fc6ea534e0810a4432826bf58c941efb65d57a338bbd2e26640f89ffbc1a858efc"
         "b8550ee3a5e1998bd177e93a7363c344fe6b199ee5d02e82d522c4feba15452f80288a821a579116ec6dad2b"
         "3b310da903401aa62100ab5d1a36553e06203b33890cc9b832f79ef80560ccb9a39ce767967ed628c6ad573c"
         "b116dbefefd75499da96bd68a8a97b928a8bbc103b6621fcde2beca1231d206be6cd9ec7aff6f6c94fcd7204"
         "ed3455c68c83f4a41da4af2b74ef5c53f1d8ac70bdcb7ed185ce81bd84359d44254d95629e9855a94a7c1958"
         "d1f8ada5d0532ed8a5aa3fb2d17ba70eb6248e594e1a2297acbbb39d502f1a8c6eb6f1ce22b3de1a1f40cc24"
         "554119a831a9aad6079cad88425de6bde1a9187ebb6092cf67bf2b13fd65f27088d78b7e883c8759d2c4f5c6"
         "5adb7553878ad575f9fad878e80a0c9ba63bcbcc2732e69485bbc9c90bfbd62481d9089beccf80cfe2df16a2"
         "cf65bd92dd597b0707e0917af48bbb75fed413d238f5555a7a569d80c3414a8d0859dc65a46128bab27af87a"
         "71314f318c782b23ebfe808b82b0ce26401d2e22f04d83d1255dc51addd3b75a2b1ae0784504df543af8969b"
         "e3ea7082ff7fc9888c144da2af58429ec96031dbcad3dad9af0dcbaaaf268cb8fcffead94f3c7ca495e056a9"
         "b47acdb751fb73e666c6c655ade8297297d07ad1ba5e43f1bca32301651339e22904cc8c42f58c30c04aafdb"
         "038dda0847dd988dcda6f3bfd15c4b4c4525004aa06eeff8ca61783aacec57fb3d1f92b0fe2fd1a85f672451"
         "7b65e614ad6808d6f6ee34dff7310fdc82aebfd904b01e1dc54b2927094b2db68d6f903b68401adebf5a7e08"
         "d78ff4ef5d63653a65040cf9bfd4aca7984a74d37145986780fc0b16ac451649de6188a7dbdf191f64b5fc5e"
         "2ab47b57f7f7276cd419c17a3ca8e1b939ae49e488acba6b965610b5480109c8b17b80e1b7b750dfc7598d5d"
         "5011fd2dcc5600a32ef5b52a1ecc820e308aa342721aac0943bf6686b64b2579376504ccc493d97e6aed3fb0"
         "f9cd71a43dd497f01f17c0e2cb3797aa2a2f256656168e6c496afc5fb93246f6b1116398a346f1a641f3b041"
         "e989f7914f90cc2c7fff357876e506b50d334ba77c225bc307ba537152f3f1610e4eafe595f6d9d90d11faa9"
         "33a15ef1369546868a7f3a45a96768d40fd9d03412c091c6315cf4fde7cb68606937380db2eaaa707b4c4185"
         "c32eddcdd306705e4dc1ffc872eeee475a64dfac86aba41c0618983f8741c5ef68d3a101e8a3b8cac60c905c"
         "15fc910840b94c00a0b9d0"}};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        static struct input in;
        size_t len;
        memset(&in, 0, sizeof in);
        sodium_hex2bin(in.key, sizeof in.key, vectors[i].key, 64, NULL, NULL, NULL);
        sodium_hex2bin(in.signature, sizeof in.signature, vectors[i].signature, 128, NULL, NULL,
                       NULL);
        sodium_hex2bin(in.message, sizeof in.message, vectors[i].message,
                       strlen(vectors[i].message), NULL, &len, NULL);
        cr_expect_eq(holds(&in, len), 1, "vector %zu", i);
        cr_expect_eq(holds(&in, len + 1), 0, "vector %zu, a byte more", i);
        flip(in.signature, (uint32_t)(i * 91));
        cr_expect_eq(holds(&in, len), 0, "vector %zu, damaged", i);
    }
}

Test(ed25519, random_signatures_and_flipped_bits_equal_libsodium)
{
    static struct input in;
    for (uint32_t n = 0; n < 200; n++) {
        const size_t len = n * 3 / 2 + n % 2;
        uint8_t secret[64];
        uint32_t bits[3];
        make(&in, secret, len, n);
        fill(bits, sizeof bits, 5000 + n);
        cr_expect_eq(holds(&in, len), 1, "%zu bytes", len);

        flip(in.key, bits[0] % 256);
        cr_expect_eq(holds(&in, len), sodium_holds(&in, len), "%" PRIu32 ": key", n);
        cr_expect_eq(holds(&in, len), 0);
        flip(in.key, bits[0] % 256);
        flip(in.signature, bits[1] % 512);
        cr_expect_eq(holds(&in, len), sodium_holds(&in, len), "%" PRIu32 ": signature", n);
        cr_expect_eq(holds(&in, len), 0);
        flip(in.signature, bits[1] % 512);
        if (len != 0) {
            flip(in.message, bits[2] % (uint32_t)(8 * len));
            cr_expect_eq(holds(&in, len), 0, "%" PRIu32 ": message", n);
            flip(in.message, bits[2] % (uint32_t)(8 * len));
        }
        cr_expect_eq(holds(&in, len), 1);
    }
}

/* Around the edges of SHA-512's blocks, with and without room for the length, and up to the
 * largest. */
Test(ed25519, messages_of_every_block_shape)
{
    static struct input in;
    uint8_t secret[64];
    static const size_t lengths[] = {47, 48, 63, 64, 65, 175, 176, 191, 192, 193, 4096, MESSAGE};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        make(&in, secret, lengths[i], (uint32_t)(7000 + i));
        cr_expect_eq(holds(&in, lengths[i]), 1, "%zu bytes", lengths[i]);
    }
    cr_expect_eq(native(0, UINT64_MAX, 0, &in), 1,
                 "a larger length counts as the whole scratchpad");
    for (uint64_t size = 1; size < HEAD; size++)
        cr_expect_eq(native(0, size, 0, &in), 0, "only %" PRIu64 " bytes", size);
}

Test(ed25519, s_plus_multiples_of_the_order_does_not_hold)
{
    static struct input in;
    uint8_t secret[64];
    for (uint32_t n = 0; n < 20; n++) {
        make(&in, secret, 20, 8000 + n);
        cr_expect_eq(holds(&in, 20), 1);
        for (int k = 1; k < 15; k++) {
            add(in.signature + 32, order);
            cr_expect_eq(holds(&in, 20), 0, "s + %dL", k);
            cr_expect_eq(sodium_holds(&in, 20), 0);
        }
        memcpy(in.signature + 32, order, 32);
        cr_expect_eq(holds(&in, 20), sodium_holds(&in, 20), "s = L");
    }
}

/* All encodings of small order and all that are not canonical, with both signs. */
static size_t odd_encodings(uint8_t out[64][32])
{
    size_t count = 0;
    for (int sign = 0; sign < 2; sign++) {
        for (int y = -1; y < 19; y++, count++) { /* p - 1 to p + 18 */
            memset(out[count], 0xff, 32);
            out[count][0] = (uint8_t)(0xed + y);
            out[count][31] = sign ? 0xff : 0x7f;
        }
        for (uint8_t y = 0; y < 2; y++, count++) {
            memset(out[count], 0, 32);
            out[count][0] = y;
            out[count][31] = sign ? 0x80 : 0;
        }
        for (int negative = 0; negative < 2;
             negative++, count++) { /* p - y = y + p, complemented */
            memcpy(out[count], order8, 32);
            if (negative) {
                static const uint8_t plus18[32] = {18};
                add(out[count], plus18);
                for (int i = 0; i < 32; i++)
                    out[count][i] ^= i == 31 ? 0x7f : 0xff;
            }
            out[count][31] = (uint8_t)((out[count][31] & 0x7f) | (sign ? 0x80 : 0));
        }
    }
    return count;
}

Test(ed25519, small_order_and_non_canonical_points_are_refused)
{
    static struct input in;
    static uint8_t odd[64][32];
    const size_t count = odd_encodings(odd);
    uint8_t secret[64], r[32], a[64];
    for (size_t k = 0; k < count; k++) {
        /* As the key: R = sB is what an adversary signs with; with the identity it holds for every
         * message. */
        for (uint8_t n = 0; n < 16; n++) {
            make(&in, secret, 32, 9000);
            in.message[0] = n;
            fill(r, sizeof r, 9100 + n);
            r[31] &= 0x0f;
            memcpy(in.key, odd[k], 32);
            memcpy(in.signature + 32, r, 32);
            cr_assert_eq(crypto_scalarmult_ed25519_base_noclamp(in.signature, r), 0);
            cr_expect_eq(holds(&in, 32), 0, "key %zu", k);
            cr_expect_eq(sodium_holds(&in, 32), 0);
        }
        /* As R: s = ha makes sB - hA the identity, which two of them encode. */
        make(&in, secret, 32, 9000);
        crypto_hash_sha512(a, secret, 32);
        a[0] &= 248;
        a[31] = (uint8_t)((a[31] & 63) | 64);
        memcpy(in.signature, odd[k], 32);
        memset(r, 0, sizeof r);
        complete(&in, 32, r, a);
        cr_expect_eq(holds(&in, 32), 0, "R %zu", k);
        for (size_t j = 0; j < count; j++) {
            memcpy(in.key, odd[j], 32);
            memset(in.signature + 32, 0, 32);
            cr_expect_eq(holds(&in, 32), 0, "R %zu, key %zu", k, j);
            cr_expect_eq(sodium_holds(&in, 32), 0);
        }
    }
}

/* Keys A + T and R = rB + jT with T of order 8: then sB - hA' = rB - hT, which is R if and only if
 * h + j is a multiple of 8. Later libsodium multiplies by the cofactor and accepts them all. */
Test(ed25519, keys_with_a_small_order_component_follow_the_equation)
{
    static struct input in;
    uint8_t secret[64], a[64], r[32], h[32];
    int held = 0;
    for (uint32_t n = 0; n < 128; n++) {
        const unsigned j = n % 8;
        make(&in, secret, 40, 10000 + n);
        crypto_hash_sha512(a, secret, 32);
        a[0] &= 248;
        a[31] = (uint8_t)((a[31] & 63) | 64);
        fill(r, sizeof r, 11000 + n);
        r[31] &= 0x0f;
        cr_assert_eq(crypto_scalarmult_ed25519_base_noclamp(in.signature, r), 0);
        cr_assert_eq(crypto_core_ed25519_add(in.key, in.key, order8), 0);
        for (unsigned i = 0; i < j; i++)
            cr_assert_eq(crypto_core_ed25519_add(in.signature, in.signature, order8), 0);
        complete(&in, 40, r, a);
        challenge(h, &in, 40);
        const int want = (h[0] + j) % 8 == 0;
        held += want;
        cr_expect_eq(holds(&in, 40), want, "%" PRIu32, n);
        if (strcmp(sodium_version_string(), "1.0.18") == 0)
            cr_expect_eq(sodium_holds(&in, 40), want);
    }
    cr_expect(held > 5 && held < 40, "%d", held);
}

/* Each third one of the embedded vectors is damaged. */
Test(ed25519, own_workload_shows_which_hold)
{
    for (uint64_t from = 0; from < 24; from++) {
        uint64_t want = 0;
        for (uint64_t n = 0; n < 8; n++) {
            cr_expect_eq(native(n, 0, from, NULL), want, "%" PRIu64 " from %" PRIu64, n, from);
            want = want << 1 | ((from + n) % 3 != 1);
        }
    }
}

static uint64_t in_machine(struct guest_vm *vm, const uint64_t args[4], const struct input *in)
{
    static struct input after;
    struct javm_call_result result;
    struct javm_error err = {.text = ""};
    const size_t i = (size_t)(guest_native_find("ed25519") - guest_natives);
    struct javm_cap *data = in == NULL ? NULL : javm_data_new((const uint8_t *)in, sizeof *in);
    cr_assert_eq(guest_vm_invoke(vm, i, args, BUDGET, data, &result, &err), JAVM_OK, "%s",
                 err.text);
    cr_assert_eq(result.end, JAVM_END_HALT, "end %d fault %s pc 0x%" PRIx64, (int)result.end,
                 javm_fault_name(result.fault), result.pc);
    if (in != NULL) {
        cr_assert_not_null(result.slot0);
        javm_data_read(result.slot0, 0, (uint8_t *)&after, sizeof after);
        cr_expect_arr_eq(&after, in, sizeof after, "the scratchpad was written to");
    }
    const uint64_t value = result.value;
    javm_call_result_clear(&result);
    javm_cap_release(data);
    return value;
}

Test(ed25519, the_image_equals_the_twin)
{
    static struct input in;
    static const size_t lengths[] = {0, 1, 47, 48, 64, 300, MESSAGE};
    struct guest_vm *vm = guest_vm_open(JAVM_SOURCE "/guest/prebuilt", NULL);
    cr_assert_not_null(vm);
    for (uint64_t n = 0; n < 6; n++) {
        const uint64_t args[4] = {n, 0, n * 5, 0};
        cr_expect_eq(in_machine(vm, args, NULL), native(n, 0, n * 5, NULL), "%" PRIu64, n);
    }
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const uint64_t args[4] = {0, HEAD + lengths[i], 0, 0}, cut[4] = {0, i * 15 + 5, 0, 0};
        uint8_t secret[64];
        make(&in, secret, lengths[i], (uint32_t)(12000 + i));
        cr_expect_eq(in_machine(vm, args, &in), 1, "%zu bytes", lengths[i]);
        cr_expect_eq(in_machine(vm, cut, &in), 0);
        flip(in.key, (uint32_t)i * 31);
        cr_expect_eq(in_machine(vm, args, &in), 0);
        flip(in.key, (uint32_t)i * 31);
        flip(in.signature, (uint32_t)i * 73);
        cr_expect_eq(in_machine(vm, args, &in), 0);
        flip(in.signature, (uint32_t)i * 73);
        add(in.signature + 32, order);
        cr_expect_eq(in_machine(vm, args, &in), 0);
        memcpy(in.key, order8, 32);
        cr_expect_eq(in_machine(vm, args, &in), 0);
    }
    guest_vm_close(vm);
}
