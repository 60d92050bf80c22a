/// One thing that was looked at, and what was found.
struct Finding: Codable, Hashable, Sendable {
  enum Outcome: String, Codable, Sendable {
    case good
    /// Works, though not as well as it might.
    case note
    /// Keeps a worker from working, or its results from being right.
    case bad
  }

  /// What was looked at, in a word or two.
  var subject: String
  var outcome: Outcome
  var detail: String

  static func good(_ subject: String, _ detail: String) -> Finding {
    Finding(subject: subject, outcome: .good, detail: detail)
  }

  static func note(_ subject: String, _ detail: String) -> Finding {
    Finding(subject: subject, outcome: .note, detail: detail)
  }

  static func bad(_ subject: String, _ detail: String) -> Finding {
    Finding(subject: subject, outcome: .bad, detail: detail)
  }
}
