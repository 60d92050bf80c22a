import APIObjects

extension FineTuningObject {
  /// What ids begin with.
  static let prefix = "ftjob-"

  /// Whether nothing more will happen to it.
  var hasEnded: Bool { ["succeeded", "failed", "cancelled"].contains(status) }
}
