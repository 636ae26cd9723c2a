import Foundation
import Store

/// How long the disk takes to sync what was written, as recordings and the database have it synced.
///
/// What it writes is bounded, since cards wear: at most ``maximumBytes`` of each size and ``maximumSamples`` commits.
struct DiskBenchmark: Sendable {
    struct Report: Encodable, Sendable {
        struct Write: Encodable, Sendable {
            let bytes: Int
            let time: Distribution
        }

        let disk: BenchmarkDisk
        /// A write(2) at the end of a file and fdatasync(2) after it.
        let writes: [Write]
        /// A reading of three values, committed by the store and synced (WAL, `synchronous = FULL`).
        let commit: Distribution
    }

    /// A page of the database, a second of a listener's sound (48 kHz, 16 bits, mono), and of eleven listeners' together.
    static let sizes = [4096, 96_000, 1 << 20]
    static let maximumSamples = 1000
    static let maximumBytes = 128 << 20
    /// A file begins again at its start beyond this.
    static let fileBytes = 32 << 20
    /// What it needs on the disk at a time, the database included.
    static let roomBytes = 64 << 20

    let folder: String
    let seconds: Double

    func measure(stop: BenchmarkStop) async throws -> Report {
        var entries: [Report.Write] = []
        for size in Self.sizes {
            printError("Disk, write and fdatasync of \(size) bytes")
            let time = try await BenchmarkThread.run("disk") { try writes(of: size, stop: stop) }
            entries.append(Report.Write(bytes: size, time: time))
        }
        printError("Disk, commits")
        let commit = try await BenchmarkThread.run("disk") { try commits(stop: stop) }
        return Report(disk: BenchmarkDisk(of: folder), writes: entries, commit: commit)
    }

    /// Repeats a step until the time is over, or the greatest number of times.
    private func times(atMost count: Int, stop: BenchmarkStop, _ step: (Int) throws -> Void) throws -> Distribution {
        let end = ContinuousClock.now + .seconds(seconds)
        var times: [Double] = []
        repeat {
            try stop.check()
            let began = ContinuousClock.now
            try step(times.count)
            times.append(began.secondsToNow)
        } while .now < end && times.count < count
        return Distribution(ofSeconds: times)
    }

    /// Memory: the path is borrowed for the call.
    private func writes(of size: Int, stop: BenchmarkStop) throws -> Distribution {
        let path = "\(folder)/write-\(size)"
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SegmentError(.create, path: path, errnoValue: errno) }
        defer {
            close(file)
            try? FileManager.default.removeItem(atPath: path)
        }
        let sound = MockGenerator.sound(seconds: size / 96_000 + 1, seed: 1)
        var fileBytes = 0
        return try times(atMost: min(Self.maximumSamples, Self.maximumBytes / size), stop: stop) { _ in
            if fileBytes + size > Self.fileBytes {
                guard ftruncate(file, 0) == 0, lseek(file, 0, SEEK_SET) == 0 else {
                    throw SegmentError(.write, path: path, errnoValue: errno)
                }
                fileBytes = 0
            }
            try Self.write(sound.span.extracting(first: size), to: file, path)
            fileBytes += size
            guard fdatasync(file) == 0 else { throw SegmentError(.sync, path: path, errnoValue: errno) }
        }
    }

    /// Memory: the bytes are the caller's and borrowed for the calls.
    private static func write(_ bytes: Span<UInt8>, to file: Int32, _ path: String) throws(SegmentError) {
        var written = 0
        while written < bytes.count {
            let count = unsafe bytes.extracting(droppingFirst: written).withUnsafeBytes {
                unsafe Foundation.write(file, $0.baseAddress, $0.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw SegmentError(.write, path: path, errnoValue: errno) }
            written += count
        }
    }

    private func commits(stop: BenchmarkStop) throws -> Distribution {
        var options = Store.Options()
        // A commit does not wait for others here.
        options.commitIntervalMilliseconds = 0
        let store = try Store(path: "\(folder)/edge.db", options: options)
        defer { store.close() }
        return try times(atMost: Self.maximumSamples, stop: stop) { number in
            let time = Int64(number + 1) * 1_000_000_000
            let records = [("co2", "ppm", 415.0), ("temperature", "Cel", 21.5), ("humidity", "%", 48.0)]
                .map { quantity, unit, value in
                    ObservationRecord(
                        source: "benchmark", quantity: quantity, unit: unit, timeNanoseconds: time, value: value,
                        timeQuality: "live", bootID: "benchmark", monotonicNanoseconds: time)
                }
            try store.commitBlocking([.observations(records)])
        }
    }
}
