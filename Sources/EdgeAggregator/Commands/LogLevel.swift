import Logging
import Synchronization

/// How much is logged, for the whole program; it can change while it runs.
enum LogLevel {
    private static let place = Atomic<Int>(Logger.Level.allCases.firstIndex(of: .info) ?? 0)

    static var current: Logger.Level { Logger.Level.allCases[place.load(ordering: .relaxed)] }

    /// A name that is none leaves it as it is.
    static func set(_ name: String) {
        guard let level = Logger.Level(rawValue: name), let index = Logger.Level.allCases.firstIndex(of: level) else {
            return
        }
        place.store(index, ordering: .relaxed)
    }
}
