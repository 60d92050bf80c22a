import Foundation

/// The kernel's small files.
struct SystemFiles {
  /// Before every path; empty but in tests.
  let root: String

  /// What a file says, without the blanks around it; nil where it cannot be read.
  func text(_ path: String) -> String? {
    // Such files have no size, and none that is meant here is long.
    guard let file = FileHandle(forReadingAtPath: root + path) else { return nil }
    defer { try? file.close() }
    return (try? file.read(upToCount: 1 << 18)).map {
      String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
  }

  /// A figure of `/proc/meminfo`, in bytes.
  func memory(_ name: String) -> Int? {
    let line = text("/proc/meminfo")?.split(separator: "\n").first { $0.hasPrefix(name + ":") }
    let kibibytes = line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
    return kibibytes.flatMap { (0..<1 << 50).contains($0) ? $0 << 10 : nil }
  }
}
