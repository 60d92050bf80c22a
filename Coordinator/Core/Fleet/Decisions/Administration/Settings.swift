import WireProtocol

/// The operator sets something for the coordinator as a whole.
package struct Administrate: FleetEvent {
  package enum Setting: Hashable, Sendable {
    case leasing(LeasingState)
    /// For volunteers; nil clears it.
    case message(String?)
    /// The oldest program that gets work; nil for any.
    case minimumWorkerVersion(ProgramVersion?)
    /// Where workers are to look for the coordinator; nil: where they do.
    case nextAddress(String?)
    /// The hash of the key that opens the dashboard as the operator; nil: none does.
    case operatorKey(Digest?)
  }
  package let setting: Setting

  /// - Throws: `StoreError.invalid` for a message that is too long.
  package init(_ setting: Setting) throws {
    if case .message(let message) = setting { try StoreLimit.requireShort(message ?? "") }
    self.setting = setting
  }

  package func decide(in fleet: inout Fleet) throws {
    fleet.changeSettings { row in
      switch setting {
      case .leasing(let state): row.administration.leasing = state
      case .message(let message): row.administration.message = message
      case .minimumWorkerVersion(let version): row.administration.minimumWorkerVersion = version
      case .nextAddress(let url): row.administration.nextAddress = url
      case .operatorKey(let hash): row.operatorKey = hash
      }
    }
  }
}

extension StoreLimit {
  /// - Throws: `StoreError.invalid` for what volunteers would not read.
  package static func requireShort(_ text: String) throws {
    guard text.count <= messageCharacters else {
      throw StoreError(
        .invalid, "What volunteers are told has at most \(messageCharacters) characters.")
    }
  }
}
