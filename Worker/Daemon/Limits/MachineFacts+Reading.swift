import Foundation
import WireProtocol

extension MachineFacts {
  /// What this machine says of itself. What is missing or makes no sense is left out.
  ///
  /// - Parameters:
  ///   - kernels: the variant that computes.
  ///   - root: before every path; empty but in tests.
  static func read(kernels: String?, root: String) -> MachineFacts {
    let processor = fields("/proc/cpuinfo", root, separator: ":")
    let memory = fields("/proc/meminfo", root, separator: ":")["MemTotal"]
    let system = fields("/etc/os-release", root, separator: "=")
    let facts = MachineFacts(
      processorVendor: processor["vendor_id"] ?? processor["CPU implementer"],
      processorModel: processor["model name"] ?? processor["CPU part"],
      processors: ProcessInfo.processInfo.processorCount,
      memoryBytes: memory.flatMap { Int($0.prefix { $0.isNumber }) }.flatMap {
        $0 < 1 << 40 ? $0 * 1024 : nil
      },
      systemName: "Linux",
      systemVersion: system["PRETTY_NAME"].map {
        $0.trimmingCharacters(in: CharacterSet(charactersIn: "\"'"))
      },
      programVersion: ProtocolVersion.program, kernels: kernels)
    return facts.cleaned ?? MachineFacts()
  }

  /// The first line of each name.
  private static func fields(
    _ path: String, _ root: String, separator: Character
  ) -> [String: String] {
    guard let text = try? String(contentsOfFile: root + path, encoding: .utf8) else { return [:] }
    var fields: [String: String] = [:]
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: separator, maxSplits: 1)
      guard parts.count == 2 else { continue }
      let name = parts[0].trimmingCharacters(in: .whitespaces)
      if fields[name] == nil { fields[name] = parts[1].trimmingCharacters(in: .whitespaces) }
    }
    return fields
  }
}
