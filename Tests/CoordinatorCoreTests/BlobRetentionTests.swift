import CoordinatorCore
import Testing

@Suite("Blob retention")
struct BlobRetentionTests {
  private let now = Timestamp(seconds: 2_000_000_000)
  private let retention = BlobRetention()
  private var old: Timestamp { now.adding(seconds: -100 * 86_400) }

  private func kind(_ uses: [BlobUse], writtenAt: Timestamp? = nil) -> BlobRetention.Kind {
    retention.kind(uses: uses, writtenAt: writtenAt ?? old, now: now)
  }

  @Test("one use that is alive keeps a blob, whatever else has ended")
  func alive() {
    let ended = BlobUse.endedUnit(old)
    #expect(kind([ended, .model]) == .models)
    #expect(kind([ended, .file]) == .files)
    #expect(kind([ended, .openBatch]) == .openBatches)
    #expect(kind([ended, .openUnit]) == .openUnits)
  }

  @Test("evidence is kept for its days, to the second, counted from the unit that ended last")
  func evidence() {
    let due = now.adding(seconds: -retention.resultDays * 86_400)
    #expect(kind([.endedUnit(due.adding(seconds: 1))]) == .endedUnits)
    #expect(kind([.endedUnit(due)]) == .unused)
    #expect(kind([.endedUnit(due), .endedUnit(now)]) == .endedUnits)
  }

  @Test("what nothing refers to is spared while it is new")
  func grace() {
    let edge = now.adding(seconds: -retention.graceSeconds)
    #expect(kind([], writtenAt: edge) == .recent)
    #expect(kind([], writtenAt: edge.adding(seconds: -1)) == .unused)
    // A clock that was set back makes nothing old.
    #expect(kind([], writtenAt: now.adding(seconds: 500)) == .recent)
  }

  @Test("what is from before the clock was set counts as new then")
  func clockSet() {
    let set = now.adding(seconds: -3600)
    func kind(_ uses: [BlobUse], _ set: Timestamp) -> BlobRetention.Kind {
      retention.kind(uses: uses, writtenAt: old, clockSetAt: set, now: now)
    }
    #expect(kind([], set) == .recent)
    #expect(kind([.endedUnit(old)], set) == .endedUnits)
    let longAgo = now.adding(seconds: -31 * 86_400)
    #expect(kind([], longAgo) == .unused && kind([.endedUnit(old)], longAgo) == .unused)
  }

  @Test("a disk that is too full is told apart from one that cannot be asked")
  func disk() {
    var guarding = DiskGuard()
    guarding.freeBytesMinimum = 1000
    #expect(guarding.shortage(freeBytes: 1000) == nil)
    #expect(guarding.shortage(freeBytes: 999)?.contains("almost full") == true)
    #expect(guarding.shortage(freeBytes: nil) == nil)
    guarding.freeBytesMinimum = 0
    #expect(guarding.shortage(freeBytes: 0) == nil)
    // A guard that is off does not make a full disk writable.
    #expect(guarding.fullness(freeBytes: 4096)?.contains("full") == true)
    #expect(
      guarding.fullness(freeBytes: 1 << 30) == nil && guarding.fullness(freeBytes: nil) == nil)
    // A high guard refuses work long before the coordinator stops answering.
    guarding.freeBytesMinimum = 1 << 50
    #expect(guarding.fullness(freeBytes: 1 << 30) == nil)
    #expect(guarding.fullness(freeBytes: 80_000_000)?.contains("almost full") == true)
  }
}
