import Testing

@testable import Sensors

@Suite struct SensorWatchTests {
    private static let second: Int64 = 1_000_000_000
    private let entry = SensorCatalogue.byKind["scd4x"]!
    private let good = [Quantity("co2", 500, unit: "ppm"), Quantity("temperature", 20, unit: "°C")]

    @Test func letsItWarmUpAndCorrects() {
        var correction = SensorWatch.Correction()
        correction.offset = -3
        var watch = SensorWatch(
            ranges: entry.ranges, warmUpSeconds: entry.warmUpSeconds, intervalNanoseconds: 60 * Self.second,
            corrections: ["temperature": correction])
        #expect(watch.needsBegin)
        #expect(watch.take(.success(good), now: 0).isEmpty && watch.state == .warming && !watch.needsBegin)
        let kept = watch.take(.success(good), now: 60 * Self.second)
        #expect(watch.state == .ok && kept.first { $0.name == "co2" }?.raw == nil)
        #expect(kept.first { $0.name == "temperature" }.map { [$0.value, $0.raw ?? 0] } == [17, 20])
    }

    @Test func tellsWhatIsWrongAndPausesLonger() {
        var watch = SensorWatch(
            ranges: entry.ranges, warmUpSeconds: entry.warmUpSeconds, intervalNanoseconds: 60 * Self.second)
        _ = watch.take(.success(good), now: 0)
        _ = watch.take(.success(good), now: 60 * Self.second)
        let cannotBe = [Quantity("co2", 0, unit: "ppm")]
        #expect(watch.take(.success(cannotBe), now: 61 * Self.second).isEmpty && watch.state == .faulty)
        let absent: Result<[Quantity], SensorError> = .failure(.bus(.absent))
        var pauses: [Int64] = []
        for round in 0..<12 {
            _ = watch.take(absent, now: (62 + Int64(round)) * Self.second)
            #expect(watch.state == .absent && watch.needsBegin)
            pauses.append(watch.pauseNanoseconds(after: absent, spread: 0) / Self.second)
        }
        #expect(pauses == [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600])
        // It is back, and warms up again.
        #expect(watch.take(.success(good), now: 7000 * Self.second).isEmpty && watch.state == .warming)
        #expect(watch.take(.success(good), now: 7060 * Self.second).count == 2 && watch.state == .ok)
        // Nothing new for three intervals.
        _ = watch.take(.failure(.notReady), now: 7070 * Self.second)
        #expect(watch.state == .ok)
        _ = watch.take(.failure(.notReady), now: 7300 * Self.second)
        #expect(watch.state == .stale && watch.needsBegin)
    }
}
