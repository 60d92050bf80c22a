import Foundation

/// What the kernel says of this machine's memory.
package enum SystemMemory {
  /// Bytes that this process could get without swapping: those of the machine, or of its control group
  /// if that has less; 0 where the system does not say.
  ///
  /// - Parameter root: where the system's files are.
  package static func availableBytes(root: String = "") -> Int {
    guard let text = try? String(contentsOfFile: root + "/proc/meminfo", encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemAvailable:") }),
      let kilobytes = Int(line.filter(\.isNumber))
    else { return 0 }
    return min(kilobytes << 10, groupBytes(root: root) ?? .max)
  }

  /// What is left of a control group's memory, pages of files not counted, which go when others come;
  /// nil where there is no limit.
  private static func groupBytes(root: String) -> Int? {
    let groups = (try? String(contentsOfFile: root + "/proc/self/cgroup", encoding: .utf8)) ?? ""
    let limits = groups.split(separator: "\n").compactMap { line -> Int? in
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { return nil }
      if parts[1].split(separator: ",").contains("memory") {
        return left(
          upFrom: String(parts[2]), in: root + "/sys/fs/cgroup/memory",
          limit: "memory.limit_in_bytes", used: "total_rss")
      }
      guard parts[0] == "0" else { return nil }
      return left(
        upFrom: String(parts[2]), in: root + "/sys/fs/cgroup", limit: "memory.max", used: "anon")
    }
    return limits.min()
  }

  /// The least that a group or one around it leaves. In a container the group's own path may not be
  /// there, but what is at the top counts for it.
  private static func left(
    upFrom path: String, in folder: String, limit: String, used: String
  ) -> Int? {
    let names = path.split(separator: "/")
    return (0...names.count).compactMap { count in
      let group = names.prefix(count).map { "/" + $0 }.joined()
      return left(in: folder + group, limit: limit, used: used)
    }.min()
  }

  private static func left(in folder: String, limit: String, used: String) -> Int? {
    func text(_ name: String) -> String? {
      (try? String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8))?
        .trimmingCharacters(in: .whitespacesAndNewlines)
    }
    guard let limit = text(limit).flatMap({ Int($0) }), limit < 1 << 60 else { return nil }
    let own = (text("memory.stat") ?? "").split(separator: "\n").first { $0.hasPrefix(used + " ") }
    return max(0, limit - (own?.split(separator: " ").last.flatMap { Int($0) } ?? 0))
  }
}
