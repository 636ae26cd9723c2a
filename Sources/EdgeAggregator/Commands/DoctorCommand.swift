import ArgumentParser
import AudioDSP
import Foundation
import Sensors
import TextParts

/// `edge-aggregator doctor`: what this machine lacks.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Say what this machine lacks, and what to do about it.",
        discussion: "Ends with 1 if something that is needed is missing.\n\(ExitCodes.help)")

    @OptionGroup var options: SettingsOptions

    @Flag(help: "As JSON.")
    var json = false

    func run() async throws {
        let settings = try options.load()
        let findings =
            Doctor(settings: settings).examine() + (await DoctorHardware(settings: settings).examine())
            + (await DoctorMQTT(settings: settings).examine())
        if json {
            print(String(decoding: try Answer.encoder.encode(findings), as: UTF8.self))
        } else {
            for finding in findings {
                print(
                    "\(finding.verdict.rawValue.uppercased().padding(toLength: 5, withPad: " ", startingAt: 0)) \(finding.subject): \(finding.text)"
                )
            }
        }
        if findings.contains(where: { $0.verdict == .fail }) { throw ExitCodes.failure }
    }
}

/// Looks at the machine.
struct Doctor {
    struct Finding: Encodable {
        enum Verdict: String, Encodable { case ok, warn, fail }
        let subject: String
        let verdict: Verdict
        let text: String

        /// - Parameter text: passwords in it are hidden.
        init(subject: String, verdict: Verdict, text: String) {
            self.subject = subject
            self.verdict = verdict
            self.text = text.hidingPasswords
        }
    }

    let settings: Settings

    func examine() -> [Finding] {
        [machine(), memory(), clock()] + folders() + ports() + models()
    }

    /// Memory: `name` is this function's and borrowed for the call; its text is copied within the closure.
    private func machine() -> Finding {
        var name = utsname()
        unsafe uname(&name)
        let architecture = unsafe withUnsafeBytes(of: name.machine) {
            unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        let cores = ProcessInfo.processInfo.activeProcessorCount
        let isKnown = ["x86_64", "aarch64"].contains(architecture)
        return Finding(
            subject: "machine", verdict: isKnown ? .ok : .warn,
            text: "\(architecture), \(cores) cores, pages of \(sysconf(Int32(_SC_PAGESIZE))) bytes"
                + (isKnown ? "" : "; the TensorFlow Lite library is fetched for x86_64 and aarch64 only"))
    }

    private func memory() -> Finding {
        let bytes = Int64(ProcessInfo.processInfo.physicalMemory)
        let isEnough = bytes >= 900_000_000
        return Finding(
            subject: "memory", verdict: isEnough ? .ok : .warn,
            text: Dashboard.bytes(bytes)
                + (isEnough ? "" : "; 1 GB is the least for one analysis worker and 30 listeners"))
    }

    private func clock() -> Finding {
        let now = TimeService().now()
        return Finding(
            subject: "clock", verdict: now.isSynchronised ? .ok : .warn,
            text: now.isSynchronised
                ? "synchronised"
                : "not synchronised: times are marked as such until systemd-timesyncd or chrony has set the clock")
    }

    /// Memory: the path and the status are borrowed for the calls.
    private func folders() -> [Finding] {
        [("base_dir", settings.box.baseFolder), ("recordings_dir", settings.recordings.folder)].map { name, path in
            var existing = path
            while !FileManager.default.fileExists(atPath: existing), existing != "/", !existing.isEmpty, existing != "."
            {
                existing = (existing as NSString).deletingLastPathComponent
            }
            if existing.isEmpty { existing = "." }
            guard unsafe access(existing, W_OK) == 0 else {
                return Finding(
                    subject: name, verdict: .fail,
                    text: "\(path) cannot be written: make it writable for this user, or set \(name) to another folder")
            }
            var status = statvfs()
            unsafe statvfs(existing, &status)
            let free = Int64(status.f_bavail) * Int64(status.f_frsize)
            let isEnough = free > Int64(settings.recordings.leastFreeBytes)
            return Finding(
                subject: name, verdict: isEnough ? .ok : .fail,
                text: "\(path), \(Dashboard.bytes(free)) free"
                    + (isEnough
                        ? ""
                        : "; sound is kept only while more than min_free_disk_bytes (\(settings.recordings.leastFreeBytes)) are")
            )
        }
    }

    private func ports() -> [Finding] {
        settings.box.addresses.filter { $0.port != 0 }.map { address in
            let isFree = Self.canBind(address.port)
            return Finding(
                subject: "listen", verdict: isFree ? .ok : .warn,
                text: "\(address.host):\(address.port) "
                    + (isFree ? "is free" : "is in use: by a running daemon, or by something else; see `ss -ltnp`"))
        }
    }

    /// Memory: the option and the address are this function's and borrowed for the calls, which copy them into the kernel.
    private static func canBind(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return true }
        defer { close(descriptor) }
        var on: Int32 = 1
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        return result == 0 || errno == EACCES
    }

    private func models() -> [Finding] {
        let analysis = settings.analysis
        guard analysis.isOn else {
            return [Finding(subject: "analysis", verdict: .ok, text: "off; no model is needed")]
        }
        var findings: [Finding] = []
        do {
            let library = try TensorFlowLiteLibrary(path: analysis.libraryPath)
            let isTried = library.version == BirdNET.libraryVersion
            findings.append(
                Finding(
                    subject: "library", verdict: isTried ? .ok : .warn,
                    text: "TensorFlow Lite \(library.version)"
                        + (isTried ? "" : "; \(BirdNET.libraryVersion) is the one tried")))
            let labels = try LabelSet(path: analysis.labelsPath, translation: analysis.translationPath)
            findings.append(
                Finding(subject: "labels", verdict: .ok, text: "\(labels.entries.count) in \(analysis.labelsPath)"))
            let model = try BirdNETModel(library: library, path: analysis.modelPath)
            let fits = model.outputs == labels.entries.count
            findings.append(
                Finding(
                    subject: "model", verdict: fits ? .ok : .fail,
                    text: "\(analysis.modelPath) scores \(model.outputs) classes"
                        + (fits ? "" : "; take labels of the same release")))
            if analysis.place != nil {
                _ = try PolicyMaker(settings: analysis, labels: labels, library: library).make(week: 1)
                findings.append(Finding(subject: "location model", verdict: .ok, text: analysis.metaModelPath))
            }
        } catch {
            findings.append(Finding(subject: "analysis", verdict: .fail, text: "\(error)"))
        }
        return findings
    }
}
