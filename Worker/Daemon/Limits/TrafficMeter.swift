import Foundation
import Logging
import NIOCore
import Synchronization
import WorkerCore

/// What every transfer of a blob or a result goes through: counts its bytes and holds it to what
/// the owner allows. Safe to use from any task.
final class TrafficMeter: Sendable {
  enum Direction: Sendable {
    case down
    case up
  }

  private struct Content {
    var down: TokenBucket
    var up: TokenBucket
    var ledger: TrafficLedger
    var month = CalendarMonth(year: 1970, month: 1)
    var allowance = NetworkAllowance()
    var saved: (bytes: Int, at: Moment)

    /// Why nothing more may pass, in words.
    func obstacle(at now: Moment) -> String? {
      if let pause = allowance.pauses.first { return pause.words(at: now) }
      guard let limit = allowance.monthlyBytes, ledger.bytes(in: month) >= limit else { return nil }
      return PauseReason.networkVolume(
        megabytes: ledger.bytes(in: month) / 1_000_000, limit: limit / 1_000_000
      ).words(at: now)
    }
  }

  private let content: Mutex<Content>
  private let clock: WorkerClock
  private let path: String
  private let logger: Logger

  /// A transfer that waits looks this often whether its limit has changed.
  private static let longestSleep = Duration.milliseconds(500)
  /// The count on disk lags behind by at most this long or this much.
  private static let saveInterval = Duration.seconds(5)
  private static let saveBytes = 4_000_000

  /// - Throws: `FileError` for a count that cannot be read: it stands for money.
  init(folder: WorkerFolder, clock: WorkerClock, logger: Logger) throws {
    path = folder.traffic
    self.clock = clock
    self.logger = logger
    let ledger: TrafficLedger
    do {
      ledger = try DurableFile.read(path, limitBytes: 1 << 16).map {
        try JSONDecoder().decode(TrafficLedger.self, from: $0)
      } ?? TrafficLedger()
    } catch is DecodingError {
      throw FileError(
        doing: "reading", path: path,
        reason: "not an object of months and bytes; remove the file to count from nothing")
    }
    let now = clock.now()
    content = Mutex(
      Content(
        down: TokenBucket(at: now), up: TokenBucket(at: now), ledger: ledger, saved: (0, now)))
  }

  /// Bytes of both directions in a month.
  func bytes(in month: CalendarMonth) -> Int {
    content.withLock { $0.ledger.bytes(in: month) }
  }

  /// Puts an allowance in force, within half a second for transfers under way; `month` is what
  /// further bytes are counted in. Called once a second.
  func hold(to allowance: NetworkAllowance, month: CalendarMonth) {
    let now = clock.now()
    content.withLock { content in
      content.allowance = allowance
      if month != content.month {
        content.month = month
        content.saved = (content.ledger.bytes(in: month), now)
      }
      content.down.set(bytesPerSecond: allowance.downloadBytesPerSecond, at: now)
      content.up.set(bytesPerSecond: allowance.uploadBytesPerSecond, at: now)
    }
    save(isLast: false)
  }

  /// - Throws: `RequestFailure.heldBack` while `bytes` more must not be transferred.
  func admit(_ bytes: Int) throws(RequestFailure) {
    let now = clock.now()
    let obstacle = content.withLock { content -> String? in
      if let obstacle = content.obstacle(at: now) { return obstacle }
      guard let limit = content.allowance.monthlyBytes else { return nil }
      let left = limit - content.ledger.bytes(in: content.month)
      return bytes > left ? "\(bytes) bytes are more than this month's volume leaves" : nil
    }
    if let obstacle { throw .heldBack(reason: obstacle) }
  }

  /// Counts bytes that were transferred, and returns when more may be.
  ///
  /// - Throws: `RequestFailure.heldBack` when none may, `CancellationError`.
  func pass(_ bytes: Int, _ direction: Direction) async throws {
    let now = clock.now()
    content.withLock { content in
      content.ledger.add(bytes, in: content.month)
      switch direction {
      case .down: content.down.charge(bytes, at: now)
      case .up: content.up.charge(bytes, at: now)
      }
    }
    while true {
      let now = clock.now()
      let (obstacle, wait) = content.withLock { content in
        (
          // What is sent was computed and admitted: an upload that has begun goes on to its end.
          direction == .down ? content.obstacle(at: now) : nil,
          direction == .down ? content.down.wait(at: now) : content.up.wait(at: now)
        )
      }
      if let obstacle { throw RequestFailure.heldBack(reason: obstacle) }
      guard let wait else { return }
      try await clock.sleep(now + min(wait, Self.longestSleep))
    }
  }

  /// Downloads to have under way at one time: one where each would get so little that its
  /// connection seems dead.
  func parallel(_ most: Int) -> Int {
    let rate = content.withLock { $0.allowance.downloadBytesPerSecond }
    return (rate ?? .max) < 256_000 ? 1 : most
  }

  /// Stores the count when it has changed enough, or at all if this is the last time. Not to be
  /// called twice at one time.
  func save(isLast: Bool) {
    let now = clock.now()
    let ledger = content.withLock { content -> TrafficLedger? in
      let bytes = content.ledger.bytes(in: content.month)
      let grown = bytes - content.saved.bytes
      guard grown > 0,
        isLast || grown >= Self.saveBytes
          || content.saved.at.duration(to: now) >= Self.saveInterval
      else { return nil }
      content.saved = (bytes, now)
      return content.ledger
    }
    guard let ledger else { return }
    do {
      try DurableFile.write([JSONEncoder().encode(ledger)], to: path)
    } catch {
      logger.warning("traffic not stored", metadata: ["error": "\(error)"])
    }
  }
}

/// The bytes of a body that is sent at the owner's rate.
struct PacedBody: AsyncSequence, Sendable {
  typealias Element = ByteBuffer

  let bytes: ByteBuffer
  let traffic: TrafficMeter

  /// Small, so that a slow stream never pauses for long.
  private static let pieceBytes = 16 << 10

  struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate var rest: ByteBuffer
    fileprivate let traffic: TrafficMeter
    fileprivate var sent = 0

    mutating func next() async throws -> ByteBuffer? {
      if sent > 0 { try await traffic.pass(sent, .up) }
      sent = Swift.min(rest.readableBytes, PacedBody.pieceBytes)
      return sent == 0 ? nil : rest.readSlice(length: sent)
    }
  }

  func makeAsyncIterator() -> AsyncIterator { AsyncIterator(rest: bytes, traffic: traffic) }
}
