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
            do throws(AddressBudgets.Refusal) {
                try addresses.beginStream(
                    of: ListenerID(id)!, isNamed: isNamed, at: here, nowNanoseconds: seconds * second)
                return nil
            } catch {
                return error
            }
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
        let afterSecond = budget.settle(left: -1, begun: 45, nowNanoseconds: 0)
        #expect(afterSecond == .seconds(1))
        let third = budget.grant(nowNanoseconds: 0)
        #expect(third == 0)
        _ = budget.settle(left: 0, begun: 0, nowNanoseconds: 0)
        #expect(addresses.takeShortRecordings(upTo: 100, at: ClientAddress("192.0.2.1"), nowNanoseconds: 0) == 79)
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
