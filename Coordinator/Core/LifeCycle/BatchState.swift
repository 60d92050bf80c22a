/// Where a batch is in its life.
///
///     validating -> inProgress -> finalizing(.completed) -> completed
///          |             |------> finalizing(.expired) ---> expired
///          |-> failed    |------> cancelling -------------> cancelled
///
/// `finalizing` and `cancelling` last until the output and error files are written. A batch is
/// cancelled from `validating` or `inProgress`; a batch that runs out of time while it is validated
/// has failed.
package enum BatchState: Hashable, Sendable {
  /// How a batch that ran ends.
  package enum Ending: String, Hashable, Sendable {
    case completed
    case expired
  }

  case validating
  case failed
  case inProgress
  case finalizing(Ending)
  case completed
  case expired
  case cancelling
  case cancelled
}

extension BatchState {
  /// The name that OpenAI's API gives this state.
  package var status: String {
    switch self {
    case .validating: "validating"
    case .failed: "failed"
    case .inProgress: "in_progress"
    case .finalizing: "finalizing"
    case .completed: "completed"
    case .expired: "expired"
    case .cancelling: "cancelling"
    case .cancelled: "cancelled"
    }
  }

  /// Whether nothing happens to the batch any more.
  package var hasEnded: Bool {
    switch self {
    case .failed, .completed, .expired, .cancelled: true
    case .validating, .inProgress, .finalizing, .cancelling: false
    }
  }

  /// Whether the batch waits only for its files to be written.
  package var awaitsFiles: Bool {
    switch self {
    case .finalizing, .cancelling: true
    default: false
    }
  }
}

/// What happens to a batch.
package enum BatchEvent: Hashable, Sendable {
  /// Every line was read and at least one has to run.
  case validated
  /// Lines are invalid: the batch runs nothing.
  case invalid
  /// The last open request ended.
  case allRequestsEnded
  /// The completion window closed.
  case windowClosed
  case cancelRequested
  /// The output and error files are durable.
  case filesWritten
}

/// An event that a batch in this state does not take.
package struct BatchTransitionError: Error, Hashable, Sendable, CustomStringConvertible {
  package let state: BatchState
  package let event: BatchEvent

  package init(state: BatchState, event: BatchEvent) {
    self.state = state
    self.event = event
  }

  package var description: String {
    switch event {
    case .cancelRequested: "a batch that is \(state.status) cannot be cancelled"
    default: "a batch that is \(state.status) does not take the event \(event)"
    }
  }
}

extension BatchState {
  /// The state after `event`.
  ///
  /// - Throws: `BatchTransitionError` when this state does not take it.
  package func after(_ event: BatchEvent) throws -> BatchState {
    switch (self, event) {
    case (.validating, .validated): .inProgress
    case (.validating, .invalid), (.validating, .windowClosed): .failed
    case (.validating, .allRequestsEnded), (.inProgress, .allRequestsEnded):
      .finalizing(.completed)
    case (.inProgress, .windowClosed): .finalizing(.expired)
    case (.validating, .cancelRequested), (.inProgress, .cancelRequested): .cancelling
    // Asking twice is no mistake.
    case (.cancelling, .cancelRequested), (.cancelled, .cancelRequested): self
    case (.finalizing(.completed), .filesWritten): .completed
    case (.finalizing(.expired), .filesWritten): .expired
    case (.cancelling, .filesWritten): .cancelled
    default: throw BatchTransitionError(state: self, event: event)
    }
  }
}
