import CoordinatorCore
import CoordinatorStore

/// How pages speak of a batch.
enum BatchText {
  /// The state in a word or two.
  static func state(_ state: BatchState) -> String {
    switch state {
    case .validating: "validating"
    case .failed: "failed"
    case .inProgress: "in progress"
    case .finalizing: "writing its files"
    case .completed: "completed"
    case .expired: "expired"
    case .cancelling: "being cancelled"
    case .cancelled: "cancelled"
    }
  }

  /// A model's name as everyone may see it: of a tuned one that of its base, since the owner chose
  /// the rest.
  static func model(_ name: String) -> String {
    let parts = name.split(separator: ":", omittingEmptySubsequences: false)
    return parts.count > 1 && parts[0] == "ft" ? "\(parts[1]), tuned" : name
  }

  /// What kind of work it is.
  static func kind(endpoint: String) -> String {
    switch endpoint {
    case "/v1/chat/completions": "chat"
    case "/v1/completions": "completion"
    default: endpoint
    }
  }

  /// The class that colours a state.
  static func tone(_ state: BatchState) -> String {
    switch state {
    case .completed: "good"
    case .failed, .expired, .cancelled, .cancelling: "bad"
    case .validating, .inProgress, .finalizing: ""
    }
  }
}

/// How much of something is done, for `<progress>` and in words.
struct ProgressText {
  /// 0 to 100, as `<progress max="100">` takes it.
  let percent: String

  init(done: Double, of all: Double) {
    let fraction = all > 0 ? min(1, max(0, done / all)) : 0
    // What is not finished never says 100.
    percent = fraction >= 1 ? "100" : Spelling.decimals(min(99.9, fraction * 100), 1)
  }
}
