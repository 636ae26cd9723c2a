import Foundation
import Sensors

/// Makes the sensors of the settings: those on one bus share its queue, those on one chip its thread.
struct SensorMaker {
    private var queues: [String: DispatchQueue] = [:]
    /// By the chip's label; lines that are named alone are together.
    private var threads: [String: LineThread] = [:]

    mutating func make(_ settings: SensorSettings) throws(SensorError) -> any AskedSensor {
        switch (settings.entry.make, settings.place) {
        case (.line(let make), .line(let place)):
            let chip = place.chipLabel ?? ""
            let thread = threads[chip] ?? LineThread()
            threads[chip] = thread
            return LineSensor(try make(settings.options), at: place, thread: thread)
        case (.driver(let make), _):
            let bus = settings.place.bus
            let queue = queues[bus] ?? DispatchQueue(label: "sensors \(bus)")
            queues[bus] = queue
            return BusSensor(try make(settings.options), at: settings.place, queue: queue)
        case (.line, _): throw .badOption("a line is not on a bus")
        }
    }
}
