import Digests
import Foundation
import Testing

@Suite struct DigestTests {
    private static let abc448 = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"

    /// FIPS 180-4 with the examples of NIST's "Cryptographic Standards and Guidelines: Example Values".
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (abc448, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
    ])
    func sha256HasTheStandardsValues(_ text: String, _ expected: String) {
        #expect(SHA256.hash(text.utf8).hexadecimal == expected)
    }

    @Test func sha256OfAMillionLetters() {
        var hasher = SHA256()
        let piece = [UInt8](repeating: UInt8(ascii: "a"), count: 1000)
        for _ in 0..<1000 { hasher.update(piece) }
        let digest = hasher.finalize()
        #expect(digest.hexadecimal == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
        #expect(digest.bytes.count == SHA256.byteCount)
    }

    /// RFC 1321, appendix A.5.
    @Test(arguments: [
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("a", "0cc175b9c0f1b6a831c399e269772661"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"),
        (String(repeating: "1234567890", count: 8), "57edf4a22be3c955ac49da2e2107b67a"),
    ])
    func md5HasTheStandardsValues(_ text: String, _ expected: String) {
        let digest = MD5.hash(text.utf8)
        #expect(digest.hexadecimal == expected)
        #expect(digest.bytes.count == MD5.byteCount)
    }

    /// RFC 4231, section 4; the fifth case is of a shortened code.
    @Test(arguments: [
        (
            [UInt8](repeating: 0x0b, count: 20), Array("Hi There".utf8),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        ),
        (
            Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        ),
        (
            [UInt8](repeating: 0xaa, count: 20), [UInt8](repeating: 0xdd, count: 50),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
        ),
        (
            [UInt8](1...25), [UInt8](repeating: 0xcd, count: 50),
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
        ),
        (
            [UInt8](repeating: 0x0c, count: 20), Array("Test With Truncation".utf8), "a3b6167473100ee06e0c796c2955552b"
        ),
        (
            [UInt8](repeating: 0xaa, count: 131), Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
        (
            [UInt8](repeating: 0xaa, count: 131),
            Array(
                ("This is a test using a larger than block-size key and a larger than block-size data. "
                    + "The key needs to be hashed before being used by the HMAC algorithm.").utf8),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
        ),
    ])
    func authenticationCodesHaveTheStandardsValues(_ key: [UInt8], _ message: [UInt8], _ expected: String) {
        let code = SHA256.authenticationCode(for: message.span, key: key.span)
        #expect(code.hexadecimal.prefix(expected.count) == expected)
        #expect(code.bytes.count == SHA256.byteCount)
    }

    @Test func anEmptyKeyAndAnEmptyMessage() {
        let none: [UInt8] = []
        let letter = Array("a".utf8)
        #expect(
            SHA256.authenticationCode(for: none.span, key: none.span).hexadecimal
                == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
        // libcrypto could take an empty key for the key of the call before.
        _ = SHA256.authenticationCode(for: none.span, key: letter.span)
        #expect(
            SHA256.authenticationCode(for: none.span, key: none.span).hexadecimal
                == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
    }

    /// Two blocks and some bytes, cut in two at every place, and in pieces of every size.
    @Test func cutsDoNotMatter() {
        let bytes = (0..<150).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        let sha256 = SHA256.hash(bytes)
        let md5 = MD5.hash(bytes)
        for cut in 0...bytes.count {
            var first = SHA256()
            var second = MD5()
            for piece in [bytes[..<cut], bytes[cut...]] {
                first.update(piece)
                second.update(piece)
            }
            #expect(first.finalize() == sha256, "cut at \(cut)")
            #expect(second.finalize() == md5, "cut at \(cut)")
        }
        for size in 1...bytes.count {
            var hasher = SHA256()
            for start in stride(from: 0, to: bytes.count, by: size) {
                hasher.update(bytes.span.extracting(start..<min(start + size, bytes.count)))
            }
            #expect(hasher.finalize() == sha256, "pieces of \(size)")
        }
    }

    /// The same digest, wherever the bytes are.
    @Test func allKindsOfStorageGiveTheSame() {
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 101) }
        let expected = SHA256.hash(bytes)
        let data = Data(bytes)
        var ofSpan = SHA256()
        ofSpan.update(data.bytes)
        #expect(ofSpan.finalize() == expected)
        #expect(SHA256.hash(data) == expected)
        #expect(SHA256.hash((Data([0]) + data).dropFirst()) == expected)
        #expect(SHA256.hash(AnySequence(bytes)) == expected)
        #expect(SHA256.hash(bytes.lazy.map { $0 }) == expected)
        #expect(SHA256.hash([0, 1, 2] as ContiguousArray) == SHA256.hash([0, 1, 2]))
        #expect(MD5.hash(data) == MD5.hash(bytes))
    }

    /// Hashes in several threads do not disturb each other.
    @Test func manyAtOnce() async {
        let expected = SHA256.hash(Self.abc448.utf8)
        let right = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<64 {
                group.addTask {
                    (0..<200).allSatisfy { _ in
                        var hasher = SHA256()
                        for byte in Self.abc448.utf8 { hasher.update(CollectionOfOne(byte)) }
                        return hasher.finalize() == expected
                    }
                }
            }
            return await group.allSatisfy { $0 }
        }
        #expect(right)
    }

    @Test func comparesInConstantTime() {
        // `#expect` cannot hold spans.
        func areEqual(_ first: [UInt8], _ second: [UInt8]) -> Bool { isEqualInConstantTime(first.span, second.span) }
        let bytes = [UInt8](0..<64)
        #expect(areEqual(bytes, bytes))
        #expect(areEqual([], []))
        #expect(!areEqual(bytes, []))
        #expect(!areEqual(bytes, Array(bytes.dropLast())))
        for index in bytes.indices {
            for bit in 0..<8 {
                var other = bytes
                other[index] ^= 1 << bit
                #expect(!areEqual(bytes, other))
            }
        }
    }
}
