import Foundation
import Testing

@testable import EdgeAggregator

/// What peers send, with a combining mark after a separator: the two are one Character (Unicode Standard Annex 29, GB9), and a search
/// by Character would not see the separator.
@Suite struct ForeignTextTests {
    private static let mark = "\u{301}"

    @Test func queriesAndCredentials() {
        #expect(
            StreamRequest.fields("listener_id=\(Self.mark)a&\(Self.mark)b=c?token=t")
                == ["listener_id": "\(Self.mark)a", "\(Self.mark)b": "c", "token": "t"])
        let field = Data("user:\(Self.mark)word".utf8).base64EncodedString()
        #expect(BasicCredentials("Basic \(field)")?.user == "user")
        #expect(BasicCredentials("Basic \(field)")?.password.utf8.elementsEqual("\(Self.mark)word".utf8) == true)
    }

    @Test func multipartHeaders() {
        let fields = MultipartParser.parameters(
            of: "form-data; name=\"\(Self.mark)file\"; filename=\"a;b\"")
        #expect(fields["filename"] == "a;b")
        #expect(fields["name"].map { Array($0.utf8) } == Array("\(Self.mark)file".utf8))
        #expect(
            MultipartParser.boundary(contentType: "multipart/form-data; boundary=\"\(Self.mark)b\"") == "\(Self.mark)b")
    }

    /// The request's line and fields are cut at their bytes, as RFC 9112 has them.
    @Test func headOfAStream() {
        let text =
            "POST /recordings_stream?\(Self.mark)listener_id=a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
            + "X-Edge-Mock:\(Self.mark)1\r\n\(Self.mark)X: y\r\n\r\n"
        let head = StreamHead(
            query: "\(Self.mark)listener_id=a", authorization: nil, pathToken: nil, expectsContinue: false, isMock: true
        )
        #expect(
            StreamHead.read(Array(text.utf8).span, path: "/recordings_stream")
                == .stream(head, headBytes: text.utf8.count))
    }

    /// A browser and a reader of CSV or metrics see the bytes.
    @Test func whatIsWrittenIsEscaped() {
        #expect(HTML.text("<\(Self.mark)b>\"\(Self.mark)") == "&lt;\(Self.mark)b&gt;&quot;\(Self.mark)")
        #expect(
            CSV.line(["a,\(Self.mark)b", "\"\(Self.mark)", "c\r\nd", "e"])
                == "\"a,\(Self.mark)b\",\"\"\"\(Self.mark)\",\"c\r\nd\",e\r\n")
    }

    @Test func namesOfFiles() {
        #expect(UploadName(filename: "a_20251121T012744Z.\(Self.mark)wav").listener == "a")
        #expect(RequestedHost("box:\(Self.mark)80") == nil)
        #expect(AbsoluteFormHandler.authority("http://\(Self.mark)box/\(Self.mark)x") == "\(Self.mark)box")
    }
}
