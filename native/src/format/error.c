#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "format/error.h"

int sir_fail(sir_error *error, int code, const char *section, const char *format, ...) {
    if (error != NULL) {
        va_list arguments;
        error->code = code;
        strncpy(error->section, section, sizeof error->section - 1);
        error->section[sizeof error->section - 1] = '\0';
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return code;
}
