import Testing
import TextParts

@Suite struct HiddenPasswordsTests {
    /// RFC 3986 §3.2.1 for the user in a URL; libpq, "Connection Strings".
    @Test(arguments: [
        ("http://user:secret@host:8086/x", "http://[hidden]@host:8086/x"),
        ("https://secret@sentry.example/1", "https://[hidden]@sentry.example/1"),
        // An `@` in the password, and a slash that should have been encoded.
        ("http://user:sec@ret@host/", "http://[hidden]@host/"),
        ("http://user:sec/ret@host", "http://[hidden]@host"),
        ("`postgresql://u:secret@[::1]:5432/db` is down", "`postgresql://[hidden]@[::1]:5432/db` is down"),
        ("a http://u:secret@x and http://v:secret@y", "a http://[hidden]@x and http://[hidden]@y"),
        ("http://host/write?db=a&token=secret&precision=ns", "http://host/write?db=a&token=[hidden]&precision=ns"),
        ("https://s3/?X-Amz-Signature=secret", "https://s3/?X-Amz-Signature=[hidden]"),
        ("host=db password=secret port=5432", "host=db password=[hidden] port=5432"),
        (#"password = 'sec\' ret' user=a"#, "password =[hidden] user=a"),
        // A proxy needs no scheme (curl(1), `--proxy`).
        ("user:secret@proxy:3128", "[hidden]@proxy:3128"),
        ("influx_url: `user:secret@host/x` is none", "influx_url: `[hidden]@host/x` is none"),
        // Quotes that should have been encoded.
        ("http://u:sec'ret@host/x is down", "http://[hidden]@host/x is down"),
        ("`http://u:sec`r\"et@host`", "`http://[hidden]@host`"),
        // Only a query's values end at `&`; libpq's end at white space.
        ("host=db password=sec&ret port=5432", "host=db password=[hidden] port=5432"),
        ("LISTENER_TOKENS=a=secret,b=secret", "LISTENER_TOKENS=[hidden]"),
        ("\u{301}http://u:secret\u{301}@host", "\u{301}http://[hidden]@host"),
    ]) func hides(text: String, expected: String) {
        #expect(text.hidingPasswords == expected)
    }

    @Test(arguments: [
        "http://host:8000/a@b", "http://[::1]:80/x@y", "mail a@b.example", "interval=60 address=0x44", "a = b", "",
        "file:///data/x@2", "at 12:30 a@b", "co2:unit at x@y:1", "no URL: //u:p@h",
    ]) func leaves(text: String) {
        #expect(text.hidingPasswords == text)
    }

    /// Quoted addresses without passwords beside an `@`.
    @Test(arguments: [
        #"{"url":"http://host:80/x","mail":"a@b"}"#, "'http://host' and 'a@b'", #""http://[::1]:80","a@b""#,
    ]) func leavesQuotedAddresses(text: String) {
        #expect(text.hidingPasswords == text)
    }
}

@Suite struct AddressSecretsTests {
    @Test(arguments: [
        ("http://u:pa'ss@host", ["pa'ss"]), ("http://u:12/x@h", ["12/x"]), ("https://key@sentry.example/1", ["key"]),
        ("http://u:p%40ss@host/w?token=t1&x=2", ["p%40ss", "t1"]), ("user:secret@proxy:3128", ["secret"]),
        ("http://u:p@h/?to=a@b", ["p", "p@h/?to=a"]), ("host=db password='a b' user=c", ["a b"]),
        ("postgresql://u:se\"cret@h/db?password=se&cret", ["se\"cret", "se"]),
        ("http://host:8086/x", []), ("https://host/a@b", []), ("", []),
    ]) func areFound(text: String, expected: [String]) {
        #expect(text.secretsOfAddress == expected)
    }

    @Test(arguments: [
        ("http://u:12/x@h", "http://[hidden]@h"),
        ("http://u:a'b@h/x?token=t&y=1", "http://[hidden]@h/x?token=[hidden]&y=1"),
        ("http://host:8086/x", "http://host:8086/x"), ("https://host/a@b", "https://host/a@b"),
    ]) func areHidden(text: String, expected: String) {
        #expect(text.addressHidingPasswords == expected)
    }
}
