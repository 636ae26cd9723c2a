// Makes what mke2fs writes depend on the files alone. build.sh loads it into mke2fs (LD_PRELOAD), whose version 1.47.0 (bookworm) copies a
// folder in the order of its disk and with the times at which the copies were made. Here entries come sorted by name, and each file
// was read and changed when its content was last modified.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct listing {
    struct listing *next;
    DIR *folder;
    struct dirent **entries;
    int count, position;
};

static struct listing *listings;

static int by_name(const void *left, const void *right) {
    return strcmp((*(struct dirent *const *)left)->d_name, (*(struct dirent *const *)right)->d_name);
}

static struct listing *read_all(DIR *folder) {
    struct dirent *(*next_entry)(DIR *) = (struct dirent * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir64");
    struct listing *listing = calloc(1, sizeof *listing);
    if (!next_entry || !listing) abort();
    listing->folder = folder;
    for (struct dirent *entry; (entry = next_entry(folder));) {
        listing->entries = realloc(listing->entries, (listing->count + 1) * sizeof *listing->entries);
        struct dirent *copy = malloc(entry->d_reclen);
        if (!listing->entries || !copy) abort();
        listing->entries[listing->count++] = memcpy(copy, entry, entry->d_reclen);
    }
    if (listing->count > 0) qsort(listing->entries, listing->count, sizeof *listing->entries, by_name);
    listing->next = listings;
    listings = listing;
    return listing;
}

// On 64-bit Linux both names have one form of entries.
struct dirent *readdir(DIR *folder) {
    struct listing *listing = listings;
    while (listing && listing->folder != folder) listing = listing->next;
    if (!listing) listing = read_all(folder);
    return listing->position < listing->count ? listing->entries[listing->position++] : NULL;
}

struct dirent64 *readdir64(DIR *folder) { return (struct dirent64 *)readdir(folder); }

int closedir(DIR *folder) {
    int (*close_folder)(DIR *) = (int (*)(DIR *))dlsym(RTLD_NEXT, "closedir");
    for (struct listing **place = &listings; *place; place = &(*place)->next) {
        struct listing *listing = *place;
        if (listing->folder != folder) continue;
        *place = listing->next;
        for (int index = 0; index < listing->count; index++) free(listing->entries[index]);
        free(listing->entries);
        free(listing);
        break;
    }
    return close_folder ? close_folder(folder) : -1;
}

int lstat(const char *path, struct stat *status) {
    int result = fstatat(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW);
    if (result == 0) status->st_atim = status->st_ctim = status->st_mtim;
    return result;
}

int lstat64(const char *path, struct stat64 *status) { return lstat(path, (struct stat *)status); }
