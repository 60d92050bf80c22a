import Foundation
import MachineLimits
import WireProtocol

extension MachineFacts {
  /// What this machine says of itself, its processors and memory as far as the worker may use them.
  /// What is missing or makes no sense is left out.
  ///
  /// - Parameters:
  ///   - kernels: the variant that computes.
  ///   - root: before every path; empty but in tests.
  static func read(kernels: String?, root: String) -> MachineFacts {
    let processor = fields("/proc/cpuinfo", root, separator: ":")
    let limits = MachineLimits(root: root)
    let system = fields("/etc/os-release", root, separator: "=")
    let facts = MachineFacts(
      processorVendor: processor["vendor_id"] ?? processor["CPU implementer"],
      processorModel: processor["model name"] ?? processor["CPU part"],
      processors: limits.threads, memoryBytes: limits.memoryBytes,
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
