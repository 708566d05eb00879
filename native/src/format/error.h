#ifndef SIR_FORMAT_ERROR_H
#define SIR_FORMAT_ERROR_H

#include "sparseir.h"

/* Records a fault and returns its code. error may be NULL, section "". */
__attribute__((format(printf, 4, 5))) int sir_fail(sir_error *error, int code, const char *section, const char *format, ...);

#endif
