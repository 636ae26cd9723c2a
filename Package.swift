// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "edge-aggregator",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "edge-aggregator", targets: ["EdgeAggregator"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.90.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.30.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.8.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.20.0", traits: []),
        .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.8.0"),
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

        // The leaves: they know no network, no database and not each other.
        .target(name: "AudioDSP", dependencies: ["CAlsa", "CSoundFile", "CSoxr", "CTensorFlowLite"]),
        .target(name: "Sensors", dependencies: ["CEdgeGPIO", "CEdgeSystem"]),
        .target(name: "Digests", dependencies: ["CLibCrypto"]),

        .target(name: "FieldNodes", dependencies: ["CSQLite"]),
        .target(name: "Forecasts", dependencies: ["CBlosc", "CNetCDF", "COpenJPEG"]),

        .target(
            name: "Store", dependencies: ["CEdgeSystem", "CSQLite", .product(name: "GRDB", package: "GRDB.swift")]),

        .target(
            name: "Uplink",
            dependencies: [
                "CCurl", "CEdgeSystem", "CMosquitto", "CPostgreSQL", "CSnappy", "CZlib", "Digests", "Sensors", "Store",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]),

        .executableTarget(
            name: "EdgeAggregator",
            dependencies: [
                "AudioDSP", "CEdgeSystem", "CZlib", "Digests", "FieldNodes", "Forecasts", "Sensors", "Store", "Uplink",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
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
        .testTarget(name: "SensorsTests", dependencies: ["Sensors"]),
        .testTarget(name: "FieldNodesTests", dependencies: ["FieldNodes", "EdgeTesting"]),
        .testTarget(name: "ForecastsTests", dependencies: ["Forecasts", "EdgeTesting"]),
        .testTarget(
            name: "StoreTests", dependencies: ["Store", "EdgeTesting", .product(name: "GRDB", package: "GRDB.swift")]),
        .testTarget(name: "UplinkTests", dependencies: ["Uplink", "EdgeTesting", "Store", "Sensors"]),
        .testTarget(
            name: "EdgeAggregatorTests",
            dependencies: [
                "EdgeAggregator", "EdgeTesting", "Sensors", "Store", .product(name: "Logging", package: "swift-log"),
                .product(name: "Yams", package: "Yams"),
            ]),
        .testTarget(
            name: "IntegrationTests",
            dependencies: ["EdgeAggregator", "EdgeTesting", "Store", .product(name: "GRDB", package: "GRDB.swift")]),
    ],
    cLanguageStandard: .gnu11
)

// The thread sanitizer does not see the standard library's mutex: its builds take one that it does.
let isForThreadSanitizer = Context.environment["EDGE_THREAD_SANITIZER"] == "1"
if isForThreadSanitizer {
    package.targets.append(.target(name: "SanitizerMutex", path: "Sources/System/SanitizerMutex"))
    for target in package.targets
    where ["AudioDSP", "Sensors", "Store", "Uplink", "EdgeAggregator"].contains(target.name) {
        target.dependencies.append("SanitizerMutex")
        target.swiftSettings = [.define("EDGE_THREAD_SANITIZER")]
    }
}

// One place for the language settings of every Swift target.
for target in package.targets where target.type == .regular || target.type == .executable || target.type == .test {
    var settings: [SwiftSetting] = [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ]
    // The sanitizer's mutex is found by its name alone, without an import in each file.
    if !isForThreadSanitizer { settings.append(.enableUpcomingFeature("MemberImportVisibility")) }
    // Continuous integration turns warnings into errors; a newer compiler's new warnings must not stop a user's build.
    if Context.environment["EDGE_STRICT"] == "1" {
        settings.append(.unsafeFlags(["-warnings-as-errors"]))
    }
    target.swiftSettings = (target.swiftSettings ?? []) + settings
}
