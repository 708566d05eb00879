/* The one public header of the C library: every contract of the query engine and the index builder stands here.
 *
 * Conventions, for every function:
 *  - returns SIR_OK or an error code; a caller-owned sir_error, which may be NULL, receives the sentence for a person;
 *  - arrays belong to the caller and are borrowed for the call, or, where said, for the life of a handle;
 *  - the caller has checked dtype, contiguity and range of what it passes; bytes that come from a file are never trusted;
 *  - nothing prints, exits, or keeps global state; distinct handles and workspaces may be used from distinct threads.
 */
#ifndef SPARSEIR_H
#define SPARSEIR_H

#include <stddef.h>
#include <stdint.h>

#if defined(SIR_BUILDING) && defined(__GNUC__)
#define SIR_API __attribute__((visibility("default")))
#else
#define SIR_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SIR_OK = 0,
    SIR_ERROR_FORMAT = 1,   /* bytes of an index break the format */
    SIR_ERROR_ARGUMENT = 2, /* a value the caller passed is out of its documented range */
    SIR_ERROR_MEMORY = 3,   /* an allocation failed, or a caller's buffer is too small */
    SIR_ERROR_IO = 4        /* a file operation failed */
};

typedef struct sir_error {
    int32_t code;
    char section[8];    /* name of the section at fault, or "" */
    char message[240];  /* one sentence, NUL-terminated */
} sir_error;

/* Version of the index format this library writes. */
SIR_API uint32_t sir_format_version(void);

#ifdef __cplusplus
}
#endif
#endif
