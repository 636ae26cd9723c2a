import Foundation
public import Logging
public import ServiceLifecycle
public import Store

/// Seals recordings that wait for their upload, so that they can be sent as fast as the link takes them.
public struct FileSealer: Service {
    private let configuration: S3Configuration
    private let recordingsFolder: String
    private let store: Store
    private let logger: Logger
    private let doorbell: Doorbell

    public init(configuration: S3Configuration, recordingsFolder: String, store: Store, logger: Logger) {
        self.configuration = configuration
        self.recordingsFolder = recordingsFolder
        self.store = store
        self.logger = logger
        doorbell = store.doorbell()
    }

    public func run() async throws {
        await cancelWhenGracefulShutdown { await work() }
    }

    private func work() async {
        var after: Int64 = 0
        while !Task.isCancelled {
            let rows = (try? await store.unsealedRecordings(afterID: after, limit: 8)) ?? []
            for row in rows {
                guard !Task.isCancelled, let id = row.id else { return }
                // One that cannot be read is left to its upload, which says so; the rest is looked at meanwhile.
                after = id
                let path = "\(recordingsFolder)/\(row.relativePath)"
                do {
                    let seal = try await FileSeal.make(
                        path: path, kind: configuration.checksum, partBytes: configuration.partBytes(of: row.bytes))
                    try await store.commit([.seal(recordingID: id, text: seal.text)])
                } catch {
                    logger.debug("A recording could not be sealed", metadata: ["path": "\(path)", "error": "\(error)"])
                }
            }
            if rows.isEmpty {
                after = 0
                await doorbell.wait(atMost: .seconds(60))
            }
        }
    }
}

extension S3Configuration {
    /// How a file of so many bytes is cut; 0 when it goes whole.
    func partBytes(of bytes: Int64) -> Int64 { bytes < multipartBytes ? 0 : partBytes }
}
