#pragma once

#include <stddef.h>
#include <stdint.h>

/// One transaction with a device on an I2C bus (kernel documentation, "I2C Device Interface", I2C_RDWR): a write, a read, or
/// a write and a read without a stop between them. 0, or -1 with errno; ENXIO and EREMOTEIO when nobody answers.
///
/// Memory: the caller owns `out` and `in`; the kernel uses them during the call only.
int edge_i2c_exchange(int bus, uint8_t address, const uint8_t *out, size_t out_count, uint8_t *in, size_t in_count);

/// Opens a serial port: raw, 8 bits, no parity, one stop bit (termios(3)). -1 with errno; EINVAL for a rate it cannot have.
int edge_serial_open(const char *path, int baud);
/// Throws away what has arrived and was not read.
void edge_serial_flush(int port);
/// Reads until there are so many bytes or the time is over. The number read, or -1 with errno.
///
/// Memory: the caller owns `in`, of at least `count` bytes, until the return.
int edge_serial_read(int port, uint8_t *in, size_t count, int timeout_ms);
