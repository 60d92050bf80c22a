import NIOCore

/// How a request arrives: what came, and how long the client was waited for. Time in which the
/// server does not read is not the client's.
struct RequestArrival {
  private let limits: ConnectionLimits
  private let announcedBytes: Int?
  private var bytes = 0
  private var waited = TimeAmount.zero
  private var waitingSince: NIODeadline?

  /// - Parameter announcedBytes: the length of the body; nil when the head does not say.
  init(announcedBytes: Int?, limits: ConnectionLimits) {
    self.announcedBytes = announcedBytes
    self.limits = limits
  }

  /// The server waits for more of the request from `now` on.
  mutating func wait(from now: NIODeadline) {
    if waitingSince == nil { waitingSince = now }
  }

  /// Counts bytes that came, and ends the wait for them.
  mutating func take(_ count: Int, at now: NIODeadline) {
    bytes += count
    if let since = waitingSince { waited = waited + (now - since) }
    waitingSince = nil
  }

  /// Time that the client has left until it is given up.
  func left(at now: NIODeadline) -> TimeAmount {
    let pending = waitingSince.map { now - $0 } ?? .zero
    let allowed =
      TimeAmount.seconds(Int64(limits.requestSeconds))
      + .milliseconds(Int64(bytes) * 1000 / Int64(limits.requestBytesPerSecond))
    return allowed - waited - pending
  }

  /// Whether what is still to come is known and little: then reading it is cheaper than a new
  /// connection.
  var endsSoon: Bool { announcedBytes.map { $0 - bytes <= 65536 } ?? false }
}
