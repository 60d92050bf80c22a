import CoordinatorAPI
import CoordinatorCore
import CoordinatorServer
import CoordinatorStore
import Foundation
import Logging
import Synchronization
import TestSupport
import Testing
import WirePayloads
import WireProtocol

/// A calendar and a monotonic clock that a test moves.
private final class Clocks: Sendable {
  static let start = Timestamp(seconds: 1_900_000_000)
  private let state = Mutex((elapsed: 0.0, ahead: 0.0))

  func pass(_ seconds: Double) { state.withLock { $0.elapsed += seconds } }
  func set(ahead: Double) { state.withLock { $0.ahead = ahead } }

  var calendar: Timestamp {
    state.withLock { Self.start.adding(seconds: $0.elapsed + $0.ahead) }
  }

  var clock: SteadyClock { started(kept: nil) }

  /// The clock of a process that starts now.
  func started(kept: KeptClock?) -> SteadyClock {
    SteadyClock(
      calendar: { self.calendar }, elapsed: { self.state.withLock { .seconds($0.elapsed) } },
      kept: kept)
  }
}

@Suite struct ClockTests {
  /// A folder with a batch of one line in progress, which ends in an hour, and a lease of it.
  private struct Running {
    let temporary = try? TemporaryFolder()
    let folder: DataFolder
    var clock: SteadyClock
    let batch: BatchRecord
    let key: KeyRecord

    init(_ clocks: Clocks) async throws {
      clock = clocks.clock
      folder = try DataFolder(
        opening: try #require(temporary).url, now: Clocks.start.date)
      let (store, now) = (folder.store, clock.now())
      key = try await store.createKey(
        NewKey(name: "k", hash: BlobDigest.sha256(Array("k".utf8))), now: now)
      batch = try await store.createBatch(
        NewBatch(
          keyID: key.id, inputFileID: "file-1", inputBlob: BlobDigest.sha256([]),
          endpoint: "/v1/completions", completionWindow: "1h", completionWindowSeconds: 3600,
          metadata: nil, pool: .public, priority: 0), isRetry: false, now: now)
    }

    /// One round of the service.
    func tick() async throws {
      var logger = Logger(label: "test")
      logger.logLevel = .critical
      let (ticks, told) = AsyncStream.makeStream(of: Void.self)
      let clock = clock
      let service = TickService(
        environment: folder.environment(now: { clock.now() }), clock: clock, tickSeconds: 3600,
        logger: logger, onTick: { told.yield() })
      let task = Task { try await service.run() }
      for await _ in ticks { break }
      task.cancel()
      try await task.value
    }

    func isOpen() async throws -> Bool {
      try await folder.store.batch(batch.id, key: nil)?.state == .validating
    }
  }

  @Test(arguments: [-7300, 40 * 86_400] as [Double])
  func nothingExpiresThoughTheClockIsSetForGood(seconds: Double) async throws {
    let clocks = Clocks()
    let running = try await Running(clocks)
    clocks.set(ahead: seconds)
    for _ in 0..<5 {
      clocks.pass(300)
      try await running.tick()
      #expect(try await running.isOpen())
    }
    // The calendar is believed by now, and windows were moved with it.
    let moved = Clocks.start.adding(seconds: 1500 + seconds)
    #expect(running.clock.now() == moved && running.clock.jumpSeconds == nil)
    clocks.pass(2200)
    try await running.tick()
    #expect(try await !running.isOpen())
  }

  @Test func aClockThatComesBackInTimeChangesNothing() async throws {
    let clocks = Clocks()
    let running = try await Running(clocks)
    for seconds in [40.0 * 86_400, 0, -7300, 0] {
      clocks.set(ahead: seconds)
      clocks.pass(5)
      try await running.tick()
      #expect(try await running.isOpen())
    }
    let expires = try await running.folder.store.batch(running.batch.id, key: nil)?.times.expires
    #expect(expires == Clocks.start.adding(seconds: 3600))
  }

  @Test func aStartWithACalendarFarAheadExpiresNothing() async throws {
    let clocks = Clocks()
    var running = try await Running(clocks)
    try await running.tick()
    // Killed, and started again with a wrong clock.
    clocks.set(ahead: 40 * 86_400)
    clocks.pass(20)
    let kept = try await running.folder.store.keptClock()
    #expect(try await running.folder.now(calendar: clocks.calendar) == Clocks.start)
    running.clock = clocks.started(kept: kept)
    for _ in 0..<5 {
      clocks.pass(300)
      try await running.tick()
      #expect(try await running.isOpen())
    }
    #expect(running.clock.now() == clocks.calendar && running.clock.jumpSeconds == nil)
    // It was believed, and once more after the next start there is nothing to move.
    running.clock = clocks.started(kept: try await running.folder.store.keptClock())
    #expect(running.clock.jumpSeconds == nil)
    clocks.pass(2200)
    try await running.tick()
    #expect(try await !running.isOpen())
  }

  @Test func aStartWithADeadBatteryMovesNothingOnceATimeServerAnswers() async throws {
    let clocks = Clocks()
    var running = try await Running(clocks)
    try await running.tick()
    // Off for ten minutes.
    clocks.pass(600)
    clocks.set(ahead: -33 * 365 * 86_400)
    running.clock = clocks.started(kept: try await running.folder.store.keptClock())
    clocks.pass(60)
    try await running.tick()
    clocks.set(ahead: 0)
    for _ in 0..<5 {
      clocks.pass(300)
      try await running.tick()
    }
    let expires = try await running.folder.store.batch(running.batch.id, key: nil)?.times.expires
    #expect(expires == Clocks.start.adding(seconds: 3600))
  }

  @Test func aSweepBesideAWrongClockDeletesNothingThatIsNew() async throws {
    let (clocks, day) = (Clocks(), 86_400.0)
    let running = try await Running(clocks)
    let folder = running.folder
    let digest = try await folder.blobs.put(Data("new".utf8))
    func age(of calendar: Timestamp) throws {
      try FileManager.default.setAttributes(
        [.modificationDate: calendar.date], ofItemAtPath: folder.blobs.path(of: digest))
    }
    func sweep() async throws {
      _ = try await StorageSweep(folder: folder, retention: BlobRetention()).run(
        deletes: true, now: folder.now(calendar: clocks.calendar), calendar: clocks.calendar)
    }
    try age(of: clocks.calendar)
    try await running.tick()
    clocks.set(ahead: 40 * day)
    try await running.tick()
    try await sweep()
    #expect(try await folder.blobs.contains(digest))
    // Written while the calendar is behind.
    clocks.set(ahead: -40 * day)
    try await running.tick()
    try age(of: clocks.calendar)
    try await sweep()
    #expect(try await folder.blobs.contains(digest))
    clocks.set(ahead: 0)
    try await running.tick()
    try await sweep()
    #expect(try await !folder.blobs.contains(digest))
  }

  @Test func itsOwnServerCertificateIsRenewedWhileItRunsWhateverTheClockSays() throws {
    let clocks = Clocks()
    let temporary = try TemporaryFolder()
    let folder = try DataFolder(opening: temporary.url, now: Clocks.start.date)
    let certificate = try ServerCertificate(
      issuedIn: folder, hosts: ["localhost"], clock: clocks.clock)
    let day = 86_400.0
    #expect(certificate.end == Clocks.start.adding(seconds: 397 * day))
    #expect(try !certificate.refresh())
    clocks.pass(336 * day)
    #expect(try !certificate.refresh())
    clocks.pass(2 * day)
    #expect(try certificate.refresh())
    #expect(certificate.end == Clocks.start.adding(seconds: (338 + 397) * day))
    // Set forward and back at once: it has begun and has not ended by either clock.
    clocks.set(ahead: 400 * day)
    #expect(try certificate.refresh())
    #expect(certificate.end == Clocks.start.adding(seconds: (338 + 400 + 397) * day))
    clocks.set(ahead: 0)
    #expect(try !certificate.refresh())
    clocks.set(ahead: -400 * day)
    #expect(try certificate.refresh())
    #expect(certificate.end == Clocks.start.adding(seconds: (338 + 397) * day))
  }
}
