import Testing

/// One module: where its files lie and which of our modules they may import. Directly or not makes
/// no difference: what a module may not import, it may not know.
private struct Layer {
  let name: String
  let folder: String
  let mayImport: Set<String>
}

private let systemLibraries: Set<String> = ["CMalloc", "COpenSSL", "CPCRE2", "CZlib", "CZstd"]
private let engine: Set<String> = ["Kernels", "ModelFormats", "Models"]
private let wire: Set<String> = ["WireProtocol", "WirePayloads"]

/// The architecture, lowest layer first. A new module is added here with what it may know.
private let layers = [
  Layer(name: "Kernels", folder: "Sources/Kernels/", mayImport: ["CKernels"]),
  Layer(name: "ModelFormats", folder: "Sources/ModelFormats/", mayImport: []),
  Layer(name: "BoundedWork", folder: "Sources/BoundedWork/", mayImport: ["CMalloc"]),
  Layer(name: "WireProtocol", folder: "Protocol/Messages/", mayImport: []),
  Layer(
    name: "WirePayloads", folder: "Protocol/Payloads/",
    mayImport: ["CZstd", "ModelFormats", "WireProtocol"]),
  Layer(name: "APIObjects", folder: "Protocol/Objects/", mayImport: ["ModelFormats"]),
  Layer(
    name: "Tokenizers", folder: "Sources/Tokenizers/", mayImport: ["CPCRE2", "ModelFormats"]),
  Layer(name: "MachineLimits", folder: "Sources/MachineLimits/", mayImport: []),
  Layer(
    name: "Models", folder: "Sources/Models/",
    mayImport: ["Kernels", "MachineLimits", "ModelFormats"]),
  Layer(name: "Calibration", folder: "Sources/Calibration/", mayImport: engine),
  Layer(name: "FineTuning", folder: "Sources/FineTuning/", mayImport: engine),
  Layer(
    name: "TrainingData", folder: "Sources/TrainingData/",
    mayImport: engine.union(["FineTuning", "Tokenizers"])),
  Layer(
    name: "Execution", folder: "Sources/Execution/",
    mayImport: engine.union(wire).union(["FineTuning"])),
  Layer(
    name: "CoordinatorCore", folder: "Coordinator/Core/", mayImport: wire.union(["ModelFormats"])),
  Layer(
    name: "CoordinatorStore", folder: "Coordinator/Store/",
    mayImport: wire.union(["CoordinatorCore", "ModelFormats"])),
  Layer(
    name: "CoordinatorStatistics", folder: "Coordinator/Statistics/",
    mayImport: ["CZlib", "CoordinatorCore", "CoordinatorStore", "WireProtocol"]),
  Layer(
    name: "CoordinatorAPI", folder: "Coordinator/API/",
    mayImport: wire.union([
      "APIObjects", "BoundedWork", "CoordinatorCore", "CoordinatorStatistics", "CoordinatorStore",
      "Execution", "FineTuning", "ModelFormats", "Models", "Tokenizers", "TrainingData",
    ])),
  Layer(
    name: "CoordinatorDashboard", folder: "Coordinator/Dashboard/",
    mayImport: ["CoordinatorAPI", "CoordinatorCore", "CoordinatorStore", "WireProtocol"]),
  Layer(
    name: "CoordinatorServer", folder: "Coordinator/Server/",
    mayImport: wire.union([
      "BoundedWork", "CoordinatorAPI", "CoordinatorCore", "CoordinatorDashboard",
      "CoordinatorStatistics", "CoordinatorStore", "Execution", "MachineLimits",
    ])),
  Layer(name: "WorkerCore", folder: "Worker/Core/", mayImport: ["WireProtocol"]),
  Layer(
    name: "WorkerEngine", folder: "Worker/Engine/",
    mayImport: wire.union(engine).union(["Execution"])),
  Layer(
    name: "WorkerDaemon", folder: "Worker/Daemon/",
    mayImport: wire.union([
      "BoundedWork", "COpenSSL", "MachineLimits", "WorkerCore", "WorkerEngine",
    ])),
  Layer(
    name: "Commands", folder: "Sources/Commands/",
    mayImport: wire.union(engine).union([
      "APIObjects", "BoundedWork", "Calibration", "CoordinatorAPI", "CoordinatorCore",
      "CoordinatorServer", "CoordinatorStatistics", "CoordinatorStore", "Execution", "FineTuning",
      "MachineLimits", "Tokenizers", "TrainingData", "WorkerCore", "WorkerDaemon", "WorkerEngine",
    ])),
  Layer(name: "tally", folder: "Sources/tally/", mayImport: ["Commands"]),
  Layer(name: "TestSupport", folder: "Sources/TestSupport/", mayImport: []),
  Layer(
    name: "ReaderProbes", folder: "Sources/ReaderProbes/",
    mayImport: ["ModelFormats", "Models", "Tokenizers"]),
]

@Suite("Layers")
struct LayerTests {
  let tree = SourceTree.checkout

  @Test("imports point one way: each module knows only what its layer may")
  func importsPointOneWay() throws {
    let ours = Set(layers.map(\.name)).union(systemLibraries).union(["CKernels"])
    for layer in layers {
      for path in tree.files(in: layer.folder, "swift") {
        for (line, name) in try imports(path) where ours.contains(name) && name != layer.name {
          #expect(
            layer.mayImport.contains(name),
            "\(path):\(line): \(layer.name) may not import \(name)")
        }
      }
    }
  }

  @Test("no module knows one that knows it")
  func tableHasNoCycle() {
    var finished: Set<String> = ["CKernels"]
    finished.formUnion(systemLibraries)
    var waiting = layers
    while let next = waiting.firstIndex(where: { $0.mayImport.isSubset(of: finished) }) {
      finished.insert(waiting.remove(at: next).name)
    }
    #expect(waiting.map(\.name).isEmpty, "these know each other in a circle")
  }

  @Test("every Swift file belongs to a module of the table")
  func everyFileHasLayer() {
    let folders = layers.map(\.folder) + ["Tests/"]
    for path in tree.files(in: "", "swift") where path != "Package.swift" {
      #expect(folders.contains { path.hasPrefix($0) }, "\(path): in no module's folder")
    }
  }

  @Test("kernels are C without the operating system")
  func kernelsIncludeLittle() throws {
    let allowed: Set<String> = [
      "arm_neon.h", "cpuid.h", "fenv.h", "float.h", "immintrin.h", "limits.h", "linux/futex.h",
      "math.h", "sched.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h", "stdlib.h",
      "string.h", "xmmintrin.h", "sys/auxv.h", "unistd.h", "sys/syscall.h",
    ]
    let include = /^\s*#\s*include\s*<(.+)>/
    for path in tree.files(in: "Sources/CKernels/", "c", "h") {
      for (number, line) in try tree.code(path).enumerated() {
        guard let match = line.firstMatch(of: include) else { continue }
        #expect(
          allowed.contains(String(match.1)),
          "\(path):\(number + 1): kernels do not use <\(match.1)>")
      }
    }
  }

  /// Modules that a file imports, with line numbers.
  private func imports(_ path: String) throws -> [(line: Int, name: String)] {
    // Reading an expression takes longer than looking for it.
    let pattern = #/
      ^\s*(?:@\S+\s+)*
      (?:(?:package|public|internal|private|fileprivate)\s+)?import\s+
      (?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?(\w+)
      /#
    return try tree.code(path).enumerated().compactMap { number, line in
      guard line.mentions("import"), let match = line.firstMatch(of: pattern) else { return nil }
      return (number + 1, String(match.1))
    }
  }
}
