/// What the board says of itself: load, memory, storage, temperature, power, network, clock.
///
/// All of it comes from proc(5) and sysfs, so no tool of the board's maker is needed. What a board does not tell is left
/// out. A value: it remembers counters only to tell rates and shares since the last reading.
public struct BoardHealth: Sendable {
    let files: KernelFiles
    /// On the file system whose room is told.
    let diskPath: String
    var lastTicks: (busy: Double, all: Double)?

    /// - Parameters:
    ///   - root: before every path; empty for this machine.
    ///   - diskPath: somewhere on the file system whose room is told.
    public init(root: String = "", diskPath: String) {
        files = KernelFiles(root: root)
        self.diskPath = diskPath
    }

    public mutating func read() -> [Quantity] {
        processor() + pressure() + memory() + storage() + temperatures() + power() + network() + clock()
    }
}
