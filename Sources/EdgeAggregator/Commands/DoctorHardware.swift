import Foundation
import Sensors

/// Buses, what answers on them, and the sensors of the settings.
struct DoctorHardware {
    let sensors: [SensorSettings]
    let outputs: [OutputSettings]

    private static let mostBuses = 16

    func examine() async -> [Doctor.Finding] {
        var findings: [Doctor.Finding] = []
        for (path, name) in I2CAdapter.all().prefix(Self.mostBuses) { findings.append(bus(path, name)) }
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
        for sensor in sensors { findings.append(await ask(sensor)) }
        return findings
    }

    private func lines() -> [Doctor.Finding] {
        var findings = LineChip.all().map { chip in
            Doctor.Finding(
                subject: "gpio", verdict: .ok,
                text: "chip \(chip.label) (now \(chip.name)): \(chip.lines) lines, through \(LineChip.library)")
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

    private func bus(_ path: String, _ name: String) -> Doctor.Finding {
        guard access(path, R_OK | W_OK) == 0 else {
            return Doctor.Finding(
                subject: "i2c", verdict: .warn, text: "\(path) may not be used: add this user to the group i2c")
        }
        // As i2cdetect -r does: whoever acknowledges the reading of one byte is there.
        let answering = (UInt8(0x08)...0x77).filter { address in
            (try? I2CBus(adapter: I2CAdapter(path), address: address).exchange([], reading: 1)) != nil
        }
        let list = answering.map { "0x\(String($0, radix: 16))" }.joined(separator: ", ")
        return Doctor.Finding(
            subject: "i2c", verdict: .ok, text: "\(path) (\(name)): " + (answering.isEmpty ? "nothing answers" : "\(list) answer")
        )
    }

    private func ask(_ settings: SensorSettings) async -> Doctor.Finding {
        let subject = "sensor \(settings.name)"
        let what = "\(settings.entry.kind) at \(settings.place.text)"
        let path = settings.place.path
        if let path, access(path, F_OK) == 0, access(path, R_OK) != 0 {
            return Doctor.Finding(
                subject: subject, verdict: .warn,
                text: "\(what): \(path) may not be read: add this user to the groups i2c and dialout")
        }
        do throws(SensorError) {
            var maker = SensorMaker()
            switch await (try maker.make(settings)).read(begins: true) {
            case .success(let quantities):
                let values = quantities.map { "\($0.name) \($0.value) \($0.unit)" }.joined(separator: ", ")
                return Doctor.Finding(subject: subject, verdict: .ok, text: "\(what): \(values)")
            case .failure(.notReady):
                return Doctor.Finding(subject: subject, verdict: .ok, text: "\(what): it answers, and measures")
            case .failure(let error): throw error
            }
        } catch {
            return Doctor.Finding(
                subject: subject, verdict: .warn,
                text: "\(what): \(error); see the wiring, the address and docs/sensors.md"
            )
        }
    }
}
