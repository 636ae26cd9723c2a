#define _GNU_SOURCE
#include "bus.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#endif

int edge_i2c_exchange(int bus, uint8_t address, const uint8_t *out, size_t out_count, uint8_t *in, size_t in_count) {
#ifdef __linux__
    // The kernel counts in 16 bits.
    if (out_count > UINT16_MAX || in_count > UINT16_MAX) {
        errno = EINVAL;
        return -1;
    }
    struct i2c_msg messages[2];
    unsigned count = 0;
    if (out_count > 0) {
        messages[count++] = (struct i2c_msg){.addr = address, .len = (uint16_t)out_count, .buf = (uint8_t *)out};
    }
    if (in_count > 0) {
        messages[count++] = (struct i2c_msg){.addr = address, .flags = I2C_M_RD, .len = (uint16_t)in_count, .buf = in};
    }
    if (count == 0) return 0;
    struct i2c_rdwr_ioctl_data data = {.msgs = messages, .nmsgs = count};
    return ioctl(bus, I2C_RDWR, &data) < 0 ? -1 : 0;
#else
    (void)bus, (void)address, (void)out, (void)out_count, (void)in, (void)in_count;
    errno = ENOTSUP;
    return -1;
#endif
}

static speed_t speed(int baud) {
    switch (baud) {
    case 1200: return B1200;
    case 2400: return B2400;
    case 4800: return B4800;
    case 9600: return B9600;
    case 19200: return B19200;
    case 38400: return B38400;
    case 57600: return B57600;
    case 115200: return B115200;
    default: return B0;
    }
}

int edge_serial_open(const char *path, int baud) {
    speed_t rate = speed(baud);
    if (rate == B0) {
        errno = EINVAL;
        return -1;
    }
    int port = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (port < 0) return -1;
    struct termios settings;
    if (tcgetattr(port, &settings) != 0) {
        int error = errno;
        close(port);
        errno = error;
        return -1;
    }
    cfmakeraw(&settings);
    settings.c_cflag |= CLOCAL | CREAD;
    settings.c_cflag &= ~(tcflag_t)CSTOPB;
    cfsetispeed(&settings, rate);
    cfsetospeed(&settings, rate);
    tcsetattr(port, TCSANOW, &settings);
    return port;
}

void edge_serial_flush(int port) { tcflush(port, TCIFLUSH); }

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int edge_serial_read(int port, uint8_t *in, size_t count, int timeout_ms) {
    int64_t end = now_ms() + timeout_ms;
    size_t have = 0;
    while (have < count) {
        int64_t left = end - now_ms();
        if (left <= 0) break;
        struct pollfd waiting = {.fd = port, .events = POLLIN};
        int ready = poll(&waiting, 1, (int)left);
        if (ready < 0 && errno != EINTR) return -1;
        if (ready <= 0) continue;
        ssize_t got = read(port, in + have, count - have);
        if (got < 0 && errno != EAGAIN && errno != EINTR) return -1;
        if (got == 0 || (got < 0 && (waiting.revents & (POLLHUP | POLLERR)))) {
            // Unplugged.
            errno = EIO;
            return -1;
        }
        if (got > 0) have += (size_t)got;
    }
    return (int)have;
}
