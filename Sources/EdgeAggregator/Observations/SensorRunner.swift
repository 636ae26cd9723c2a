import Foundation
import Sensors
import Synchronization

/// Asks one sensor, on its bus's own queue: who waits there waits for that bus alone.
final class SensorRunner: Sendable {
    private let queue: DispatchQueue
    private let timeoutSeconds: Double
    private let isBusy = Mutex(false)
    private let device: Device

    /// The driver and its way to the device; used on the queue alone.
    private final class Device: @unchecked Sendable {
        private var driver: any SensorDriver
        private let bus: any Bus

        init(_ settings: SensorSettings) throws(SensorError) {
            driver = try settings.entry.make(settings.options)
            bus =
                switch settings.place {
                case .i2c(let path, let address): I2CBus(path: path, address: address)
                case .serial(let path, let baud): SerialBus(path: path, baud: baud)
                case .file(let path): FileBus(path: path)
                }
        }

        func read(begins: Bool) throws(SensorError) -> [Quantity] {
            if begins { try begin(bus) }
            return try read(bus)
        }

        private func begin(_ bus: some Bus) throws(SensorError) { try driver.begin(bus) }
        private func read(_ bus: some Bus) throws(SensorError) -> [Quantity] { try driver.read(bus) }
    }

    /// - Parameter queue: of the bus, serial.
    init(_ settings: SensorSettings, queue: DispatchQueue, timeoutSeconds: Double = 10) throws(SensorError) {
        self.queue = queue
        self.timeoutSeconds = timeoutSeconds
        device = try Device(settings)
    }

    /// One attempt. A bus that hangs is reported as a time-out, and the sensor is not asked again before it has let go.
    func read(begins: Bool) async -> Result<[Quantity], SensorError> {
        let isFree = isBusy.withLock { isBusy in
            defer { isBusy = true }
            return !isBusy
        }
        guard isFree else { return .failure(.bus(.timeout)) }
        return await withCheckedContinuation { continuation in
            let once = Once(continuation)
            queue.async { [self] in
                let result: Result<[Quantity], SensorError>
                do throws(SensorError) {
                    result = .success(try device.read(begins: begins))
                } catch {
                    result = .failure(error)
                }
                isBusy.withLock { $0 = false }
                once.resume(result)
            }
            DispatchQueue.global(qos: .utility).asyncAfter(deadline: .now() + timeoutSeconds) {
                once.resume(.failure(.bus(.timeout)))
            }
        }
    }

    /// Hears the first of two.
    private final class Once: Sendable {
        private let waiter: Mutex<CheckedContinuation<Result<[Quantity], SensorError>, Never>?>

        init(_ continuation: CheckedContinuation<Result<[Quantity], SensorError>, Never>) {
            waiter = Mutex(continuation)
        }

        func resume(_ result: Result<[Quantity], SensorError>) {
            let waiting = waiter.withLock { waiter in
                defer { waiter = nil }
                return waiter
            }
            waiting?.resume(returning: result)
        }
    }
}
