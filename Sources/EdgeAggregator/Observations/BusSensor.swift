import Foundation
import Sensors
import Synchronization

/// A sensor as the service asks it.
protocol AskedSensor: Sendable {
    /// One attempt.
    func read(begins: Bool) async -> Result<[Quantity], SensorError>
    func recalibrate(co2PPM: Int) async -> Result<Void, SensorError>
    /// Returns when the sensor should be asked again: after so long, or sooner when it has something to say.
    func pause(_ duration: Duration) async
    /// Edges of a line: how many there were, and how many were lost. Nil for a sensor on a bus.
    var edges: (count: Int64, missed: Int64)? { get }
    /// What the device says that it is.
    var identity: String? { get }
}

/// A sensor on a bus, asked on that bus's own queue: who waits there waits for that bus alone.
final class BusSensor: AskedSensor {
    private let queue: DispatchQueue
    private let timeoutSeconds: Double
    private let isBusy = Mutex(false)
    private let known = Mutex<String?>(nil)
    private let device: Device

    /// The driver and its way to the device; used on the queue alone.
    private final class Device: @unchecked Sendable {
        private var driver: any SensorDriver
        private let bus: any Bus

        init(_ driver: any SensorDriver, _ place: SensorSettings.Place) {
            self.driver = driver
            bus =
                switch place {
                case .i2c(let adapter, let address): I2CBus(adapter: adapter, address: address)
                case .serial(let path, let baud): SerialBus(path: path, baud: baud)
                case .file(let path): FileBus(path: path)
                case .line: preconditionFailure("a line is not on a bus")
                }
        }

        func read(begins: Bool) throws(SensorError) -> [Quantity] {
            if begins { try begin(bus) }
            return try read(bus)
        }

        func recalibrate(co2PPM: Int) throws(SensorError) { try recalibrate(bus, co2PPM) }

        var identity: String? { driver.identity }

        private func begin(_ bus: some Bus) throws(SensorError) { try driver.begin(bus) }
        private func read(_ bus: some Bus) throws(SensorError) -> [Quantity] { try driver.read(bus) }
        private func recalibrate(_ bus: some Bus, _ co2PPM: Int) throws(SensorError) {
            try driver.recalibrate(bus, co2PPM: co2PPM)
        }
    }

    /// - Parameter queue: of the bus, serial.
    init(
        _ driver: any SensorDriver, at place: SensorSettings.Place, queue: DispatchQueue, timeoutSeconds: Double = 10
    ) {
        self.queue = queue
        self.timeoutSeconds = timeoutSeconds
        device = Device(driver, place)
    }

    var edges: (count: Int64, missed: Int64)? { nil }
    var identity: String? { known.withLock { $0 } }

    func pause(_ duration: Duration) async { try? await Task.sleep(for: duration) }

    func read(begins: Bool) async -> Result<[Quantity], SensorError> {
        // A bus that hangs is reported as a time-out, and the sensor is not asked again before it has let go.
        let isFree = isBusy.withLock { isBusy in
            defer { isBusy = true }
            return !isBusy
        }
        guard isFree else { return .failure(.bus(.timeout)) }
        return await perform { [self] (device) throws(SensorError) in
            defer {
                known.withLock { $0 = device.identity }
                isBusy.withLock { $0 = false }
            }
            return try device.read(begins: begins)
        }
    }

    func recalibrate(co2PPM: Int) async -> Result<Void, SensorError> {
        await perform { (device) throws(SensorError) in try device.recalibrate(co2PPM: co2PPM) }
    }

    /// In its turn on the bus.
    private func perform<Value: Sendable>(
        _ work: @escaping @Sendable (Device) throws(SensorError) -> Value
    ) async -> Result<Value, SensorError> {
        await withCheckedContinuation { continuation in
            let once = Once(continuation)
            queue.async { [self] in
                let result: Result<Value, SensorError>
                do throws(SensorError) {
                    result = .success(try work(device))
                } catch {
                    result = .failure(error)
                }
                once.resume(result)
            }
            DispatchQueue.global(qos: .utility).asyncAfter(deadline: .now() + timeoutSeconds) {
                once.resume(.failure(.bus(.timeout)))
            }
        }
    }

    /// Hears the first of two.
    private final class Once<Value: Sendable>: Sendable {
        private let waiter: Mutex<CheckedContinuation<Result<Value, SensorError>, Never>?>

        init(_ continuation: CheckedContinuation<Result<Value, SensorError>, Never>) {
            waiter = Mutex(continuation)
        }

        func resume(_ result: Result<Value, SensorError>) {
            let waiting = waiter.withLock { waiter in
                defer { waiter = nil }
                return waiter
            }
            waiting?.resume(returning: result)
        }
    }
}
