import CoordinatorCore
import TestSupport
import Testing
import WireProtocol

@Suite("Shares and draws")
struct ShareTests {
  let policy = CoordinatorPolicy()

  @Test("one alone may hold all of a queue, one of many little more than its part")
  func shares() {
    func room(_ held: Int, _ left: Int, among workers: Int) -> Int {
      LeaseShare.room(held: held, left: left, share: LeaseShare.ofWorker(among: workers))
    }
    #expect(room(0, 6_000, among: 1) == 6_000 && room(5_000, 1_000, among: 1) == 1_000)
    #expect(room(0, 6_000, among: 2) == 4_000 && room(4_000, 2_000, among: 2) == 0)
    #expect(room(0, 6_000, among: 11) == 1_000 && room(100, 0, among: 3) == 0)
    #expect(LeaseShare.ofAccount(among: 1) == 1 && LeaseShare.ofAccount(among: 100) == 0.5)
  }

  @Test("giving back is free for restarts, and then as rare as they are")
  func returns() {
    var (counted, waited): (Timestamp?, [Double]) = (nil, [])
    for _ in 0..<13 {
      let sum = ReturnRate.adding(to: counted, workers: 1, now: noon, policy)
      counted = sum
      waited.append(max(0, ReturnRate.heldBackUntil(sum, policy).seconds(since: noon)))
    }
    #expect(waited == Array(repeating: 0, count: 10) + [120, 240, 360])
    // A day later nothing of it counts; an account of many machines may give back as much for each.
    let tomorrow = noon.adding(seconds: 86_400)
    let sum = ReturnRate.adding(to: counted, workers: 60, now: tomorrow, policy)
    #expect(sum == tomorrow.adding(seconds: 2))
  }

  @Test("SipHash-2-4 is that of its authors")
  func sipHash() {
    let key: (UInt64, UInt64) = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908)
    #expect(SipHash.hash([], key: key) == 0x726f_db47_dd0e_0e31)
    #expect(SipHash.hash(Array(0..<15), key: key) == 0xa129_ca61_49be_45e5)
  }

  @Test("one account of all is drawn on average, then twice as many with each epoch")
  func draws() {
    let draw = Sortition(secret: "abcdefghijkl0123456789xyz")
    func drawn(after seconds: Int, candidates: Int = 16, places: Int = 1) -> Double {
      var count = 0
      for unit in 0..<500 {
        for account in 0..<candidates
        where draw.isDrawn(
          "account-\(account)", unit: "\(unit)", since: noon, now: noon.adding(seconds: seconds),
          places: places, candidates: candidates, epochSeconds: 10)
        { count += 1 }
      }
      return Double(count) / 500
    }
    #expect(abs(drawn(after: 0) - 1) < 0.2 && abs(drawn(after: 9) - 1) < 0.2)
    #expect(abs(drawn(after: 10) - 2) < 0.3)
    #expect(abs(drawn(after: 0, places: 2) - 2) < 0.3)
    #expect(abs(drawn(after: 30) - 8) < 0.6)
    #expect(drawn(after: 40) == 16 && drawn(after: Int.max / 2000) == 16)
    #expect(drawn(after: 0, candidates: 1) == 1, "with one other account nobody waits")
  }

  @Test("who was drawn stays drawn, and another secret draws others")
  func circles() {
    let draw = Sortition(secret: "abcdefghijkl0123456789xyz")
    let other = Sortition(secret: "abcdefghijkm0123456789xyz")
    var differing = 0
    for unit in 0..<200 {
      var wasDrawn = false
      for epoch in 0..<6 {
        let now = noon.adding(seconds: epoch * 10)
        func isDrawn(_ draw: Sortition) -> Bool {
          draw.isDrawn(
            "ann", unit: "\(unit)", since: noon, now: now, places: 1, candidates: 30,
            epochSeconds: 10)
        }
        if isDrawn(draw) != isDrawn(other) { differing += 1 }
        #expect(isDrawn(draw) || !wasDrawn)
        wasDrawn = isDrawn(draw)
      }
      #expect(wasDrawn)
    }
    #expect(differing > 50)
  }
}
