import AudioDSP
import Foundation
import Store

extension Error {
    /// Whether the system refuses at this moment, which says nothing about the file: a later attempt may succeed. A file that is not
    /// there is not of the moment.
    var isOfTheMoment: Bool {
        let number =
            (self as? SegmentError)?.errnoValue ?? (self as? SoundFileError)?.errnoValue
            ?? (self as? WAVFileError)?.errnoValue ?? 0
        return self is StoreError || self is OutOfMemory
            || [EIO, EMFILE, ENFILE, ENOMEM, EACCES, EPERM, EAGAIN, EINTR, ENOSPC, EDQUOT, EROFS, ECANCELED].contains(
                number)
    }
}
