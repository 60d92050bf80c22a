// swift-tools-version: 6.1
import PackageDescription

// One optimised build serves programs and tests (`swift build -c release --build-tests`), so
// targets share declarations with `package` access instead of `@testable`.

let unoptimised: [SwiftSetting] = [.unsafeFlags(["-Onone"])]

/// `TALLY_QUICK_BUILD=1` compiles the project's own Swift without optimisation, for the time in
/// which it changes often.
let swiftSettings: [SwiftSetting] =
  [.swiftLanguageMode(.v6)]
  + (Context.environment["TALLY_QUICK_BUILD"] == nil ? [] : unoptimised)

/// A Swift target at `path`, whose tests live in `Tests/<name>Tests`. Files that it embeds are part
/// of the program: nothing has to be found beside it.
func module(
  _ name: String, path: String, embedding resources: [String] = [],
  _ dependencies: [Target.Dependency]
) -> Target {
  .target(
    name: name, dependencies: dependencies, path: path, exclude: excluded[name] ?? [],
    resources: resources.map { .embedInCode($0) }, swiftSettings: swiftSettings)
}

/// A test target. What it tests is optimised; compiling the tests so as well would take longer than
/// they run.
func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(
    name: name, dependencies: dependencies, path: "Tests/\(name)",
    swiftSettings: swiftSettings + unoptimised)
}

/// `TALLY_STATIC_RUNTIME=1` links the Swift runtime into the program, for machines that have none.
/// What was compiled before serves: only the program is linked anew. The libraries are those that
/// Foundation is made of.
let programLinkerSettings: [LinkerSetting] =
  Context.environment["TALLY_STATIC_RUNTIME"] == nil
  ? []
  : [.unsafeFlags(["-static-stdlib"])]
    + [
      "CoreFoundation", "_FoundationICU", "_FoundationCShims", "_FoundationCollections",
      "BlocksRuntime", "dispatch", "stdc++",
    ].map { .linkedLibrary($0) }

/// Documents that stand beside the code they explain.
let excluded: [String: [String]] = ["Kernels": ["NUMERICS.md"]]

/// Templates, style sheet and script of the dashboard.
let dashboardFiles = [
  "Assets/icon.svg", "Assets/page.css", "Assets/page.js", "Templates/account.mustache",
  "Templates/error.mustache", "Templates/figures.mustache", "Templates/fleet.mustache",
  "Templates/job.mustache", "Templates/jobs.mustache", "Templates/layout.mustache",
  "Templates/leaderboard.mustache", "Templates/models.mustache", "Templates/sign-in.mustache",
  "Templates/spans.mustache", "Templates/team.mustache", "Templates/tuning.mustache",
  "Templates/worker.mustache",
]

/// What `Tests/Fuzzing/run` builds with libFuzzer, which brings the program's `main`.
let fuzzing: [Target] =
  Context.environment["TALLY_FUZZING"] == nil
  ? []
  : [
    .executableTarget(
      name: "reader-fuzzer", dependencies: ["ReaderProbes"], path: "Tests/Fuzzing",
      exclude: ["run"], swiftSettings: swiftSettings)
  ]

let argumentParser: Target.Dependency = .product(
  name: "ArgumentParser", package: "swift-argument-parser")
let asyncHTTPClient: Target.Dependency = .product(
  name: "AsyncHTTPClient", package: "async-http-client")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")
let hummingbirdTesting: Target.Dependency = .product(
  name: "HummingbirdTesting", package: "hummingbird")
let hummingbirdTLS: Target.Dependency = .product(name: "HummingbirdTLS", package: "hummingbird")
let lifecycle: Target.Dependency = .product(
  name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals: Target.Dependency = .product(
  name: "UnixSignals", package: "swift-service-lifecycle")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let mustache: Target.Dependency = .product(name: "Mustache", package: "swift-mustache")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let x509: Target.Dependency = .product(name: "X509", package: "swift-certificates")
let asn1: Target.Dependency = .product(name: "SwiftASN1", package: "swift-asn1")

let package = Package(
  name: "Tallystick",
  products: [.executable(name: "tally", targets: ["tally"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/apple/swift-asn1", exact: "1.7.4"),
    .package(url: "https://github.com/apple/swift-certificates", exact: "1.21.1"),
    .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
    .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
    .package(url: "https://github.com/hummingbird-project/swift-mustache", exact: "2.1.1"),
    .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
  ],
  targets: [
    // System libraries: module maps only.
    .systemLibrary(name: "CMalloc", path: "Sources/CMalloc"),
    .systemLibrary(
      name: "COpenSSL", path: "Sources/COpenSSL", pkgConfig: "libcrypto",
      providers: [.apt(["libssl-dev"])]),
    .systemLibrary(
      name: "CPCRE2", path: "Sources/CPCRE2", pkgConfig: "libpcre2-8",
      providers: [.apt(["libpcre2-dev"])]),
    .systemLibrary(
      name: "CZlib", path: "Sources/CZlib", pkgConfig: "zlib",
      providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(
      name: "CZstd", path: "Sources/CZstd", pkgConfig: "libzstd",
      providers: [.apt(["libzstd-dev"])]),

    // The engine, lowest layer first.
    .target(
      name: "CKernels", path: "Sources/CKernels",
      cSettings: [.unsafeFlags(["-O3", "-ffp-contract=off", "-Wall", "-Wextra"])]),
    module("Kernels", path: "Sources/Kernels", ["CKernels"]),
    module("ModelFormats", path: "Sources/ModelFormats", []),
    module("Tokenizers", path: "Sources/Tokenizers", ["CPCRE2", "ModelFormats"]),
    // How much of the machine the process may use.
    module("MachineLimits", path: "Sources/MachineLimits", []),
    module("Models", path: "Sources/Models", ["Kernels", "MachineLimits", "ModelFormats", crypto]),
    module("Calibration", path: "Sources/Calibration", ["Kernels", "ModelFormats", "Models"]),
    module("FineTuning", path: "Sources/FineTuning", ["Kernels", "ModelFormats", "Models"]),
    module(
      "TrainingData", path: "Sources/TrainingData",
      ["FineTuning", "Kernels", "ModelFormats", "Tokenizers"]),
    module(
      "Execution", path: "Sources/Execution",
      ["FineTuning", "Kernels", "ModelFormats", "Models", "WireProtocol", "WirePayloads"]),

    // Threads and memory for work that computes for long.
    module("BoundedWork", path: "Sources/BoundedWork", ["CMalloc"]),

    // What coordinator and worker say to each other.
    module("WireProtocol", path: "Protocol/Messages", []),
    module(
      "WirePayloads", path: "Protocol/Payloads", ["CZstd", "ModelFormats", "WireProtocol", crypto]),
    // OpenAI's and our JSON, for the coordinator that writes it and the commands that read it.
    module("APIObjects", path: "Protocol/Objects", ["ModelFormats"]),

    // The coordinator.
    module(
      "CoordinatorCore", path: "Coordinator/Core",
      ["ModelFormats", "WirePayloads", "WireProtocol"]),
    module(
      "CoordinatorStore", path: "Coordinator/Store",
      [
        "CoordinatorCore", "ModelFormats", "WireProtocol", "WirePayloads", crypto, grdb, logging,
      ]),
    module(
      "CoordinatorStatistics", path: "Coordinator/Statistics",
      ["CoordinatorCore", "CoordinatorStore", "CZlib", "WireProtocol", crypto]),
    module(
      "CoordinatorAPI", path: "Coordinator/API",
      [
        "APIObjects", "BoundedWork", "CoordinatorCore", "CoordinatorStatistics",
        "CoordinatorStore", "Execution", "FineTuning", "ModelFormats", "Models", "Tokenizers",
        "TrainingData", "WirePayloads", "WireProtocol", asn1, crypto, hummingbird, logging, nioCore,
        nioSSL, x509,
      ]),
    module(
      "CoordinatorDashboard", path: "Coordinator/Dashboard", embedding: dashboardFiles,
      [
        "CoordinatorAPI", "CoordinatorCore", "CoordinatorStore", "WireProtocol", crypto,
        hummingbird, lifecycle, mustache,
      ]),
    module(
      "CoordinatorServer", path: "Coordinator/Server",
      [
        "BoundedWork", "CoordinatorAPI", "CoordinatorCore", "CoordinatorDashboard",
        "CoordinatorStatistics", "CoordinatorStore", "Execution", "MachineLimits", "WireProtocol",
        "WirePayloads", asn1, crypto, hummingbird, hummingbirdCore, hummingbirdTLS, lifecycle,
        logging, nioCore, nioHTTP1, nioPosix, nioSSL, unixSignals, x509,
      ]),

    // The worker.
    module("WorkerCore", path: "Worker/Core", ["WireProtocol"]),
    module(
      "WorkerEngine", path: "Worker/Engine",
      ["Execution", "Kernels", "ModelFormats", "Models", "WireProtocol", "WirePayloads"]),
    module(
      "WorkerDaemon", path: "Worker/Daemon",
      [
        "BoundedWork", "COpenSSL", "MachineLimits", "WorkerCore", "WorkerEngine", "WireProtocol",
        "WirePayloads", asyncHTTPClient, crypto, hummingbird, lifecycle, logging, nioCore, nioHTTP1,
        nioPosix, nioSSL, unixSignals,
      ]),

    // The command line, and the program that runs it.
    module(
      "Commands", path: "Sources/Commands",
      [
        "APIObjects", "BoundedWork", "Calibration", "CoordinatorAPI", "CoordinatorCore",
        "CoordinatorServer", "CoordinatorStatistics", "CoordinatorStore", "Execution", "FineTuning",
        "Kernels", "MachineLimits", "ModelFormats", "Models", "Tokenizers", "TrainingData",
        "WireProtocol", "WirePayloads", "WorkerCore", "WorkerDaemon", "WorkerEngine",
        argumentParser, asyncHTTPClient, lifecycle, logging, nioCore, nioHTTP1, nioSSL, unixSignals,
      ]),
    .executableTarget(
      name: "tally", dependencies: ["Commands"], path: "Sources/tally",
      swiftSettings: swiftSettings, linkerSettings: programLinkerSettings),

    // Tests.
    module("TestSupport", path: "Sources/TestSupport", []),
    module("ReaderProbes", path: "Sources/ReaderProbes", ["ModelFormats", "Models", "Tokenizers"]),
    tests("ReaderProbesTests", ["ReaderProbes", "TestSupport"]),
    tests("BoundedWorkTests", ["BoundedWork"]),
    tests("MachineLimitsTests", ["MachineLimits", "TestSupport"]),
    tests("KernelsTests", ["CKernels", "Kernels", "TestSupport"]),
    tests("ModelFormatsTests", ["ModelFormats", "TestSupport"]),
    tests("TokenizersTests", ["ModelFormats", "Tokenizers", "TestSupport"]),
    tests("ModelsTests", ["Kernels", "ModelFormats", "Models", "TestSupport"]),
    tests("CalibrationTests", ["Calibration", "Kernels", "ModelFormats", "Models", "TestSupport"]),
    tests(
      "FineTuningTests",
      ["Execution", "FineTuning", "Kernels", "ModelFormats", "Models", "TestSupport"]),
    tests("TrainingDataTests", ["FineTuning", "Tokenizers", "TrainingData"]),
    tests(
      "ExecutionTests",
      [
        "Execution", "FineTuning", "Kernels", "ModelFormats", "Models", "TestSupport",
        "WirePayloads", "WireProtocol",
      ]),
    tests("GoldenTests", ["Kernels", "ModelFormats", "Models", "Tokenizers", "TestSupport"]),
    tests("WireProtocolTests", ["ModelFormats", "WireProtocol", "WirePayloads", "TestSupport"]),
    tests("CoordinatorCoreTests", ["CoordinatorCore", "TestSupport", "WireProtocol"]),
    tests(
      "CoordinatorStoreTests",
      [
        "CoordinatorCore", "CoordinatorStore", "ModelFormats", "TestSupport", "WirePayloads",
        "WireProtocol", grdb,
      ]),
    tests(
      "CoordinatorStatisticsTests",
      [
        "CoordinatorCore", "CoordinatorStatistics", "CoordinatorStore", "TestSupport",
        "WireProtocol",
      ]),
    tests(
      "CoordinatorAPITests",
      [
        "BoundedWork", "CoordinatorAPI", "CoordinatorCore", "CoordinatorServer", "CoordinatorStore",
        "ModelFormats", "Models", "TestSupport", "Tokenizers", "WirePayloads", "WireProtocol", asn1,
        crypto, hummingbirdTesting, nioCore, nioEmbedded, nioHTTP1, nioPosix, nioSSL, x509,
      ]),
    tests(
      "CoordinatorDashboardTests",
      [
        "CoordinatorAPI", "CoordinatorCore", "CoordinatorDashboard", "CoordinatorServer",
        "CoordinatorStore", "TestSupport", "WirePayloads", "WireProtocol", hummingbird,
        hummingbirdTesting, logging, nioCore,
      ]),
    tests("APIObjectsTests", ["APIObjects", "ModelFormats", "Tokenizers"]),
    tests("CommandsTests", ["Commands", argumentParser]),
    tests("WorkerCoreTests", ["WorkerCore", "WireProtocol", "TestSupport"]),
    tests(
      "WorkerDaemonTests",
      [
        "COpenSSL", "Execution", "FineTuning", "Kernels", "Models", "WireProtocol", "WirePayloads",
        "WorkerCore", "WorkerDaemon", "WorkerEngine", "TestSupport", asn1, asyncHTTPClient, crypto,
        hummingbird, hummingbirdTLS, lifecycle, logging, nioCore, nioPosix, nioSSL, x509,
      ]),
    tests("TidyTests", []),
  ] + fuzzing
)
