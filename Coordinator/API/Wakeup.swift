import Synchronization

/// Lets a background service sleep until there may be work: it is signalled within the process, and
/// otherwise looks again after a while, since other processes write to the database too.
package final class Wakeup: Sendable {
  private let stream: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation

  package init() {
    (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// There may be work. Signals do not add up.
  package func signal() { continuation.yield() }

  /// Returns at the next signal, after `duration`, or when the task is cancelled. One task waits at
  /// a time.
  package func wait(atMost duration: Duration) async {
    let timer = Task { [continuation] in
      // A cancelled timer must not signal, or every wait would end the next one at once.
      guard (try? await Task.sleep(for: duration)) != nil else { return }
      continuation.yield()
    }
    defer { timer.cancel() }
    for await _ in stream { return }
  }
}

/// The wakeups of the coordinator's services.
package struct Wakeups: Sendable {
  /// Batches to validate.
  package let validation = Wakeup()
  /// Batches whose files are to be written.
  package let finalisation = Wakeup()
  /// Fine-tuning jobs to validate or to move on.
  package let fineTuning = Wakeup()
  /// Units to replay.
  package let replay = Wakeup()

  package init() {}
}
