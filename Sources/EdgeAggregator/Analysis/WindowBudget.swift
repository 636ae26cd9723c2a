/// How the windows that may be in memory are shared between live sound and recordings that are read from the disk.
struct WindowBudget: Equatable, Sendable {
    /// One that is being filled, those that one read completes, and one at a worker.
    static let windowsPerReader = 4
    private static let maximumReaders = 8

    let live: Int
    /// Recordings that are open for reading at a time.
    let readers: Int

    var backlog: Int { readers * Self.windowsPerReader }

    /// - Parameter total: of both together, at least 5.
    init(total: Int) {
        readers = min(Self.maximumReaders, max(1, total / (3 * Self.windowsPerReader)))
        live = max(1, total - readers * Self.windowsPerReader)
    }
}
