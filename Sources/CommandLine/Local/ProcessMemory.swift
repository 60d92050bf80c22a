import Foundation

/// What the kernel says of memory, in bytes; 0 where it does not say.
enum ProcessMemory {
  /// The largest resident size of this process so far.
  static func peakResidentBytes() -> Int { bytes("VmHWM:", of: "/proc/self/status") }

  /// What programs could get without swapping.
  static var availableBytes: Int { bytes("MemAvailable:", of: "/proc/meminfo") }

  private static func bytes(_ field: String, of path: String) -> Int {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix(field) }),
      let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    else { return 0 }
    return kibibytes * 1024
  }
}
