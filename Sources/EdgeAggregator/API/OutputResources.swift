import Hummingbird

/// `/api/v1/outputs`.
struct OutputResources: Sendable {
    let service: OutputService

    struct Output: Codable {
        let name: String
        let place: String
        /// `switch`, `heartbeat` or `watchdog`.
        let mode: String
        let isOn: Bool
        let reason: String?
    }

    struct Page: Codable { let outputs: [Output] }

    @Sendable
    func list(_ request: Request, _ context: EdgeContext) async throws -> Response {
        try Answer.json(
            Page(
                outputs: service.statuses.map {
                    Output(name: $0.name, place: $0.place, mode: $0.mode, isOn: $0.isOn, reason: $0.reason)
                }))
    }

    /// `?state=on`, `off`, or `cycle`: the other way for two seconds, and back.
    @Sendable
    func set(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let name = try context.parameters.require("name")
        let state = Query(request).text("state") ?? ""
        guard ["on", "off", "cycle"].contains(state) else {
            throw QueryError(name: "state", found: state, wanted: "one of on, off, cycle")
        }
        do throws(OutputService.Refusal) {
            switch state {
            case "on": try await service.set(name, isOn: true)
            case "off": try await service.set(name, isOn: false)
            default: try await service.cycle(name)
            }
        } catch {
            switch error {
            case .unknown: return try Answer.problem(.notFound, "No such output", detail: "See /api/v1/outputs")
            case .notSwitched:
                return try Answer.problem(.conflict, "It beats by itself", detail: "Only mode=switch is set by command")
            case .failed(let reason):
                return try Answer.problem(.serviceUnavailable, "It could not be set", detail: reason)
            }
        }
        return try await list(request, context)
    }
}
