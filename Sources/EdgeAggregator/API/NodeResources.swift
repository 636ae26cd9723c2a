import FieldNodes
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import Sensors
import Store

/// `/api/v1/nodes`: nodes of the field in one form, whatever fleet they are of; and what the operator does with them.
struct NodeResources: Sendable {
    let house: NodeHouse
    let shelf: UpdateShelf
    let groups: [String: [NodeID]]
    let watch: SilentNodeWatch

    struct Place: Codable {
        let latitude: Double
        let longitude: Double
    }

    struct Node: Codable {
        let kind: String
        let id: String
        /// What people call it.
        let name: String?
        /// `ok`, `silent`, `waiting` (to be admitted) or `refused`.
        let state: String
        let firstSeenAt: String?
        let lastSeenAt: String?
        let lastReadingAt: String?
        let place: Place?
        /// Percent.
        let battery: Double?
        /// dBm.
        let signal: Double?
        let messages: Int64
        let remoteAddress: String?
        /// Of its observations.
        let source: String
    }

    struct Page: Codable { let nodes: [Node] }

    private func node(_ record: NodeRecord) -> Node {
        let state =
            switch record.admission {
            case .waiting: "waiting"
            case .refused: "refused"
            case .admitted: watch.isSilent(record) ? "silent" : "ok"
            }
        func time(_ nanoseconds: Int64?) -> String? { nanoseconds.flatMap { $0 > 0 ? ISOTime.text($0) : nil } }
        var place: Place?
        if let latitude = record.latitude, let longitude = record.longitude {
            place = Place(latitude: latitude, longitude: longitude)
        }
        return Node(
            kind: record.key.kind, id: record.key.name, name: record.label.isEmpty ? nil : record.label, state: state,
            firstSeenAt: time(record.firstSeenNanoseconds), lastSeenAt: time(record.lastSeenNanoseconds),
            lastReadingAt: time(record.readingNanoseconds), place: place, battery: record.battery,
            signal: record.signal, messages: record.messages,
            remoteAddress: record.remoteAddress.isEmpty ? nil : record.remoteAddress, source: record.key.source)
    }

    /// `?kind=`, `?state=`
    @Sendable
    func list(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let query = Query(request)
        let state = query.text("state")
        let nodes = try await house.store.nodes(kind: query.text("kind")).map(node)
        return try Answer.json(Page(nodes: nodes.filter { state == nil || $0.state == state }))
    }

    private func id(_ context: EdgeContext) throws -> NodeID? {
        let kind = NodeKind(rawValue: try context.parameters.require("kind"))
        let text = try context.parameters.require("id").removingPercentEncoding ?? ""
        return kind.flatMap { NodeID($0, text) }
    }

    private func unknown() throws -> Response {
        try Answer.problem(.notFound, "No such node", detail: "See /api/v1/nodes; kinds are co2, isems and piwardrive")
    }

    @Sendable
    func show(_ request: Request, _ context: EdgeContext) async throws -> Response {
        guard let id = try id(context), let record = try await house.store.node(id.key) else { return try unknown() }
        return try Answer.json(node(record))
    }

    @Sendable
    func admit(_ request: Request, _ context: EdgeContext) async throws -> Response {
        try await set(.admitted, request, context)
    }

    @Sendable
    func refuse(_ request: Request, _ context: EdgeContext) async throws -> Response {
        try await set(.refused, request, context)
    }

    /// Also of a node that nobody has heard of yet.
    private func set(
        _ admission: NodeRecord.Admission, _ request: Request, _ context: EdgeContext
    ) async throws -> Response {
        guard let id = try id(context) else { return try unknown() }
        try await house.store.commit([
            .admitNode(id.key, admission, atNanoseconds: house.time.now().utcNanoseconds)
        ])
        house.registry.set(id, admission)
        return try await show(request, context)
    }

    struct ErrorPage: Codable {
        struct Entry: Codable {
            let at: String?
            let level: String
            let type: String
            let message: String
            let file: String
        }
        let errors: [Entry]
    }

    /// What a unit wrote in its own log, newest first.
    @Sendable
    func errors(_ request: Request, _ context: EdgeContext) async throws -> Response {
        guard let id = try id(context) else { return try unknown() }
        let errors = try await house.store.nodeErrors(id.key, limit: try Query(request).limit())
        return try Answer.json(
            ErrorPage(
                errors: errors.map { error in
                    .init(
                        at: error.timeNanoseconds.map(ISOTime.text), level: error.level, type: error.type,
                        message: error.message, file: error.path)
                }))
    }

    struct RejectedPage: Codable {
        struct Line: Codable {
            let kind: String
            let node: String
            let line: String
            let reason: String
            let count: Int64
            let lastAt: String
        }
        let rejected: [Line]
    }

    /// Lines that could not be taken, newest first.
    @Sendable
    func rejected(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let query = Query(request)
        let lines = try await house.store.rejectedLines(kind: query.text("kind"), limit: try query.limit())
        return try Answer.json(
            RejectedPage(
                rejected: lines.map { line in
                    .init(
                        kind: line.key.kind, node: line.key.name, line: line.line, reason: line.reason,
                        count: line.count, lastAt: ISOTime.text(line.lastNanoseconds))
                }))
    }

    // MARK: - Updates of CO2 units

    struct UpdatePage: Codable { let updates: [String] }

    /// A unit, or those of a group: `@name`, `@all`. Empty when there is none.
    private func units(_ context: EdgeContext) async throws -> [NodeID] {
        guard try context.parameters.require("kind") == NodeKind.co2.rawValue else { return [] }
        let text = try context.parameters.require("id").removingPercentEncoding ?? ""
        if text == "@all" {
            let all = try await house.store.nodes(kind: NodeKind.co2.rawValue)
            return all.filter { $0.admission == .admitted }.compactMap { NodeID(.co2, $0.key.name) }
        }
        if text.hasPrefix("@") { return groups[String(text.dropFirst())] ?? [] }
        return NodeID(.co2, text).map { [$0] } ?? []
    }

    /// Of a group, the names that all of it have.
    @Sendable
    func updates(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let units = try await units(context)
        guard let first = units.first else { return try unknown() }
        let names = await withTaskExecutorPreference(house.executor) {
            units.dropFirst().reduce(shelf.names(first) ?? []) { names, unit in
                let own = shelf.names(unit) ?? []
                return names.filter { own.contains($0) }
            }
        }
        return try Answer.json(UpdatePage(updates: names))
    }

    /// `PUT …/updates/<name>?path=flash/lib/x.mpy`: a file of an update that is not published yet.
    @Sendable
    func stage(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let path = Query(request).text("path") ?? ""
        let bytes: [UInt8]
        do {
            bytes = Array((try await request.body.collect(upTo: UpdateShelf.mostFileBytes)).readableBytesView)
        } catch {
            return try Answer.problem(
                .contentTooLarge, "Too large", detail: "A file has \(UpdateShelf.mostFileBytes) bytes at most")
        }
        return try await change(request, context) { [shelf] unit, name in
            try shelf.stage(unit, name, path: path, bytes: bytes)
        }
    }

    @Sendable
    func publish(_ request: Request, _ context: EdgeContext) async throws -> Response {
        try await change(request, context) { [shelf] unit, name in try shelf.publish(unit, name) }
    }

    @Sendable
    func withdraw(_ request: Request, _ context: EdgeContext) async throws -> Response {
        try await change(request, context) { [shelf] unit, name in
            guard try shelf.withdraw(unit, name) else {
                throw UpdateShelf.Problem("\(unit.text) has no update \(name)")
            }
        }
    }

    private func change(
        _ request: Request, _ context: EdgeContext, _ body: @escaping @Sendable (NodeID, String) throws -> Void
    ) async throws -> Response {
        let name = try context.parameters.require("name").removingPercentEncoding ?? ""
        let units = try await units(context)
        guard !units.isEmpty else { return try unknown() }
        do {
            try await withTaskExecutorPreference(house.executor) {
                for unit in units { try body(unit, name) }
            }
        } catch let problem as UpdateShelf.Problem {
            return try Answer.problem(.conflict, "It was not done", detail: problem.description)
        }
        return try await updates(request, context)
    }
}
