// A plugin for qemu's user mode emulation that counts the instructions that a program executes, in all its threads:
//
//   qemu-aarch64 -plugin libcount_instructions.so,counts=FILE PROGRAM ...
//
// FILE gets the count while the program runs: one 64-bit number for each virtual processor, each in a cache line of its own. Their sum is
// the count. Debian has no header for plugins, so what is used of the interface is declared here (docs/devel/tcg-plugins in qemu, version 1 of it).
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
typedef struct qemu_info_t qemu_info_t;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned int, void *), enum qemu_plugin_cb_flags, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);

EXPORT int qemu_plugin_version = 1;

// Threads that ended leave their number to later ones, so this bounds those that exist at a time.
enum { processors = 4096, words_in_line = 8 };
static volatile uint64_t *counts;

static void executed(unsigned int processor, void *instructions) {
    counts[(size_t)(processor % processors) * words_in_line] += (uint64_t)(uintptr_t)instructions;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(block, executed, QEMU_PLUGIN_CB_NO_REGS, (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count, char **arguments) {
    (void)info;
    const char *path = count == 1 && strncmp(arguments[0], "counts=", 7) == 0 ? arguments[0] + 7 : NULL;
    if (path == NULL) {
        fputs("count_instructions: name the file for the counts: counts=FILE\n", stderr);
        return 1;
    }
    size_t bytes = (size_t)processors * words_in_line * sizeof *counts;
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, (off_t)bytes) != 0) {
        perror(path);
        return 1;
    }
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED) {
        perror(path);
        return 1;
    }
    counts = memory;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
