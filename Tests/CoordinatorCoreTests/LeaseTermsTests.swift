import CoordinatorCore
import TestSupport
import Testing
import WireProtocol

@Suite("Lease terms")
struct LeaseTermsTests {
  let policy = CoordinatorPolicy()

  private func terms(
    _ own: Double, queued: Double = 0, usual: Double = 240, slowest: Double = 240,
    download: Int = 0, isAwaited: Bool = false
  ) -> LeaseTerms {
    LeaseTerms(
      LeaseTerms.Expectation(own: own, queued: queued, usual: usual, slowest: slowest),
      downloadBytes: download, isAwaited: isAwaited, now: noon, policy)
  }

  private func seconds(_ time: Timestamp) -> Double { time.seconds(since: noon) }

  @Test("deadlines follow the worker's speed, within bounds")
  func deadlines() {
    func first(_ own: Double, queued: Double = 0) -> Double {
      seconds(terms(own, queued: queued).deadline)
    }
    #expect(first(1) == 120)
    #expect(first(100) == 200)
    #expect(first(100, queued: 100) == 400)
    // Who says nothing has no unit for longer than that, however slow it is.
    #expect(first(100, queued: 400) == 600)
    #expect(first(1e9) == 600 && first(.infinity) == 600)
    // What a round waits for does not stay with a worker that is gone, however long it takes.
    let awaited = terms(10_800, queued: 60, usual: 10_800, slowest: 1e6, isAwaited: true)
    #expect(seconds(awaited.deadline) == 240)
    #expect(seconds(awaited.lastDeadline) == 86_400)
    // Nor with one that says that it is there, for more than ten times as long as it should take.
    #expect(seconds(terms(90, isAwaited: true).lastDeadline) == 900)
    #expect(seconds(terms(0.01, isAwaited: true).lastDeadline) == 480)
  }

  @Test("a worker that seems slow on purpose holds a unit little longer than others")
  func feignedSlowness() {
    let batch = terms(1e6, queued: 1e6, slowest: 20)
    #expect(seconds(batch.deadline) == 600 && seconds(batch.idleDeadline) == 3_600)
    #expect(seconds(batch.late) == 720 && seconds(batch.lastDeadline) == 3_600)
    let shard = terms(1e6, queued: 1e6, usual: 900, slowest: 5_000, isAwaited: true)
    #expect(seconds(shard.deadline) == 240 && seconds(shard.idleDeadline) == 840)
    #expect(seconds(shard.late) == 2_700 && seconds(shard.lastDeadline) == 10_000)
    // What it has to do before counts for its patience alone.
    let queued = terms(100, queued: 1e6, isAwaited: true)
    #expect(queued.late == terms(100, isAwaited: true).late)
  }

  @Test("an honest machine that is ten times slower than planned ends its unit")
  func honestSlowness() {
    for isAwaited in [false, true] {
      for own in [60.0, 600, 3_000] {
        let terms = self.terms(own, usual: own, slowest: 4 * own, isAwaited: isAwaited)
        var deadline = terms.deadline
        var now = noon
        while seconds(now) < 10 * own {
          now = now.adding(seconds: policy.heartbeatSeconds)
          let share = seconds(now) / (10 * own)
          deadline = LeaseTerms.extended(
            deadline, idle: terms.idleDeadline, last: terms.lastDeadline,
            LeaseTerms.Progress(issued: noon, latest: now, share: share), now: now, policy)
          guard deadline >= now else { break }
        }
        #expect(seconds(deadline) >= 10 * own, "\(own) s, awaited: \(isAwaited)")
      }
    }
  }

  @Test("a replica is late after three times its time; a download of the model is allowed for")
  func late() {
    func late(_ own: Double, download: Int = 0) -> Double {
      seconds(terms(own, download: download).late)
    }
    #expect(late(1) == 120 && late(100) == 300)
    #expect(late(100, download: 100_000_000) == 400)
    #expect(late(100, download: .max) == 3_900)
  }

  @Test("heartbeats extend a lease, but not for ever")
  func extension_() {
    let terms = self.terms(60)
    var deadline = terms.deadline
    var now = noon
    while deadline > now {
      now = now.adding(seconds: policy.heartbeatSeconds)
      let next = LeaseTerms.extended(
        deadline, idle: terms.idleDeadline, last: terms.lastDeadline,
        LeaseTerms.Progress(issued: noon, latest: now, share: 1), now: now, policy)
      #expect(next >= deadline)
      deadline = next
    }
    #expect(deadline == noon.adding(seconds: policy.minimumExtensionSeconds))
  }

  @Test("a lease lives as far as its worker has got with the unit, if it may have got there")
  func progress() {
    let terms = self.terms(60)
    /// When a lease ends whose worker says this once, so many seconds after it began, and nothing
    /// new afterwards; nil: when it was is not known.
    func end(share: Double, after began: Int?) -> Double {
      var deadline = terms.deadline
      var now = noon
      while deadline > now {
        now = now.adding(seconds: policy.heartbeatSeconds)
        let latest = began.map { noon.adding(seconds: $0) }
        let isSaid = latest.map { $0 <= now } ?? true
        deadline = LeaseTerms.extended(
          deadline, idle: terms.idleDeadline, last: terms.lastDeadline,
          LeaseTerms.Progress(
            issued: noon, latest: isSaid ? latest : nil, share: isSaid ? share : 0),
          now: now, policy)
      }
      return seconds(deadline)
    }
    for share in [0, -1, Double.nan] { #expect(end(share: share, after: nil) == 600) }
    #expect(end(share: 0.5, after: nil) == 2_100 && end(share: 7, after: nil) == 3_600)
    // A claim is worth as long again as it took, and the patience.
    #expect(end(share: 1, after: 30) == 660 && end(share: 7, after: 30) == 660)
    #expect(end(share: 1, after: 540) == 1_680)
    #expect(end(share: 0.1, after: 540) == 900, "nor more than its share")
  }

  @Test("measured speed moves by a quarter, and at most doubles with a unit")
  func speed() {
    #expect(MeasuredSpeed.updated(nil, flops: 1e12, seconds: 20) == 5e10)
    #expect(MeasuredSpeed.updated(nil, flops: 1e12, seconds: 1e-3, first: 3e10) == 3e10)
    #expect(MeasuredSpeed.updated(1e11, flops: 1e12, seconds: 5) == 1.25e11)
    #expect(MeasuredSpeed.updated(1e11, flops: 0, seconds: 5) == 1e11)
    #expect(MeasuredSpeed.updated(1e11, flops: 1e12, seconds: 1e-12) == 2e11)
  }

  @Test(
    "a claim counts between what passed since the result before and what passed since the lease")
  func claims() {
    func seconds(_ claimed: Double?, before: Int? = nil) -> Double {
      MeasuredSpeed.seconds(
        claimed: claimed, issued: noon, before: before.map { noon.adding(seconds: $0) },
        now: noon.adding(seconds: 20))
    }
    #expect(seconds(1e-12) == 20 && seconds(nil) == 20 && seconds(.nan) == 20)
    #expect(seconds(1e-12, before: -100) == 20)
    #expect(seconds(1e-12, before: 15) == 5)
    #expect(seconds(8, before: 15) == 8)
    #expect(seconds(90, before: 15) == 20)
  }
}
