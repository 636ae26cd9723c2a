import Testing

@testable import Uplink

@Suite struct PrometheusTests {
    @Test func readsThePageAndSortsLabels() {
        let page = """
            # HELP a help
            # TYPE a gauge
            a 1.5
            b{z="1",a="x \\"y\\" \\\\ \\n"} +Inf
            broken{
            c{x="1"} no
            """
        let samples = ExpositionText.samples(page, adding: [ExpositionText.Label(name: "job", value: "edge")])
        #expect(
            samples.map { $0.labels.map { "\($0.name)=\($0.value)" } } == [
                ["__name__=a", "job=edge"], ["__name__=b", "a=x \"y\" \\ \n", "job=edge", "z=1"],
            ])
        #expect(samples.map(\.value) == [1.5, .infinity])
    }

    /// By the protocol buffers' encoding of `prometheus.WriteRequest`, written out by hand.
    @Test func encodesARequest() {
        var write = RemoteWrite()
        let sample = ExpositionText.Sample(labels: [ExpositionText.Label(name: "__name__", value: "a")], value: 1)
        write.add(sample, milliseconds: 300)
        let label: [UInt8] = [0x0A, 8] + Array("__name__".utf8) + [0x12, 1, 0x61]
        let point: [UInt8] = [0x09, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F, 0x10, 0xAC, 0x02]
        let series: [UInt8] = [0x0A, UInt8(label.count)] + label + [0x12, UInt8(point.count)] + point
        #expect(write.encoded(.one) == [0x0A, UInt8(series.count)] + series)
        // The snappy block begins with the plain length.
        #expect(write.body(.one).first == UInt8(series.count + 2))
    }

    /// The texts of Prometheus (`storage/interface.go`), Thanos and Grafana Mimir (error catalogue).
    @Test func readsAnswers() {
        func answer(_ status: Int, _ body: String = "") -> RemoteWriteAnswer {
            RemoteWriteAnswer(OutgoingAnswer(status: status, headers: [:], body: Array(body.utf8)))
        }
        #expect(answer(200) == .stored && answer(204) == .stored)
        for body in [
            "duplicate sample for timestamp", "the sample has been rejected (err-mimir-sample-duplicate-timestamp)",
        ] {
            if case .duplicate = answer(400, body) { continue }
            Issue.record("\(body)")
        }
        if case .outOfOrder = answer(400, "out of order sample\n") {} else { Issue.record("out of order") }
        if case .outOfOrder = answer(409, "store locally: out of order sample") {} else { Issue.record("Thanos") }
        for body in ["out of bounds", "too old sample", "(err-mimir-sample-timestamp-too-old)"] {
            if case .tooOld = answer(400, body) { continue }
            Issue.record("\(body)")
        }
        for (status, body) in [(400, "snappy: corrupt input"), (413, "too large"), (422, "")] {
            if case .rejected = answer(status, body) { continue }
            Issue.record("\(status)")
        }
        // A proxy's page. A proxy that finds the request too large is right, though.
        if case .unavailable = answer(400, "<html><h1>400 Bad Request</h1></html>") {} else { Issue.record("400") }
        if case .rejected = answer(413, "<html><h1>413</h1></html>") {} else { Issue.record("413") }
        for status in [404, 405, 408, 415, 429, 500, 503] {
            if case .unavailable = answer(status) { continue }
            Issue.record("\(status)")
        }
        for status in [401, 403] {
            if case .unauthorised = answer(status) { continue }
            Issue.record("\(status)")
        }
    }
}
