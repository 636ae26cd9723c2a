/// Takes the new lines out of a stretch of a unit's file.
public enum CO2Lines {
    /// Cuts a stretch of a file into its whole lines.
    ///
    /// - Parameters:
    ///   - isEnd: whether the operator says that the file is complete: a last line without its line feed is handed out too, as
    ///     cut. What units send never says so (``CO2FileProgress``).
    ///   - body: is told a line that is not empty, and how many bytes are before it.
    /// - Returns: how many bytes were taken.
    public static func split(
        _ bytes: ArraySlice<UInt8>, isEnd: Bool,
        _ body: (_ line: Substring, _ offset: Int, _ isCut: Bool) throws -> Void
    ) rethrows -> Int {
        var start = bytes.startIndex
        while let end = bytes[start...].firstIndex(of: 0x0A) {
            if end > start {
                let line = Substring(String(decoding: bytes[start..<end], as: UTF8.self))
                try body(line, start - bytes.startIndex, false)
            }
            start = end + 1
        }
        if isEnd, start < bytes.endIndex {
            let line = Substring(String(decoding: bytes[start...], as: UTF8.self))
            try body(line, start - bytes.startIndex, true)
            start = bytes.endIndex
        }
        return start - bytes.startIndex
    }
}
