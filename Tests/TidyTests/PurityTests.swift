import Testing

/// Decisions are pure: years of a fleet run in seconds under a seed only if nothing here asks the
/// machine anything.
@Suite("Purity")
struct PurityTests {
  let tree = SourceTree.checkout
  static let pureFolders = ["Coordinator/Core/", "Worker/Core/", "Protocol/Messages/"]

  @Test("pure cores import the messages and Foundation's values only", arguments: pureFolders)
  func imports(folder: String) throws {
    // The coordinator's core also spells unit inputs and digests, which are functions of values.
    let allowed: Set<Substring> = [
      "Foundation", "FoundationEssentials", "ModelFormats", "WirePayloads", "WireProtocol",
    ]
    let pattern = /\bimport\s+(?:struct\s+|enum\s+)?(\w+)/
    for path in tree.files(in: folder, "swift") {
      for (number, line) in try tree.code(path).enumerated() {
        guard line.mentions("import"), let match = line.firstMatch(of: pattern)
        else { continue }
        #expect(allowed.contains(match.1), "\(path):\(number + 1): a pure core imports \(match.1)")
      }
    }
  }

  @Test(
    "pure cores use no file, network, clock, randomness, thread or lock", arguments: pureFolders)
  func names(folder: String) throws {
    let impure = [
      "Date()", "Date.now", ".now()", "ContinuousClock", "SuspendingClock", "DispatchTime",
      "clock_gettime", "ProcessInfo", "FileManager", "FileHandle", "contentsOf:", "write(to",
      "URLSession", "Process(", "UUID()", ".random(", ".randomElement", ".shuffled()",
      "SystemRandomNumberGenerator", "Task {", "Task.", "Task(", "Thread(", "Thread.", "pthread",
      "DispatchQueue", "Mutex", "NSLock", "print(", "getenv",
    ]
    for path in tree.files(in: folder, "swift") {
      for (number, line) in try tree.code(path).enumerated() {
        for word in impure where line.mentions(word) {
          Issue.record("\(path):\(number + 1): a pure core uses \(word)")
        }
      }
    }
  }

  @Test("the engine's results depend on no clock and no system randomness")
  func engine() throws {
    let impure = ["Date()", "Date.now", "UUID()", ".random(", "SystemRandomNumberGenerator"]
    for folder in [
      "Sources/Kernels/", "Sources/Models/", "Sources/Execution/", "Sources/Tokenizers/",
    ] {
      for path in tree.files(in: folder, "swift") {
        for (number, line) in try tree.code(path).enumerated() {
          for word in impure where line.mentions(word) {
            Issue.record("\(path):\(number + 1): the engine uses \(word)")
          }
        }
      }
    }
  }
}
