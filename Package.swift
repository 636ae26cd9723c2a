// swift-tools-version: 6.2
import PackageDescription

// Every dependency is locked to one version. `make update-dependencies` writes newer versions here.
let isUpdate = Context.environment["EDGE_UPDATE_DEPENDENCIES"] == "1"
func locked(
    _ repository: String, _ version: Version, traits: Set<Package.Dependency.Trait> = [.defaults]
) -> Package.Dependency {
    let url = "https://github.com/\(repository)"
    return isUpdate
        ? .package(url: url, from: version, traits: traits) : .package(url: url, exact: version, traits: traits)
}

let package = Package(
    name: "edge-aggregator",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "edge-aggregator", targets: ["EdgeAggregator"])
    ],
    dependencies: [
        locked("apple/swift-argument-parser", "1.8.2"),
        locked("apple/swift-http-types", "1.8.0"),
        locked("apple/swift-log", "1.16.2"),
        locked("apple/swift-nio", "2.101.2"),
        locked("groue/GRDB.swift", "7.10.0"),
        locked("hummingbird-project/hummingbird", "2.28.1", traits: []),
        locked("jpsim/Yams", "6.2.2"),
        locked("swift-server/swift-service-lifecycle", "2.13.0"),
    ],
    targets: [
        // The C libraries, one folder each.
        .systemLibrary(
            name: "CSoundFile", path: "Sources/System/CSoundFile", pkgConfig: "sndfile",
            providers: [.apt(["libsndfile1-dev"])]),
        .systemLibrary(
            name: "CSoxr", path: "Sources/System/CSoxr", pkgConfig: "soxr",
            providers: [.apt(["libsoxr-dev"])]),
        .systemLibrary(
            name: "CCurl", path: "Sources/System/CCurl", pkgConfig: "libcurl",
            providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(
            name: "CZlib", path: "Sources/System/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(
            name: "CLibCrypto", path: "Sources/System/CLibCrypto", pkgConfig: "libcrypto",
            providers: [.apt(["libssl-dev"])]),
        .systemLibrary(
            name: "CLibSSL", path: "Sources/System/CLibSSL", pkgConfig: "openssl",
            providers: [.apt(["libssl-dev"])]),
        .systemLibrary(
            name: "CMosquitto", path: "Sources/System/CMosquitto", pkgConfig: "libmosquitto",
            providers: [.apt(["libmosquitto-dev"])]),
        .systemLibrary(
            name: "CPostgreSQL", path: "Sources/System/CPostgreSQL", pkgConfig: "libpq",
            providers: [.apt(["libpq-dev"])]),
        .systemLibrary(
            name: "CSQLite", path: "Sources/System/CSQLite", pkgConfig: "sqlite3",
            providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(
            name: "CSnappy", path: "Sources/System/CSnappy", providers: [.apt(["libsnappy-dev"])]),
        .systemLibrary(
            name: "CGpiod", path: "Sources/System/CGpiod", pkgConfig: "libgpiod", providers: [.apt(["libgpiod-dev"])]),
        .systemLibrary(
            name: "CAlsa", path: "Sources/System/CAlsa", pkgConfig: "alsa", providers: [.apt(["libasound2-dev"])]),
        .systemLibrary(
            name: "CNetCDF", path: "Sources/System/CNetCDF", pkgConfig: "netcdf",
            providers: [.apt(["libnetcdf-dev"])]),
        .systemLibrary(
            name: "CBlosc", path: "Sources/System/CBlosc", pkgConfig: "blosc", providers: [.apt(["libblosc-dev"])]),
        .systemLibrary(
            name: "COpenJPEG", path: "Sources/System/COpenJPEG", pkgConfig: "libopenjp2",
            providers: [.apt(["libopenjp2-7-dev"])]),
        .target(
            name: "CTensorFlowLite", path: "Sources/System/CTensorFlowLite",
            linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
        .target(name: "CEdgeSystem", path: "Sources/System/CEdgeSystem"),
        .target(name: "CEdgeGPIO", dependencies: ["CGpiod"], path: "Sources/System/CEdgeGPIO"),

        // What every parser of text uses; it imports nothing.
        .target(name: "TextParts"),

        // The leaves: they know no network, no database and not each other.
        .target(name: "AudioDSP", dependencies: ["CAlsa", "CSoundFile", "CSoxr", "CTensorFlowLite"]),
        .target(name: "Sensors", dependencies: ["CEdgeGPIO", "CEdgeSystem", "TextParts"]),
        .target(name: "Digests", dependencies: ["CLibCrypto"]),

        .target(name: "TLS", dependencies: ["CLibSSL", .product(name: "NIOCore", package: "swift-nio")]),

        .target(name: "FieldNodes", dependencies: ["CSQLite", "TextParts"]),
        .target(name: "Forecasts", dependencies: ["CBlosc", "CNetCDF", "COpenJPEG", "TextParts"]),

        .target(
            name: "Store",
            dependencies: [
                "CEdgeSystem", "CSQLite", "TextParts", .product(name: "GRDB", package: "GRDB.swift"),
            ]),

        .target(
            name: "Uplink",
            dependencies: [
                "CCurl", "CEdgeSystem", "CMosquitto", "CPostgreSQL", "CSnappy", "CZlib", "Digests", "Sensors", "Store",
                "TextParts",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),

        .executableTarget(
            name: "EdgeAggregator",
            dependencies: [
                "AudioDSP", "CEdgeSystem", "CZlib", "Digests", "FieldNodes", "Forecasts", "Sensors", "Store", "TLS",
                "TextParts", "Uplink",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Yams", package: "Yams"),
            ]),

        // What tests share, and the tests, one folder a target.
        .target(name: "EdgeTesting", dependencies: ["AudioDSP"], path: "Tests/EdgeTesting"),
        .executableTarget(
            name: "birdnet-reference", path: "Tests/Reference",
            linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux])), .linkedLibrary("m")]),
        .executableTarget(name: "field-bench", dependencies: ["Forecasts"], path: "Benchmarks/FieldBench"),
        .executableTarget(name: "store-bench", dependencies: ["Store"], path: "Benchmarks/StoreBench"),
        .testTarget(name: "AudioDSPTests", dependencies: ["AudioDSP", "EdgeTesting", "birdnet-reference"]),
        .testTarget(name: "DigestsTests", dependencies: ["Digests"]),
        .testTarget(name: "TextPartsTests", dependencies: ["TextParts"]),
        .testTarget(name: "SensorsTests", dependencies: ["Sensors"]),
        .testTarget(
            name: "TLSTests",
            dependencies: [
                "EdgeTesting", "TLS", .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        .testTarget(name: "FieldNodesTests", dependencies: ["FieldNodes", "EdgeTesting"]),
        .testTarget(name: "ForecastsTests", dependencies: ["Forecasts", "EdgeTesting"]),
        .testTarget(
            name: "StoreTests", dependencies: ["Store", "EdgeTesting", .product(name: "GRDB", package: "GRDB.swift")]),
        .testTarget(name: "UplinkTests", dependencies: ["Uplink", "EdgeTesting", "Store", "Sensors"]),
        .testTarget(
            name: "EdgeAggregatorTests",
            dependencies: [
                "EdgeAggregator", "EdgeTesting", "Sensors", "Store", "Uplink",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Yams", package: "Yams"),
            ]),
        .testTarget(
            name: "IntegrationTests",
            dependencies: ["EdgeAggregator", "EdgeTesting", "Store", .product(name: "GRDB", package: "GRDB.swift")]),
    ],
    cLanguageStandard: .gnu11
)

/// Targets with Swift code of the program, which tests are not.
let programTargets = package.targets.filter { target in
    let folder = target.path ?? "Sources/\(target.name)"
    return [.regular, .executable].contains(target.type) && folder.hasPrefix("Sources/")
        && !folder.hasPrefix("Sources/System/")
}

// The thread sanitizer does not see the standard library's mutex: its builds take one that it does. It is found by its name
// alone, so that no file needs another import.
let isForThreadSanitizer = Context.environment["EDGE_THREAD_SANITIZER"] == "1"
if isForThreadSanitizer {
    package.targets.append(.target(name: "SanitizerMutex", path: "Sources/System/SanitizerMutex"))
    for target in programTargets {
        target.dependencies.append("SanitizerMutex")
        target.swiftSettings = [.define("EDGE_THREAD_SANITIZER")]
    }
}

// What touches bytes of peers marks every unsafe expression.
for target in programTargets { target.swiftSettings = (target.swiftSettings ?? []) + [.strictMemorySafety()] }

// One place for the language settings of every Swift target.
for target in package.targets where target.type == .regular || target.type == .executable || target.type == .test {
    var settings: [SwiftSetting] = [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ]
    if !isForThreadSanitizer { settings.append(.enableUpcomingFeature("MemberImportVisibility")) }
    // Continuous integration turns warnings into errors; a newer compiler's new warnings must not stop a user's build.
    if Context.environment["EDGE_STRICT"] == "1" {
        settings.append(.unsafeFlags(["-warnings-as-errors"]))
    }
    // What computes over sound is optimized in debug builds too, since they would spend most of their time in it. Assertions and the
    // standard library's debug checks stay.
    if target.name == "AudioDSP" {
        // Swift 6.2 wants to be told that what is written into a span does not keep the span that was read.
        settings.append(.enableExperimentalFeature("Lifetimes"))
        settings.append(.unsafeFlags(["-O", "-assert-config", "Debug"], .when(configuration: .debug)))
    }
    if target.path?.hasPrefix("Sources/System/") == true {
        target.cSettings = (target.cSettings ?? []) + [.unsafeFlags(["-O2"], .when(configuration: .debug))]
    }
    target.swiftSettings = (target.swiftSettings ?? []) + settings
}

// What the dependencies depend on, locked too. The package manager warns if no product of a package is used, so one product of each
// is named under a condition that is never true. It is not compiled because of that.
let indirect: [(dependency: Package.Dependency, package: String, product: String)] = [
    (locked("apple/swift-algorithms", "1.2.1"), "swift-algorithms", "Algorithms"),
    (locked("apple/swift-asn1", "1.7.4"), "swift-asn1", "SwiftASN1"),
    (locked("apple/swift-async-algorithms", "1.1.4"), "swift-async-algorithms", "AsyncAlgorithms"),
    (locked("apple/swift-atomics", "1.3.0"), "swift-atomics", "Atomics"),
    (locked("apple/swift-certificates", "1.21.1"), "swift-certificates", "X509"),
    (locked("apple/swift-collections", "1.6.0"), "swift-collections", "DequeModule"),
    (locked("apple/swift-configuration", "1.4.0", traits: []), "swift-configuration", "Configuration"),
    (locked("apple/swift-crypto", "4.5.2"), "swift-crypto", "Crypto"),
    (locked("apple/swift-distributed-tracing", "1.7.3"), "swift-distributed-tracing", "Tracing"),
    (locked("apple/swift-http-structured-headers", "1.7.0"), "swift-http-structured-headers", "StructuredFieldValues"),
    (locked("apple/swift-metrics", "2.13.0"), "swift-metrics", "Metrics"),
    (locked("apple/swift-nio-extras", "1.35.2"), "swift-nio-extras", "NIOExtras"),
    (locked("apple/swift-nio-http2", "1.46.0"), "swift-nio-http2", "NIOHTTP2"),
    (locked("apple/swift-nio-ssl", "2.37.6"), "swift-nio-ssl", "NIOSSL"),
    (locked("apple/swift-nio-transport-services", "1.28.0"), "swift-nio-transport-services", "NIOTransportServices"),
    (locked("apple/swift-numerics", "1.1.1"), "swift-numerics", "Numerics"),
    (locked("apple/swift-service-context", "1.5.1"), "swift-service-context", "ServiceContextModule"),
    (locked("apple/swift-system", "1.8.1"), "swift-system", "SystemPackage"),
    (locked("swift-server/async-http-client", "1.37.0"), "async-http-client", "AsyncHTTPClient"),
]
for (dependency, name, product) in indirect {
    package.dependencies.append(dependency)
    package.targets.first { $0.name == "EdgeAggregator" }?.dependencies.append(
        .product(name: product, package: name, condition: .when(platforms: [.custom("none")])))
}
