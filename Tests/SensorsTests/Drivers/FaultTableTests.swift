import Testing

@testable import Sensors

/// Each kind of sensor, without power, on a shorted bus, and as after power-on: never a reading.
@Suite struct FaultTableTests {
    /// A sensor as the service asks it: a part, its driver, and the watch of its kind.
    private struct Asked {
        let part: PartDouble
        private var driver: any SensorDriver
        private(set) var watch: SensorWatch
        private var now: Int64 = 0

        init(_ entry: SensorCatalogue.Entry) throws {
            part = PartDouble(kind: entry.kind)
            guard case .driver(let make) = entry.make else { throw SensorError.badOption(entry.kind) }
            driver = try make(SensorOptions([:]))
            watch = SensorWatch(
                ranges: entry.ranges, warmUpSeconds: entry.warmUpSeconds, intervalNanoseconds: 60_000_000_000)
        }

        /// Once a minute, so many times; what is kept of it.
        mutating func ask(times: Int) -> [[Quantity]] {
            (0..<times).map { _ in
                now += 60_000_000_000
                return watch.take(attempt(), now: now)
            }
        }

        private mutating func attempt() -> Result<[Quantity], SensorError> {
            do throws(SensorError) {
                if watch.needsBegin { try begin(&driver) }
                return .success(try read(&driver))
            } catch {
                return .failure(error)
            }
        }

        private func begin(_ driver: inout any SensorDriver) throws(SensorError) { try driver.begin(part) }
        private func read(_ driver: inout any SensorDriver) throws(SensorError) -> [Quantity] { try driver.read(part) }
    }

    private static var kinds: [String] {
        SensorCatalogue.all.compactMap { if case .driver = $0.make { $0.kind } else { nil } }
    }

    private static var cases: [(String, PartDouble.Condition)] {
        kinds.flatMap { kind in
            PartDouble.Condition.allCases.filter { condition in
                // A BH1750 whose register is 0 is in the dark, for all that it says: only a line that is held at 0 shows.
                condition != .well && !(kind == "bh1750" && (condition == .zeros || condition == .powerOn))
            }.map { (kind, $0) }
        }
    }

    @Test(arguments: cases) func isNoReadingFromTheStart(kind: String, condition: PartDouble.Condition) throws {
        var asked = try Asked(#require(SensorCatalogue.byKind[kind]))
        asked.part.condition = condition
        let kept = asked.ask(times: 12)
        #expect(kept.joined().isEmpty, "\(kept)")
        #expect(asked.watch.state != .ok && asked.watch.reason != nil, "\(asked.watch.state)")
        if condition != .powerOn { #expect(asked.watch.state == .faulty) }
    }

    @Test(arguments: cases) func isNoReadingAfterItWasWellAndComesBack(
        kind: String, condition: PartDouble.Condition
    ) throws {
        var asked = try Asked(#require(SensorCatalogue.byKind[kind]))
        let first = asked.ask(times: 6)
        #expect(asked.watch.state == .ok && first.last?.isEmpty == false)
        asked.part.condition = condition
        var kept = asked.ask(times: 1)
        if condition != .powerOn {
            #expect(asked.watch.state == .faulty, "\(asked.watch.state): \(asked.watch.reason ?? "")")
        }
        kept += asked.ask(times: 7)
        #expect(kept.joined().isEmpty, "\(kept)")
        #expect(asked.watch.state != .ok && asked.watch.reason != nil, "\(asked.watch.state)")
        asked.part.condition = .well
        let back = asked.ask(times: 6)
        #expect(asked.watch.state == .ok && back.last == first.last)
    }

    /// It says 500 ppm for a minute and 608 ppm then; both mean nothing before its three minutes are over.
    @Test func aSensorThatRestartedWarmsUpAgain() throws {
        var asked = try Asked(#require(SensorCatalogue.byKind["mhz19"]))
        _ = asked.ask(times: 6)
        #expect(asked.watch.state == .ok)
        asked.part.condition = .powerOn
        let starting = asked.ask(times: 1)
        #expect(starting == [[]] && asked.watch.state == .warming && asked.watch.reason?.contains("started") == true)
        asked.part.condition = .well
        let warming = asked.ask(times: 2)
        #expect(warming == [[], []] && asked.watch.state == .warming)
        let well = asked.ask(times: 1)
        #expect(well == [[Quantity("co2", 608, unit: "ppm")]] && asked.watch.state == .ok)
    }

    /// The raw pressure of such a chip gives 700 hPa with the datasheet's calibration; a soft reset cures it.
    @Test func aBME280IsCuredOfABrownOut() throws {
        final class BrownOut: Bus {
            let part = PartDouble(kind: "bme280")
            var isSick = true
            let secondsSince1970 = 0.0
            func pause(milliseconds: Int) {}
            func exchange(_ bytes: [UInt8], reading count: Int) throws(BusError) -> [UInt8] {
                if bytes == [0xE0, 0xB6] { isSick = false }
                var answer = try part.exchange(bytes, reading: count)
                if isSick, bytes == [0xF2] { answer.replaceSubrange(5..<8, with: [0x90, 0xF0, 0x00]) }
                if isSick, bytes == [0xF7] {
                    answer = Array([0x90, 0xF0, 0x00, 0x7E, 0xED, 0x00, 0x6D, 0x60].prefix(count))
                }
                return answer
            }
        }
        let bus = BrownOut()
        var driver = try BME280(SensorOptions([:]))
        try driver.begin(bus)
        for _ in 0..<3 {
            bus.isSick = true
            let pressure = try #require(try driver.read(bus).first { $0.name == "pressure" })
            #expect(abs(pressure.value - 1006.5327) < 0.0003, "\(pressure)")
        }
    }
}
