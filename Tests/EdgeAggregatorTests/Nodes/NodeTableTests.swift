import FieldNodes
import Store
import Testing

@testable import EdgeAggregator

/// Who may be added to the known nodes, and who makes room.
@Suite struct NodeTableTests {
    private static let day: Int64 = 86_400 * 1_000_000_000

    private func node(_ name: String) throws -> NodeID { try #require(NodeID(.piwardrive, name)) }

    private func table(nodes: Int = 200, perAddress: Int = 50) -> NodeTable {
        NodeTable(limits: .init(nodes: nodes, nodesPerAddress: perAddress))
    }

    @Test func oneAddressTakesItsShareAndNoMore() throws {
        var table = table()
        for number in 0..<80 {
            let addition = table.add(
                try node("a\(number)"), .admitted, address: "192.0.2.1", isNamed: false, nowNanoseconds: 0)
            #expect(addition == (number < 50 ? .added(replaced: nil) : .addressIsFull))
        }
        let other = table.add(try node("b"), .admitted, address: "192.0.2.2", isNamed: false, nowNanoseconds: 0)
        #expect(other == .added(replaced: nil))
        // One that is known stays, whatever its address has added since.
        let again = table.add(try node("a3"), .admitted, address: "192.0.2.1", isNamed: false, nowNanoseconds: 0)
        #expect(again == .known)
        let fellows = (table.fellows(of: try node("a3")).count, table.fellows(of: try node("b")).count)
        #expect(fellows == (50, 1))
    }

    @Test func aNodeThatTheOperatorHasNamedAlwaysHasRoom() throws {
        var table = table(nodes: 10, perAddress: 10)
        for number in 0..<10 {
            _ = table.add(try node("a\(number)"), .admitted, address: "192.0.2.1", isNamed: false, nowNanoseconds: 0)
        }
        let stranger = table.add(try node("x"), .admitted, address: "192.0.2.9", isNamed: false, nowNanoseconds: 0)
        #expect(stranger == .full)
        let named = table.add(try node("van7"), .admitted, address: "192.0.2.1", isNamed: true, nowNanoseconds: 0)
        #expect(named == .added(replaced: nil))
        #expect(table.fellows(of: try node("van7")).isEmpty)
    }

    /// A tenth may wait, a hundredth of one address; whoever was silent for a day makes room.
    @Test func strangersThatWaitMakeRoomForOneAnother() throws {
        var table = table(nodes: 200, perAddress: 50)
        func wait(_ name: String, _ address: String, _ now: Int64) throws -> NodeTable.Addition {
            table.add(try node(name), .waiting, address: address, isNamed: false, nowNanoseconds: now)
        }
        #expect(try wait("a0", "192.0.2.1", 0) == .added(replaced: nil))
        #expect(try wait("a1", "192.0.2.1", 1) == .added(replaced: nil))
        #expect(try wait("a2", "192.0.2.1", 2) == .addressIsFull)
        for number in 0..<18 {
            #expect(try wait("b\(number)", "198.51.100.\(number)", 3) == .added(replaced: nil))
        }
        #expect(try wait("c", "203.0.113.1", 4) == .full)
        // The rows of those that were not heard of again are not kept for ever.
        #expect(try wait("c", "203.0.113.1", Self.day) == .added(replaced: node("a0")))
        let (gone, new) = (table[try node("a0")]?.admission, table[try node("c")]?.admission)
        #expect(gone == nil && new == .waiting)
        #expect(table.entries.count == 20)
        // Admitted by the operator, it waits no more.
        let admitted = table.add(try node("a1"), .admitted, address: nil, isNamed: true, nowNanoseconds: 5)
        #expect(admitted == .known)
        #expect(try wait("d", "203.0.113.2", 5) == .added(replaced: nil))
        #expect(try wait("e", "203.0.113.3", 5) == .full)
    }

    /// Four networks have filled it a month ago. Those that keep files, that were heard of since, or that are named, stay.
    @Test func silentNodesWithoutFilesMakeRoom() throws {
        var table = table(nodes: 40, perAddress: 10)
        for number in 0..<40 {
            let addition = table.add(
                try node("a\(number)"), .admitted, address: "2001:db8:0:\(number / 10)::/64", isNamed: false,
                nowNanoseconds: 0)
            #expect(addition == .added(replaced: nil))
        }
        _ = table.add(try node("named"), .admitted, address: nil, isNamed: true, nowNanoseconds: 0)
        table.change(try node("a0")) { $0.keepsFiles = true }
        table.change(try node("a1")) { $0.seenNanoseconds = 20 * Self.day }
        func add(_ name: String, day: Int64) throws -> NodeTable.Addition {
            table.add(try node(name), .admitted, address: "192.0.2.1", isNamed: false, nowNanoseconds: day * Self.day)
        }
        #expect(try add("new", day: 29) == .full)
        #expect(try add("new", day: 30) == .added(replaced: nil))
        #expect(Set(table.entries.keys) == Set(try ["a0", "a1", "named", "new"].map { try node($0) }))
        // One of them that comes back is added like any other.
        #expect(try add("a2", day: 31) == .added(replaced: nil))
    }

    @Test func readsTheAddressOfARecord() {
        #expect(NodeRegistry.address(recorded: "192.0.2.7:41234") == "192.0.2.7")
        #expect(NodeRegistry.address(recorded: "192.0.2.7") == "192.0.2.7")
        #expect(NodeRegistry.address(recorded: "2001:db8:1:2:3:4:5:6:41234") == "20010db800010002::/64")
        #expect(NodeRegistry.address(recorded: "2001:db8:1:2::5") == "20010db800010002::/64")
        for text in ["", "mqtt broker.local", "http://10.0.0.5/csv.log", "unknown"] {
            #expect(NodeRegistry.address(recorded: text) == nil)
        }
    }
}
