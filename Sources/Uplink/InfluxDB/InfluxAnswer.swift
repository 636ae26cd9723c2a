import Foundation
import TextParts

/// What an InfluxDB answer means for the lines that were sent.
///
/// Sources: InfluxDB 3 Core, `influxdb3_server/src/http.rs` (v3 write errors), and docs.influxdata.com, "Use the v2 API".
enum InfluxAnswer: Equatable {
    /// All lines are stored.
    case stored
    /// These lines, counted from 1, are not and never will be; all others are stored.
    case partial([Int: String])
    /// Nothing is stored. A line may be at fault, or something else that the server does not name: a missing database, a proxy.
    case rejected(reason: String)
    case unauthorised(reason: String)
    /// The request was larger than the server takes.
    case tooLarge(reason: String)
    case unavailable(reason: String, retryAfterSeconds: Int?)

    fileprivate struct Failure: Decodable {
        struct Line: Decodable {
            let message: String?
            let number: Int?

            enum CodingKeys: String, CodingKey {
                case message = "error_message"
                case number = "line_number"
            }
        }
        let error: String?
        /// Of the v2 form: `{"code": "invalid", "message": "…"}`.
        let text: String?
        let data: OneOrMany?

        enum CodingKeys: String, CodingKey {
            case error, data
            case text = "message"
        }

        enum OneOrMany: Decodable {
            case one(Line)
            case many([Line])

            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                if let many = try? container.decode([Line].self) {
                    self = .many(many)
                } else {
                    self = .one(try container.decode(Line.self))
                }
            }
        }
    }

    init(_ answer: OutgoingAnswer, lines: Int) {
        let said = "\(answer.status) \(answer.text)"
        switch answer.status {
        case 204:
            self = .stored
        case 200..<300:
            // Not an answer of a write: a captive portal, a proxy or another server speaks here.
            self = .unavailable(
                reason:
                    "the server answered \(said), which is not how a write is acknowledged (204): is influx_url right?",
                retryAfterSeconds: answer.retryAfterSeconds)
        case 300..<400:
            self = .unavailable(
                reason: "the server sends us elsewhere (\(answer.location ?? "")): set influx_url to that",
                retryAfterSeconds: nil)
        case 401, 403:
            self = .unauthorised(reason: said)
        case 404:
            // A wrong path or a database that is not there yet: nothing is wrong with the lines.
            self = .unavailable(reason: "\(said): check influx_url and the database's name", retryAfterSeconds: nil)
        case 413:
            self = .tooLarge(reason: said)
        case 400 where answer.isWebPage, 422 where answer.isWebPage:
            self = .unavailable(
                reason: "\(said): this is a web page, not an answer of InfluxDB: check influx_url and proxies",
                retryAfterSeconds: answer.retryAfterSeconds)
        case 400, 422:
            self = Self.badRequest(answer, lines: lines, said: said)
        default:
            self = .unavailable(reason: said, retryAfterSeconds: answer.retryAfterSeconds)
        }
    }

    private static func badRequest(_ answer: OutgoingAnswer, lines: Int, said: String) -> InfluxAnswer {
        guard let failure = try? JSONDecoder().decode(Failure.self, from: Data(answer.body)) else {
            // Plain text: a string that is too long, a missing database, a bad precision, or a proxy.
            return .rejected(reason: said)
        }
        guard let error = failure.error, case .many(let found)? = failure.data, error.holds("partial write") else {
            return .rejected(reason: failure.message ?? said)
        }
        var refused: [Int: String] = [:]
        for line in found {
            guard let number = line.number, (1...lines).contains(number) else { continue }
            refused[number] = line.message ?? error
        }
        // Lines that are not named would be taken for stored: then it must be found out one by one.
        return refused.count == found.count && !found.isEmpty ? .partial(refused) : .rejected(reason: said)
    }
}

extension InfluxAnswer.Failure {
    fileprivate var message: String? {
        if case .one(let line)? = data, let message = line.message { return "\(error ?? ""): \(message)" }
        return error ?? text
    }
}
