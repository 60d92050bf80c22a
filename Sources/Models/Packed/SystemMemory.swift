import Foundation

/// What the kernel says of this machine's memory.
package enum SystemMemory {
  /// Bytes that programs could get without swapping; 0 where the system does not say.
  package static func availableBytes() -> Int {
    guard let text = try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemAvailable:") }),
      let kilobytes = Int(line.filter(\.isNumber))
    else { return 0 }
    return kilobytes << 10
  }
}
