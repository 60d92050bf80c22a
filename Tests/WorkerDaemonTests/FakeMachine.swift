import Foundation

/// The files of a machine that sensors read.
struct FakeMachine: Sendable {
  let root: String

  init(_ root: String) throws {
    self.root = root
    try write("proc/stat", Self.processors(busy: 0, idle: 0))
    try write("proc/self/stat", Self.process(user: 0, system: 0))
  }

  func write(_ path: String, _ text: String) throws {
    let file = URL(fileURLWithPath: root).appending(path: path)
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data((text + "\n").utf8).write(to: file, options: .atomic)
  }

  static func processors(busy: Int, niced: Int = 0, idle: Int) -> String {
    "cpu  \(1000 + busy) \(niced) 0 \(5000 + idle) 0 0 0 0 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10"
  }

  /// proc_pid_stat(5), with a name as bad as names may be.
  static func process(user: Int, system: Int, niceness: Int = 0) -> String {
    "42 (a ) (b) S 1 2 3 4 5 6 7 8 9 10 \(user) \(system) 0 0 20 \(niceness) 3 0"
  }
}
