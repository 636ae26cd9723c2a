import EdgeTesting
import Testing

@testable import EdgeAggregator

@Suite struct ReceptionRulesTests {
    @Test func takesOnlyListenerIdsThatCanBeFileNames() {
        for text in ["a", "listener01", "A-b_c.9", String(repeating: "x", count: 64)] {
            #expect(ListenerID(text) != nil)
        }
        for text in ["", ".", "..", "a/b", "a b", "ä", "a\u{0}", String(repeating: "x", count: 65)] {
            #expect(ListenerID(text) == nil)
        }
    }

    @Test func findsTheTokenWhereverStockClientsCanPutIt() {
        #expect(
            StreamRequest(query: "token=t?listener_id=a", authorization: nil, pathToken: nil)
                == StreamRequest(query: "listener_id=a&token=t", authorization: nil, pathToken: nil))
        #expect(StreamRequest(query: "listener_id=a", authorization: "Basic eDp0", pathToken: nil).token == "t")
        #expect(StreamRequest(query: "listener_id=a", authorization: "bearer t", pathToken: nil).token == "t")
        #expect(StreamRequest(query: "listener_id=a", authorization: "Basic !!!", pathToken: nil).token == nil)
        #expect(StreamRequest(query: "listener_id=a%2Bb+c", authorization: nil, pathToken: nil).listenerID == "a+b c")
        #expect(StreamRequest(query: nil, authorization: nil, pathToken: nil).listenerID == nil)
    }

    @Test func admitsByListAndToken() throws {
        let a = try #require(ListenerID("a"))
        let b = try #require(ListenerID("b"))
        let open = ListenerAdmission(allowed: [], tokens: [:])
        #expect(open.judge(a, token: nil) == .admitted)
        let listed = ListenerAdmission(allowed: ["a"], tokens: [:])
        #expect(listed.judge(a, token: nil) == .admitted)
        #expect(listed.judge(b, token: nil) != .admitted)
        let guarded = ListenerAdmission(allowed: [], tokens: ["a": "1", "*": "2"])
        #expect(guarded.judge(a, token: "1") == .admitted)
        #expect(guarded.judge(a, token: "2") == .admitted)
        #expect(guarded.judge(b, token: "2") == .admitted)
        #expect(guarded.judge(b, token: "1") != .admitted)
        #expect(guarded.judge(b, token: nil) != .admitted)
    }

    @Test func slowsASenderToItsQuotaAndNeverStopsIt() throws {
        var quota = try #require(ByteQuota(bytesPerSecond: 1000, nowNanoseconds: 0))
        // Ten seconds' worth at once, then a thousand bytes a second.
        let pauses = [
            quota.take(10_000, nowNanoseconds: 0), quota.take(500, nowNanoseconds: 0),
            quota.take(1000, nowNanoseconds: 2_000_000_000),
        ]
        #expect(pauses == [nil, .seconds(0.5), nil])
        #expect(ByteQuota(bytesPerSecond: 0, nowNanoseconds: 0) == nil)
    }

    @Test func readsWhatAnUploadsNameSays() {
        let name = UploadName(filename: "my_listener_20251121T012744Z.wav")
        #expect(name.listener == "my_listener")
        #expect(name.startNanoseconds == 1_763_688_464_000_000_000)
        #expect(UploadName(filename: "sound.wav").startNanoseconds == nil)
        #expect(UploadName(filename: "a_20251121T012744.wav").startNanoseconds == nil)
        for stamp in ["99991231T235959Z", "17000101T000000Z", "00000101T000000Z", "22000101T000000Z"] {
            #expect(UploadName(filename: "a_\(stamp).wav") == UploadName(filename: "a"), "\(stamp)")
        }
        let walk = UploadName(filename: "forest walk_20251121T012744Z.wav")
        #expect(walk.listener == nil && walk.startNanoseconds == 1_763_688_464_000_000_000)
    }

    @Test func knowsWhoIsOnTheBoxItself() {
        for address in ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"] {
            #expect(NearbyGuard.isLoopback(address))
        }
        for address in ["10.0.0.1", "128.0.0.1", "::2", "fe80::1", nil] { #expect(!NearbyGuard.isLoopback(address)) }
    }
}
