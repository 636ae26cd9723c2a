import CEdgeSystem
import Logging
import Sensors
import ServiceLifecycle

/// Slows the analysis while the board is hot, its supply is low, or memory is short; reception goes on as ever, and what is not
/// analysed now is analysed later, from the disk.
struct BoardWatch: Service {
    struct Limits: Sendable {
        /// From here on the analysis slows down, °C.
        let warm: Double
        /// Here it is at its slowest, °C.
        let hot: Double
        /// Share of the last ten seconds in which something waited for memory, %.
        let memoryPressure: Double
    }

    let limits: Limits
    let pace: AnalysisPace
    let interval: Duration
    let logger: Logger
    /// Before /sys and /proc; empty for this machine.
    let root: String

    func run() async throws {
        let board = BoardHealth(root: root, diskPath: "/")
        await cancelWhenGracefulShutdown {
            var last = 100
            while !Task.isCancelled {
                let strain = board.strain()
                let percent = Self.percent(strain, limits)
                pace.percent = percent
                if strain.memoryPressure ?? 0 >= limits.memoryPressure { edge_give_back_memory() }
                if (percent < 100) != (last < 100) {
                    logger.notice(
                        percent < 100
                            ? "The analysis is slowed down to spare the board; reception is not"
                            : "The analysis works at its full pace again",
                        metadata: [
                            "percent": "\(percent)", "celsius": "\(strain.temperature ?? .nan)",
                            "supply_low": "\(strain.isSupplyLow)", "memory_pressure": "\(strain.memoryPressure ?? 0)",
                        ])
                }
                last = percent
                try? await Task.sleep(for: interval)
            }
        }
        try? await gracefulShutdown()
    }

    /// How much of the time the analysis may work, 10...100.
    static func percent(_ strain: BoardStrain, _ limits: Limits) -> Int {
        var percent = 100.0
        if let celsius = strain.temperature, celsius > limits.warm {
            let share = limits.hot > limits.warm ? (limits.hot - celsius) / (limits.hot - limits.warm) : 0
            percent = min(percent, 10 + 90 * max(0, share))
        }
        // A supply that is too low is a card that may be written wrongly.
        if strain.isSupplyLow { percent = min(percent, 25) }
        if let pressure = strain.memoryPressure, pressure >= limits.memoryPressure { percent = min(percent, 25) }
        return Int(percent.rounded())
    }
}
