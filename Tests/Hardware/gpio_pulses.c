// Square waves on lines of the simulated chip, all at once.
//
//   gpio_pulses COUNT HERTZ LINE...
//
// Prints the hertz that were reached, and by how many microseconds the latest edge was late.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int main(int count, char **arguments) {
    if (count < 4) return 64;
    long pulses = atol(arguments[1]);
    int64_t half = (int64_t)(5e8 / atof(arguments[2]));
    char device[64], chip[64], path[300];
    FILE *file = fopen("/sys/kernel/config/gpio-sim/pi/dev_name", "r");
    if (file == NULL || fscanf(file, "%63s", device) != 1) return 1;
    fclose(file);
    file = fopen("/sys/kernel/config/gpio-sim/pi/bank0/chip_name", "r");
    if (file == NULL || fscanf(file, "%63s", chip) != 1) return 1;
    fclose(file);
    int lines[16], have = 0;
    for (int i = 3; i < count && have < 16; i++) {
        snprintf(path, sizeof path, "/sys/devices/platform/%s/%s/sim_gpio%s/pull", device, chip, arguments[i]);
        lines[have] = open(path, O_WRONLY);
        if (lines[have++] < 0) return 1;
    }
    int64_t start = now(), latest = 0;
    for (long edge = 0; edge < 2 * pulses; edge++) {
        int64_t due = start + edge * half;
        struct timespec until = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
        int64_t late = now() - due;
        if (late > latest) latest = late;
        for (int i = 0; i < have; i++) {
            const char *to = edge % 2 == 0 ? "pull-up" : "pull-down";
            if (pwrite(lines[i], to, edge % 2 == 0 ? 7 : 9, 0) < 0) return 1;
        }
    }
    printf("{\"hertz\":%.1f,\"late_us\":%lld}\n", (double)pulses * 1e9 / (double)(now() - start), (long long)latest / 1000);
    return 0;
}
