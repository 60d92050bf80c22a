/// Where a fine-tuning job is in its life.
///
///     validating -> running -> succeeded
///          |         |   ^
///          |         v   |
///          |        paused
///          |-> failed, cancelled (also from running and paused)
package enum FineTuningState: String, Hashable, Sendable, Codable {
  /// Its files are read.
  case validating
  case running
  /// Nothing new is handed out; what runs may finish.
  case paused
  case succeeded
  case failed
  case cancelled

  /// The name that OpenAI's API gives this state. It has none for a paused job, which waits as a
  /// queued one does.
  ///
  /// - Parameter hasBegun: whether a unit was handed out.
  package func status(hasBegun: Bool) -> String {
    switch self {
    case .validating: "validating_files"
    case .running: hasBegun ? "running" : "queued"
    case .paused: "queued"
    case .succeeded, .failed, .cancelled: rawValue
    }
  }

  /// Whether nothing happens to the job any more.
  package var hasEnded: Bool {
    switch self {
    case .validating, .running, .paused: false
    case .succeeded, .failed, .cancelled: true
    }
  }

  /// The state after somebody asked for it; nil when this one cannot become it. Asking twice is no
  /// mistake.
  package func asked(_ wish: FineTuningWish) -> FineTuningState? {
    switch (self, wish) {
    case (.validating, .cancel), (.running, .cancel), (.paused, .cancel), (.cancelled, .cancel):
      .cancelled
    case (.running, .pause), (.paused, .pause): .paused
    case (.paused, .resume), (.running, .resume): .running
    default: nil
    }
  }
}

/// What an owner asks of a job.
package enum FineTuningWish: String, Hashable, Sendable {
  case cancel
  case pause
  case resume
}
