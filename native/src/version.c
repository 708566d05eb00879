#include "sparseir.h"

uint32_t sir_format_version(void) { return 1; }
