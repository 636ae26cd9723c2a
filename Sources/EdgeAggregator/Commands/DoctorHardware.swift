import Foundation
import Sensors
import TextParts

/// Buses, chips and cards, what answers on them, and the sensors of the settings.
///
/// While a daemon runs it is asked, and nothing else is: two programs on one bus read each other's answers.
struct DoctorHardware {
    let settings: Settings

    private var sensors: [SensorSettings] { settings.sensors }
    private var outputs: [OutputSettings] { settings.outputs }

    private static let mostBuses = 16

    func examine() async -> [Doctor.Finding] {
        let running = await askDaemon()
        var findings: [Doctor.Finding] = []
        for (path, name) in I2CAdapter.all().prefix(Self.mostBuses) {
            findings.append(bus(path, name, isAsked: running == nil))
        }
        if findings.isEmpty, sensors.contains(where: { if case .i2c = $0.place { true } else { false } }) {
            findings.append(
                Doctor.Finding(
                    subject: "i2c", verdict: .warn,
                    text: "there is no bus: on a Raspberry Pi set dtparam=i2c_arm=on in config.txt and start it again"))
        }
        findings += lines()
        let probes = (try? FileManager.default.contentsOfDirectory(atPath: "/sys/bus/w1/devices")) ?? []
        for probe in probes.filter({ $0.hasPrefix("28-") }).sorted().prefix(64) {
            findings.append(
                Doctor.Finding(
                    subject: "1-wire", verdict: .ok, text: "a DS18B20 at /sys/bus/w1/devices/\(probe)/w1_slave"))
        }
        findings += cards()
        if let running { return findings + running }
        for sensor in sensors { findings.append(await ask(sensor)) }
        return findings
    }

    /// How the sensors are, if a daemon runs and says so.
    private func askDaemon() async -> [Doctor.Finding]? {
        guard !sensors.isEmpty, let address = settings.box.addresses.first else { return nil }
        struct Page: Decodable { let sensors: [SensorResources.Sensor] }
        let url = "\(address.localURL())/api/v1/sensors"
        guard let body = try? await SmallHTTPClient.ask(url, bearer: settings.box.apiToken),
            let page = try? DaemonOptions.decoder.decode(Page.self, from: Data(body.utf8))
        else { return nil }
        return page.sensors.map { sensor in
            let values = sensor.values.sorted { $0.key < $1.key }.map { "\($0) \($1.value) \($1.unit)" }
            let state = ([sensor.state] + (sensor.reason.map { [$0] } ?? values)).joined(separator: ", ")
            return Doctor.Finding(
                subject: "sensor \(sensor.name)", verdict: ["ok", "warming"].contains(sensor.state) ? .ok : .warn,
                text: "\(sensor.kind) at \(sensor.place): \(state), says the running daemon")
        }
    }

    /// Memory: the path is borrowed for the call.
    private func cards() -> [Doctor.Finding] {
        // `01-00: USB Audio : USB Audio : capture 1`
        let text = (try? String(contentsOfFile: "/proc/asound/pcm", encoding: .utf8)) ?? ""
        let lines = text.lines().filter { $0.holds("capture") }
        var findings = lines.prefix(Self.mostBuses).map { line -> Doctor.Finding in
            let numbers = line.before(":").parts(at: "-").compactMap { Int($0) }
            let path = numbers.count == 2 ? "/dev/snd/pcmC\(numbers[0])D\(numbers[1])c" : "/dev/snd"
            let name = numbers.first.flatMap {
                try? String(contentsOfFile: "/proc/asound/card\($0)/id", encoding: .utf8).trimmingSpaces
            }
            let isUsable = unsafe access(path, R_OK) == 0
            return Doctor.Finding(
                subject: "sound card", verdict: isUsable ? .ok : .warn,
                text: "device=hw:CARD=\(name ?? "?"),DEV=\(numbers.last ?? 0)"
                    + (isUsable ? "" : " may not be used: add this user to the group audio"))
        }
        if findings.isEmpty, !settings.soundCards.isEmpty {
            findings.append(
                Doctor.Finding(subject: "sound card", verdict: .warn, text: "this machine has none that can record"))
        }
        return findings
    }

    private func lines() -> [Doctor.Finding] {
        var findings = LineChip.all().map { chip in
            let names = chip.lines.map(\.name).filter { !$0.isEmpty }.joined(separator: " ")
            let used = chip.lines.enumerated().compactMap { offset, line in
                line.consumer.map { "\(line.name.isEmpty ? "line \(offset)" : line.name) (\($0.isEmpty ? "?" : $0))" }
            }
            return Doctor.Finding(
                subject: "gpio", verdict: .ok,
                text: "chip=\(chip.label) (now \(chip.name)), \(chip.lines.count) lines"
                    + (names.isEmpty ? "" : ", named \(names)")
                    + (used.isEmpty ? "" : "; in use: \(used.joined(separator: ", "))")
                    + "; through \(LineChip.library)")
        }
        let isWanted = !outputs.isEmpty || sensors.contains { if case .line = $0.place { true } else { false } }
        if findings.isEmpty, isWanted {
            findings.append(
                Doctor.Finding(
                    subject: "gpio", verdict: .warn,
                    text: "no GPIO chip may be used: is this user in the group gpio?"))
        }
        for output in outputs {
            findings.append(Doctor.Finding(subject: "output \(output.name)", verdict: .ok, text: output.place.text))
        }
        return findings
    }

    /// Memory: the path is borrowed for the call.
    private func bus(_ path: String, _ name: String, isAsked: Bool) -> Doctor.Finding {
        guard unsafe access(path, R_OK | W_OK) == 0 else {
            return Doctor.Finding(
                subject: "i2c", verdict: .warn, text: "\(path) may not be used: add this user to the group i2c")
        }
        guard isAsked else { return Doctor.Finding(subject: "i2c", verdict: .ok, text: "\(path) (\(name))") }
        // As i2cdetect -r does: whoever acknowledges the reading of one byte is there.
        let answering = (UInt8(0x08)...0x77).filter { address in
            (try? I2CBus(adapter: I2CAdapter(path), address: address).exchange([], reading: 1)) != nil
        }
        // The START byte: no device may acknowledge it.
        if I2CBus(adapter: I2CAdapter(path), address: 0).isHeldLow {
            return Doctor.Finding(subject: "i2c", verdict: .warn, text: "\(path) (\(name)): \(BusError.heldLow)")
        }
        let list = answering.map { "0x\(String($0, radix: 16))" }.joined(separator: ", ")
        return Doctor.Finding(
            subject: "i2c", verdict: .ok,
            text: "\(path) (\(name)): " + (answering.isEmpty ? "nothing answers" : "\(list) answer")
        )
    }

    /// Memory: the path is borrowed for the calls.
    private func ask(_ settings: SensorSettings) async -> Doctor.Finding {
        let subject = "sensor \(settings.name)"
        let what = "\(settings.entry.kind) at \(settings.place.text)"
        let path = settings.place.path
        if let path, unsafe access(path, F_OK) == 0, unsafe access(path, R_OK) != 0 {
            return Doctor.Finding(
                subject: subject, verdict: .warn,
                text: "\(what): \(path) may not be read: add this user to the groups i2c, dialout and gpio")
        }
        do throws(SensorError) {
            var maker = SensorMaker()
            switch await (try maker.make(settings)).read(begins: true) {
            case .success(let quantities):
                // A value that cannot be is a fault here too. For warming up there is no time.
                var watch = SensorWatch(ranges: settings.entry.ranges, warmUpSeconds: 0, intervalNanoseconds: 0)
                _ = watch.take(.success(quantities), now: 0)
                if let reason = watch.reason { throw .faulty(reason) }
                let values = quantities.map { "\($0.name) \($0.value) \($0.unit)" }.joined(separator: ", ")
                return Doctor.Finding(subject: subject, verdict: .ok, text: "\(what): \(values)")
            case .failure(.warming(let why)):
                return Doctor.Finding(subject: subject, verdict: .ok, text: "\(what): it answers, and warms up: \(why)")
            case .failure(.notReady):
                return Doctor.Finding(subject: subject, verdict: .ok, text: "\(what): it answers, and measures")
            case .failure(let error): throw error
            }
        } catch {
            return Doctor.Finding(
                subject: subject, verdict: .warn,
                text: "\(what): \(error); \(hint(settings.place)); see docs/sensors.md")
        }
    }

    /// What is wrong most often.
    private func hint(_ place: SensorSettings.Place) -> String {
        switch place {
        case .i2c: "is it wired, is this its address, and is dtparam=i2c_arm=on in config.txt?"
        case .serial: "is it wired, is enable_uart=1 in config.txt, and no console on the port?"
        case .file: "is it wired, and is dtoverlay=w1-gpio in config.txt?"
        case .line: "is this the line's name (gpioinfo), and does no overlay use it?"
        }
    }
}
