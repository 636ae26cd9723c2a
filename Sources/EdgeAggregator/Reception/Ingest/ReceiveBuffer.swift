import Foundation

/// Room for what is read from a socket at once. Used on one thread.
///
/// Aligned to a page, since the kernel copies from there to pages of files.
///
/// Memory: `storage` is allocated in `init` and freed in `deinit`; it does not leave this object. Its bytes leave as a `Span`, which
/// cannot be kept after ``receive(from:_:)``.
@safe final class ReceiveBuffer {
    private let storage: UnsafeMutableRawBufferPointer

    init(bytes: Int) {
        unsafe storage = .allocate(byteCount: bytes, alignment: 4096)
    }

    deinit {
        unsafe storage.deallocate()
    }

    /// Reads once and hands what came to `body`, if anything did. What `recv` returned.
    func receive(from descriptor: Int32, _ body: (Span<UInt8>) -> Void) -> Int {
        let count = unsafe recv(descriptor, storage.baseAddress, storage.count, 0)
        if count > 0 { unsafe body(Span(_unsafeBytes: UnsafeRawBufferPointer(storage)[..<count])) }
        return count
    }
}
