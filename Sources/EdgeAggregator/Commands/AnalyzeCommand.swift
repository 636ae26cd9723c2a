import ArgumentParser
import AudioDSP
import Foundation
import Sensors

/// `edge-aggregator analyze`: detections of files, without a daemon.
struct AnalyzeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "analyze", abstract: "Print what is heard in WAV, FLAC and MP3 files, without a daemon.",
        discussion: ExitCodes.help)

    @OptionGroup var options: SettingsOptions

    @Argument(help: "Files.")
    var files: [String]

    @Flag(help: "Comma-separated values.")
    var csv = false

    @Flag(help: "JSON, one object a file.")
    var json = false

    func validate() throws {
        if csv, json { throw ValidationError("--csv or --json, not both") }
    }

    private struct FileResult: Encodable {
        struct Detection: Encodable {
            let startSeconds: Double
            let endSeconds: Double
            let scientificName: String
            let commonName: String
            let confidence: Double
        }
        let file: String
        let seconds: Double
        let windows: Int
        let detections: [Detection]
    }

    func run() async throws {
        let settings = try options.load()
        guard settings.analysis.problems.isEmpty else {
            throw SettingsOptions.refuse(SettingsProblems(problems: settings.analysis.problems))
        }
        let analyzer: FileAnalyzer
        do {
            analyzer = try FileAnalyzer(settings: settings.analysis)
        } catch let error as ClassifierError {
            printError("\(error)")
            throw ExitCodes.failure
        }
        var hasFailed = false
        if csv {
            print(
                CSV.line(["file", "start_seconds", "end_seconds", "scientific_name", "common_name", "confidence"]),
                terminator: "")
        }
        for file in files {
            do {
                let bar = ProgressBar(title: (file as NSString).lastPathComponent)
                let outcome = try analyzer.analyze(file) { bar.show($0) }
                bar.clear()
                let result = FileResult(
                    file: file, seconds: outcome.seconds, windows: outcome.windows,
                    detections: outcome.found.map { found in
                        FileResult.Detection(
                            startSeconds: found.startSeconds, endSeconds: found.startSeconds + 3,
                            scientificName: found.entry.scientific, commonName: found.entry.common,
                            confidence: Double(found.confidence))
                    })
                try show(result)
            } catch {
                printError("\(file): \(error)")
                hasFailed = true
            }
        }
        if hasFailed { throw ExitCodes.inputOutput }
    }

    private func show(_ result: FileResult) throws {
        if json {
            print(String(decoding: try Answer.encoder.encode(result), as: UTF8.self))
        } else if csv {
            for found in result.detections {
                print(
                    CSV.line([
                        result.file, "\(found.startSeconds)", "\(found.endSeconds)", found.scientificName,
                        found.commonName,
                        String(format: "%.4f", found.confidence),
                    ]), terminator: "")
            }
        } else {
            print(
                "\(result.file): \(Dashboard.span(result.seconds)), \(result.windows) windows, \(result.detections.count) detections"
            )
            for found in result.detections {
                print(
                    String(
                        format: "  %7.1f – %-7.1f  %5.1f %%  ", found.startSeconds, found.endSeconds,
                        found.confidence * 100)
                        + "\(found.commonName) (\(found.scientificName))")
            }
        }
    }
}

/// A line on a terminal that says how far something is. Silent elsewhere.
struct ProgressBar {
    let title: String
    private let isTerminal = isatty(2) == 1

    init(title: String) {
        self.title = title
    }

    /// - Parameter fraction: 0...1
    func show(_ fraction: Double) {
        guard isTerminal else { return }
        let width = 30
        let filled = Int(min(max(fraction, 0), 1) * Double(width))
        let bar = String(repeating: "█", count: filled) + String(repeating: "·", count: width - filled)
        FileHandle.standardError.write(Data("\r\u{1B}[K\(title) \(bar) \(Int(fraction * 100)) %".utf8))
    }

    func clear() {
        guard isTerminal else { return }
        FileHandle.standardError.write(Data("\r\u{1B}[K".utf8))
    }
}
