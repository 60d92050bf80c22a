/// What the kernel says of this machine's memory.
package enum SystemMemory {
  /// Bytes that this process could get without swapping: those of the machine, or of its control
  /// group if that has less; 0 where the system does not say.
  ///
  /// - Parameter root: where the system's files are.
  package static func availableBytes(root: String = "") -> Int {
    reportedAvailableBytes(root: root) ?? 0
  }

  /// The same; nil where the system does not say, which is no reason to refuse anything.
  ///
  /// - Parameter root: where the system's files are.
  package static func reportedAvailableBytes(root: String = "") -> Int? {
    let files = SystemFiles(root: root)
    guard let available = files.memory("MemAvailable") else { return nil }
    return min(available, ControlGroups(files).memoryLeftBytes ?? .max)
  }
}
