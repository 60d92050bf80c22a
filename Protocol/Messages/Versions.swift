/// What both sides must agree on before they exchange work.
package enum ProtocolVersion {
  /// The version of the messages in this folder. A change that an older peer cannot read raises it.
  package static let current = 1
  /// The numerics profile of this build (`Sources/Kernels/NUMERICS.md`). Results of different
  /// profiles are never compared.
  package static let numericsProfile = "exact-1"
  /// The version of the program, as `tally --version` prints it.
  package static let program = "0.1.0"
}

/// The versions that every message of a worker carries.
package struct PeerVersions: Codable, Hashable, Sendable {
  /// `ProtocolVersion.current` of the sender.
  package var protocolVersion: Int
  /// The sender's program version, for messages to people.
  package var programVersion: String
  /// The numerics profile that the sender computes in.
  package var numericsProfile: String

  package init(
    protocolVersion: Int = ProtocolVersion.current,
    programVersion: String = ProtocolVersion.program,
    numericsProfile: String = ProtocolVersion.numericsProfile
  ) {
    self.protocolVersion = protocolVersion
    self.programVersion = programVersion
    self.numericsProfile = numericsProfile
  }

  /// Why a worker with these versions cannot be given work, as a sentence that says what to
  /// upgrade; nil if it can.
  ///
  /// - Parameter minimumVersion: the oldest program that the operator admits; nil for any.
  package func mismatch(
    protocolVersion: Int = ProtocolVersion.current,
    numericsProfile: String = ProtocolVersion.numericsProfile,
    coordinatorVersion: String = ProtocolVersion.program,
    minimumVersion: ProgramVersion? = nil
  ) -> String? {
    if self.protocolVersion < protocolVersion {
      return
        "This worker (tally \(programVersion)) speaks protocol \(self.protocolVersion); the "
        + "coordinator needs \(protocolVersion). Upgrade the worker to tally \(coordinatorVersion) "
        + "or newer."
    }
    if self.protocolVersion > protocolVersion {
      return
        "This worker speaks protocol \(self.protocolVersion), which is newer than the "
        + "coordinator's \(protocolVersion) (tally \(coordinatorVersion)). Ask the operator to "
        + "upgrade the coordinator."
    }
    if self.numericsProfile != numericsProfile {
      return
        "This worker computes in numerics profile \(self.numericsProfile); the coordinator "
        + "verifies \(numericsProfile). Install tally \(coordinatorVersion) on this worker."
    }
    if let minimumVersion {
      let own = ProgramVersion(programVersion)
      if own.map({ $0 < minimumVersion }) ?? true {
        return
          "This worker is tally \(programVersion.prefix(40)); the coordinator's operator asks for "
          + "\(minimumVersion) or newer. Upgrade the worker."
      }
    }
    return nil
  }
}
