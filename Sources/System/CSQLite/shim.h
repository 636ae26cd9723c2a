#pragma once

#include <sqlite3.h>

// Variadic functions and cast macros, which Swift does not see.
// Memory: the caller owns the database. Only options that take an int and a pointer to one are allowed here (the flags): the null
// pointer asks for no answer.
static inline int edge_sqlite_set_flag(sqlite3 *database, int option, int value) {
    return sqlite3_db_config(database, option, value, (int *)0);
}
