import EdgeTesting
import Foundation
import Sensors
import Store
import Testing

@testable import Uplink

/// Two buckets have two sinks, which share the store.
@Suite struct S3SinkTests {
    private func bucket(_ name: String, port: Int) -> S3Configuration {
        var bucket = S3Configuration(endpoint: "http://127.0.0.1:\(port)", bucket: name)
        bucket.accessKey = "key12345"
        bucket.secretKey = "secret12345"
        return bucket
    }

    /// An upload that was begun and has no delivery any more is given up where it was begun, by the sink of that bucket.
    @Test func unfinishedUploadsOfTheOtherBucketAreLeftToItsSink() async throws {
        let folder = try TestFolders.temporary("edge-sinks")
        defer { TestFolders.remove(folder) }
        let store = try Store(path: "\(folder)/edge.db")
        defer { store.close() }
        let transport = try CurlTransport()
        defer { transport.stop() }
        // Nothing listens there: whoever asks gets no answer, and keeps the upload for later.
        let (sound, fields) = (bucket("sound", port: 9), bucket("fields", port: 9))
        func sink(_ name: String, _ own: S3Configuration, others: [S3Configuration]) -> S3Sink {
            S3Sink(
                name: name, kinds: [.recording], configuration: own, others: others, aggregator: "box",
                recordingsFolder: folder, fieldsFolder: folder, window: nil, store: store, time: TimeService(),
                transport: transport)
        }
        try await store.commit([
            .multipart(
                MultipartUpload(
                    deliveryID: 7, location: "http://127.0.0.1:9/fields/box/a%20b.nc#0123", uploadID: "u",
                    partBytes: 5, parts: "{}", begunNanoseconds: 1))
        ])
        _ = await sink("s3", sound, others: [fields]).deliver([])
        #expect(try await store.abandonedMultipartUploads().map(\.uploadID) == ["u"])
        _ = await sink("s3_forecasts", fields, others: [sound]).deliver([])
        #expect(try await store.abandonedMultipartUploads().map(\.uploadID) == ["u"])
        // A bucket that is in no setting any more cannot be asked.
        _ = await sink("s3", sound, others: []).deliver([])
        #expect(try await store.abandonedMultipartUploads().isEmpty)
    }

    @Test func asksForTheKindsOfItsBucket() throws {
        let folder = try TestFolders.temporary("edge-sinks")
        defer { TestFolders.remove(folder) }
        let store = try Store(path: "\(folder)/edge.db")
        defer { store.close() }
        let transport = try CurlTransport()
        defer { transport.stop() }
        let sink = S3Sink(
            name: "s3_forecasts", kinds: [.field, .fieldRemoval], configuration: bucket("fields", port: 9),
            aggregator: "box", recordingsFolder: folder, fieldsFolder: folder, window: nil, store: store,
            time: TimeService(), transport: transport)
        #expect(sink.name == "s3_forecasts" && sink.limits.kinds == [.field, .fieldRemoval])
    }
}
