import Foundation

/// A clock of the machine that is wrong for one program, and may be set while it runs.
public final class ShiftedClock {
    private let folder: String
    private let file: FileHandle
    private let library: String

    /// - Parameters:
    ///   - seconds: by how much the time of day is ahead.
    ///   - isSynchronised: whether the kernel calls it so.
    public init(seconds: Double, isSynchronised: Bool) throws {
        folder = try TestFolders.temporary("edge-clock")
        let path = "\(folder)/shift"
        _ = FileManager.default.createFile(atPath: path, contents: Data(count: 16))
        file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        library = try Interposer.make("shifted_clock", in: folder)
        try set(seconds: seconds, isSynchronised: isSynchronised)
    }

    deinit { TestFolders.remove(folder) }

    public func set(seconds: Double, isSynchronised: Bool) throws {
        var values = [Int64(seconds * 1e9), isSynchronised ? 1 : 0]
        try file.seek(toOffset: 0)
        try file.write(contentsOf: Data(bytes: &values, count: 16))
    }

    /// For the program's environment.
    public var environment: [String: String] {
        ["LD_PRELOAD": library, "CLOCK_SHIFT_FILE": "\(folder)/shift"]
    }
}
