import Synchronization

/// What the coordinator itself could not do for a batch or a job so far, by its id: whoever asks
/// why it waits is told. The log has the whole error, which may name what is not everyone's.
package final class Setbacks: Sendable {
  /// Batches and jobs of which something is kept.
  private static let limit = 1000

  private let sentences = Mutex<[String: String]>([:])

  package init() {}

  /// - Parameter what: continues "The coordinator could not", such as "read its file".
  package func note(_ id: String, couldNot what: String) {
    sentences.withLock {
      guard $0.count < Self.limit || $0[id] != nil else { return }
      $0[id] =
        "The coordinator could not \(what) so far and tries again; its operator finds the reason "
        + "in the log."
    }
  }

  /// What was tried again went well.
  package func clear(_ id: String) { _ = sentences.withLock { $0.removeValue(forKey: id) } }

  package subscript(id: String) -> String? { sentences.withLock { $0[id] } }
}
