import Foundation
import Glibc

/// The worker's own control group (version 2), whose weight says how much of the processors it gets
/// beside other groups that want them: see the kernel's documentation, "Control Group v2",
/// `cpu.weight`.
struct ControlGroup: Sendable {
  /// Before every path; empty but in tests.
  private let root: String
  /// What the weight was before this worker changed it.
  private var original: Int?
  /// The weight in force; nil where none is set, or none can be.
  private(set) var weight: Int?
  /// Why the wanted weight is not in force.
  private(set) var problem: String?

  init(root: String = "") { self.root = root }

  /// Puts a weight in force, or the former one back. Looks again each time, since the group may
  /// change hands.
  mutating func hold(to wanted: Int?) {
    guard wanted != nil || original != nil else {
      (weight, problem) = (nil, nil)
      return
    }
    do {
      let file = try own() + "/cpu.weight"
      guard let present = text(file).flatMap({ Int($0) }) else {
        throw Obstacle(
          "its control group has no weight: it is the first of all, or without processors")
      }
      guard let target = wanted ?? original else { return }
      if present != target {
        try write("\(target)", to: file)
        if original == nil { original = present }
      }
      if wanted == nil { original = nil }
      (weight, problem) = (wanted, nil)
    } catch {
      if wanted == nil { original = nil }
      weight = nil
      problem = wanted == nil ? nil : "\(error)"
    }
  }

  private struct Obstacle: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
  }

  /// The folder of the group that this process is in alone: what others are in is not the worker's
  /// to change.
  private func own() throws -> String {
    guard let lines = text("/proc/self/cgroup")?.split(separator: "\n"),
      let line = lines.first(where: { $0.hasPrefix("0::/") })
    else { throw Obstacle("this system has no control groups of version 2") }
    let folder = "/sys/fs/cgroup" + line.dropFirst(3)
    let process = text("/proc/self/stat")?.split(separator: " ").first
    let members = text(folder + "/cgroup.procs")?.split(separator: "\n") ?? []
    guard let process, members.allSatisfy({ $0 == process }) else {
      throw Obstacle(
        "other programs are in its control group: start it as a service, or with systemd-run "
          + "--scope")
    }
    return folder
  }

  /// In place: the kernel's files cannot be replaced.
  private func write(_ text: String, to path: String) throws {
    func refused() -> Obstacle {
      Obstacle(
        "its control group is not its own to change (\(String(cString: strerror(errno)))); for the "
          + "service: systemctl set-property tallystick-worker CPUWeight=\(text)")
    }
    let file = open(root + path, O_WRONLY | O_TRUNC | O_CLOEXEC)
    guard file >= 0 else { throw refused() }
    defer { close(file) }
    let bytes = Array((text + "\n").utf8)
    guard Glibc.write(file, bytes, bytes.count) == bytes.count else { throw refused() }
  }

  private func text(_ path: String) -> String? {
    guard let file = FileHandle(forReadingAtPath: root + path) else { return nil }
    defer { try? file.close() }
    return (try? file.read(upToCount: 1 << 16)).map {
      String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
  }
}
