import Testing

@testable import Sensors

/// Drivers and line watches against the examples of datasheets, which also run as Embedded Swift on arm64 (Tests/Embedded).
@Suite struct DriverTests {
    @Test(arguments: Datasheets.all.indices) func meetsTheDatasheet(_ index: Int) throws {
        try examine(Datasheets.all[index])
    }

    @Test(arguments: Datasheets.faultyAnswers.indices) func recognizesFaultyAnswers(_ index: Int) throws {
        try examine(Datasheets.faultyAnswers[index])
    }

    private func examine(_ sheet: Datasheets) throws {
        var checks = 0
        try sheet.examine { isSo, what in
            checks += 1
            #expect(isSo, "\(sheet.name): \(what)")
        }
        #expect(checks > 0)
    }

    @Test func saysWhichOptionIsWrong() {
        #expect(throws: SensorError.badOption("altitude_m=9000 is not a number from 0.0 to 3000.0")) {
            try SCD4x(SensorOptions(["altitude_m": "9000"]))
        }
    }
}
