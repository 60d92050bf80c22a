import Synchronization

/// A bar for uploads large enough to be waited for. The HTTP client reports from its own threads.
final class UploadProgress: Sendable {
  private let bar = Mutex(ProgressBar())

  func show(sent: Int, size: Int) {
    guard size > 8 << 20 else { return }
    bar.withLock {
      $0.show(
        fraction: Double(sent) / Double(size),
        detail: "uploaded \(Spelled.bytes(sent)) of \(Spelled.bytes(size))")
    }
  }

  func finish() { bar.withLock { $0.finish() } }
}
