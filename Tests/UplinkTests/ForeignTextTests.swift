import Foundation
import Testing

@testable import Uplink

/// Text of servers and peers with a combining mark after a separator: the two are one Character, and a search by Character would not
/// see the separator.
@Suite struct ForeignTextTests {
    @Test func labelsThatBeginWithAMark() {
        let samples = ExpositionText.samples("m{a=\"\u{301}x\",b=\"y\"} 1\nn{c=\"}\u{301}\"} 2\n")
        #expect(samples.count == 2)
        #expect(samples.first?.labels.map(\.name) == ["__name__", "a", "b"])
        #expect(samples.first?.labels.map(\.value) == ["m", "\u{301}x", "y"])
        #expect(samples.first?.value == 1)
        #expect(samples.last?.labels.map(\.value) == ["n", "}\u{301}"])
    }

    @Test func elementsThatBeginWithAMark() {
        #expect(S3Answer.value("Code", in: "<Error><Code>\u{301}No</Code></Error>") == "\u{301}No")
    }

    @Test func anErrorNamesTheAddressWithoutItsPassword() {
        #expect(OutgoingRequest("GET", "http://user:hidden@host/x?token=hidden").place == "http://[hidden]@host/x")
        #expect(
            TransportError(.cut, "it broke (http://user:hidden@host/)").description
                == "it broke (http://[hidden]@host/)")
        let answer = OutgoingAnswer(
            status: 307, headers: ["location": "http://user:hidden@host/"], body: Array("see http://u:hidden@h".utf8))
        #expect(answer.location == "http://[hidden]@host/")
        #expect(answer.text == "see http://[hidden]@h")
    }

    /// libcurl itself fails: nobody listens on port 1.
    @Test(.timeLimit(.minutes(1))) func aFailedTransferHidesThePassword() async throws {
        let transport = try CurlTransport()
        defer { transport.stop() }
        for url in ["http://user:hidden-word@127.0.0.1:1/x", "http://user:hidden-word@[/x"] {
            await #expect {
                _ = try await transport.perform(OutgoingRequest("GET", url))
            } throws: { error in
                !"\(error)".contains("hidden-word")
            }
        }
    }

    @Test func aSinkSaysItsReasonWithoutPasswords() {
        let status = SinkStatus(name: "influxdb", carriedKinds: [])
        status.update { $0.reason = "http://user:hidden@host is down" }
        #expect(status.snapshot.reason == "http://[hidden]@host is down")
    }
}
