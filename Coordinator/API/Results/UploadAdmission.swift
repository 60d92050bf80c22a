import CoordinatorCore
import HTTPTypes
import Synchronization

/// Who may send a result now: a worker one at a time, an account's machines a part of what there
/// may be, and for a while none who sent several that were no results. Asked before a body is read.
package final class UploadAdmission: Sendable {
  private struct Sender {
    var isSending = false
    /// Results in a row that were none.
    var invalid = 0
    var heldUntil: Timestamp?
  }

  private struct State {
    var senders: [String: Sender] = [:]
    var sending = 0
    /// By account.
    var sendingOf: [String: Int] = [:]
  }

  private let state = Mutex(State())

  /// Uploads at once, of all workers.
  package static let uploads = 256
  /// Those of one account's machines: a body may take hours, so that nobody may have all places.
  package static let uploadsOfAccount = 64
  /// Invalid results in a row after which a lease ends and its worker is held back.
  private static let patience = 3
  private static let holdSeconds = 600
  /// About how many workers are remembered.
  private static let remembered = 10_000

  package init() {}

  /// Begins an upload of `worker`, a machine of `account`, which `end` ends.
  ///
  /// - Throws: `APIError` 429 and 503, with the time to come back.
  package func begin(_ worker: String, of account: String, now: Timestamp) throws {
    try state.withLock { state in
      var sender = state.senders[worker] ?? Sender()
      // Held for longer is only who was before the clock was set back.
      if let until = sender.heldUntil, until > now,
        until <= now.adding(seconds: Self.holdSeconds)
      {
        throw APIError.tryLater(
          .tooManyRequests, "This worker sent \(sender.invalid) invalid results in a row.",
          seconds: Int(until.seconds(since: now).rounded(.up)))
      }
      guard !sender.isSending else {
        throw APIError.tryLater(
          .tooManyRequests, "This worker is sending a result already.", seconds: 5)
      }
      guard state.sendingOf[account, default: 0] < Self.uploadsOfAccount else {
        throw APIError.tryLater(
          .tooManyRequests,
          "\(Self.uploadsOfAccount) workers of this account are sending a result already.",
          seconds: 10)
      }
      guard state.sending < Self.uploads else {
        throw APIError.tryLater(
          .serviceUnavailable, "Too many results arrive at once.", seconds: 10)
      }
      sender.isSending = true
      state.senders[worker] = sender
      state.sending += 1
      state.sendingOf[account, default: 0] += 1
    }
  }

  /// Ends an upload.
  package func end(_ worker: String, of account: String, now: Timestamp) {
    state.withLock { state in
      state.sending -= 1
      let left = state.sendingOf[account, default: 0] - 1
      state.sendingOf[account] = left > 0 ? left : nil
      state.senders[worker]?.isSending = false
      if state.senders[worker]?.invalid == 0 { state.senders[worker] = nil }
      guard state.senders.count > Self.remembered else { return }
      state.senders = state.senders.filter { _, sender in
        sender.isSending || sender.heldUntil.map { $0 > now } ?? false
      }
    }
  }

  /// Notes a result that is none.
  ///
  /// - Returns: whether that is enough for its lease to end.
  package func noteInvalid(_ worker: String, now: Timestamp) -> Bool {
    state.withLock { state in
      var sender = state.senders[worker] ?? Sender()
      sender.invalid += 1
      let isEnough = sender.invalid >= Self.patience
      if isEnough { sender.heldUntil = now.adding(seconds: Self.holdSeconds) }
      state.senders[worker] = sender
      return isEnough
    }
  }

  /// Notes a result that is one.
  func noteValid(_ worker: String) {
    state.withLock { $0.senders[worker]?.invalid = 0 }
  }
}
