import EdgeTesting
import Foundation
import Logging
import Sensors
import Testing

@testable import EdgeAggregator

@Suite struct ApplianceRulesTests {
    @Test(arguments: [
        ("10.0.0.2", "10.0.0.2", true), ("10.0.0.2", "10.0.0.3", false), ("10.0.0.0/24", "10.0.0.255", true),
        ("10.0.0.0/24", "10.0.1.0", false), ("0.0.0.0/0", "203.0.113.9", true), ("10.0.0.128/25", "10.0.0.127", false),
        ("fd00::/8", "fd12::1", true), ("fd00::/8", "fe80::1", false), ("10.0.0.0/24", "::ffff:10.0.0.7", true),
        ("::1", "127.0.0.1", false),
    ]) func rangesOfAddresses(range: String, address: String, isIn: Bool) {
        #expect(AddressRange(range)?.contains(address) == isIn)
    }

    @Test(arguments: ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/-1", "fd00::/129", "box", "10.0.0.0/24/1", "1.2.3.4 "])
    func whatIsNoRange(text: String) { #expect(AddressRange(text) == nil) }

    @Test func believesTheLastAddressThatIsNoProxy() throws {
        let proxies = TrustedProxies(ranges: [try #require(AddressRange("10.0.0.0/8"))])
        func client(_ connection: String, _ named: [String]) -> String {
            proxies.client(connection: connection, forwardedFor: named)
        }
        #expect(client("203.0.113.1", ["1.2.3.4"]) == "203.0.113.1")
        #expect(client("10.0.0.1", ["1.2.3.4"]) == "1.2.3.4")
        #expect(client("10.0.0.1", ["6.6.6.6, 1.2.3.4, 10.9.9.9"]) == "1.2.3.4")
        #expect(client("10.0.0.1", ["6.6.6.6", "1.2.3.4"]) == "1.2.3.4")
        #expect(client("10.0.0.1", []) == "10.0.0.1")
        #expect(client("10.0.0.1", ["10.0.0.2, 10.0.0.3"]) == "10.0.0.2")
    }

    @Test func ratesRefillAndForgetTheOldest() {
        let rates = ClientRates(perMinute: 6, mostClients: 3)
        let start = ContinuousClock.now
        for _ in 0..<6 { #expect(rates.take("a", at: start)) }
        #expect(!rates.take("a", at: start))
        #expect(rates.take("b", at: start))
        // One comes back every ten seconds.
        #expect(!rates.take("a", at: start + .seconds(9)))
        #expect(rates.take("a", at: start + .seconds(10)))
        #expect(!rates.take("a", at: start + .seconds(10)))
        for client in ["c", "d", "e", "f"] { #expect(rates.take(client, at: start + .seconds(11))) }
        #expect(rates.knownClients == 3)
        #expect(rates.refused == 3)
        let none = ClientRates(perMinute: 0, mostClients: 3)
        for _ in 0..<100 { #expect(none.take("a", at: start)) }
        #expect(none.knownClients == 0)
    }

    @Test(
        arguments: [
            ("0", 0b1), ("0,2", 0b101), ("1-3", 0b1110), ("0,2-3", 0b1101), ("63", 1 << 63), (" 1 , 2 ", 0b110),
        ] as [(String, UInt64)]) func processors(text: String, mask: UInt64)
    {
        #expect(ProcessorSet(text)?.mask == mask)
    }

    @Test(arguments: ["", "a", "3-1", "64", "-1", "1-", "0,,x"]) func whatAreNoProcessors(text: String) {
        #expect(ProcessorSet(text) == nil)
    }

    @Test func knowsTheBoardsByTheirDeviceTree() {
        #expect(BoardProfile(model: "Raspberry Pi 4 Model B Rev 1.5") == .pi4)
        #expect(BoardProfile(model: "Raspberry Pi Compute Module 4 Rev 1.0") == .pi4)
        #expect(BoardProfile(model: "Raspberry Pi 5 Model B Rev 1.0") == .pi5)
        #expect(BoardProfile(model: "Raspberry Pi 3 Model B Plus Rev 1.3") == .generic)
        #expect(BoardProfile(model: nil) == .generic)
    }

    @Test func slowsByWhateverIsWorst() {
        let limits = BoardWatch.Limits(warm: 75, hot: 82, memoryPressure: 20)
        func percent(_ celsius: Double?, low: Bool = false, memory: Double? = nil) -> Int {
            BoardWatch.percent(
                BoardStrain(temperature: celsius, isSupplyLow: low, memoryPressure: memory), limits)
        }
        #expect(percent(nil) == 100)
        #expect(percent(75) == 100)
        #expect(percent(78.5) == 55)
        #expect(percent(82) == 10)
        #expect(percent(120) == 10)
        #expect(percent(60, low: true) == 25)
        #expect(percent(81.9, low: true) < 25)
        #expect(percent(60, memory: 19.9) == 100)
        #expect(percent(60, memory: 20) == 25)
        let pace = AnalysisPace()
        #expect(pace.rest(after: .seconds(1)) == .zero)
        pace.percent = 25
        #expect(pace.rest(after: .seconds(1)) == .seconds(3))
        pace.percent = 0
        #expect(pace.percent == 5)
    }

    @Test func countsBadStarts() throws {
        let folder = try TestFolders.temporary("edge-starts")
        defer { TestFolders.remove(folder) }
        let start = StartGuard(baseFolder: folder, mostBadStarts: 3, bootID: "life-1")
        for _ in 0..<3 { #expect(start.begin() == .normal) }
        #expect(start.backOff(after: start.badStarts) == .zero)
        #expect(start.begin() == .safe)
        #expect(start.backOff(after: start.badStarts) == .seconds(5))
        #expect(start.backOff(after: 100) == .seconds(60))
        // Another life of the machine: its power was cut, which is no fault.
        #expect(StartGuard(baseFolder: folder, mostBadStarts: 3, bootID: "life-2").badStarts == 0)
        start.tryAgain()
        #expect(start.begin() == .normal)
        #expect(start.begin() == .safe)
        start.lasted()
        #expect(start.begin() == .normal)
        try Data("rubbish".utf8).write(to: URL(fileURLWithPath: "\(folder)/starts"))
        #expect(start.badStarts == 0)
        #expect(StartGuard(baseFolder: folder, mostBadStarts: 0, bootID: "life-1").begin() == .normal)
    }

    @Test func writesTheJournalsNativeForm() {
        let entry = JournalEntry(
            level: .warning, message: "one\ntwo", details: [("listener", "a=b"), ("öd key", "x")])
        var wanted: [UInt8] = Array("MESSAGE\n".utf8)
        wanted += [7, 0, 0, 0, 0, 0, 0, 0] + Array("one\ntwo\n".utf8)
        wanted += Array("PRIORITY=4\nSYSLOG_IDENTIFIER=edge-aggregator\nEDGE_LISTENER=a=b\nEDGE___D_KEY=x\n".utf8)
        #expect(entry.bytes == wanted)
    }

    @Test func theCardKnowsEverySecret() throws {
        let listed = try String(contentsOfFile: "\(TestFolders.root)/image/card/secrets", encoding: .utf8)
        let wanted = SettingsCatalogue.all.filter(\.isSecret).map(\.name).sorted()
        #expect(listed.split(separator: "\n").map(String.init) == wanted)
    }
}
