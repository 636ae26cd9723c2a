import Foundation
import Testing

@testable import EdgeAggregator

/// What one connection and one network address may do.
@Suite struct BudgetTests {
    private let second: Int64 = 1_000_000_000

    @Test func bucketFillsUpToAMinutesWorth() throws {
        var bucket = try #require(TokenBucket(perMinute: 60, nowNanoseconds: 0))
        let full = bucket.available(nowNanoseconds: 3600 * second)
        #expect(full == 60)
        #expect(bucket.take(60, nowNanoseconds: 3600 * second) == nil)
        #expect(bucket.take(2, nowNanoseconds: 3600 * second) == .seconds(2))
        let later = bucket.available(nowNanoseconds: 3612 * second)
        #expect(later == 10)
        // No more is owed than a minute's worth, whatever was taken.
        #expect(bucket.take(1_000_000, nowNanoseconds: 3612 * second) == .seconds(60))
        #expect(TokenBucket(perMinute: 0, nowNanoseconds: 0) == nil)
    }

    @Test func addressesAreCountedByTheirNetworks() {
        #expect(ClientAddress("192.0.2.7").text == "192.0.2.7")
        #expect(ClientAddress("::ffff:192.0.2.7").text == "192.0.2.7")
        #expect(ClientAddress("2001:db8:1:2:3:4:5:6") == ClientAddress("2001:db8:1:2::1"))
        #expect(ClientAddress("2001:db8:1:2::1") != ClientAddress("2001:db8:1:3::1"))
        #expect(ClientAddress(String(repeating: "x", count: 1000)).text.count == 64)
    }

    /// The forms that proxies write into X-Forwarded-For.
    @Test(arguments: [
        ("192.0.2.1", "192.0.2.1"), ("192.0.2.1:5000", "192.0.2.1"), ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"), ("[2001:db8::1]:443", "2001:db8::1"), ("::1", "::1"),
        ("2001:db8::1:443", "2001:db8::1:443"),
        ("unknown", "unknown"), ("", ""), (":80", ":80"), ("[", "["),
    ]) func addressesAreTakenWithoutTheirPorts(written: String, address: String) {
        #expect(ClientAddress.withoutPort(written) == address)
    }

    @Test func connectionsShareWhatTheirAddressMayDo() {
        let addresses = AddressBudgets(
            limits: AddressBudgets.Limits(
                shortRecordings: 20, recordings: 0, streams: 2, newListenersPerHour: 3, addresses: 2))
        let here = ClientAddress("192.0.2.1")
        let there = ClientAddress("192.0.2.2")
        #expect(addresses.takeShortRecordings(upTo: 16, at: here, nowNanoseconds: 0) == 16)
        #expect(addresses.takeShortRecordings(upTo: 16, at: here, nowNanoseconds: 0) == 4)
        #expect(addresses.takeShortRecordings(upTo: 16, at: here, nowNanoseconds: 0) == 0)
        addresses.returnShortRecordings(10, at: here, nowNanoseconds: 0)
        #expect(addresses.takeShortRecordings(upTo: 16, at: here, nowNanoseconds: 0) == 10)
        #expect(addresses.takeShortRecordings(upTo: 16, at: there, nowNanoseconds: 0) == 16)
        #expect(addresses.takeRecordings(1_000_000, at: here, nowNanoseconds: 0) == nil)
        // The number of addresses that are remembered is bounded: the one idle the longest goes.
        _ = addresses.takeShortRecordings(upTo: 1, at: ClientAddress("192.0.2.3"), nowNanoseconds: second)
        #expect(addresses.knownAddresses == 2)
    }

    @Test func newStreamsAndNewIdsAreBounded() throws {
        let addresses = AddressBudgets(
            // Five times as many at once.
            limits: AddressBudgets.Limits(streams: 1, newListenersPerHour: 2),
            knownListeners: [try #require(ListenerID("old"))])
        let here = ClientAddress("192.0.2.1")
        func begin(_ id: String, isNamed: Bool = false, at seconds: Int64 = 0) -> AddressBudgets.Refusal? {
            let result = addresses.beginStream(
                of: ListenerID(id)!, isNamed: isNamed, at: here, nowNanoseconds: seconds * second
            ) { () throws(Never) in true }
            if case .failure(let refusal) = result { return refusal }
            return nil
        }
        #expect(begin("old") == nil)
        #expect(begin("a") == nil)
        #expect(begin("b") == nil)
        #expect(begin("c") == .tooManyNewListeners)
        // Known ids, and ids that the settings name, are never new.
        #expect(begin("a") == nil)
        #expect(begin("c", isNamed: true) == nil)
        #expect(begin("b") == .tooManyStreams)
        #expect(begin("b", at: 60) == nil)
        #expect(begin("d", at: 60) == .tooManyNewListeners)
        #expect(begin("d", at: 3660) == nil)
    }

    @Test func streamsThatAreNotAdmittedCountForNothing() throws {
        // One new id an hour; five streams at once.
        let addresses = AddressBudgets(limits: AddressBudgets.Limits(streams: 1, newListenersPerHour: 1))
        let here = ClientAddress("192.0.2.1")
        struct Full: Error {}
        for number in 0..<100 {
            let listener = try #require(ListenerID("rejected-\(number)"))
            #expect(throws: Full.self) {
                _ = try addresses.beginStream(of: listener, isNamed: false, at: here, nowNanoseconds: 0) {
                    () throws(Full) -> Int in throw Full()
                }
            }
        }
        let good = try #require(ListenerID("good"))
        var begun = 0
        for _ in 0..<8 {
            let result = addresses.beginStream(of: good, isNamed: false, at: here, nowNanoseconds: 0) {
                () throws(Never) in true
            }
            if case .success = result { begun += 1 }
        }
        #expect(begun == 5)
    }

    @Test func aConnectionIsSlowedAndItsShortRecordingsCount() {
        let addresses = AddressBudgets(limits: AddressBudgets.Limits(shortRecordings: 100, recordings: 1000))
        var budget = BeginningBudget(
            limits: BeginningBudget.Limits(shortRecordings: 20, recordings: 60),
            address: ClientAddress("192.0.2.1"), addresses: addresses, nowNanoseconds: 0)
        let first = budget.grant(nowNanoseconds: 0)
        #expect(first == 16)
        let afterFirst = budget.settle(left: 0, begun: 16, nowNanoseconds: 0)
        #expect(afterFirst == nil)
        let second = budget.grant(nowNanoseconds: 0)
        #expect(second == 4)
        // One was open before and ended short beyond the grant.
        // Of 16 and 51 that began, 6 are not counted: 61 are one more than 60.
        let afterSecond = budget.settle(left: -1, begun: 51, nowNanoseconds: 0)
        #expect(afterSecond == .seconds(1))
        let third = budget.grant(nowNanoseconds: 0)
        #expect(third == 0)
        _ = budget.settle(left: 0, begun: 0, nowNanoseconds: 0)
        // 21 were short; one of them does not count for the address.
        #expect(addresses.takeShortRecordings(upTo: 100, at: ClientAddress("192.0.2.1"), nowNanoseconds: 0) == 80)
    }

    @Test func neighborsOfAnAttackerBeginAsIfTheyWereAlone() {
        let addresses = AddressBudgets(limits: AddressBudgets.Limits(shortRecordings: 20, recordings: 100))
        let here = ClientAddress("192.0.2.1")
        func connection() -> BeginningBudget {
            BeginningBudget(
                limits: BeginningBudget.Limits(), address: here, addresses: addresses, nowNanoseconds: 0)
        }
        var attacker = connection()
        for _ in 0..<3 {
            _ = attacker.grant(nowNanoseconds: 0)
            _ = attacker.settle(left: 0, begun: 1000, nowNanoseconds: 0)
        }
        #expect(addresses.takeShortRecordings(upTo: 1, at: here, nowNanoseconds: 0) == 0)
        // A file of its own every ten seconds is neither held back nor slowed, while the attacker goes on.
        var neighbor = connection()
        for index in Int64(0)..<100 {
            let now = index * 10 * second
            _ = attacker.grant(nowNanoseconds: now)
            let attackersPause = attacker.settle(left: 0, begun: 1000, nowNanoseconds: now)
            #expect(attackersPause != nil)
            let granted = neighbor.grant(nowNanoseconds: now)
            #expect(granted >= 1)
            let pause = neighbor.settle(left: granted, begun: 1, nowNanoseconds: now)
            #expect(pause == nil)
        }
        // What it makes itself counts: after a short one it shares what the address has left.
        var third = connection()
        _ = addresses.takeShortRecordings(upTo: 20, at: here, nowNanoseconds: 990 * second)
        let first = third.grant(nowNanoseconds: 990 * second)
        #expect(first == 1)
        _ = third.settle(left: 0, begun: 1, nowNanoseconds: 990 * second)
        let next = third.grant(nowNanoseconds: 990 * second)
        #expect(next == 0)
        // Names are free to choose, so the first recording of a new one counts for the address.
        var stranger = BeginningBudget(
            limits: BeginningBudget.Limits(), isNewListener: true, address: here, addresses: addresses,
            nowNanoseconds: 990 * second)
        let ofStranger = stranger.grant(nowNanoseconds: 990 * second)
        #expect(ofStranger == 0)
    }

    /// A thousand listeners behind one router, each at the pace of live sound, for two minutes.
    @Test(arguments: [1, 20, 3600]) func aFullFarmBehindOneAddressIsNeverSlowed(maximumSeconds: Int) {
        let addresses = AddressBudgets(limits: AddressBudgets.Limits())
        let limits = BeginningBudget.Limits(maximumRecordingSeconds: maximumSeconds)
        var pauses = 0
        for _ in 0..<1000 {
            var budget = BeginningBudget(
                limits: limits, address: ClientAddress("192.0.2.1"), addresses: addresses, nowNanoseconds: 0)
            for now in stride(from: 0, through: 120, by: maximumSeconds) {
                let granted = budget.grant(nowNanoseconds: Int64(now) * second)
                let pause = budget.settle(left: granted, begun: 1, nowNanoseconds: Int64(now) * second)
                if pause != nil { pauses += 1 }
            }
        }
        #expect(pauses == 0)
    }

    @Test func recordingsThatFollowEachOtherTooFastAreSlowed() {
        let addresses = AddressBudgets(limits: AddressBudgets.Limits())
        var budget = BeginningBudget(
            limits: BeginningBudget.Limits(recordings: 600, maximumRecordingSeconds: 1),
            address: ClientAddress("192.0.2.1"), addresses: addresses, nowNanoseconds: 0)
        // Twelve times as fast as live sound: 60 a minute live, so 120 are not counted, and 600 are.
        let first = budget.grant(nowNanoseconds: 0)
        let allowed = budget.settle(left: first, begun: 720, nowNanoseconds: 0)
        #expect(allowed == nil)
        let second = budget.grant(nowNanoseconds: 0)
        let beyond = budget.settle(left: second, begun: 10, nowNanoseconds: 0)
        #expect(beyond == .seconds(1))
    }

    @Test func windowsInMemoryAreOneBound() {
        for total in [13, 24, 96, 500, 4096] {
            let budget = WindowBudget(total: total)
            #expect(budget.live + budget.backlog == total)
            #expect((1...8).contains(budget.readers))
            #expect(budget.live >= budget.backlog)
        }
        #expect(WindowBudget(total: 2) == WindowBudget(total: 5))
    }

    @Test func removesFoldersThatAreEmptyAndOld() throws {
        let folder = NSTemporaryDirectory() + "/edge-folders-\(UUID().uuidString)"
        let files = FileManager.default
        defer { try? files.removeItem(atPath: folder) }
        for name in ["old", "new", "full", "connected", "no listener"] {
            try files.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        }
        try Data([1]).write(to: URL(fileURLWithPath: "\(folder)/full/full_1.wav"))
        for name in ["old", "full", "connected", "no listener"] {
            try files.setAttributes(
                [.modificationDate: Date(timeIntervalSinceNow: -90_000)], ofItemAtPath: "\(folder)/\(name)")
        }
        let removed = ListenerFolders.removeEmpty(
            in: folder, before: Date(timeIntervalSinceNow: -86_400), isInUse: { $0 == "connected" })
        #expect(removed == 1)
        #expect(Set(try files.contentsOfDirectory(atPath: folder)) == ["new", "full", "connected", "no listener"])
    }
}
