#pragma once

#include <sqlite3.h>

// Variadic functions and cast macros, which Swift does not see.
static inline int edge_sqlite_set_flag(sqlite3 *database, int option, int value) {
    return sqlite3_db_config(database, option, value, (int *)0);
}
