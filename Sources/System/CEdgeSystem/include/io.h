#pragma once

/// Starts writing a file's dirty pages to the disk without waiting (sync_file_range(2)). Errors come with the next
/// fdatasync(2), so none is returned here.
void edge_start_writeback(int descriptor);
