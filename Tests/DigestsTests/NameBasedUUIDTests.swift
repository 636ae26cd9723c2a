import Digests
import Testing

@Suite struct NameBasedUUIDTests {
    /// The example of RFC 9562, appendix A.4; the others by Python's `uuid.uuid5`.
    @Test(arguments: [
        ("www.example.com", "2ed6657d-e927-568b-95e1-2665a8aea6a2"), ("", "4ebd0208-8328-5d69-8c44-ec50939c0967"),
        ("Wäldchen-1", "139ed38b-2b14-500e-968a-859e7d3f9da5"),
    ])
    func version5(name: String, expected: String) {
        #expect(NameBasedUUID(name: name, namespace: .dns).description == expected)
    }

    @Test func aUUIDIsANamespace() {
        let box = NameBasedUUID(name: "box-1", namespace: .dns)
        let row = NameBasedUUID(name: "wind-1", namespace: box)
        #expect(row.description == "2c1db763-1431-5ef9-b246-3c2da1ea5d29")
        #expect(row.bytes.count == 16 && row.bytes[6] >> 4 == 5 && row.bytes[8] >> 6 == 0b10)
    }
}
