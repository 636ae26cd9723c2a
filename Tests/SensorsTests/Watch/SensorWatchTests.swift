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

    private func watch(_ kind: String, intervalSeconds: Int64) -> SensorWatch {
        let entry = SensorCatalogue.byKind[kind]!
        return SensorWatch(
            ranges: entry.ranges, warmUpSeconds: entry.warmUpSeconds,
            intervalNanoseconds: intervalSeconds * Self.second)
    }

    @Test func aRestartBeginsTheTimeToWarmUpAgain() {
        var watch = watch("mhz19", intervalSeconds: 60)
        let good = [Quantity("co2", 608, unit: "ppm")]
        _ = watch.take(.success(good), now: 0)
        let kept = watch.take(.success(good), now: 180 * Self.second)
        #expect(kept.count == 1 && watch.state == .ok)
        let started = watch.take(.failure(.warming("it has just started")), now: 240 * Self.second)
        #expect(started.isEmpty && watch.state == .warming && watch.reason == "it has just started")
        #expect(!watch.needsBegin && watch.failures == 0)
        // Three minutes from its first answer after the start on.
        let early = watch.take(.success(good), now: 419 * Self.second)
        #expect(early.isEmpty && watch.state == .warming)
        let late = watch.take(.success(good), now: 420 * Self.second)
        #expect(late.count == 1 && watch.state == .ok)
    }

    @Test func aSensorThatStartsForEverIsFaulty() {
        var watch = watch("mhz19", intervalSeconds: 60)
        var states: [SensorWatch.State] = []
        for minute in Int64(0)...10 {
            _ = watch.take(.failure(.warming("it has just started")), now: minute * 60 * Self.second)
            states.append(watch.state)
        }
        // Three minutes to warm up, and three more.
        #expect(states == Array(repeating: .warming, count: 7) + Array(repeating: .faulty, count: 4))
    }

    @Test func aSaturatedSensorIsFaultyAndNeedNotBegin() {
        var watch = watch("scd4x", intervalSeconds: 60)
        _ = watch.take(.success(good), now: 0)
        _ = watch.take(.success(good), now: 60 * Self.second)
        let kept = watch.take(.failure(.saturated("too much")), now: 120 * Self.second)
        #expect(kept.isEmpty && watch.state == .faulty && watch.reason == "too much" && !watch.needsBegin)
        let back = watch.take(.success(good), now: 121 * Self.second)
        #expect(back.count == 2 && watch.state == .ok)
    }

    /// Its power stays on, and it is asked at its interval, however long it lasts.
    @Test func aSaturatedSensorIsNeitherResetNorAskedLess() {
        var watch = watch("mhz19", intervalSeconds: 60)
        let saturated: Result<[Quantity], SensorError> = .failure(.saturated("5000 ppm"))
        for minute in Int64(0)..<100 {
            _ = watch.take(saturated, now: minute * 60 * Self.second)
            #expect(watch.state == .faulty && watch.reason == "5000 ppm" && !watch.wantsReset && !watch.needsBegin)
            #expect(watch.pauseNanoseconds(after: saturated, spread: 0) == 60 * Self.second)
        }
        #expect(watch.failures == 0 && watch.failuresTotal == 100)
    }

    /// Their formula begins at -45 °C (SHT3x datasheet §4.13, SHT4x datasheet §4.6).
    @Test(arguments: ["sht3x", "sht4x"]) func coldAirIsMeasured(kind: String) {
        var watch = watch(kind, intervalSeconds: 60)
        let kept = watch.take(.success([Quantity("temperature", -44.9973, unit: "°C")]), now: 0)
        #expect(kept.count == 1 && watch.state == .ok)
    }

    @Test func aLineThatIsHeldAtZeroIsAFault() {
        var watch = watch("bh1750", intervalSeconds: 60)
        _ = watch.take(.failure(.bus(.heldLow)), now: 0)
        #expect(watch.state == .faulty && watch.needsBegin && watch.reason?.contains("held at 0") == true)
    }

    /// An SCD4x that was reset measures nothing until it is begun, and says "not ready" each time. An hour between readings is
    /// no reason to wait for three.
    @Test func aSensorThatIsNeverReadyIsBegunAgain() {
        var watch = watch("scd4x", intervalSeconds: 3600)
        _ = watch.take(.success(good), now: 0)
        _ = watch.take(.success(good), now: 3600 * Self.second)
        _ = watch.take(.failure(.notReady), now: 7200 * Self.second)
        #expect(watch.state == .ok && !watch.needsBegin)
        _ = watch.take(.failure(.notReady), now: 7381 * Self.second)
        #expect(watch.state == .stale && watch.needsBegin)
        // One that was never well is not stale but faulty.
        var other = self.watch("scd4x", intervalSeconds: 1)
        _ = other.take(.failure(.notReady), now: 0)
        _ = other.take(.failure(.notReady), now: 15 * Self.second)
        #expect(other.state == .warming)
        _ = other.take(.failure(.notReady), now: 16 * Self.second)
        #expect(other.state == .faulty && other.reason != nil)
    }
}
