import Foundation

/// What the kernel says of this process.
enum ProcessMemory {
  /// The largest resident size so far, in bytes; 0 where the system does not say.
  static func peakResidentBytes() -> Int {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else {
      return 0
    }
    for line in status.split(separator: "\n") where line.hasPrefix("VmHWM:") {
      return (line.split(separator: " ", omittingEmptySubsequences: true).dropFirst().first)
        .flatMap { Int($0) }.map { $0 * 1024 } ?? 0
    }
    return 0
  }
}
