#include "batch/wire.h"

#include <limits.h>
#include <mpi.h>
#include <stdint.h>
#include <stdlib.h>

/* Messages whose bytes MPI still uses. */
struct letter {
    struct letter *next;
    MPI_Request request;
    size_t len;
    void *bytes;
};

static struct letter *letters;
static size_t unsent;

enum javm_status wire_open(const struct options *options, unsigned *me, unsigned *count,
                           struct javm_error *err)
{
    int given, rank, size;
    (void)options;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &given) != MPI_SUCCESS ||
        given < MPI_THREAD_SERIALIZED || MPI_Comm_rank(MPI_COMM_WORLD, &rank) != MPI_SUCCESS ||
        MPI_Comm_size(MPI_COMM_WORLD, &size) != MPI_SUCCESS)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE,
                         "--mpi: MPI does not start, or not for a program with threads");
    *me = (unsigned)rank;
    *count = (unsigned)size;
    return JAVM_OK;
}

int wire_agree(int code)
{
    int all = code;
    MPI_Allreduce(&code, &all, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    return all;
}

/* Errors of MPI end the process (its default), and with it the job: there is nothing to go on with.
 * A message is no longer than a segment of results, which is far below 2 GiB. */
void wire_send(unsigned to, void *bytes, size_t len)
{
    struct letter *letter = malloc(sizeof *letter);
    if (letter == NULL || len > INT_MAX) {
        MPI_Abort(MPI_COMM_WORLD, 3);
        abort();
    }
    letter->bytes = bytes;
    letter->len = len;
    letter->next = letters;
    letters = letter;
    unsent += len;
    MPI_Isend(bytes, (int)len, MPI_BYTE, (int)to, 0, MPI_COMM_WORLD, &letter->request);
}

size_t wire_unsent(void)
{
    for (struct letter **at = &letters; *at != NULL;) {
        struct letter *letter = *at;
        int gone = 0;
        MPI_Test(&letter->request, &gone, MPI_STATUS_IGNORE);
        if (!gone) {
            at = &letter->next;
            continue;
        }
        *at = letter->next;
        unsent -= letter->len;
        free(letter->bytes);
        free(letter);
    }
    return unsent;
}

bool wire_receive(unsigned *from, void **bytes, size_t *len)
{
    MPI_Message message;
    MPI_Status status;
    int there = 0, size = 0;
    *bytes = NULL;
    MPI_Improbe(MPI_ANY_SOURCE, 0, MPI_COMM_WORLD, &there, &message, &status);
    if (!there)
        return true;
    MPI_Get_count(&status, MPI_BYTE, &size);
    *from = (unsigned)status.MPI_SOURCE;
    *len = (size_t)size;
    *bytes = malloc(*len == 0 ? 1 : *len);
    if (*bytes == NULL)
        return false;
    MPI_Mrecv(*bytes, size, MPI_BYTE, &message, MPI_STATUS_IGNORE);
    return true;
}

void wire_close(void)
{
    MPI_Finalize();
}
