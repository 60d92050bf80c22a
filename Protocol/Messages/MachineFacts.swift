/// What a worker says of the machine it runs on, for lists and statistics; nothing is decided by
/// it. Its owner may keep it private.
package struct MachineFacts: Codable, Hashable, Sendable {
  /// As the processor names its maker, such as "GenuineIntel".
  package var processorVendor: String?
  package var processorModel: String?
  /// Processors as the system counts them.
  package var processors: Int?
  package var memoryBytes: Int?
  /// "Linux".
  package var systemName: String?
  /// The distribution with its version, such as "Debian GNU/Linux 12 (bookworm)".
  package var systemVersion: String?
  /// As `tally --version` prints it.
  package var programVersion: String?
  /// The variant of the kernels that computes, such as "avx512-vnni".
  package var kernels: String?

  package init(
    processorVendor: String? = nil, processorModel: String? = nil, processors: Int? = nil,
    memoryBytes: Int? = nil, systemName: String? = nil, systemVersion: String? = nil,
    programVersion: String? = nil, kernels: String? = nil
  ) {
    self.processorVendor = processorVendor
    self.processorModel = processorModel
    self.processors = processors
    self.memoryBytes = memoryBytes
    self.systemName = systemName
    self.systemVersion = systemVersion
    self.programVersion = programVersion
    self.kernels = kernels
  }

  /// The facts as they may be stored and shown, whoever sent them: texts on one line, without
  /// invisible characters, cut; numbers that no machine has left out; nil when nothing is left.
  package var cleaned: MachineFacts? {
    let facts = MachineFacts(
      processorVendor: Name.cleaned(processorVendor), processorModel: Name.cleaned(processorModel),
      processors: processors.flatMap { (1...65_536).contains($0) ? $0 : nil },
      memoryBytes: memoryBytes.flatMap { (1...(1 << 50)).contains($0) ? $0 : nil },
      systemName: Name.cleaned(systemName), systemVersion: Name.cleaned(systemVersion),
      programVersion: Name.cleaned(programVersion), kernels: Name.cleaned(kernels))
    return facts == MachineFacts() ? nil : facts
  }
}
