import Testing

@testable import Uplink

/// Against the examples that Amazon publishes: S3 API Reference, "Signature Calculations for the Authorization Header",
/// and the AWS Signature Version 4 test suite.
@Suite struct SignatureV4Tests {
    private let s3 = SignatureV4(
        accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", region: "us-east-1")
    private let suite = SignatureV4(
        accessKey: "AKIDEXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", region: "us-east-1",
        service: "service")
    private let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    private func signature(_ authorization: String) -> String {
        authorization.split(separator: "Signature=").last.map(String.init) ?? ""
    }

    private func example(
        _ method: String, _ path: String, _ query: [(String, String)] = [],
        _ headers: [(name: String, value: String)] = [],
        hash: String? = nil
    ) -> String {
        let hash = hash ?? empty
        return signature(
            s3.authorization(
                method: method, path: path, query: query,
                headers: [
                    ("Host", "examplebucket.s3.amazonaws.com"), ("x-amz-content-sha256", hash),
                    ("x-amz-date", "20130524T000000Z"),
                ] + headers, payloadHash: hash, stamp: "20130524T000000Z"))
    }

    @Test func signsTheExamplesOfTheS3Reference() {
        #expect(
            example("GET", "/test.txt", [], [("Range", "bytes=0-9")])
                == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
        #expect(
            example(
                "PUT", "/test%24file.text", [],
                [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
                hash: "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072")
                == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
        #expect(
            example("GET", "/", [("lifecycle", "")])
                == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
        #expect(
            example("GET", "/", [("prefix", "J"), ("max-keys", "2")])
                == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
    }

    @Test func signsTheTestSuite() {
        func sign(_ query: [(String, String)], _ headers: [(name: String, value: String)] = []) -> String {
            signature(
                suite.authorization(
                    method: "GET", path: "/", query: query,
                    headers: [("Host", "example.amazonaws.com"), ("X-Amz-Date", "20150830T123600Z")] + headers,
                    payloadHash: empty, stamp: "20150830T123600Z"))
        }
        // get-vanilla, get-vanilla-query-order-key-case, get-header-value-trim
        #expect(sign([]) == "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
        #expect(
            sign([("Param2", "value2"), ("Param1", "value1")])
                == "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500")
        #expect(
            sign([], [("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")])
                == "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736")
    }

    @Test func encodesNamesOnce() {
        #expect(SignatureV4.encode("a/b c+ä~", keepsSlashes: true) == "a/b%20c%2B%C3%A4~")
        #expect(SignatureV4.encode("a/b") == "a%2Fb")
    }
}
